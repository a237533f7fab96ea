"""The architecture: folders import in one order, files never in a circle, libraries in one place."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "neuralart"

# A folder imports those before it; `errors` is a file.
ORDER = [
    "errors",
    "machine",
    "engine",
    "pictures",
    "loss",
    "chain",
    "options",
    "training",
    "painting",
    "exporting",
    "importing",
    "measuring",
    "serving",
    "cli",
]

# A library, and the files that may import it.
HOMES = {
    "mxnet": {"engine.door"},
    "ml_dtypes": {"engine.door"},
    "torch": {
        f"engine.pytorch.{name}"
        for name in ("collective", "devices", "executor", "operators", "recording")
    },
    "cv2": {"pictures.editing", "pictures.faces", "pictures.matching", "pictures.pieces"},
    "PIL": {
        "pictures.phones",
        "pictures.reading",
        "pictures.video.animation",
        "pictures.writing",
    },
    "pyvips": {"pictures.vips"},
    "pillow_heif": {"pictures.phones"},
    "av": {
        "pictures.video.colours",
        "pictures.video.reading",
        "pictures.video.sound",
        "pictures.video.writing",
    },
    "click": {"options.command_line", "cli.commands", "cli.features", "cli.group"},
    "distributed": {"painting.cluster.crew"},
    "fsspec": {"painting.cluster.addresses"},
    "tqdm": {"machine.terminal"},
    "scipy": {"measuring.descent"},
    "onnx": {
        "engine.onnx_runtime.executor",
        "engine.onnx_runtime.graph",
        "engine.onnx_runtime.operators",
        "exporting.to_onnx.grain",
        "exporting.to_onnx.graph",
        "exporting.to_onnx.norms",
    },
    "onnxruntime": {"engine.onnx_runtime.sessions", "exporting.to_onnx.runtime"},
    "h5py": {"loss.features.formats"},
    "pooch": {"loss.features.fetch"},
    "requests": {"loss.features.fetch"},
    "platformdirs": {"loss.features.store"},
}

# Part of an engine, and the files that may use it.
ENGINE_PARTS = {
    r"sym\.[a-zA-Z]": re.compile(r"(\.|^)(graph|vgg|terms)$"),
    r"mx\.sym": re.compile(r"^engine\.(symbols|recorder)$"),
    r"mx\.mod": re.compile(r"^engine\.module$"),
    r"mx\.kv": re.compile(r"^engine\.kvstore$"),
}

# Modules that must import where MXNet is not installed.
WITHOUT_MXNET = [
    "chain.kinds",
    "chain.model",
    "chain.params",
    "chain.receptive_field",
    "chain.shipped",
    "chain.specs",
    "chain.graph",
    "chain.reference",
    "engine.contract",
    "engine.devices",
    "engine.doctor",
    "engine.nodes",
    "engine.onnx_runtime.devices",
    "engine.symbols",
    "exporting.export",
    "exporting.to_onnx.graph",
    "importing.model_2016",
    "loss.features.store",
    "loss.layers",
    "loss.objective",
    "loss.perceptual",
    "measuring.evaluate",
    "measuring.optimize",
    "machine.seeds",
    "options.command_line",
    "options.train",
    "painting.batch",
    "painting.cluster.stylize",
    "painting.folded.folding",
    "painting.jobs",
    "painting.tiles",
    "pictures.frame",
    "pictures.photos.pack",
    "pictures.photos.stream",
    "pictures.writing",
    "serving.serve",
    "training.run",
    "training.schedule",
    "training.train",
]


# Test files that must pass where MXNet is not installed, except tests marked `engine`.
TESTED_WITHOUT_MXNET = [
    "chain/test_model.py",
    "chain/test_params.py",
    "chain/test_receptive_field.py",
    "chain/test_specs.py",
    "chain/test_styled_chain.py",
    "loss/test_objective.py",
    "machine",
    "options",
    "painting/folded/test_folding.py",
    "painting/test_jobs.py",
    "painting/test_tiles.py",
    "pictures/test_editing.py",
    "pictures/test_frame.py",
    "pictures/test_picture_files.py",
    "pictures/test_pixels.py",
    "pictures/photos/test_stream.py",
    "training/test_run.py",
    "training/test_schedule.py",
]


def sources() -> dict[str, str]:
    return {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path.read_text()
        for path in PACKAGE.rglob("*.py")
        if path.name not in ("__init__.py", "__main__.py")
    }


SOURCES = sources()


@functools.cache
def imports(source: str) -> frozenset[str]:
    """The modules that a file imports, also inside functions, as ``neuralart.chain.specs``."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            files = {f"{module}.{alias.name}" for alias in node.names}
            known = {f"neuralart.{name}" for name in SOURCES}
            names |= files & known or {module}
    return frozenset(names)


def ours(name: str) -> set[str]:
    """The files of the project that a file imports."""
    return {i.removeprefix("neuralart.") for i in imports(SOURCES[name])} & set(SOURCES)


def test_every_folder_has_its_place() -> None:
    assert {name.split(".")[0] for name in SOURCES} == set(ORDER)


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_folders_import_one_way(name: str) -> None:
    place = ORDER.index(name.split(".")[0])
    assert {i for i in ours(name) if ORDER.index(i.split(".")[0]) > place} == set()


def test_no_circle_between_files() -> None:
    left = {name: ours(name) for name in SOURCES}
    while free := [name for name, needs in left.items() if not needs & set(left)]:
        for name in free:
            del left[name]
    assert left == {}


@pytest.mark.parametrize("library", HOMES)
def test_a_library_has_one_home(library: str) -> None:
    users = {
        name
        for name, source in SOURCES.items()
        if any(i.split(".")[0] == library for i in imports(source))
    }
    assert users == HOMES[library]


@pytest.mark.parametrize("part", ENGINE_PARTS)
def test_part_of_the_engine_has_one_home(part: str) -> None:
    users = {name for name, source in SOURCES.items() if re.search(rf"\b{part}\b", source)}
    assert {name for name in users if not ENGINE_PARTS[part].search(name)} == set()


@pytest.mark.parametrize("name", WITHOUT_MXNET)
def test_what_needs_no_engine_imports_without_one(name: str) -> None:
    code = f"import sys; sys.modules['mxnet'] = None; import neuralart.{name}"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_what_needs_no_engine_is_tested_without_one(tmp_path: Path) -> None:
    tests = Path(__file__).parent
    command = [sys.executable, "-m", "pytest", "-q", "-p", "without_mxnet", "-m", "not engine"]
    command += [f"--basetemp={tmp_path / 'temp'}", *(str(tests / n) for n in TESTED_WITHOUT_MXNET)]
    result = subprocess.run(command, cwd=tests.parent, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout


def test_help_does_not_import_mxnet() -> None:
    code = (
        "import sys; from neuralart.cli import main\n"
        "try: main(['train', '--help'])\n"
        "except SystemExit: pass\n"
        "assert not {'mxnet', 'cv2', 'numpy'} & set(sys.modules), sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)

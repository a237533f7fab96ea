"""The shape of the code: folders import one way, files in no circle, and each library has one home."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "neuralart"

# A folder imports those before it; `errors` and `cli` are files.
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
    "measuring",
    "cli",
]

# A library, and the files that may import it.
HOMES = {
    "mxnet": {"engine.door"},
    "cv2": {"pictures.editing", "pictures.reading", "pictures.writing", "painting.video"},
    "PIL": {"pictures.reading", "pictures.writing"},
    "tifffile": {"pictures.reading", "pictures.writing"},
    "click": {"options.command_line", "cli"},
    "tqdm": {"machine.terminal"},
    "scipy": {"measuring.descent"},
    "onnx": {"exporting.to_onnx.graph", "exporting.to_onnx.operators"},
    "onnxruntime": {"exporting.to_onnx.runtime"},
    "h5py": {"loss.features.formats"},
    "pooch": {"loss.features.fetch"},
    "requests": {"loss.features.fetch"},
    "platformdirs": {"loss.features.store"},
}

# Part of MXNet, and the files that may use it.
ENGINE_PARTS = {
    "mx.sym": re.compile(r"(\.|^)(graph|vgg|terms)$"),
    "mx.mod": re.compile(r"^engine\.module$"),
}

# What must import where MXNet is not: the words, the data and the plans.
WITHOUT_MXNET = [
    "chain.kinds",
    "chain.model",
    "chain.params",
    "chain.receptive_field",
    "chain.shipped",
    "chain.specs",
    "engine.contract",
    "loss.features.store",
    "loss.layers",
    "loss.objective",
    "options.command_line",
    "options.train",
    "painting.folded.folding",
    "painting.jobs",
    "painting.tiles",
    "pictures.frame",
    "pictures.photos.stream",
    "pictures.writing",
    "training.run",
    "training.schedule",
]


def sources() -> dict[str, str]:
    return {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path.read_text()
        for path in PACKAGE.rglob("*.py")
        if path.name not in ("__init__.py", "__main__.py")
    }


SOURCES = sources()


def imports(source: str) -> set[str]:
    """What a file imports, in functions too: ``neuralart.chain.specs``, ``numpy`` and so on."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            files = {f"{module}.{alias.name}" for alias in node.names}
            known = {f"neuralart.{name}" for name in SOURCES}
            names |= files & known or {module}
    return names


def ours(name: str) -> set[str]:
    """The project's files that a file imports."""
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


def test_help_does_not_import_mxnet() -> None:
    code = (
        "import sys; from neuralart.cli import main\n"
        "try: main(['train', '--help'])\n"
        "except SystemExit: pass\n"
        "assert not {'mxnet', 'cv2', 'numpy'} & set(sys.modules), sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)

"""The shape of the code: imports run one way, and each library has one home."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "neuralart"

# Lower never imports higher; those of one row may import those before them in it.
LADDER = [
    ["errors"],
    [
        "specs",
        "frame",
        "tiles",
        "memory",
        "processor",
        "files",
        "config",
        "cards",
        "torchfile",
        "shipped",
        "tables",
    ],
    ["cuda", "engine"],
    ["pictures", "encode", "images", "sources", "photos", "signals", "dials", "jobs", "folding"],
    ["symbols.vgg", "symbols.losses", "symbols.generator", "symbols.folded"],
    ["formats", "weights", "features", "fetch"],
    [
        "modules.perceptual",
        "modules.chain",
        "modules.painter",
        "modules.eight_bits",
        "modules.brush",
        "modules.cluster",
        "modules.step",
    ],
    ["pixels", "measure"],
    ["checkpoint", "model", "painting", "progress", "schedule", "beginning", "team"],
    ["parity", "onnx_operators", "onnx_graph", "onnx_runtime", "page", "targets"],
    ["doctor", "pack", "launch", "train", "cost"],
    ["stylize", "video", "plan", "export", "optimize", "evaluate", "info"],
    ["options", "cli"],
]
ORDER = [name for row in LADDER for name in row]

# (library, the modules that may import it)
HOMES = {
    "mxnet": {"engine"},
    "cv2": {"pictures", "encode", "images", "video"},
    "PIL": {"pictures", "encode"},
    "tifffile": {"pictures", "encode"},
    "click": {"options", "cli"},
    "tqdm": {"progress"},
    "scipy": {"pixels"},
    "onnx": {"onnx_graph", "onnx_operators"},
    "onnxruntime": {"onnx_runtime"},
    "h5py": {"formats"},
    "pooch": {"fetch"},
    "requests": {"fetch"},
    "platformdirs": {"features"},
}


def modules() -> dict[str, ast.Module]:
    return {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts): ast.parse(path.read_text())
        for path in PACKAGE.rglob("*.py")
        if path.name not in ("__init__.py", "__main__.py")
    }


def imports(tree: ast.AST) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if module == "neuralart":
                names |= {f"neuralart.{alias.name}" for alias in node.names}
            else:
                names.add(module)
    return names


def test_every_module_has_a_rung() -> None:
    assert set(modules()) == set(ORDER)


@pytest.mark.parametrize("name", ORDER)
def test_imports_run_one_way(name: str) -> None:
    ours = {i.removeprefix("neuralart.") for i in imports(modules()[name]) if "neuralart." in i}
    higher = {i for i in ours & set(ORDER) if ORDER.index(i) >= ORDER.index(name)}
    assert not higher


@pytest.mark.parametrize("library", HOMES)
def test_a_library_has_one_home(library: str) -> None:
    users = {
        name
        for name, tree in modules().items()
        if any(i.split(".")[0] == library for i in imports(tree))
    }
    assert users == HOMES[library]


def test_help_does_not_import_mxnet() -> None:
    code = (
        "import sys; from neuralart.cli import main\n"
        "try: main(['train', '--help'])\n"
        "except SystemExit: pass\n"
        "assert not {'mxnet', 'cv2', 'numpy'} & set(sys.modules), sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)

"""Whether ONNX Runtime is installed, and what it cannot do. Imports neither of its packages."""

from __future__ import annotations

from importlib.util import find_spec

from neuralart.machine.installation import install_command


def is_installed() -> bool:
    """Whether graphs can be converted and run."""
    return find_spec("onnxruntime") is not None and find_spec("onnx") is not None


def paints_only() -> str:
    """What to say where a command needs gradients, and only ONNX Runtime could compute."""
    return (
        "ONNX Runtime paints; training and measuring need MXNet or PyTorch: "
        f"{install_command('torch')}"
    )

"""What nobody foresaw: the facts go to a file, for a report, and one line to the terminal."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import shlex
import sys
import tempfile
import time
import traceback
from pathlib import Path

from neuralart import __version__
from neuralart.machine.words import short

_LIBRARIES = (
    "mxnet", "mxnet-cu112", "torch", "numpy", "opencv-python-headless", "pillow", "pyvips",
    "pyvips-binary", "av", "onnx", "onnxruntime", "h5py", "scipy", "click",
)  # fmt: skip

_SETTINGS = ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "LANG", "LC_ALL")


def reason(error: BaseException) -> str:
    """The line of a message that says what is wrong; engines put their own traceback before it."""
    lines = [line for line in str(error).splitlines() if line.strip() and line[0] != " "]
    return next((line for line in lines if not line.startswith("Traceback")), "no reason is given")


def report(error: BaseException) -> str:
    """Write traceback, versions and command to a new file here, or where temporary files go.

    Returns a line for people that names it.
    """
    what = f"unexpected {type(error).__name__}: {short(reason(error), 200)}"
    text = _facts() + "".join(traceback.format_exception(error))
    name = f"neuralart-crash-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.txt"
    for folder in (Path.cwd, lambda: Path(tempfile.gettempdir())):
        with contextlib.suppress(OSError):
            path = folder() / name
            with path.open("x", encoding="utf-8", errors="backslashreplace") as file:
                file.write(text)
            return f"{what}; this is a fault of neuralart: please report it with {path}"
    return f"{what}; this is a fault of neuralart: please report it (no file could be written)"


def _facts() -> str:
    facts = {
        "neuralart": __version__,
        "command": shlex.join(sys.argv),
        "python": sys.version.replace("\n", " "),
        "system": platform.platform(),
    }
    for library in _LIBRARIES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            facts[library] = importlib.metadata.version(library)
    facts |= {key: os.environ[key] for key in _SETTINGS if key in os.environ}
    return "".join(f"{key:24} {value}\n" for key, value in facts.items()) + "\n"

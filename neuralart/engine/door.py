"""The only file that imports MXNet: sets its environment, mends it, and explains what is missing.

Other files write ``from neuralart.engine.door import mx``. The import takes most of a second, so
commands import it when they run, and ``neuralart --help`` does not.

Two races of MXNet 1.9.1 (BatchNorm on a CPU) shape the code that uses it:

- ``backward`` writes the moving statistics, in no order with later reads.
- ``forward`` with another ``is_train`` than that of a queued step changes that step.

So call `settle` before every ``get_params``, save, evaluation or change of ``is_train``.
"""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from neuralart.engine import cuda
from neuralart.engine.deferred import deferred_operators
from neuralart.errors import EngineError
from neuralart.machine.installation import install_command
from neuralart.machine.processor import available_cores, may_use_amx

# MXNet would use half of the cores.
os.environ.setdefault("OMP_NUM_THREADS", str(available_cores()))

# Each bind would write a line to stderr.
os.environ.setdefault("MXNET_SUBGRAPH_VERBOSE", "0")

# oneDNN caches 1024 primitives by default; pictures of many sizes make that hundreds of megabytes.
os.environ.setdefault("DNNL_PRIMITIVE_CACHE_CAPACITY", "64")

# oneDNN 2.4 uses AMX only if told to. It does not ask Linux first, as `may_use_amx` does, and Linux
# ends a process that uses AMX without asking.
if may_use_amx():
    os.environ.setdefault("DNNL_MAX_CPU_ISA", "AVX512_CORE_AMX")


# MXNet imports these where they are installed, for what we never ask it to do: sparse arrays,
# ranges of int8 by entropy, HDF5, its own export. They are 40% of the time of its import.
_UNUSED = ("h5py", "onnx", "scipy.sparse", "scipy.stats")


@contextlib.contextmanager
def _missing(names: Sequence[str]) -> Iterator[None]:
    """Let modules that are not loaded yet fail to import meanwhile."""
    hidden = [name for name in names if name not in sys.modules]
    modules: dict[str, Any] = sys.modules
    modules.update(dict.fromkeys(hidden))  # ``import`` raises ImportError where it finds None
    try:
        yield
    finally:
        for name in hidden:
            if modules.get(name, sys) is None:
                del modules[name]


def _import_mxnet() -> Any:
    flavours = cuda.installed_flavours()
    if not flavours:
        raise EngineError(f"MXNet is not installed; {install_command('cpu')}")
    if len(flavours) > 1:
        raise EngineError(
            "both mxnet and mxnet-cu112 are installed and overwrite each other: "
            "make a fresh virtual environment with one of them"
        )
    if flavours == [cuda.FOR_GPUS]:
        for loaded in cuda.load_libraries():
            if loaded.problem:
                raise EngineError(
                    f"MXNet for GPUs needs {loaded.library.soname}, {loaded.problem}; "
                    "`neuralart doctor` lists all that is missing"
                )
    if "bool" not in np.__dict__:
        np.bool = bool  # type: ignore[attr-defined]  # numpy 1.24 removed it, mxnet 1.9.1 uses it
    try:
        with warnings.catch_warnings(), _missing(_UNUSED), deferred_operators():
            warnings.simplefilter("ignore", DeprecationWarning)
            import ml_dtypes  # noqa: F401  # numpy then knows the name bfloat16, as MXNet expects
            import mxnet
    except OSError as error:
        if cuda.DRIVER in str(error):
            raise EngineError(
                f"MXNet for GPUs needs NVIDIA's driver ({cuda.DRIVER}), which is not here; "
                "install the driver, or in a fresh virtual environment: " + install_command("cpu")
            ) from None
        missing = next((lib for lib in ("gomp", "quadmath") if lib in str(error)), "")
        if missing:
            raise EngineError(
                f"MXNet needs lib{missing}: apt-get install libgomp1 libquadmath0"
            ) from None
        raise EngineError(f"MXNet does not load: {error}") from None
    except ImportError as error:
        raise EngineError(f"MXNet does not import: {error}") from None
    return mxnet


mx: Any = _import_mxnet()


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Drop what MXNet's libraries write to stderr, a line for each layer.

    They bypass ``sys.stderr``, so all stderr of the process is dropped meanwhile.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def settle() -> None:
    """Wait until every queued operation is done (see the races in the module's docstring)."""
    mx.nd.waitall()

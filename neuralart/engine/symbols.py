"""The one name that graphs take their operators from: MXNet's, or a recorder of the same calls.

Declaring a graph needs no engine; running it does. MXNet is imported with this file, unless it is
not installed or `use_recorder` was called before.
"""

from __future__ import annotations

import functools
from typing import Any

from neuralart.engine import recorder
from neuralart.engine.cuda import installed_flavours
from neuralart.errors import EngineError


class _Operators:
    """Has a function for each operator: MXNet's as soon as it is imported, else the recorder's."""

    def __getattr__(self, function: str) -> Any:
        return getattr(_source(), function)


def _source() -> Any:
    mx = recorder.loaded_mxnet()
    if mx is None and not recorder.is_chosen():
        mx = _import_mxnet()
    return recorder.recorder if mx is None else mx.sym


@functools.cache
def _import_mxnet() -> Any:
    """MXNet, or None where it is not installed or does not load."""
    if not installed_flavours():
        return None
    try:
        from neuralart.engine.door import mx
    except EngineError:  # `open_devices` says so if MXNet is asked to compute
        return None
    return mx


sym: Any = _Operators()
_source()

"""The one name that graphs take their operators from: MXNet's, or a recorder of the same calls.

Declaring a graph needs no engine; running it does.
"""

from __future__ import annotations

from typing import Any

from neuralart.engine.cuda import installed_flavours
from neuralart.errors import EngineError


def _operators() -> Any:
    if installed_flavours():
        try:
            from neuralart.engine.door import mx
        except EngineError:  # `open_devices` says so if MXNet is asked to compute
            pass
        else:
            return mx.sym
    from neuralart.engine.recorder import recorder

    return recorder


sym: Any = _operators()

"""MXNet's operators are compiled when they are called, and behave as MXNet made them."""

from __future__ import annotations

import builtins
import sys

import numpy as np
import pytest

from neuralart.engine import deferred
from neuralart.engine.door import mx


def test_an_operator_is_compiled_at_its_first_call() -> None:
    register = sys.modules["mxnet.ndarray.register"]
    texts: list[str] = []
    text = "\ndef twice(x, more=0):\n    return 2 * x + more"
    scope: dict[str, object] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            deferred, "exec", lambda *a: (texts.append(a[0]), builtins.exec(*a)), raising=False
        )
        vars(register)["exec"](text, None, scope)
        twice = scope["twice"]
        assert callable(twice) and not texts
        assert (twice(2), twice(2, more=1)) == (4, 5)
        assert texts == [text]


def test_operators_are_mxnets_own() -> None:
    relu = mx.nd.relu
    assert relu.__code__.co_filename == deferred.__file__
    assert (relu.__name__, relu.__module__) == ("relu", "ndarray")
    assert "rectified linear" in relu.__doc__
    assert relu(mx.nd.array([-1, 2])).asnumpy().tolist() == [0, 2]
    with pytest.raises(AssertionError, match="Argument data must have NDArray type"):
        relu(np.ones(2))
    with pytest.raises(mx.MXNetError, match="num_filter"):
        mx.sym.Convolution(mx.sym.Variable("x"), kernel=(3, 3))


def test_python_is_as_it_was() -> None:
    assert not any(isinstance(finder, deferred._Finder) for finder in sys.meta_path)
    assert "exec" not in vars(mx)
    hiding = {
        name for name, module in sys.modules.items() if "exec" in getattr(module, "__dict__", {})
    }
    assert {name for name in hiding if name.startswith("mxnet.")} == set(deferred._MAKERS)

"""Makes the import of MXNet 1.9.1 twice as fast: its operators are compiled when they are called.

For every operator MXNet writes a Python function as text and compiles it by ``exec``, 2,556 of them
in half of the time of its import. We call some fifty.
"""

from __future__ import annotations

import contextlib
import importlib.machinery
import sys
from collections.abc import Iterator, Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType
from typing import Any

# The modules that make operators' functions.
_MAKERS = ("mxnet.ndarray.register", "mxnet.symbol.register")


def _deferring(module: ModuleType) -> Any:
    """An ``exec`` for a module, of texts that define one function each.

    The function is there at once, and its text is compiled at its first call.
    """

    def deferred(text: str, _: None, local: dict[str, Any]) -> None:
        name = text[: text.index("(")].split()[-1]  # "def name("
        made: list[Any] = []

        def operator(*arrays: Any, **options: Any) -> Any:
            if not made:
                scope: dict[str, Any] = {}
                exec(text, module.__dict__, scope)
                made.append(scope[name])
            return made[0](*arrays, **options)

        local[name] = operator

    return deferred


class _Loader(importlib.machinery.SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        vars(module)["exec"] = _deferring(module)  # hides the builtin function in this module alone
        super().exec_module(module)


class _Finder(MetaPathFinder):
    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name not in _MAKERS:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


@contextlib.contextmanager
def deferred_operators() -> Iterator[None]:
    """Let MXNet be imported without compiling its operators' functions meanwhile."""
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)

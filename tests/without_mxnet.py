"""A plugin of pytest that makes MXNet impossible to import: ``python -m pytest -p without_mxnet``."""

import sys

sys.modules["mxnet"] = None  # type: ignore[assignment]

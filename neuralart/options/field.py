"""How an option is declared: a dataclass field with default, unit, range and help."""

from __future__ import annotations

import dataclasses
from dataclasses import field
from typing import Any


def option(
    default: Any = dataclasses.MISSING,
    *,
    help: str,
    unit: str = "",
    range: tuple[float | None, float | None] | None = None,
    choices: tuple[str, ...] = (),
    same_result: bool = False,
) -> Any:
    """A dataclass field that is an option; without ``default`` it is required.

    unit         stands for the value in the help text, as PX
    range        smallest and largest value, inclusive; None for open
    choices      the allowed words, if only some are
    same_result  True if a run may be resumed with another value
    """
    metadata = {
        "help": help, "unit": unit, "range": range, "choices": choices, "same_result": same_result,
    }  # fmt: skip
    if default is dataclasses.MISSING:
        return field(metadata=metadata)
    return field(default=default, metadata=metadata)


MODEL_HELP = "A shipped model or style by its name, a model file, or the folder of a run."

FEATURES_HELP = "VGG features of the losses: small, vgg19, random, or a file of weights."

DEVICE_HELP = "Where to compute: cpu or gpu:0 with MXNet, cuda:0 or mps with PyTorch."

THREADS_HELP = "Threads to compute with; by default one for each core."

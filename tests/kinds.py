"""Generators with every kind of layer: the built-in ones and odd ones."""

from __future__ import annotations

from typing import Any

from neuralart.chain.kinds import GENERATORS
from neuralart.chain.specs import generator_from_dict

PLAIN = {"norm": False, "act": "tanh"}
LAST = {"op": "conv", "channels": 3, "kernel": 3, **PLAIN}


def conv(channels: int, kernel: int = 3, **more: Any) -> dict[str, Any]:
    return {"op": "conv", "channels": channels, "kernel": kernel, **more}


def deconv(channels: int, kernel: int, **more: Any) -> dict[str, Any]:
    return {"op": "deconv", "channels": channels, "kernel": kernel, **more}


ODD: dict[str, dict[str, Any]] = {
    "biases": {"layers": [conv(5, bias=True), conv(20, bias=True, norm=False), LAST]},
    "no biases": {"layers": [conv(5, norm=False, bias=False), {**LAST, "bias": False}]},
    "last layer with a norm": {"layers": [{**LAST, "norm": True, "bias": True}]},
    "resize": {
        "layers": [
            *(conv(17, stride=2), conv(6, stride=2), conv(9, 9, resize=2, bias=True)),
            {**LAST, "kernel": 5, "resize": 2},
        ]
    },
    "deconvolutions": {
        "layers": [
            *(conv(5, stride=2), conv(18, 4, stride=2)),
            deconv(6, 3, stride=2, blur=True, bias=True),
            deconv(3, 4, stride=2, act="tanh"),
        ]
    },
    "deconvolution of stride 1": {"layers": [deconv(6, 3), LAST]},
    "crops and skips": {
        "layers": [
            *(conv(8, 5, stride=2, name="a"), conv(8, 5, stride=2, name="b")),
            deconv(8, 7, stride=2, pad=2, crop=1, add="a"),
            deconv(3, 8, stride=2, pad=3, act="tanh"),
        ]
    },
    "fixed residual": {"layers": [conv(4), LAST], "residual": 0.6, "learn_residual": False},
    "no residual": {"layers": [conv(4), LAST], "residual": 0.0, "learn_residual": False},
}  # fmt: skip
KINDS = GENERATORS | {name: generator_from_dict(name, table) for name, table in ODD.items()}

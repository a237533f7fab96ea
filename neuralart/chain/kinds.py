"""The built-in generators, by the name that ``--chain`` takes."""

from __future__ import annotations

from typing import Any

from neuralart.chain.specs import RGB, Generator, generator_from_dict


def conv(channels: int, kernel: int = 3, **more: Any) -> dict[str, Any]:
    """A convolution, as data for `generator_from_dict`."""
    return {"op": "conv", "channels": channels, "kernel": kernel, **more}


def up(channels: int, **more: Any) -> dict[str, Any]:
    """A deconvolution that doubles the size, and its blur."""
    size = {"kernel": 3, "stride": 2, "blur": True}
    return {"op": "deconv", "channels": channels, **size, **more}


def block(channels: int, on: str, name: str = "") -> list[dict[str, Any]]:
    """A residual block: two convolutions with a skip connection (He et al. 2015)."""
    return [conv(channels), conv(channels, act="none", add=on, name=name)]


def _built_in() -> dict[str, Generator]:
    """The built-in generators.

    All work at reduced resolution, where a large receptive field is cheap.
    ``conv`` and ``deconv`` end with convolutions at full resolution. ``conv-fast``, ``conv-slim``
    and ``deconv-fast`` have neither these nor dilation, and most of their channels are multiples of
    16, the block in which oneDNN computes. ``conv-slim`` has half the channels of ``conv-fast``,
    enough for the stages behind a wide one. Dilation (``conv``) and maps at an eighth (``deconv``,
    ``deconv-fast``) tend to paint spots; ``conv-fast`` and ``conv-slim`` have neither
    (docs/experiments.md).
    """
    half = conv(32, 5, stride=2, name="half")
    finish = [conv(16), conv(RGB, norm=False, act="tanh")]
    paint = conv(RGB, 5, resize=2, norm=False, act="tanh", name="paint")

    def at_a_quarter(halves: int, quarters: int) -> list[dict[str, Any]]:
        """A residual block at a quarter of the size, with a skip connection at half of it."""
        return [
            conv(halves, 5, stride=2, name="half"),
            conv(quarters, stride=2, name="quarter"),
            *block(quarters, "quarter"),
            *(up(halves, add="half"), conv(halves), paint),
        ]

    kinds = {
        "conv": [
            conv(32, 5, stride=2),
            *(conv(32, dilate=2), conv(32, dilate=4), conv(32, dilate=8), conv(32)),
            *(up(16), *finish),
        ],
        # An hourglass: two residual blocks at an eighth of the size, then skip connections.
        "deconv": [
            *(half, conv(64, stride=2, name="quarter"), conv(80, stride=2, name="eighth")),
            *block(80, "eighth", "block1"),
            *block(80, "block1", "block2"),
            *(up(64, add="quarter"), up(32, add="half"), up(16), *finish),
        ],
        "conv-fast": at_a_quarter(32, 64),
        "conv-slim": at_a_quarter(16, 32),
        "deconv-fast": [
            *(half, conv(48, stride=2, name="quarter"), conv(64, stride=2, name="eighth")),
            *block(64, "eighth"),
            *(up(48, add="quarter"), up(32, add="half"), paint),
        ],
    }
    return {
        name: generator_from_dict(name, {"layers": layers, "residual": 0.4})
        for name, layers in kinds.items()
    }


GENERATORS: dict[str, Generator] = _built_in()
"""The built-in generators by name; a config file's ``[generators.NAME]`` adds others."""

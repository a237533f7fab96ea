"""The receptive field of a chain, against margins that were found by hand."""

from __future__ import annotations

from typing import Any

import pytest

from neuralart.chain.kinds import GENERATORS
from neuralart.chain.receptive_field import receptive_margins, size_multiple
from neuralart.chain.specs import Generator, generator_from_dict

CHAIN = [GENERATORS[kind] for kind in ("conv", "deconv", "deconv", "conv")]
END = {"op": "conv", "channels": 3, "kernel": 3, "norm": False, "act": "tanh"}


def spec_of(*layers: dict[str, Any]) -> Generator:
    return generator_from_dict("g", {"layers": [*layers, END]})


def down(kernel: int, **more: Any) -> dict[str, Any]:
    return {"op": "conv", "channels": 4, "kernel": kernel, "stride": 2, **more}


def up(kernel: int, **more: Any) -> dict[str, Any]:
    return {"op": "deconv", "channels": 4, "kernel": kernel, "stride": 2, **more}


@pytest.mark.parametrize(
    ("layers", "exact"),
    [
        # By hand: the first and last input pixel of the output pixels 0 .. multiple - 1.
        ([], (-1, 1)),
        ([{"op": "conv", "channels": 4, "kernel": 3, "dilate": 4}], (-5, 5)),
        # The end reads -1 .. 2, the deconvolution -1 .. 1 for them, the convolution -4 .. 4.
        ([down(5), up(4)], (-4, 4)),
        # Blur reads one pixel more at the far side, but a kernel of 3 without padding one less.
        ([down(5), up(3, blur=True)], (-4, 4)),
        # -1 .. 4 at the end, -1 .. 2 and -1 .. 1 in the deconvolutions, then -3 .. 3 and -7 .. 7.
        ([down(3), down(3), up(4), up(4)], (-7, 7)),
    ],
)
def test_margins_by_hand(layers: list[dict[str, Any]], exact: tuple[int, int]) -> None:
    spec = spec_of(*layers)
    before, after = receptive_margins([spec])
    multiple = spec.multiple
    assert before % multiple == after % multiple == 0
    assert before - multiple < -exact[0] <= before
    assert after - multiple < exact[1] - (multiple - 1) <= after


def test_a_chains_margins_are_at_most_the_sum_of_its_generators() -> None:
    multiple = size_multiple(CHAIN)
    each = [receptive_margins([spec]) for spec in CHAIN]
    for whole, *parts in zip(receptive_margins(CHAIN), *each, strict=True):
        # The chain's margins are multiples of its own size multiple, which is larger.
        assert 0 < whole <= sum(-(-part // multiple) * multiple for part in parts)


def test_a_skip_connection_adds_no_margin_to_its_source() -> None:
    wide = {"op": "conv", "channels": 3, "kernel": 9, "name": "wide"}
    thin = {"op": "conv", "channels": 3, "kernel": 1}
    plain = receptive_margins([spec_of(wide, thin)])
    assert receptive_margins([spec_of(wide, thin, {**thin, "add": "wide"})]) == plain

"""Windows of a picture: reach by the layers' arithmetic, cover without gaps, memory within the limit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from neuralart.errors import ConfigError
from neuralart.specs import GENERATORS, Generator, generator_from_dict
from neuralart.tiles import (
    Plan,
    Window,
    chain_multiple,
    chain_reach,
    framed_size,
    plan_tiles,
)

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
        # By hand: (first, last) input pixel of the output pixels 0 .. multiple - 1.
        ([], (-1, 1)),
        ([{"op": "conv", "channels": 4, "kernel": 3, "dilate": 4}], (-5, 5)),
        # The end reads -1 .. 2; the deconvolution makes them of -1 .. 1; the convolution of -4 .. 4.
        ([down(5), up(4)], (-4, 4)),
        # Blur reads one more at the far side, where a kernel of 3 without padding reaches no further.
        ([down(5), up(3, blur=True)], (-4, 4)),
        # -1 .. 4, then -1 .. 2 and -1 .. 1 of the deconvolutions, then -3 .. 3 and -7 .. 7.
        ([down(3), down(3), up(4), up(4)], (-7, 7)),
    ],
)
def test_reach_by_hand(layers: list[dict[str, Any]], exact: tuple[int, int]) -> None:
    spec = spec_of(*layers)
    before, after = chain_reach([spec])
    multiple = spec.multiple
    assert before % multiple == after % multiple == 0
    assert before - multiple < -exact[0] <= before
    assert after - multiple < exact[1] - (multiple - 1) <= after


def test_a_chain_reaches_as_far_as_its_generators_together() -> None:
    multiple = chain_multiple(CHAIN)
    each = [chain_reach([spec]) for spec in CHAIN]
    for whole, *parts in zip(chain_reach(CHAIN), *each, strict=True):
        # Windows of the chain begin at its own, coarser, multiples.
        assert 0 < whole <= sum(-(-part // multiple) * multiple for part in parts)


def test_a_skip_needs_what_its_source_needs() -> None:
    wide = {"op": "conv", "channels": 3, "kernel": 9, "name": "wide"}
    thin = {"op": "conv", "channels": 3, "kernel": 1}
    plain = chain_reach([spec_of(wide, thin)])
    assert chain_reach([spec_of(wide, thin, {**thin, "add": "wide"})]) == plain


def covered(windows: tuple[Window, ...], size: int) -> bool:
    count = np.zeros(size, int)
    for window in windows:
        count[window.target] += 1
    return bool((count == 1).all())


def check(plan: Plan, specs: list[Generator]) -> None:
    multiple, (before, after) = chain_multiple(specs), chain_reach(specs)
    for windows, size in ((plan.rows, plan.height), (plan.columns, plan.width)):
        assert covered(windows, size)
        framed = framed_size(size, specs)
        assert len({w.stop - w.start for w in windows}) == 1
        for window in windows:
            assert window.start % multiple == window.stop % multiple == 0
            assert 0 <= window.start < window.stop <= framed
            assert window.start + window.skip == window.first + plan.frame
            assert window.start == 0 or window.skip >= before
            reached = window.last + plan.frame + after
            assert window.stop == framed or reached <= window.stop


@pytest.mark.parametrize("specs", [CHAIN, CHAIN[:1], [spec_of()]])
@pytest.mark.parametrize("size", [(1, 1), (7, 3000), (1080, 1920), (10_000, 10_001)])
@pytest.mark.parametrize("limit", [{"max_memory": 600_000_000}, {"tile": 640}, {"tile": 0}, {}])
def test_windows_cover_the_picture_once(
    specs: list[Generator], size: tuple[int, int], limit: dict[str, int]
) -> None:
    plan = plan_tiles(*size, specs, **limit)
    check(plan, specs)
    assert plan.working_memory <= limit.get("max_memory", 1e12)
    if limit.get("tile"):
        assert max(plan.tile) <= 640


def test_more_memory_means_less_computing() -> None:
    plans = [plan_tiles(10_000, 10_000, CHAIN, max_memory=m * 10**8) for m in (6, 7, 10, 100_000)]
    assert [p.multiply_adds for p in plans] == sorted(
        (p.multiply_adds for p in plans), reverse=True
    )
    assert [p.working_memory for p in plans] == sorted(p.working_memory for p in plans)
    assert len(plans[-1].rows) == len(plans[-1].columns) == 1


def test_memory_does_not_grow_with_the_picture() -> None:
    small, large = (plan_tiles(n, n, CHAIN, max_memory=10**9) for n in (5_000, 10_000))
    assert max(small.working_memory, large.working_memory) <= 10**9
    assert large.memory - large.working_memory == 6 * 10**8


def test_limits_too_small_are_said() -> None:
    with pytest.raises(ConfigError, match="--tile 64: this style needs windows of"):
        plan_tiles(1000, 1000, CHAIN, tile=64)
    with pytest.raises(ConfigError, match="--max-memory: this style needs"):
        plan_tiles(1000, 1000, CHAIN, max_memory=1000)

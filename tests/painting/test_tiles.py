"""Tilings: tiles cover the picture once, overlap enough, and stay within the memory limit."""

from __future__ import annotations

import numpy as np
import pytest

from neuralart.chain.kinds import GENERATORS
from neuralart.chain.receptive_field import framed_size, receptive_margins, size_multiple
from neuralart.chain.specs import Generator, generator_from_dict
from neuralart.errors import ConfigError
from neuralart.painting.tiles import Span, Tiling, best_tiling

CHAIN = [GENERATORS[kind] for kind in ("conv", "deconv", "deconv", "conv")]
ONE_LAYER = generator_from_dict(
    "g", {"layers": [{"op": "conv", "channels": 3, "kernel": 3, "norm": False, "act": "tanh"}]}
)


def covered_once(spans: tuple[Span, ...], size: int) -> bool:
    count = np.zeros(size, int)
    for span in spans:
        count[span.target] += 1
    return bool((count == 1).all())


def check(tiling: Tiling, specs: list[Generator]) -> None:
    multiple, (before, after) = size_multiple(specs), receptive_margins(specs)
    for spans, size in ((tiling.rows, tiling.height), (tiling.columns, tiling.width)):
        assert covered_once(spans, size)
        framed = framed_size(size, specs)
        assert len({span.stop - span.start for span in spans}) == 1
        for span in spans:
            assert span.start % multiple == span.stop % multiple == 0
            assert 0 <= span.start < span.stop <= framed
            assert span.start + span.skip == span.first + tiling.frame
            assert span.start == 0 or span.skip >= before
            needed = span.last + tiling.frame + after
            assert span.stop == framed or needed <= span.stop


@pytest.mark.parametrize("specs", [CHAIN, CHAIN[:1], [ONE_LAYER]])
@pytest.mark.parametrize("size", [(1, 1), (7, 3000), (1080, 1920), (10_000, 10_001)])
@pytest.mark.parametrize("limit", [{"max_memory": 600_000_000}, {"tile": 640}, {"tile": 0}, {}])
def test_tiles_cover_the_picture_once(
    specs: list[Generator], size: tuple[int, int], limit: dict[str, int]
) -> None:
    tiling = best_tiling(*size, specs, **limit)
    check(tiling, specs)
    assert tiling.working_memory <= limit.get("max_memory", 1e12)
    if limit.get("tile"):
        assert max(tiling.tile) <= 640


def test_more_memory_means_less_computing() -> None:
    limits = [m * 10**8 for m in (6, 7, 10, 100_000)]
    tilings = [best_tiling(10_000, 10_000, CHAIN, max_memory=limit) for limit in limits]
    computing = [tiling.multiply_adds for tiling in tilings]
    memory = [tiling.working_memory for tiling in tilings]
    assert computing == sorted(computing, reverse=True) and memory == sorted(memory)
    assert len(tilings[-1].rows) == len(tilings[-1].columns) == 1


def test_memory_does_not_grow_with_the_picture() -> None:
    small, large = (best_tiling(n, n, CHAIN, max_memory=10**9) for n in (5_000, 10_000))
    assert max(small.working_memory, large.working_memory) <= 10**9


def test_limits_that_are_too_small() -> None:
    with pytest.raises(ConfigError, match="--tile 64: this style needs tiles of"):
        best_tiling(1000, 1000, CHAIN, tile=64)
    with pytest.raises(ConfigError, match="--max-memory: this style needs"):
        best_tiling(1000, 1000, CHAIN, max_memory=1000)

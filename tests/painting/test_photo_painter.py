"""PhotoPainter: small photos are painted in one pass, others in two; graphs stay bound."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from helpers import picture, random_model

from neuralart.chain import receptive_field
from neuralart.chain.kinds import GENERATORS
from neuralart.chain.reference import TaskGraphs
from neuralart.engine.devices import open_device
from neuralart.painting import kept, photo_painter
from neuralart.painting.folded.one_pass import PlainPainter
from neuralart.painting.folded.painter import FoldedPainter
from neuralart.painting.kept import KeptGraphs
from neuralart.painting.photo_painter import (
    MOST_COMPUTING,
    MOST_TILINGS,
    THRIFTY_BYTES,
    PhotoPainter,
)
from neuralart.painting.tiles import BASE_BYTES, measured_size, measuring_bytes


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("size", [(8, 40), (64, 64)])
@pytest.mark.parametrize("share", [1.0, 0.4])
def test_a_small_photo_is_painted_by_the_pass_that_measures_it(
    size: tuple[int, int], kind: type, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = random_model([GENERATORS["deconv"]] * 2)
    painter = PhotoPainter(model, open_device("cpu"), 2, share=share)
    photo = picture(0, *size).astype(kind) * (257 if kind is np.uint16 else 1)
    in_two = painter.paint(photo, painter.measure(photo))
    passes = []
    forward = TaskGraphs.forward
    monkeypatch.setattr(TaskGraphs, "forward", lambda *a, **b: passes.append(1) or forward(*a, **b))
    monkeypatch.setattr(painter, "_folded", None)
    at_once = painter.paint(photo)
    assert at_once.shape == (*size, 3) and at_once.dtype == kind and len(passes) == 1
    assert abs(at_once.astype(int) - in_two).max() <= (1 if kind is np.uint8 else 8)


def measure_whole_up_to(pixels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MEASURED_PIXELS", "WHOLE_PIXELS"):
        monkeypatch.setattr(receptive_field, name, pixels)


def test_what_takes_two_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_model([GENERATORS["conv"]] * 2)
    devices = open_device("cpu")
    painter = PhotoPainter(model, devices, 2)
    assert painter.paints_at_once(painter.tiling(64, 64))
    measure_whole_up_to(32 * 32, monkeypatch)
    assert not painter.paints_at_once(painter.tiling(64, 64))
    monkeypatch.undo()
    assert painter.paints_at_once(painter.tiling(61, 83))
    assert painter.paints_at_once(painter.tiling(64, 512))
    tiled = PhotoPainter(model, devices, 2, tile=256)
    assert not tiled.paints_at_once(tiled.tiling(64, 512))


def test_a_painter_that_is_dropped_gives_its_memory_back_at_once() -> None:
    painter = PhotoPainter(random_model([GENERATORS["conv-fast"]]), open_device("cpu"), 1)
    for edge in range(16, 16 + 2 * MOST_TILINGS):
        painter.tiling(edge, edge)
    painter.paint(picture(0, 20, 20))
    gone = weakref.ref(painter)
    gc.disable()
    try:
        del painter
        assert gone() is None
    finally:
        gc.enable()


def test_less_memory_where_that_is_as_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """A chain of deconvolutions reads so far that smaller tiles would compute much more."""
    monkeypatch.setattr(photo_painter, "free_memory", lambda: None)
    for kind, thrifty in (("conv-fast", True), ("deconv", False)):
        model = random_model([GENERATORS[kind]] * 2)
        default, most = (
            PhotoPainter(model, open_device("cpu"), 2, max_memory=limit).tiling(4000, 6000)
            for limit in (None, "2000MB")
        )
        assert (default.working_memory <= THRIFTY_BYTES < most.working_memory) == thrifty
        assert default.multiply_adds <= MOST_COMPUTING * most.multiply_adds


def test_photos_up_to_a_size_are_measured_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the size of one pass, unless that would take most of the memory."""
    monkeypatch.setattr(receptive_field, "MEASURED_PIXELS", 100 * 100)
    monkeypatch.setattr(receptive_field, "WHOLE_PIXELS", 100 * 160)
    specs = [GENERATORS["conv"]]
    pixels = 160
    assert measured_size(100, pixels, specs) == (100, pixels)
    assert measured_size(100, pixels + 1, specs) == (80, 128)
    limit = BASE_BYTES + round(2 * measuring_bytes(100, pixels, specs))
    assert measured_size(100, pixels, specs, limit + 1) == (100, pixels)
    assert measured_size(100, pixels, specs, limit - 1) == (80, 126)


def count_bindings(monkeypatch: pytest.MonkeyPatch, painter: type, bind: str) -> list[object]:
    """The list gets an element for each graph that painters of a class bind."""
    bound, real = [], getattr(painter, bind)
    monkeypatch.setattr(painter, bind, lambda *words: bound.append(words) or real(*words))
    return bound


SIZES = [(40, 64), (64, 40), (40, 64), (48, 48), (64, 40), (40, 64)]


@pytest.mark.parametrize("most", [1, 2, 3])
@pytest.mark.parametrize("whole", [True, False])
def test_sizes_that_come_again_paint_the_same(
    most: int, whole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "MOST_KEPT", most)
    measure_whole_up_to(64 * 64 if whole else 32 * 32, monkeypatch)
    model, devices = random_model([GENERATORS["conv-fast"]] * 2), open_device("cpu")
    photos = [picture(number, *size) for number, size in enumerate(SIZES)]
    alone = [PhotoPainter(model, devices, 2).paint(photo) for photo in photos]
    bound = count_bindings(monkeypatch, TaskGraphs, "_bind")
    painter = PhotoPainter(model, devices, 2)
    for photo, want in zip(photos, alone, strict=True):
        assert np.array_equal(painter.paint(photo), want)
    assert len(bound) == most


def test_kept_graphs_take_no_more_than_the_memory() -> None:
    model, devices = random_model([GENERATORS["conv"]]), open_device("cpu")
    graphs = KeptGraphs(model.specs, lambda: PlainPainter(model.specs, model.params, devices))
    one = measuring_bytes(40, 64, model.specs)
    wide = graphs.at("measure", 40, 64, 2 * one)
    tall = graphs.at("measure", 64, 40, 2 * one)
    assert wide is not tall and graphs.bytes == 2 * one
    assert graphs.at("measure", 40, 64, 2 * one) is wide
    assert graphs.at("measure", 40, 60, 2 * one) is tall  # the least recently used
    graphs.fit(one)
    assert graphs.bytes == one and graphs.at("measure", 40, 60, 0) is tall
    graphs.at("measure", 80, 80, one)
    assert graphs.bytes == measuring_bytes(80, 80, model.specs)
    graphs.release()
    assert graphs.bytes == 0


def test_a_graph_of_another_photo_is_given_back_for_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What a painting in tiles keeps counts, too, when a small photo follows."""
    monkeypatch.setattr(receptive_field, "MEASURED_PIXELS", 220 * 220)
    model = random_model([GENERATORS["conv"]])
    painter = PhotoPainter(model, open_device("cpu"), 1, max_memory="450MB")
    large, small = picture(0, 400, 1000), picture(1, 270, 280)
    painter.paint(large, painter.measure(large))
    released = count_bindings(monkeypatch, FoldedPainter, "release")
    painter.paint(picture(2, 16, 16))
    assert not released
    painter.paint(small)
    assert len(released) == 1


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_photos_on_the_same_statistics_share_a_graph(
    precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, devices = random_model([GENERATORS["conv-fast"]] * 2), open_device("cpu")
    if precision not in devices.precisions:
        pytest.skip("the engine has no int8")
    first, second = picture(0, 40, 64), picture(1, 40, 64)
    painters = [PhotoPainter(model, devices, 2, precision=precision) for _ in range(3)]
    statistics = [painters[0].measure(photo) for photo in (first, second)]
    want = [painters[1 + i].paint(second, statistics[i]) for i in range(2)]
    bound = count_bindings(monkeypatch, FoldedPainter, "_bind")
    painters[0].paint(first, statistics[0])
    assert np.array_equal(painters[0].paint(second, statistics[0]), want[0])
    assert len(bound) == 1
    assert np.array_equal(painters[0].paint(second, statistics[1]), want[1])
    assert len(bound) == 2
    assert not np.array_equal(*want)

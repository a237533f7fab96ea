"""``index.html`` of a run: what it shows, and that nothing in a run becomes markup."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

from neuralart.pictures.reading import read_image
from neuralart.pictures.writing import write_image
from neuralart.training.curves import MOST_POINTS, curves, read_entries
from neuralart.training.gallery import write_gallery, write_style_sheet
from neuralart.training.run import RunFolder

EVIL = '<script>alert(1)</script>"&\x1b'


def test_a_finished_run_has_a_gallery(run_dir: Path) -> None:
    page = (run_dir / "index.html").read_text()
    assert "<h1>waves</h1>" in page and "<script" not in page
    shown = re.findall(r'<img src="([^"]+)"', page)
    assert shown[:2] == ["style.jpg", "samples/1-00000006.png"] and len(shown) == 5
    assert all((run_dir / name).is_file() for name in shown)
    losses = json.loads((run_dir / "evaluation.json").read_text())["losses"]
    assert f"<td>{losses['x2']['total']:.2f}</td>" in page
    assert page.count("<svg ") == 2 and page.count("<polyline") >= 4


def test_style_images_are_side_by_side(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    images = [np.full((40, 80, 3), 30 * k, np.uint8) for k in range(5)]
    write_style_sheet(run, images)
    sheet = read_image(tmp_path / "style.jpg")
    assert sheet.shape == (2 * 240 + 4, 4 * 240 + 3 * 4, 3)
    for k in range(5):
        top, left = k // 4 * 244, k % 4 * 244
        assert abs(int(sheet[top + 120, left + 120, 0]) - 30 * k) < 4
        assert sheet[top + 20, left + 120].min() > 250  # above a picture that is wide


def test_nothing_in_a_run_becomes_markup(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "a <b> & c")
    run.create(
        {
            "options": {"style": [f"x/{EVIL}.png".replace("/script", "")], "generators": [EVIL]},
            "inputs": {},
            "steps": 1,
            "joint_steps": 0,
        }
    )
    entry = {"phase": EVIL, "step": 1, "photos": 1, "seconds": 1, "losses": {EVIL: {"total": 2}}}
    run.metrics.write_text(json.dumps(entry) + "\n")
    run.samples.mkdir()
    write_image(run.samples / "0-00000001.png", np.zeros((4, 4, 3), np.uint8))
    run.write_json(
        run.evaluation,
        {"styles": {EVIL: {"photos": 1, "losses": {EVIL: {"total": EVIL, "style": 1.0}}}}},
    )
    write_gallery(run)
    page = run.gallery.read_text()
    assert "<script" not in page and "\x1b" not in page and "<b>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&quot;&amp;\\x1b" in page
    assert "<td>1.00</td>" in page


@pytest.mark.parametrize("damage", ["", "[]", "{", '{"photos": 3}', '{"photos": 3, "losses": 7}'])
def test_a_damaged_evaluation_is_left_out(tmp_path: Path, damage: str) -> None:
    run = RunFolder(tmp_path / "run")
    run.create({"options": {}, "inputs": {}, "steps": 1, "joint_steps": 0})
    run.evaluation.write_text(damage)
    write_gallery(run)
    assert "Held-out" not in run.gallery.read_text()


def test_curves_have_their_values_where_the_axes_say() -> None:
    points = [(float(x), 100.0 / x) for x in (1, 10, 100)]
    picture = ElementTree.fromstring(curves("Total", {"x1": points}))
    thin = picture.find("{*}polyline")
    assert thin is not None
    places = [tuple(map(float, pair.split(","))) for pair in thin.attrib["points"].split()]
    labels = {
        each.text: float(each.attrib["y"])
        for each in picture.iter("{http://www.w3.org/2000/svg}text")
        if each.attrib.get("text-anchor") == "end"
    }
    assert [
        round(labels[text] - y, 1) for text, (_, y) in zip(("100", "10", "1"), places, strict=True)
    ] == [0, 0, 0]
    assert places[0][0] < places[1][0] < places[2][0]
    assert (places[1][0] - places[0][0]) / (places[2][0] - places[0][0]) == pytest.approx(
        1 / 11, abs=0.01
    )


def test_long_and_odd_curves() -> None:
    points = [(float(k), 5.0) for k in range(10 * MOST_POINTS)]
    picture = ElementTree.fromstring(curves("Total", {"x1": points, "zeros": [(1.0, 0.0)]}))
    lines = picture.findall("{*}polyline")
    assert [len(line.attrib["points"].split()) for line in lines] == [MOST_POINTS, MOST_POINTS]
    one = ElementTree.fromstring(curves("Total", {"x1": [(7.0, 3.0)]}))
    assert len(one.findall("{*}polyline")) == 2
    assert "Nothing measured yet" in curves("Total", {"x1": [(1.0, -1.0)]})


def test_metrics_behind_a_link_are_not_read(tmp_path: Path) -> None:
    entry = {"phase": "joint", "step": 1, "photos": 1, "seconds": 1.0, "losses": {}}
    (tmp_path / "there").write_text(json.dumps(entry) + "\n")
    assert len(read_entries(tmp_path / "there")) == 1
    (tmp_path / "link").symlink_to("there")
    assert read_entries(tmp_path / "link") == [] == read_entries(tmp_path / "missing")

"""``train --add-to``: a style's scales and shifts alone, beside styles that stay as they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers import fails, picture, run_cli

from neuralart.chain.model import add_style_file, load_chain
from neuralart.chain.params import is_row
from neuralart.pictures.writing import write_image


@pytest.fixture(scope="module")
def arguments(
    train_arguments: list[object], tmp_path_factory: pytest.TempPathFactory
) -> list[object]:
    """The arguments of a training, with another style image."""
    style = tmp_path_factory.mktemp("other") / "other.png"
    write_image(style, picture(77, 70, 80))
    before = train_arguments.index("--style")
    return [*train_arguments[:before], "--style", style, *train_arguments[before + 2 :]]


def test_only_the_new_rows_are_learned(
    arguments: list[object], run_dir: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    more = ["--add-to", run_dir, "--steps", 0, "--joint-steps", 4]
    result = run_cli(*arguments, *more, "--out", out)
    assert result.exit_code == 0, result.output
    old, new = load_chain(run_dir), load_chain(out)
    assert new.names == [*old.names, "other"]
    for name, array in old.params.items():
        kept = new.params[name][: len(array)] if is_row(name) else new.params[name]
        np.testing.assert_array_equal(kept, array, err_msg=name)
    rows = [name for name in old.params if is_row(name)]
    assert any((new.params[name][-1] != old.params[name][0]).any() for name in rows)
    style = out / "other.style"
    assert style.stat().st_size < 10_000
    with_file = add_style_file(old, style)
    for name in rows:
        np.testing.assert_allclose(with_file.params[name][-1], new.params[name][-1], rtol=2.5e-3)


def test_what_cannot_be_added_is_refused(
    arguments: list[object], train_arguments: list[object], run_dir: Path, tmp_path: Path
) -> None:
    out = ["--out", tmp_path / "run", "--add-to", run_dir]
    fails(run_cli(*train_arguments, *out), 2, "a style called", "already")
    two = [*arguments, "--style", train_arguments[train_arguments.index("--style") + 1]]
    fails(run_cli(*two, *out), 2, "adds one style")
    fails(run_cli(*arguments, *out, "--start", "random"), 2, "leave --start")
    plain = tmp_path / "plain"
    flat = [*train_arguments, "--layout-weight", 0, "--steps", 1, "--out", plain]
    assert run_cli(*flat).exit_code == 0
    fails(run_cli(*arguments, "--out", tmp_path / "run", "--add-to", plain), 2, "another objective")
    assert not (tmp_path / "run").exists()


def test_two_style_images_of_one_name_are_refused(
    train_arguments: list[object], tmp_path: Path
) -> None:
    style = Path(str(train_arguments[train_arguments.index("--style") + 1]))
    again = tmp_path / style.name
    write_image(again, picture(5, 70, 70))
    small = tmp_path / "small.png"
    write_image(small, picture(6, 40, 90))
    out = ["--out", tmp_path / "run"]
    fails(run_cli(*train_arguments, "--style", again, *out), 2, "two style images are called")
    fails(run_cli(*train_arguments, "--style", small, *out), 1, "too small for a style")
    nothing = ["--steps", 0, "--joint-steps", 0]
    fails(run_cli(*train_arguments, *nothing, *out), 2, "nothing would be learned")
    assert not (tmp_path / "run").exists()

"""The GAN loss: its gradient, augmentation, learning, and trainings with it on both engines."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import fails, picture, run_cli
from test_resume import MORE, assert_the_same, stop_when

from neuralart.chain.model import load_chain, load_model
from neuralart.engine.contract import Devices
from neuralart.engine.devices import open_devices
from neuralart.engine.door import mx
from neuralart.engine.recorder import Recorder
from neuralart.machine.archive import Arrays
from neuralart.machine.seeds import Purpose, random_numbers
from neuralart.pictures.pixels import X, to_x
from neuralart.pictures.writing import write_image
from neuralart.training.gan import graph
from neuralart.training.gan.augmentation import Augmentation, large_enough, random_square
from neuralart.training.gan.discriminator import Discriminator, first_weights, named_losses

EDGE, WEIGHT = 48, 3.0
TORCH = os.environ.get("NEURALART_TORCH_DEVICE", "torch:cpu")
ENGINES = ["cpu", TORCH]


@pytest.fixture(params=ENGINES)
def devices(request: pytest.FixtureRequest) -> Devices:
    if request.param != "cpu":
        pytest.importorskip("torch")
    return open_devices(request.param)


def discriminator(devices: Devices, styles: int = 1, **more: Any) -> Discriminator:
    images = [picture(seed + 50, 60, 70) for seed in range(styles)]
    return Discriminator(
        first_weights(styles, 0), images, EDGE, devices, WEIGHT, 0, batch=2, **more
    )


def photos(*seeds: int) -> X:
    return np.concatenate([to_x(picture(seed, EDGE, EDGE)) for seed in seeds])


def judged(
    judge: Discriminator, devices: Devices, x: X, styles: list[int], count: int, step: int = 0
) -> tuple[X, np.ndarray]:
    """The gradient by pictures, and the sums of the losses, of one step."""
    judge.begin_step(step, range(len(x)))
    at_once = len(devices) * judge._ones[0].shape[0]
    parts = []
    for begin in range(0, len(x), at_once):
        chosen = styles[begin : begin + at_once]
        rows = devices.put(np.eye(count, dtype=np.float32)[chosen])
        d_x = judge.judge(devices.put(x[begin : begin + at_once]), chosen, rows, 0.5)
        parts.append(devices.get(d_x).copy())
    return np.concatenate(parts), judge.losses()


@pytest.mark.parametrize("step", [0, 1, 2])
def test_the_gradient_by_the_picture_is_that_of_finite_differences(
    devices: Devices, step: int
) -> None:
    """With colour, translation and cutout in between."""
    judge, x = discriminator(devices, styles=2), photos(1)
    d_x = judged(judge, devices, x, [1], 2, step)[0]
    assert abs(d_x).max() > 0
    for seed in range(2):
        way = d_x * np.random.default_rng(seed).uniform(0, 2, x.shape).astype(np.float32)
        way *= 0.2 / abs(way).max()
        up, down = (judged(judge, devices, x + sign * way, [1], 2, step)[1][0] for sign in (1, -1))
        want = 0.5 * WEIGHT * (float(up) - float(down)) / 2
        assert (d_x.astype(np.float64) * way).sum() == pytest.approx(want, rel=0.03)


def test_the_gradient_by_a_weight_is_that_of_finite_differences(devices: Devices) -> None:
    name = "gan_conv1_weight"

    def loss(params: Arrays) -> float:
        judge = discriminator(devices)
        judge._learner.set_parameters(params)
        return float(judged(judge, devices, photos(1), [0], 1)[1][1:].sum())

    judge, params = discriminator(devices), first_weights(1, 0)
    judged(judge, devices, photos(1), [0], 1)
    got = devices.get(judge._learner.gradients()[name])
    way = got * np.float32(0.001 / abs(got).max())
    up, down = (loss({**params, name: params[name] + sign * way}) for sign in (1, -1))
    assert (got * way).sum() == pytest.approx((up - down) / 2, rel=0.03)


def test_augmentation_moves_and_its_gradient_moves_back(devices: Devices) -> None:
    x, d = photos(1), photos(2)
    for seed in range(8):
        drawn = Augmentation.drawn(np.random.default_rng(seed), EDGE)
        moved = devices.get(drawn.move(devices, devices.put(x))).astype(np.float64)
        back = devices.get(drawn.move_back(devices, devices.put(d))).astype(np.float64)
        assert moved.shape == x.shape
        assert (moved * d).sum() == pytest.approx((x * back).sum(), rel=1e-5, abs=1)
        assert not (moved[:, :, : drawn.after[0]]).any()


def test_what_is_masked_has_no_gradient_and_the_rest_has(devices: Devices) -> None:
    judge, x = discriminator(devices), photos(1)
    d_x = judged(judge, devices, x, [0], 1)[0]
    drawn = judge._of_paintings
    seen = devices.get(drawn.move_back(devices, devices.put(drawn.mask.repeat(3, axis=1))))
    assert not d_x[seen == 0].any()
    assert (d_x[seen == 1] != 0).mean() > 0.9


def test_augmentations_are_drawn_over_their_ranges() -> None:
    drawn = [
        Augmentation.drawn(random_numbers(0, Purpose.AUGMENTATION, step, 0), 64)
        for step in range(300)
    ]
    moves = [each.after[0] - each.after[1] for each in drawn]
    assert min(moves) == -8 and max(moves) == 8
    shifts = [float(each.shift[0]) for each in drawn]
    assert -0.5 <= min(shifts) < -0.4 and 0.4 < max(shifts) <= 0.5
    cut = [1 - each.mask.mean() for each in drawn]
    assert min(cut) > 0.05 and 0.2 < max(cut) < 0.5
    grey = np.ones(3) @ drawn[0].colour[..., 0, 0].T
    np.testing.assert_allclose(grey, grey.mean(), rtol=1e-5)


@pytest.mark.parametrize("size", [(20, 90), (64, 64), (80, 70)])
def test_squares_of_style_images_of_any_size(size: tuple[int, int]) -> None:
    image = large_enough(picture(3, *size), 64)
    squares = [random_square(image, 64, np.random.default_rng(seed)) for seed in range(5)]
    assert {square.shape for square in squares} == {(1, 3, 64, 64)}
    colours = {tuple(pixel) for pixel in to_x(picture(3, *size))[0].reshape(3, -1).T}
    assert {tuple(pixel) for pixel in squares[0][0].reshape(3, -1).T} <= colours


def test_it_learns_to_tell_them_apart_and_a_picture_to_pass(devices: Devices) -> None:
    judge = discriminator(devices)
    flat, losses = np.zeros((1, 3, EDGE, EDGE), np.float32), []
    for step in range(60):
        means = judged(judge, devices, flat, [0], 1, step)[1]
        losses.append(named_losses(means))
        judge.update(0.02)
    early, late = (
        [np.mean([row[name] for row in part]) for name in ("discriminator", "generator")]
        for part in (losses[:10], losses[-10:])
    )
    assert late[0] < 0.6 * early[0]
    x, passing = flat, []
    for _ in range(30):
        d_x, means = judged(judge, devices, x, [0], 1, 60)
        passing.append(float(means[0]))
        x = x - 4 * np.sign(d_x)
    assert passing[-1] < 0.5 * passing[0]


def test_each_style_is_judged_by_a_score_of_its_own(devices: Devices) -> None:
    judge = discriminator(devices, styles=2)
    judged(judge, devices, photos(1), [1], 2)
    gradient = devices.get(judge._learner.gradients()["gan_score_weight"])
    assert not gradient[0].any() and gradient[1].any()
    one, other = (judged(judge, devices, photos(1), [k], 2)[1][0] for k in (0, 1))
    assert one != other


@pytest.mark.parametrize("device, at_once", [("cpu:0,1", 1), ("cpu:0,1", 2), ("cpu", 2)])
def test_devices_and_photos_at_once_learn_what_one_does(device: str, at_once: int) -> None:
    from neuralart.training.workers.cluster import Cluster

    results = []
    for name, count in (("cpu", 1), (device, at_once)):
        devices = open_devices(name)
        cluster = Cluster("local", devices)
        judge = Discriminator(
            first_weights(2, 0), [picture(5, 50, 60), picture(6, 60, 50)], EDGE, devices, WEIGHT, 0,
            photos=count, batch=4, add_up=cluster.sum,
        )  # fmt: skip
        for step in range(3):
            d_x, losses = judged(judge, devices, photos(1, 2, 3, 4), [0, 1, 1, 0], 2, step)
            judge.add_up()
            judge.update(0.01)
        results.append((d_x, losses, judge.params()))
    (want, sums, params), (got, same, others) = results
    np.testing.assert_allclose(same, sums, rtol=1e-4)
    np.testing.assert_allclose(got, want, atol=1e-3 * abs(want).max())
    for key, array in params.items():
        np.testing.assert_allclose(others[key], array, atol=1e-5, err_msg=key)


@pytest.mark.parametrize("styles", [1, 3])
def test_the_graph_is_the_same_from_the_recorder(
    styles: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mx.name.NameManager():
        theirs = graph.discriminator_graph(styles)
    recorder = Recorder()
    monkeypatch.setattr("neuralart.engine.recorder.recorder", recorder)
    monkeypatch.setattr(graph, "sym", recorder)
    ours = graph.discriminator_graph(styles)
    found, wanted = (json.loads(each.tojson(remove_amp_cast=False)) for each in (ours, theirs))
    for node in (*found["nodes"], *wanted["nodes"]):
        node.setdefault("attrs", {})
    assert found["nodes"] == wanted["nodes"] and found["heads"] == wanted["heads"]


GAN = ["--gan-weight", 0.5]


@pytest.fixture(scope="module")
def straight(train_arguments: list[object], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("gan") / "run"
    result = run_cli(*train_arguments, *MORE, *GAN, "--out", out)
    assert result.exit_code == 0, result.output
    return out


def lines(run: Path) -> Iterator[dict[str, Any]]:
    return map(json.loads, (run / "metrics.jsonl").read_text().splitlines())


def test_a_training_with_it(straight: Path) -> None:
    model = load_model(straight)
    assert model.card["options"]["gan_weight"] == 0.5
    assert not any(name.startswith("gan") for name in model.params)
    rows = [row["gan"] for row in lines(straight)]
    assert rows and all(row.keys() == {"discriminator", "generator"} for row in rows)
    assert all(0 < value < 10 for row in rows for value in row.values())
    newest = sorted((straight / "checkpoints").iterdir())[-1]
    with np.load(newest) as arrays:
        assert "params/gan_conv0_weight" in arrays.files


def test_a_weight_of_nothing_is_a_training_without(
    train_arguments: list[object], run_dir: Path, straight: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    assert run_cli(*train_arguments, "--gan-weight", 0, "--out", out).exit_code == 0
    without, with_it = load_model(run_dir), load_model(out)
    for name, array in without.params.items():
        np.testing.assert_array_equal(array, with_it.params[name])
    assert not any("gan" in row for row in lines(out))
    assert any((load_model(straight).params[n] != a).any() for n, a in without.params.items())


def test_a_run_of_before_the_option_goes_on(train_arguments: list[object], tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert run_cli(*train_arguments, "--out", out).exit_code == 0
    record = json.loads((out / "config.json").read_text())
    del record["options"]["gan_weight"]
    (out / "config.json").write_text(json.dumps(record))
    assert run_cli(*train_arguments, "--out", out, "--resume").exit_code == 0
    fails(run_cli(*train_arguments, *GAN, "--out", out, "--resume"), 1, "gan_weight")


@pytest.mark.parametrize("checkpoint", ["0-00000010", "2-00000005"])
def test_kill_9_and_resume(
    train_arguments: list[object], straight: Path, tmp_path: Path, checkpoint: str
) -> None:
    out = tmp_path / "run"
    command = [*train_arguments, *MORE, *GAN, "--out", out, "--resume"]
    path = out / "checkpoints" / f"{checkpoint}.zip"
    process = stop_when(command, path.exists, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert run_cli(*command).exit_code == 0
    assert_the_same(straight, out)


def test_a_training_by_the_other_engine(
    train_arguments: list[object], straight: Path, tmp_path: Path
) -> None:
    pytest.importorskip("torch")
    out = tmp_path / "run"
    command = [*train_arguments, *MORE, *GAN, "--device", TORCH, "--out", out]
    result = run_cli(*command)
    assert result.exit_code == 0, result.output
    found, wanted = (next(lines(run))["gan"] for run in (out, straight))
    for name, value in wanted.items():
        assert found[name] == pytest.approx(value, rel=0.02)


def test_with_several_styles_devices_minutes_and_added_to(
    train_arguments: list[object], run_dir: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.png"
    write_image(other, picture(77, 70, 80))
    both = ["--style", other, "--device", "cpu:0,1", "--batch", 4, "--share-weights"]
    chain = ["--chain", "small,small", "--features", "random", "--out", tmp_path / "both"]
    result = run_cli(*train_arguments, *both, *chain, *GAN)
    assert result.exit_code == 0, result.output
    assert load_chain(tmp_path / "both").names == ["waves", "other"]
    before = train_arguments.index("--style")
    alone = [*train_arguments[:before], "--style", other, *train_arguments[before + 2 :]]
    out = ["--out", tmp_path / "added", "--add-to", run_dir, "--steps", 0, "--joint-steps", 4]
    assert run_cli(*alone, *out, *GAN).exit_code == 0
    assert load_chain(tmp_path / "added").names == ["waves", "other"]
    timed = ["--out", tmp_path / "timed", "--minutes", 0.05, "--start", "random"]
    assert run_cli(*alone, *timed, *GAN).exit_code == 0
    result = run_cli(*alone, *GAN, "--out", tmp_path / "dry", "--dry-run")
    assert result.exit_code == 0 and "gan_weight" in result.stdout


@pytest.mark.parametrize("value", ["-1", "nan", "inf", "much"])
def test_bad_weights_are_one_line(
    train_arguments: list[object], tmp_path: Path, value: str
) -> None:
    out = tmp_path / "run"
    fails(run_cli(*train_arguments, "--out", out, "--gan-weight", value), 2, "--gan-weight")
    assert not out.exists()

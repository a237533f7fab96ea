"""Several devices learn what one does from the same batch, and normalise each photo by itself."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import picture

from neuralart.chain.params import initial_params
from neuralart.chain.specs import generator_from_dict
from neuralart.engine.devices import open_device, open_devices
from neuralart.engine.door import mx
from neuralart.errors import ConfigError, EngineError
from neuralart.loss.features.store import Features
from neuralart.loss.objective import LossWeights
from neuralart.loss.perceptual import Perceptual
from neuralart.machine.archive import Arrays
from neuralart.pictures.pixels import X, to_x
from neuralart.training.stages import Chain
from neuralart.training.step import batch_gradients, take_step
from neuralart.training.workers.cluster import Cluster

STEPS = 10
BATCH = 4

# Sums in another order: 1.2e-7 was measured of parameters up to 1.
BOUND = 1e-5
RATE = 1e-3

LITTLE = generator_from_dict(
    "little",
    {
        "layers": [
            {"op": "conv", "channels": 4, "kernel": 3, "stride": 2},
            {"op": "deconv", "channels": 4, "kernel": 4, "stride": 2},
            {"op": "conv", "channels": 3, "kernel": 3, "norm": False, "act": "tanh"},
        ]
    },
)


def photos(step: int) -> X:
    return np.concatenate([to_x(picture(BATCH * step + i, 32, 32)) for i in range(BATCH)])


def trained(features: Features, device: str, kvstore: str = "local", **more: object) -> Arrays:
    """Train two stages for `STEPS` steps of `BATCH` photos and return their parameters."""
    devices = open_devices(device)
    specs = [LITTLE, LITTLE]
    shared = bool(more.get("share_weights"))
    perceptual = Perceptual(features, LossWeights(), devices)
    perceptual.set_style(to_x(picture(1000, 40, 40)))
    cluster = Cluster(kvstore, devices)
    params = initial_params(specs, 0, share_weights=shared)
    chain = Chain(specs, params, [0, 1], 32, devices, batch=BATCH, add_up=cluster.sum, **more)  # type: ignore[arg-type]
    for step in range(STEPS):
        outcome = take_step(
            perceptual, chain, photos(step), [0] * BATCH, {0: 1.0, 1: 1.0}, cluster, BATCH
        )
        assert outcome.finite and not outcome.interrupted
        chain.update(RATE)
    return chain.params()


@pytest.fixture(scope="module")
def of_one(tiny_features: Features) -> Arrays:
    return trained(tiny_features, "cpu")


@pytest.mark.parametrize(
    "device, kvstore", [("cpu:0,1", "local"), ("cpu:0,1", "device"), ("cpu:0,1,2,3", "local")]
)
def test_several_devices_end_where_one_does(
    tiny_features: Features, of_one: Arrays, device: str, kvstore: str
) -> None:
    for name, array in trained(tiny_features, device, kvstore).items():
        assert np.abs(array - of_one[name]).max() <= BOUND, name
        assert name.endswith("_beta") or np.abs(array).max() > 0


def test_so_do_shared_weights(tiny_features: Features) -> None:
    one, two = (
        trained(tiny_features, device, coupling="through", share_weights=True)
        for device in ("cpu", "cpu:0,1")
    )
    for name, array in two.items():
        assert np.abs(array - one[name]).max() <= BOUND, name


@pytest.mark.parametrize("device, photos_at_once", [("cpu", 2), ("cpu", 4), ("cpu:0,1", 2)])
def test_so_do_several_photos_on_a_device(
    tiny_features: Features, of_one: Arrays, device: str, photos_at_once: int
) -> None:
    for name, array in trained(tiny_features, device, photos=photos_at_once).items():
        assert np.abs(array - of_one[name]).max() <= BOUND, name


@pytest.mark.parametrize("device, photos_at_once", [("cpu:0,1", 1), ("cpu", 2)])
def test_statistics_are_of_each_photo_alone(
    tiny_features: Features, device: str, photos_at_once: int
) -> None:
    """Two photos at once are painted and scored as each photo alone is."""
    specs, params = [LITTLE], initial_params([LITTLE], 0)
    x0 = photos(0)[:2]
    devices = open_devices(device)
    both = Chain(specs, params, [0], 32, devices, photos=photos_at_once)
    alone = Chain(specs, params, [0], 32, open_device("cpu"))
    perceptual = Perceptual(tiny_features, LossWeights(), devices)
    perceptual.set_style(to_x(picture(1000, 40, 40)))
    x = devices.put(x0)
    (out,) = both.forward(x, perceptual.one_hot(x, [0, 0]))
    perceptual.set_contents(x)
    painted = devices.get(out)
    rows, d_x = map(devices.get, perceptual.score_batch(out, [0, 0]))
    for i in range(2):
        one = x0[i : i + 1]
        np.testing.assert_allclose(alone.paint(one)[0], painted[i : i + 1], atol=1e-4)
        np.testing.assert_allclose(both.paint(one)[0], painted[i : i + 1], atol=1e-4)
        perceptual.set_content(one)
        losses, d_one = perceptual.score(painted[i : i + 1])
        assert [losses[term] for term in perceptual.terms] == pytest.approx(rows[i], rel=1e-5)
        np.testing.assert_allclose(d_one, d_x[i : i + 1], rtol=1e-4, atol=1e-5 * abs(d_x).max())


def test_a_stage_learns_as_much_as_its_loss_counts(tiny_features: Features) -> None:
    specs, params = [LITTLE, LITTLE], initial_params([LITTLE, LITTLE], 0)
    perceptual = Perceptual(tiny_features, LossWeights(), open_device("cpu"))
    perceptual.set_style(to_x(picture(1000, 40, 40)))
    found = []
    for counts in (1.0, 0.25):
        chain = Chain(specs, params, [0, 1], 32, open_device("cpu"))
        sums = batch_gradients(perceptual, chain, photos(0)[:1], [0], {0: counts, 1: 1.0})
        gradients = [stage.gradients() for stage in chain.stages]
        weights = [gradient[f"g{k}_conv0_weight"] for k, gradient in enumerate(gradients)]
        found.append((sums, [chain.devices.get(weight) for weight in weights]))
    (sums, (first, second)), (same_sums, (quarter, same)) = found
    np.testing.assert_array_equal(sums[:, :-1], same_sums[:, :-1])
    assert same_sums[0, -1] == pytest.approx(sums[0, -1] / 16) and same_sums[1, -1] == sums[1, -1]
    np.testing.assert_allclose(quarter, first / 4, rtol=1e-5)
    np.testing.assert_array_equal(same, second)


def test_names_of_devices() -> None:
    assert open_devices("cpu:0,1").names == ("cpu:0", "cpu:1")
    for wrong in ("tpu", "cpu:", "cpu:0,", "gpu:0,,1", "cpu:0,0", "cpu,gpu"):
        with pytest.raises(ConfigError):
            open_devices(wrong)
    if mx.context.num_gpus() == 0:
        with pytest.raises(EngineError, match="sees 0 GPUs"):
            open_devices("gpu:0,1")


def test_a_job_that_was_not_started_as_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with contextlib.suppress(KeyError):
        monkeypatch.delenv("DMLC_ROLE")
    with pytest.raises(ConfigError, match="neuralart launch"):
        Cluster("dist_sync", open_devices("cpu"))


@pytest.mark.parametrize("device", ["cpu", "torch:cpu"])
def test_a_job_that_was_not_started_ends_with_the_status_of_a_wrong_option(device: str) -> None:
    """A worker of a job that failed ends its process at once, with a status of its own."""
    code = f"""
from neuralart.engine.devices import open_devices
from neuralart.errors import ConfigError
from neuralart.training.workers.cluster import Cluster
try:
    Cluster("dist_sync", open_devices("{device}"))
except ConfigError as error:
    raise SystemExit(error.exit_code)
"""
    unset = ("DMLC_ROLE", "RANK", "WORLD_SIZE")
    env = {name: value for name, value in os.environ.items() if name not in unset}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert done.returncode == ConfigError.exit_code == 2, done.stderr

"""Names, shapes and initial values of a chain's parameters; see test_graph.py for MXNet's."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import LITTLE
from kinds import KINDS, LAST, conv, deconv

from neuralart.chain.kinds import GENERATORS
from neuralart.chain.params import array_shapes, initial_params, unshare
from neuralart.chain.specs import RGB, generator_from_dict
from neuralart.errors import ConfigError


def test_a_seed_gives_the_same_numbers_on_every_machine() -> None:
    params = initial_params([GENERATORS["conv"], LITTLE], 3)
    rng = np.random.default_rng([3, 6, 1])
    first = np.float32(np.sqrt(2 / (RGB * 9))) * rng.standard_normal((16, RGB, 3, 3), np.float32)
    np.testing.assert_array_equal(params["g1_conv0_weight"][:5], first[:5])
    mix = np.float32(np.sqrt(2 / 5)) * rng.standard_normal((5, 16), np.float32)
    np.testing.assert_allclose(params["g1_deconv0_weight"][:, :4, 1, 1], mix[:, :4] * 0.75**2)


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_layer_computes_beyond_its_channels_starts_at_zero(kind: str) -> None:
    params = initial_params([KINDS[kind]], 0)
    for layer in KINDS[kind].layers:
        weight = params[f"g0_{layer.name}_weight"]
        by_filter = weight if layer.op == "conv" else weight.swapaxes(0, 1)
        assert by_filter[: layer.channels].any() and not by_filter[layer.channels :].any()


def test_a_layers_name_may_end_as_another_ones() -> None:
    layers = [conv(4, name="b"), deconv(5, 3, name="a_b"), LAST]
    params = initial_params([generator_from_dict("g", {"layers": layers})], 0)
    assert params["g0_a_b_weight"][:, :5].all() and not params["g0_a_b_weight"][:, 5:].any()


def test_every_parameter_has_the_stage_in_its_name() -> None:
    specs = [GENERATORS[name] for name in ("conv", "deconv", "deconv", "conv")]
    names = array_shapes(specs)
    assert {name.split("_")[0] for name in names} == {"g0", "g1", "g2", "g3"}
    assert {"g0_conv0_weight", "g1_deconv0_norm_gamma", "g3_residual"} <= names.keys()


def test_a_learned_residual_starts_where_the_specification_says() -> None:
    params = initial_params([LITTLE], 0)
    a = 1 / (1 + np.exp(-params["g0_residual"]))
    assert a == pytest.approx(LITTLE.residual)


def test_shared_parameters_are_repeated_under_every_stages_names() -> None:
    params = initial_params([LITTLE] * 3, 0, share_weights=True)
    assert {name.split("_")[0] for name in params} == {"g0"}
    repeated = unshare(params, 3)
    assert repeated.keys() == initial_params([LITTLE] * 3, 0).keys()
    assert all(repeated[f"g{k}_residual"] is params["g0_residual"] for k in range(3))


def test_different_kinds_cannot_share_weights() -> None:
    with pytest.raises(ConfigError, match="one kind"):
        initial_params([LITTLE, GENERATORS["conv"]], 0, share_weights=True)

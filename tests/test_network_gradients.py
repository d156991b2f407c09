"""The gradient of each kind of layer: the differences of the reference's values, which Keras's own values judge."""

import numpy as np
import pytest
from networks import PLAIN, chain, layer

from lstm_convert.analysis.head import pulled_back
from lstm_convert.errors import Unsupported
from lstm_convert.network.inputs import network_inputs
from lstm_convert.network.reference import every_step, run_network

UNKNOWN = {"upsampling bilinear"}
OF_NUMBERS = sorted(
    name for name, network in PLAIN.items() if all(layer.kind != "embedding" for layer in network.layers.values())
)


@pytest.mark.parametrize("name", [name for name in OF_NUMBERS if name not in UNKNOWN])
def test_a_gradient_is_the_difference_of_the_values(name: str) -> None:
    network = PLAIN[name]
    (x,) = network_inputs(network, 1, 2)
    rng = np.random.default_rng(0)
    x = np.where(x == -1.0, x, x + rng.normal(0, 1e-3, x.shape))  # away from corners, but for a masking layer's value
    y = run_network(network, [x])[0]
    dy = rng.normal(size=y.shape)
    found = pulled_back(network, every_step(network, [x]), dy)
    assert np.abs(found).max() > 1e-4
    directions = rng.normal(size=(8, *x.shape)) * (x != -1.0)
    for direction in directions:
        up, down = (run_network(network, [x + sign * 1e-6 * direction])[0] for sign in (1, -1))
        wanted = (dy * (up - down)).reshape(2, -1).sum(axis=1) / 2e-6  # each sample by itself
        np.testing.assert_allclose((found * direction).reshape(2, -1).sum(axis=1), wanted, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", sorted(UNKNOWN))
def test_where_no_gradient_is_known_that_is_said(name: str) -> None:
    (x,) = network_inputs(PLAIN[name], 1, 2)
    values = every_step(PLAIN[name], [x])
    with pytest.raises(Unsupported, match="no gradient is known"):
        pulled_back(PLAIN[name], values, values[-1][0])


def test_what_several_numbers_share_as_their_largest_is_shared_out() -> None:
    """As torch's amax and TensorFlow's reduce_max do."""
    network = chain([4, 1], layer("pool", "global_pool", rank=1, form="max"))
    x = np.array([[[1.0], [3.0], [3.0], [0.0]]])
    found = pulled_back(network, every_step(network, [x]), np.ones((1, 1)))
    assert found[0, :, 0].tolist() == [0.0, 0.5, 0.5, 0.0]

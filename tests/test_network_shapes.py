"""The shapes that a network's inputs say of all its steps are those that the reference computes."""

from dataclasses import replace

import pytest
from joined_networks import NETWORKS

from lstm_convert.canonical import Feed
from lstm_convert.network.inputs import network_inputs
from lstm_convert.network.reference import every_step
from lstm_convert.network.shapes import shape_of, shapes


@pytest.mark.parametrize("name", NETWORKS)
def test_the_shape_of_each_output_is_the_references(name: str) -> None:
    network = NETWORKS[name]
    inputs = network_inputs(network)
    told = replace(
        network, inputs=tuple(replace(one, shape=x.shape[1:]) for one, x in zip(network.inputs, inputs, strict=True))
    )
    for each in (network, told):
        found = shapes(each)
        for step, outputs in enumerate(every_step(network, inputs)):
            for number, output in enumerate(outputs):
                shape = shape_of(each, Feed(step, number), found)
                assert len(shape) == output.ndim - 1
                assert each is not told or None not in shape or name == "time first"
                assert all(size in (None, real) for size, real in zip(shape, output.shape[1:], strict=True))

"""What the tests of written-out networks share: a network as source code, imported and run."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from exporting import COUNTER, imported
from torch import nn

from lstm_convert.canonical import Model, Network
from lstm_convert.containers import source_pair
from lstm_convert.frameworks import WriteOptions
from lstm_convert.frameworks.pytorch import source as adapter
from lstm_convert.network.inputs import network_inputs
from lstm_convert.network.reference import run_network

# What PyTorch warns of on its way from a module to TorchScript and back.
QUIET = [
    pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN:UserWarning"),
    pytest.mark.filterwarnings("ignore:The tensor attributes .*_flat_weights.* were assigned:UserWarning"),
    pytest.mark.filterwarnings("ignore:`torch.jit.* is deprecated:DeprecationWarning"),
]


OPTIONS = WriteOptions(".py")


def written(net: Network, folder: Path) -> Path:
    path = folder / f"network_{next(COUNTER)}.py"
    assert not list(adapter.network_refusals(net, OPTIONS))
    source_pair.write(path, adapter.write(Model(net.recurrent, network=net), OPTIONS))
    return path


def loaded(net: Network, folder: Path) -> nn.Module:
    model: nn.Module = imported(written(net, folder)).load()
    return model


def tensors(net: Network, **options: Any) -> list[torch.Tensor]:
    return [torch.from_numpy(np.ascontiguousarray(array)) for array in network_inputs(net, 1, 4, **options)]


def assert_like_reference(net: Network, model: nn.Module) -> None:
    given = tensors(net)
    expected = run_network(net, [tensor.numpy() for tensor in given])
    with torch.no_grad():
        found = model(*given)
    found = found if isinstance(found, tuple) else (found,)
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one.numpy(), other, rtol=0, atol=1e-10 * max(1.0, np.abs(other).max()))


def wide(net: Network) -> Network:
    """The same network under names that leave no room on a line."""
    names = {name: f"{'A' * 60}{name}" for name in net.layers}
    layers = {}
    for name, each in net.layers.items():
        lstm_layer = replace(each.recurrent, path=names[name]) if each.recurrent else None
        layers[names[name]] = replace(each, name=names[name], recurrent=lstm_layer)
    inputs = tuple(replace(given, name=f"{'B' * 60}{given.name}") for given in net.inputs)
    return replace(
        net, inputs=inputs, layers=layers, calls=tuple(replace(call, layer=names[call.layer]) for call in net.calls)
    )

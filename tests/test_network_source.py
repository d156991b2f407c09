"""Whole networks written out as PyTorch source, against the float64 reference of networks."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from exporting import Array
from handmade_networks import chain, dense, layer, lstm, series
from source_networks import CHAINS, GRAPHS, NETWORKS
from test_export import flat
from written_networks import OPTIONS, QUIET, assert_like_reference, loaded, tensors, wide, written

import lstm_convert
from lstm_convert.canonical import Activation, Model
from lstm_convert.containers import Contents, source_pair
from lstm_convert.errors import InvalidFile
from lstm_convert.export.network import network_source
from lstm_convert.export.network_state import network_state
from lstm_convert.frameworks import ReadOptions, WriteOptions
from lstm_convert.frameworks.pytorch import source as adapter
from lstm_convert.frameworks.pytorch import writing
from lstm_convert.network.inputs import network_inputs
from lstm_convert.network.reference import run_network

pytestmark = QUIET


@pytest.mark.parametrize("name", NETWORKS)
def test_it_computes_what_the_reference_computes(name: str, tmp_path: Path) -> None:
    assert_like_reference(NETWORKS[name], loaded(NETWORKS[name], tmp_path))


@pytest.mark.parametrize("name", [*CHAINS][::3] + [*GRAPHS][::3])
def test_torchscript_and_export_compute_the_same(name: str, tmp_path: Path) -> None:
    model = loaded(NETWORKS[name], tmp_path)
    given = tensors(NETWORKS[name])
    expected = flat(model(*given))
    torch.testing.assert_close(flat(torch.jit.script(model)(*given)), expected, rtol=0, atol=1e-12, equal_nan=True)
    exported = torch.export.export(model, tuple(given)).module()
    torch.testing.assert_close(flat(exported(*given)), expected, rtol=0, atol=1e-12, equal_nan=True)


NOT_TRAINED = ("layer everything",)  # whose clips shut all of its gates
TRAINED = [
    name
    for name, net in NETWORKS.items()
    if name not in NOT_TRAINED and any(key.endswith(("weight", "_l0")) for key in network_state(net))
]


@pytest.mark.parametrize("name", TRAINED)
def test_it_trains(name: str, tmp_path: Path) -> None:
    model = loaded(NETWORKS[name], tmp_path)
    assert not model.training
    before = {key: weight.detach().clone() for key, weight in model.named_parameters()}
    model.train()
    loss = torch.stack([(leaf**2).nan_to_num().sum() for leaf in flat(model(*tensors(NETWORKS[name])))]).sum()
    loss.backward()
    torch.optim.SGD(model.parameters(), lr=1e-2).step()
    moved = [key for key, weight in model.named_parameters() if not torch.equal(before[key], weight)]
    assert moved
    assert all(weight.requires_grad for key, weight in model.named_parameters() if key in moved)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_weights_are_its_whole_state_dict_in_its_order(name: str, tmp_path: Path) -> None:
    net = NETWORKS[name]
    model = loaded(net, tmp_path)
    found, wanted = model.state_dict(), network_state(net)
    assert list(found) == list(wanted)
    for key, array in wanted.items():
        assert_same_array(found[key].numpy(), np.asarray(array))


def assert_same_array(found: Array, wanted: Array) -> None:
    assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
    assert np.array_equal(found, wanted)


@pytest.mark.parametrize("name", NETWORKS)
def test_what_was_written_is_read_back(name: str, tmp_path: Path) -> None:
    net = NETWORKS[name]
    path = written(net, tmp_path)
    with source_pair.opened(path) as contents:
        assert adapter.recognises(contents)
        model = adapter.read(contents, ReadOptions())
        text = contents.document("source")
    read = model.network
    assert read is not None
    assert (read.inputs, read.calls, read.outputs, read.joins) == (net.inputs, net.calls, net.outputs, net.joins)
    assert list(read.layers) == list(net.layers)
    for one, other in zip(read.layers.values(), net.layers.values(), strict=True):
        assert (one.kind, dict(one.options), one.each_step) == (other.kind, dict(other.options), other.each_step)
        assert list(one.arrays) == list(other.arrays)
        for key, array in one.arrays.items():
            assert_same_array(array, other.arrays[key])
    given = network_inputs(net, 2)
    for one_output, other_output in zip(run_network(read, given), run_network(net, given), strict=True):
        assert np.array_equal(one_output, other_output, equal_nan=True)
    assert network_source(model) == text


@pytest.mark.parametrize("name", GRAPHS)
def test_long_names_change_nothing(name: str, tmp_path: Path) -> None:
    assert_like_reference(wide(GRAPHS[name]), loaded(wide(GRAPHS[name]), tmp_path))


def test_a_state_dict_is_that_of_the_written_module() -> None:
    for name in ("same", "batch norm", "bidirectional sum", "is an LSTM's last step"):
        net = NETWORKS[name]
        contents = writing.write(Model(net.recurrent, network=net), WriteOptions(".pt"))
        wanted = network_state(net)
        assert list(contents.arrays) == list(wanted)
        for key, array in wanted.items():
            assert_same_array(np.asarray(contents.arrays[key].read()), np.asarray(array))


@pytest.mark.parametrize("ending", [".py", ".pt"])
def test_only_the_recurrent_layers_are_written_where_that_is_asked_for(ending: str, tmp_path: Path) -> None:
    net = NETWORKS["batch norm"]
    lstm_convert.save(Model(net.recurrent, network=net), tmp_path / f"a{ending}", lstm_only=True)
    found = lstm_convert.load(tmp_path / f"a{ending}")
    assert found.network is None or found.network.is_stack
    assert [layer.name for layer in found.layers] == ["lstm"]
    assert not found.left_out


@pytest.mark.parametrize(
    "change",
    [
        lambda said: said["calls"][0].update(inputs=[[9, 0]]),
        lambda said: said["calls"][0].update(layer="nothing"),
        lambda said: said["calls"][0].update(inputs=[["0", 0]]),
        lambda said: said["outputs"].append([99, 0]),
        lambda said: said["layers"][0].pop("options"),
        lambda said: said["layers"][0].update(kind="secret"),
        lambda said: said["layers"][0]["arrays"]["kernel"].update(shape=[1, 1]),
        lambda said: said["layers"][0]["arrays"]["kernel"].update(shape="x"),
        lambda said: said["layers"][1].update(recurrent="nobody"),
        lambda said: said["inputs"][0].update(shape=[]),
        lambda said: said.pop("joins"),
    ],
)
def test_a_damaged_network_is_refused(change: Any) -> None:
    net = NETWORKS["same with strides"]
    contents = adapter.write(Model(net.recurrent, network=net), OPTIONS)
    said = json.loads(contents.document(adapter.DOCUMENT))
    change(said["network"])
    damaged = Contents(contents.arrays, {"": {adapter.DOCUMENT: json.dumps(said)}})
    with pytest.raises(InvalidFile):
        adapter.read(damaged, ReadOptions())


def test_all_that_cannot_be_written_is_named_at_once() -> None:
    net = chain(series(), dense(3, 3, "secret"), layer("activation", activation=Activation("odd")), lstm())
    assert len(list(adapter.network_refusals(net, OPTIONS))) == 2


def test_usage_says_how_to_call_it() -> None:
    net = GRAPHS["translator"]
    lines = adapter.usage(Model(net.recurrent, network=net), OPTIONS)
    assert lines[-1].startswith("dense, decoder_h, decoder_c = model(words, target)")

"""Whole networks written out as PyTorch source, against the float64 reference of networks."""

import ast
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from exporting import COUNTER, Array, assert_formatted, imported
from handmade_networks import chain, dense, layer, lstm, series
from source_networks import CHAINS, GRAPHS, NETWORKS, network
from test_export import flat
from test_export_text import imports_of
from torch import nn

import lstm_convert
from lstm_convert.canonical import Activation, Call, Feed, Input, Model, Network, Provenance
from lstm_convert.containers import Contents, source_pair
from lstm_convert.errors import InvalidFile
from lstm_convert.export.network import network_source
from lstm_convert.export.network_state import network_state
from lstm_convert.frameworks import ReadOptions, WriteOptions
from lstm_convert.frameworks.pytorch import source as adapter
from lstm_convert.frameworks.pytorch import writing
from lstm_convert.network.inputs import network_inputs
from lstm_convert.network.reference import run_network

pytestmark = [
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


def shown(text: str) -> dict[int, str]:
    """The line of each comment that begins with a shape, and the shape."""
    return {
        number: found[1]
        for number, line in enumerate(text.splitlines(), start=1)
        if (found := re.search(r"# \((batch\b[^()]*)\)", line)) and "= " in line
    }


@pytest.mark.parametrize("name", NETWORKS)
def test_a_shape_in_a_comment_is_what_stands_there(name: str, tmp_path: Path) -> None:
    path = written(NETWORKS[name], tmp_path)
    module = imported(path)
    model = module.load()
    wanted = shown(path.read_text("utf-8"))
    seen: dict[int, tuple[int, ...]] = {}
    last: list[int] = []

    def trace(frame: Any, event: str, argument: Any) -> Any:
        if frame.f_code is not type(model).forward.__code__:
            return None
        if event in ("line", "return") and last and last[-1] in wanted:
            line = path.read_text("utf-8").splitlines()[last[-1] - 1].strip()
            target = re.split(r"[ ,:]", line)[0].strip("(")
            value = argument if line.startswith("return") else frame.f_locals.get(target)
            if isinstance(value, torch.Tensor):
                seen[last[-1]] = tuple(value.shape)
        last.append(frame.f_lineno)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        model(*tensors(NETWORKS[name]))
    finally:
        sys.settrace(before)
    for number, shape in seen.items():
        sizes = wanted[number].split(", ")
        assert len(sizes) == len(shape), (number, wanted[number], shape)
        assert all(size == str(found) for size, found in zip(sizes, shape, strict=True) if size.isdigit())
    assert seen or not wanted


HOSTILE = [
    "bi-lstm/1", "class", "é", "forward", "training", "", "1", '"""', "'''", "\\", 'x"); import os; os.abort(); ("',
    "a\nimport os\nos.abort()\n", "\x00", "\u2028os.abort()", "{0}", "self", "Tensor", "nn", "torch", "F", "load",
    "Model", "x", "mask", "output", "hard_sigmoid", "same_padding", "_", "T", "h_n", "entries", "x" * (1 << 21),
    "y" * 300, "A" * 60, "A" * 61, "print", "None", "counts", "kept",
]  # fmt: skip


def hostile() -> Network:
    """Branches whose names are all someone else's, merged at the end."""
    inputs = [Input(name, (None, 3)) for name in HOSTILE]
    layers = [dense(3, 3, "hard_sigmoid", name=name) for name in HOSTILE]
    merge = layer("merge", form="add", axis=None, axes=None, normalize=False, name="add\n")
    calls = [Call(name, (Feed(number),)) for number, name in enumerate(HOSTILE)]
    calls.append(Call(merge.name, tuple(Feed(len(HOSTILE) + number) for number in range(len(HOSTILE)))))
    return network(inputs, [*layers, merge], calls, [Feed(2 * len(HOSTILE)), Feed(len(HOSTILE))])


def test_no_string_of_a_file_becomes_code(tmp_path: Path) -> None:
    net = hostile()
    model = Model((), network=net, provenance=Provenance('"""; import os', "\n", file='x"""\nimport os\nos.abort()'))
    text = network_source(model)
    assert len(text) < 100_000
    assert imports_of(text) <= {"pathlib", "torch", "safetensors", "safetensors.torch", "torch.nn"}
    assert "abort" not in {getattr(node, "attr", getattr(node, "id", "")) for node in ast.walk(ast.parse(text))}
    path = tmp_path / "hostile_network.py"
    source_pair.write(path, adapter.write(model, OPTIONS))
    assert_like_reference(net, imported(path).load())
    with source_pair.opened(path) as contents:
        read = adapter.read(contents, ReadOptions()).network
    assert read is not None
    assert list(read.layers) == list(net.layers)


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


@pytest.mark.parametrize("name", GRAPHS)
def test_long_names_change_nothing(name: str, tmp_path: Path) -> None:
    assert_like_reference(wide(GRAPHS[name]), loaded(wide(GRAPHS[name]), tmp_path))


def test_ruff_and_mypy_find_nothing(tmp_path: Path) -> None:
    for net in NETWORKS.values():
        written(net, tmp_path)
        written(wide(net), tmp_path)
    (tmp_path / "hostile.py").write_text(network_source(Model((), network=hostile())), "utf-8")
    paths = list(tmp_path.glob("*.py"))
    assert_formatted(paths)
    lines = [line for path in paths for line in path.read_text("utf-8").splitlines()]
    assert not [line for line in lines if len(line) > 88]
    (tmp_path / "mypy.ini").write_text("[mypy]\nstrict = true\n", "utf-8")
    command = [sys.executable, "-m", "mypy", "--config-file", "mypy.ini", *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)  # noqa: S603 (this very Python)
    assert done.returncode == 0, done.stdout


TAGGER = '''\
class Model(nn.Module):
    """From words (batch, time) to top (batch, time, 4)."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, 5)
        self.dropout = nn.Dropout(0.25)
        self.lstm = BidirectionalLSTM(MaskedLSTM(5, 4), MaskedLSTM(5, 4))
        self.dense = nn.Linear(8, 7)
        self.top = nn.Linear(7, 4)

    def forward(self, words: Tensor) -> Tensor:
        mask = words != 0  # (batch, time): true where a step counts
        x = self.embedding(words)  # (batch, time, 5)
        x = self.dropout(x)  # (batch, time, 5)
        x, _ = self.lstm(x, mask=mask)  # (batch, time, 8)
        x = torch.relu(self.dense(x))  # (batch, time, 7)
        return torch.softmax(self.top(x), -1)  # (batch, time, 4)
'''
VALID = '''\
class Model(nn.Module):
    """From series (batch, time, 3) to c2 (batch, steps, 2)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(3, 4, 3, stride=2, bias=False)
        self.pool = nn.MaxPool1d(2)
        self.c2 = nn.Conv1d(4, 2, 1)

    def forward(self, series: Tensor) -> Tensor:
        x = self.conv(series.transpose(1, 2))  # (batch, 4, steps)
        x = self.pool(x)  # (batch, 4, steps)
        x = self.c2(x)  # (batch, 2, steps)
        output: Tensor = x.transpose(1, 2)  # (batch, steps, 2)
        return output
'''


@pytest.mark.parametrize(("name", "text"), [("tagger", TAGGER), ("valid", VALID)])
def test_it_reads_as_written_by_hand(name: str, text: str) -> None:
    assert text in network_source(Model((), network=NETWORKS[name]))


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

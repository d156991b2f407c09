"""The text that a network is written out as: how it reads, what its comments say, and that no name in it is code."""

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from exporting import assert_formatted, imported
from handmade_networks import dense, layer
from source_networks import NETWORKS, network
from test_export_text import imports_of
from written_networks import OPTIONS, QUIET, assert_like_reference, tensors, wide, written

from lstm_convert.canonical import Call, Feed, Input, Model, Network, Provenance
from lstm_convert.containers import source_pair
from lstm_convert.export.network import network_source
from lstm_convert.frameworks import ReadOptions
from lstm_convert.frameworks.pytorch import source as adapter

pytestmark = QUIET


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

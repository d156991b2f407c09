"""The text of the written-out PyTorch module, the names in it, and the files it goes into."""

import ast
import json
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from comparing import assert_same_model
from exporting import CHAIN, HARD, KINDS, SEVERAL, assert_formatted, cell, gru, imported, simple, written
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import lstm_convert
from lstm_convert.activations import FUNCTIONS, named
from lstm_convert.canonical import GRU, LSTM, Activation, LeftOut, Model, Origin, Provenance, Recurrent, SimpleRNN
from lstm_convert.containers import Contents, Stored, safetensors, source_pair
from lstm_convert.errors import InvalidFile, LayoutMismatch, Unsupported
from lstm_convert.export.names import LONGEST_NAME, attributes, comment
from lstm_convert.export.source import source
from lstm_convert.frameworks import ReadOptions, WriteOptions
from lstm_convert.frameworks.pytorch import source as adapter

OPTIONS = WriteOptions(".py")
HOSTILE = [
    "bi-lstm/1", "class", "match", "é", "__class__", "forward", "training", "import os", "", "1", '"""', "'''", "\\",
    'x"); import os; os.abort(); ("', "a\nimport os\nos.abort()\n", "a\rraise SystemExit", "\x00", "\u2028os.abort()",
    "# noqa", "fmt: off", "{0}", "%s", "self", "Tensor", "nn", "torch", "load", "Model", "State", "states", "x", "mask",
    "LSTM", "print", "None", "_", "_parameters", "T",
    "x" * (1 << 21), "y" * 200, "y" * 300, "\ud800", "SUMMARY",
]  # fmt: skip
WIDE = "A" * 60


def every_kind() -> list[Recurrent]:
    """One layer of each kind, under names that leave no room on a line."""
    layers = [layer for kind in KINDS.values() for layer in kind]
    return [replace(layer, path=f"{WIDE}{number}", follows=None) for number, layer in enumerate(layers)]


def hostile(names: list[str]) -> Model:
    """A model whose strings are all someone else's."""
    layers = [
        LSTM(name, cell(3, 3), follows=(names[number - 1] or "lstm") if number % 2 else None)
        for number, name in enumerate(names)
    ]
    return Model(tuple(layers), provenance=Provenance('"""; import os', "\n", file='x"""\nimport os\nos.abort()'))


def test_ruff_and_mypy_find_nothing(tmp_path: Path) -> None:
    paths = [written(layers, tmp_path) for layers in KINDS.values()]
    paths += [written([LSTM("lstm", cell(gate=named(name)))], tmp_path) for name in FUNCTIONS]
    paths.append(written(every_kind(), tmp_path))
    paths[-1].with_name("hostile.py").write_text(source(hostile(HOSTILE)), "utf-8")
    assert_formatted(list(tmp_path.glob("*.py")))
    (tmp_path / "mypy.ini").write_text("[mypy]\nstrict = true\n", "utf-8")
    command = [sys.executable, "-m", "mypy", "--config-file", "mypy.ini", *map(str, tmp_path.glob("*.py"))]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)  # noqa: S603 (this very Python)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_lines_are_short_and_imports_few(kind: str) -> None:
    text = source(Model(tuple(KINDS[kind])))
    assert not [line for line in text.splitlines() if len(line) > 88]
    assert "# if " not in text
    assert imports_of(text) <= {"pathlib", "torch", "safetensors.torch", "torch.nn"}


def imports_of(text: str) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(str(node.module))
    return found


def test_only_what_is_used_is_written() -> None:
    plain = source(Model((LSTM("lstm", cell()),)))
    assert imports_of(plain) == {"pathlib", "torch", "safetensors.torch"}
    assert [node.name for node in ast.parse(plain).body if isinstance(node, ast.ClassDef | ast.FunctionDef)] == [
        "Model",
        "load",
    ]
    assert "sigmoid(W_i x" in plain
    assert "def hard_sigmoid" in source(Model((LSTM("lstm", cell(gate=HARD)),)))


def test_equal_kinds_share_a_class() -> None:
    text = source(Model((LSTM("a", cell(gate=HARD)), LSTM("b", cell(4, 7, gate=HARD)))))
    assert text.count("\nclass ") == 2
    assert text.count("\ndef hard_sigmoid(") == 1


def test_no_string_of_a_file_becomes_code(tmp_path: Path) -> None:
    text = source(hostile(HOSTILE))
    assert len(text) < 100_000
    assert imports_of(text) == {"pathlib", "torch", "safetensors.torch"}
    assert "abort" not in {getattr(node, "attr", getattr(node, "id", "")) for node in ast.walk(ast.parse(text))}
    path = tmp_path / "hostile_names.py"
    source_pair.write(path, adapter.write(hostile(HOSTILE), OPTIONS))
    model = imported(path).load()
    assert isinstance(model.lstm_class, nn.LSTM)
    x = {f"x_{name}": torch.zeros(1, 2, 3, dtype=torch.float64) for name, _ in model.named_children()}
    wanted = [name for name in model.forward.__code__.co_varnames if name in x]
    outputs, _ = model(**{name: x[name] for name in wanted})
    assert len(outputs) == -(-len(HOSTILE) // 2)


@given(st.lists(st.text(max_size=40) | st.sampled_from(HOSTILE), unique=True, min_size=1, max_size=8))
def test_any_names_give_one_valid_module(names: list[str]) -> None:
    found = attributes(names)
    assert len(set(found)) == len(names)
    assert all(name.isidentifier() and name.isascii() and len(name) <= LONGEST_NAME + 10 for name in found)
    tree = ast.parse(source(Model(tuple(LSTM(f"{number}{name}", cell(1, 1)) for number, name in enumerate(names)))))
    assert [type(node).__name__ for node in tree.body][-2:] == ["ClassDef", "FunctionDef"]


@given(st.text())
def test_a_comment_is_one_line_of_plain_characters(text: str) -> None:
    shown = comment(text)
    assert shown.isascii()
    assert shown.isprintable()
    assert not set(shown) & set("\"'\\#{}")


def test_no_name_is_one_that_torch_uses() -> None:
    used = dir(nn.Module())
    assert not set(used) & set(attributes(used))


def test_layers_in_a_circle_are_refused() -> None:
    layers = (LSTM("a", cell(5, 5), follows="b"), LSTM("b", cell(5, 5), follows="a"))
    with pytest.raises(Unsupported, match="circle"):
        source(Model(layers))


def test_two_layers_of_one_name_are_refused() -> None:
    with pytest.raises(Unsupported, match="one name"):
        source(Model((LSTM("a", cell()), LSTM("a", cell()))))


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (LSTM("lstm", cell(gate=Activation("secret"))), "activation secret"),
        (LSTM("lstm", cell(), cell(), merge="max"), "merge 'max'"),
        (LSTM("lstm", cell(), cell(2)), "3 and 2 features"),
        (LSTM("lstm", cell(dtype="int64")), "int64"),
        (LSTM("lstm", replace(cell(), b=cell(dtype="float32").b)), "float32, float64"),
    ],
)
def test_what_cannot_be_written_is_refused(layer: LSTM, reason: str) -> None:
    assert any(reason in line for line in adapter.refusals(layer, OPTIONS))


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_written_is_read_back(kind: str, tmp_path: Path) -> None:
    layers = tuple(replace(layer, origin=Origin("keras 2", ({"kernel": "k"},))) for layer in KINDS[kind])
    model = Model(layers, (LeftOut("dense", (3, 2), "float32"),), ("x is y",), provenance=Provenance("keras", "2.3.1"))
    path = tmp_path / "lstm.py"
    source_pair.write(path, adapter.write(model, OPTIONS))
    with source_pair.opened(path) as contents:
        assert adapter.recognises(contents)
        assert_same_model(adapter.read(contents, ReadOptions()), model)
    with safetensors.opened(source_pair.beside(path)) as contents:
        assert adapter.recognises(contents)
        assert_same_model(adapter.read(contents, ReadOptions()), model)


def changed(change: Any) -> Contents:
    """What is written for a layer, with its document changed."""
    contents = adapter.write(Model((LSTM("lstm", cell(peephole=True)),)), OPTIONS)
    document = json.loads(contents.document(adapter.DOCUMENT))
    change(document)
    return Contents(contents.arrays, {"": {adapter.DOCUMENT: json.dumps(document)}})


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda document: document.update(version=3), InvalidFile),
        (lambda document: document.pop("layers"), InvalidFile),
        (lambda document: document["layers"][0].update(path=5), InvalidFile),
        (lambda document: document["layers"][0].pop("origin"), InvalidFile),
        (lambda document: document["layers"][0]["cells"]["forward"].update(coupled=5), InvalidFile),
        (lambda document: document["layers"][0]["cells"]["forward"].pop("gate"), InvalidFile),
        (lambda document: document["layers"][0]["cells"]["forward"]["keys"].update(weight_ih="no"), LayoutMismatch),
        (lambda document: document["layers"][0]["cells"]["forward"]["keys"].pop("weight_hh"), LayoutMismatch),
    ],
)
def test_a_damaged_document_is_refused(change: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        adapter.read(changed(change), ReadOptions())


def test_usage_says_how_to_call_it() -> None:
    assert any("(h_n, c_n)" in line for line in adapter.usage(Model(SEVERAL[1:2]), OPTIONS))
    assert any("states" in line for line in adapter.usage(Model(CHAIN), OPTIONS))


def test_source_is_known_by_how_it_begins(tmp_path: Path) -> None:
    path = written(CHAIN, tmp_path)
    head = path.read_bytes()[:512]
    assert source_pair.sniff(head, path)
    assert not source_pair.sniff(b"import torch\n" + head, path)
    assert not source_pair.sniff(head, path.with_suffix(".txt"))
    assert not source_pair.sniff(source_pair.beside(path).read_bytes()[:512], source_pair.beside(path))


def test_source_without_its_weights_is_refused_with_what_is_missing(tmp_path: Path) -> None:
    path = written(CHAIN, tmp_path)
    source_pair.beside(path).unlink()
    with pytest.raises(InvalidFile, match=f"no {path.stem}.safetensors beside it"):
        lstm_convert.load(path)


def test_source_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(CHAIN, tmp_path)
    monkeypatch.setattr(source_pair, "_LARGEST_SOURCE", 100)
    with pytest.raises(InvalidFile, match="too large for source code"):
        lstm_convert.load(path)


@pytest.mark.parametrize("kind", KINDS)
def test_source_is_the_same_text_written_again(kind: str, tmp_path: Path) -> None:
    path = written(KINDS[kind], tmp_path)
    with source_pair.opened(path) as contents:
        assert source(adapter.read(contents, ReadOptions())) == contents.document("source")


def test_without_text_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="no source code"):
        source_pair.write(tmp_path / "lstm.py", Contents({}))
    assert not list(tmp_path.iterdir())


def test_text_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "lstm.py"
    source_pair.write(path, Contents({"a": Stored.of(cell().W.i)}, {"": {"source": "x"}}))
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidFile, match="UTF-8"), source_pair.opened(path):
        pass


@pytest.mark.parametrize("layer", [LSTM("a", cell()), GRU("a", gru()), SimpleRNN("a", simple())], ids=lambda x: x.kind)
def test_every_field_of_a_cell_is_kept(layer: Recurrent) -> None:
    """A field that canonical gains is written and read without a word here, or this fails."""
    contents = adapter.write(Model((layer,)), OPTIONS)
    described = json.loads(contents.document(adapter.DOCUMENT))["layers"][0]
    own = ("projection", "peephole") if layer.kind == "LSTM" else ()
    kept = {*described["cells"]["forward"], "W", "U", "b", "b_rec", *own} - {"keys", "biases"}
    assert kept == {field.name for field in fields(layer.forward)}
    assert {*described, "forward", "backward"} - {"cells", "kind"} == {field.name for field in fields(layer)}

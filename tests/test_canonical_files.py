"""The canonical form on disk, opened with plain NumPy, the official safetensors and json: truth from outside."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import FIXTURES
from safetensors import safe_open
from safetensors.numpy import save_file

from lstm_convert import InvalidFile, LayoutMismatch, Unsupported, convert, load, save
from lstm_convert.analysis.stacks import stack_of

ENDINGS = pytest.mark.parametrize("ending", [".npz", ".lstm.safetensors"])
SOURCES = [
    "keras-1.2.2/hard.h5",
    "keras-1.2.2/gpu.h5",
    "keras-1.2.2/bidirectional.h5",
    "keras-2.2.0/nobias.h5",
    "keras-3.15.1/nested.keras",
    "keras-3.15.1/float16.keras",
    "keras-3.15.1/plain.weights.h5",
    "torch-2.13/several.pt",
    "torch-2.13/two_layer.safetensors",
    "torch-2.13/float64.pt",
    "torch-2.13/lightning.ckpt",
]
Arrays = dict[str, Any]


def opened(path: Path) -> tuple[Arrays, Any]:
    """Return the arrays and the parsed document of a canonical file, read by others than ourselves."""
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files if name != "__metadata__"}, json.loads(
                str(file["__metadata__"])
            )
    with safe_open(path, "numpy") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, json.loads(file.metadata()["lstm_convert"])  # noqa: SIM118 (no dict)


def stored(path: Path, arrays: Arrays, document: str) -> Path:
    """Write a canonical file without our help."""
    if path.suffix == ".npz":
        np.savez(path, allow_pickle=False, **arrays, __metadata__=np.array(document))
    else:
        save_file(arrays, path, {"lstm_convert": document})
    return path


def changed(path: Path, change: Callable[[Arrays, Any], Any]) -> Path:
    """Rewrite a canonical file; what `change` returns, if anything, replaces the document."""
    arrays, document = opened(path)
    replaced = change(arrays, document)
    text = replaced if isinstance(replaced, str) else json.dumps(document)
    return stored(path.with_name(f"changed{''.join(path.suffixes)}"), arrays, text)


def facts(value: Any) -> Any:
    """Return all that a model holds as plain values, arrays bit for bit."""
    if is_dataclass(value):
        return {field.name: facts(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, np.ndarray):
        return value.dtype.name, value.shape, value.tobytes()
    if isinstance(value, Mapping):
        return {key: facts(item) for key, item in value.items()}
    return [facts(item) for item in value] if isinstance(value, tuple | list) else value


@ENDINGS
@pytest.mark.parametrize("source", SOURCES)
def test_what_is_saved_is_loaded_fact_for_fact(tmp_path: Path, source: str, ending: str) -> None:
    model = replace(load(FIXTURES / source), network=None)  # which the canonical form has no place for
    save(model, tmp_path / f"a{ending}")
    assert facts(load(tmp_path / f"a{ending}")) == facts(model)


@ENDINGS
def test_every_gate_is_a_tensor_of_its_own_under_its_name(tmp_path: Path, ending: str) -> None:
    source = FIXTURES / "torch-2.13/plain.safetensors"
    convert(source, tmp_path / f"a{ending}")
    arrays, _ = opened(tmp_path / f"a{ending}")
    expected = {}
    with safe_open(source, "numpy") as file:
        for name, array in {"W": "weight_ih", "U": "weight_hh", "b": "bias_ih", "b_rec": "bias_hh"}.items():
            for gate, part in zip("ifgo", np.split(file.get_tensor(f"lstm.{array}_l0"), 4), strict=True):
                expected[f"lstm.forward.{name}_{gate}"] = part
    assert facts(arrays) == facts(expected)
    assert {name: arrays[f"lstm.forward.{name}_o"].shape for name in ("W", "U", "b", "b_rec")} == {
        "W": (5, 3),
        "U": (5, 5),
        "b": (5,),
        "b_rec": (5,),
    }


@ENDINGS
def test_layers_and_directions_are_in_the_names(tmp_path: Path, ending: str) -> None:
    convert(FIXTURES / "keras-1.2.2/bidirectional.h5", tmp_path / f"a{ending}", rename={"bi_a": "encoder.first"})
    arrays, document = opened(tmp_path / f"a{ending}")
    assert set(arrays) == {
        f"{layer}.{direction}.{array}_{gate}"
        for layer in ("encoder.first", "bi_b")
        for direction in ("forward", "backward")
        for array in "WUb"
        for gate in "ifgo"
    }
    assert list(document["layers"]) == ["encoder.first", "bi_b"]


@ENDINGS
def test_the_document_says_what_the_tensors_do_not(tmp_path: Path, ending: str) -> None:
    source = FIXTURES / "keras-1.2.2/hard.h5"
    convert(source, tmp_path / f"a{ending}")
    _, document = opened(tmp_path / f"a{ending}")
    assert (document["format"], document["version"]) == ("lstm_convert canonical", 1)
    layer = document["layers"]["lstm"]
    hard = {"name": "hard_sigmoid", "parameters": {"slope": 0.2, "offset": 0.5}}
    tanh = {"name": "tanh", "parameters": {}}
    unclipped = {"gate_clip": None, "cell_clip": None, "projection_clip": None, "coupled": False}
    assert layer["cells"] == {"forward": {"gate": hard, "candidate": tanh, "output": tanh, **unclipped}}
    assert (layer["path"], layer["return_sequences"], layer["origin"]["layout"]) == ("lstm", False, "keras 1")
    assert document["provenance"] == {
        "framework": "keras",
        "version": "1.2.2",
        "format": "Keras HDF5, model or weights",
        "file": "hard.h5",
        "sha256": hashlib.sha256(source.read_bytes()).hexdigest(),
    }
    assert layer["origin"]["keys"][0]["W_c"] == "model_weights/lstm/lstm_W_c"
    assert [entry["key"] for entry in document["left_out"]] == [entry.key for entry in load(source).left_out] != []


@ENDINGS
def test_provenance_survives_a_second_conversion(tmp_path: Path, ending: str) -> None:
    source = FIXTURES / "keras-3.15.1/plain.keras"
    convert(source, tmp_path / f"a{ending}")
    convert(tmp_path / f"a{ending}", tmp_path / "b.npz")
    found = load(tmp_path / "b.npz").provenance
    assert (found.framework, found.version, found.file) == ("keras", "3.15.1", "plain.keras")
    assert found.sha256 == hashlib.sha256(source.read_bytes()).hexdigest()


@ENDINGS
def test_a_file_made_by_others_is_read(tmp_path: Path, ending: str) -> None:
    shapes = {"W": (5, 3), "U": (5, 5), "b": (5,)}
    random = np.random.default_rng(7)
    arrays = {
        f"x.forward.{name}_{gate}": random.normal(size=shape) for name, shape in shapes.items() for gate in "ifgo"
    }
    wiring = {"path": "x", "depth": None, "follows": None, "merge": "concat", "go_backwards": False, "masked_by": None}
    returns = {"return_sequences": False, "return_state": False, "stateful": False, "origin": None}
    activations = {
        role: {"name": name} for role, name in {"gate": "sigmoid", "candidate": "tanh", "output": "tanh"}.items()
    }
    document = {
        "format": "lstm_convert canonical",
        "version": 1,
        "provenance": {"framework": "by hand"},
        "layers": {"x": {**wiring, **returns, "cells": {"forward": activations}}},
        "left_out": [],
        "assumed": [],
    }
    model = load(stored(tmp_path / f"a{ending}", arrays, json.dumps(document)))
    for gate in "ifgo":
        np.testing.assert_array_equal(model["x"].forward.U[gate], arrays[f"x.forward.U_{gate}"])
    assert not model["x"].return_sequences


@pytest.fixture(params=[".npz", ".lstm.safetensors"])
def canonical(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    path = tmp_path / f"a{request.param}"
    convert(FIXTURES / "torch-2.13/plain.pt", path)
    return path


def test_rewriting_alone_damages_nothing(canonical: Path) -> None:
    assert facts(load(changed(canonical, lambda *_: None))) == facts(load(canonical))


def test_a_later_version_is_refused_with_a_next_step(canonical: Path) -> None:
    with pytest.raises(InvalidFile, match=r"version 2 of the canonical form.* reads version 1") as caught:
        load(changed(canonical, lambda _, document: document.update(version=2)))
    assert caught.value.next_step == "Install a newer lstm_convert."


def test_all_missing_tensors_are_listed_at_once(canonical: Path) -> None:
    missing = ["lstm.forward.W_f", "lstm.forward.U_i", "lstm.forward.b_rec_o"]

    def without(arrays: Arrays, _: Any) -> None:
        for name in missing:
            del arrays[name]

    with pytest.raises(LayoutMismatch) as caught:
        load(changed(canonical, without))
    assert [detail.partition(":")[0] for detail in caught.value.details] == missing


def test_gates_of_different_shapes_are_listed(canonical: Path) -> None:
    def cut(arrays: Arrays, _: Any) -> None:
        arrays["lstm.forward.W_g"] = arrays["lstm.forward.W_g"][:, :2].copy()

    with pytest.raises(LayoutMismatch, match=r"(?s)W.*\(5, 2\)"):
        load(changed(canonical, cut))


@pytest.mark.parametrize(
    "damage",
    [
        lambda _, document: document["layers"]["lstm"].pop("cells"),
        lambda _, document: document["layers"]["lstm"].pop("path"),
        lambda _, document: document["layers"]["lstm"]["cells"].pop("forward"),
        lambda _, document: document["layers"]["lstm"]["cells"]["forward"]["gate"].update(colour="red"),
        lambda _, document: document["layers"]["lstm"]["cells"].update(forward=7),
        lambda _, document: document.pop("provenance"),
        lambda _, document: document["provenance"].pop("framework"),
        lambda _, document: document.update(layers=[]),
        lambda _, document: document.update(left_out=[{"key": "a"}]),
        lambda _, document: document.update(left_out=7),
    ],
    ids=["cells", "path", "forward", "activation", "cell", "provenance", "framework", "layers", "left_out", "number"],
)
def test_a_damaged_document_is_refused(canonical: Path, damage: Callable[[Arrays, Any], Any]) -> None:
    def damaged(arrays: Arrays, document: Any) -> None:
        damage(arrays, document)

    with pytest.raises(InvalidFile, match="document is damaged"):
        load(changed(canonical, damaged))


@pytest.mark.parametrize("bound", ["1", True, float("nan"), float("inf"), 10**400], ids=lambda bound: f"{bound!s:.4}")
def test_a_clip_that_nothing_can_be_compared_with_is_refused(canonical: Path, bound: Any) -> None:
    def clipped(_: Arrays, document: Any) -> None:
        document["layers"]["lstm"]["cells"]["forward"]["cell_clip"] = bound

    with pytest.raises(InvalidFile, match=r"document is damaged|no JSON"):
        load(changed(canonical, clipped))


@pytest.mark.parametrize("wiring", ["follows", "starts_from"])
def test_a_layer_that_reads_itself_is_refused(canonical: Path, wiring: str) -> None:
    def in_a_circle(_: Arrays, document: Any) -> None:
        document["layers"]["lstm"][wiring] = "lstm"

    with pytest.raises(InvalidFile, match=r"document is damaged.*read in a circle: lstm -> lstm"):
        load(changed(canonical, in_a_circle))


def test_layers_may_be_named_before_the_one_that_they_start_from(tmp_path: Path) -> None:
    model = load(FIXTURES / "torch-2.13/two_layer.pt")
    lower, upper = model.layers
    save(replace(model, layers=(replace(upper, follows=None, starts_from=lower.name), lower)), tmp_path / "upper.npz")
    assert [layer.name for layer in load(tmp_path / "upper.npz").layers] == [upper.name, lower.name]


def test_a_layer_without_the_one_that_it_follows_reads_the_data(tmp_path: Path) -> None:
    model = load(FIXTURES / "torch-2.13/two_layer.pt")
    save(replace(model, layers=model.layers[1:]), tmp_path / "upper.npz")
    upper = load(tmp_path / "upper.npz")
    assert upper.layers[0].follows == model.layers[0].name
    assert stack_of(upper).layers == upper.layers


@pytest.mark.parametrize("keep", [slice(40), slice(-1)])
def test_a_document_that_is_no_json_is_refused(canonical: Path, keep: slice) -> None:
    with pytest.raises(InvalidFile, match="its document is no JSON"):
        load(changed(canonical, lambda _, document: json.dumps(document)[keep]))


@pytest.mark.parametrize("text", ["", "{}", "[]", "no JSON", "[" * 100_000])
def test_arrays_without_our_document_are_no_lstm(canonical: Path, text: str) -> None:
    with pytest.raises(InvalidFile, match="has no LSTM"):
        load(changed(canonical, lambda *_: text))


def test_bfloat16_is_written_to_safetensors_and_refused_in_npz(tmp_path: Path) -> None:
    source = FIXTURES / "torch-2.13/bfloat16.pt"
    convert(source, tmp_path / "a.lstm.safetensors")
    with safe_open(tmp_path / "a.lstm.safetensors", "pt") as file:
        assert str(file.get_tensor("lstm.forward.W_i").dtype) == "torch.bfloat16"
    assert facts(load(tmp_path / "a.lstm.safetensors")) == facts(load(source))
    with pytest.raises(Unsupported, match="bfloat16") as caught:
        convert(source, tmp_path / "a.npz")
    assert caught.value.next_step == "Write .lstm.safetensors instead."
    assert not (tmp_path / "a.npz").exists()

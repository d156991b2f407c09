"""What the fuzz driver found, each as the few lines that make it: read where it is sound, else refused in words."""

import io
import json
import shutil
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from attacks.pickle_attacks import as_legacy, in_a_zip
from helpers import FIXTURES
from safetensors.numpy import load_file, save_file

import lstm_convert
from lstm_convert import comparison, sequences
from lstm_convert.analysis import readout
from lstm_convert.errors import InvalidFile, LstmConvertError, Unsupported

KERAS, TORCH = FIXTURES / "keras-2.2.0/plain.h5", FIXTURES / "torch-2.13"


def edited(folder: Path, edit: Callable[[Any], None]) -> Path:
    shutil.copy(KERAS, folder / "a.h5")
    with h5py.File(folder / "a.h5", "r+") as file:
        edit(file)
    return folder / "a.h5"


def zipped(folder: Path, source: Path, **changed: bytes) -> Path:
    with zipfile.ZipFile(source) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(folder / source.name, "w") as archive:
        for name, content in (
            members | {name.replace("_json", ".json"): each for name, each in changed.items()}
        ).items():
            archive.writestr(name, content)
    return folder / source.name


def canonical(folder: Path, change: Callable[[Any], None]) -> Path:
    """Change the document of a canonical file."""
    lstm_convert.convert(TORCH / "plain.pt", folder / "sound.npz")
    with np.load(folder / "sound.npz") as arrays:
        contents = dict(arrays)
    document = json.loads(str(contents["__metadata__"]))
    change(document)
    np.savez(folder / "a.npz", **(contents | {"__metadata__": np.array(json.dumps(document))}))
    return folder / "a.npz"


def test_an_attribute_without_a_value_is_passed_over(tmp_path: Path) -> None:
    path = edited(tmp_path, lambda file: file.attrs.create("note", h5py.Empty("f4")))
    assert lstm_convert.load(path).layers


@pytest.mark.parametrize("value", [1.5, [1, 2], ["a", "b"], np.zeros((2, 2))], ids=str)
def test_an_architecture_that_is_no_text(tmp_path: Path, value: Any) -> None:
    with pytest.raises(InvalidFile, match="its architecture should be a JSON text"):
        lstm_convert.load(edited(tmp_path, lambda file: file.attrs.create("model_config", value)))


def test_an_attribute_that_is_neither_text_nor_number(tmp_path: Path) -> None:
    lists = np.empty(1, object)
    lists[0] = np.arange(3)
    path = edited(tmp_path, lambda file: file.attrs.create("lists", lists, dtype=h5py.vlen_dtype("i4")))
    with pytest.raises(InvalidFile, match="attribute lists of the file is neither text nor number"):
        lstm_convert.load(path)


def test_a_member_without_a_name(tmp_path: Path) -> None:
    in_a_zip(b"\x80\x02}.", tmp_path)
    with zipfile.ZipFile(tmp_path / "a.pt", "a") as archive:
        archive.writestr(zipfile.ZipInfo(""), b"x")
    with pytest.raises(LstmConvertError, match=r"a\.pt: "):
        lstm_convert.load(tmp_path / "a.pt")


@pytest.mark.parametrize("weight_map", [{"a": [True, "x"]}, {"a": 1.5}, {"a": None}, [], "x"], ids=str)
def test_a_map_of_split_weights_that_names_no_files(tmp_path: Path, weight_map: Any) -> None:
    (tmp_path / "a.weights.json").write_text(json.dumps({"weight_map": weight_map}), "utf-8")
    with pytest.raises(InvalidFile, match="no map of split weights: its weight_map should name files"):
        lstm_convert.load(tmp_path / "a.weights.json")


def test_a_document_that_is_no_text(tmp_path: Path) -> None:
    with pytest.raises(InvalidFile, match=r"config\.json is no text in UTF-8"):
        lstm_convert.load(zipped(tmp_path, FIXTURES / "keras-3.15.1/plain.keras", config_json=b'{"\xff": 1}'))


def test_a_call_whose_arguments_are_nested_deep(tmp_path: Path) -> None:
    source = FIXTURES / "models/keras-3.15.1/merges.keras"
    with zipfile.ZipFile(source) as archive:
        config = archive.read("config.json")
    before = b'"keras_history"'
    assert before in config
    deep = config.replace(before, b'"shape_too": ' + b"[" * 480 + b"]" * 480 + b", " + before, 1)
    with pytest.raises(InvalidFile, match="inbound_nodes are nested too deeply"):
        lstm_convert.load(zipped(tmp_path, source, config_json=deep))


def nested_offset() -> bytes:
    identity = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x06tQ"
    offset = b")" + b"\x85" * 50_000
    return (
        b"\x80\x02}X\x01\x00\x00\x00actorch._utils\n_rebuild_tensor_v2\n(" + identity + offset
        + b"K\x06\x85K\x01\x85\x89}tRs."
    )  # fmt: skip


def test_an_offset_that_is_nested_deep(tmp_path: Path) -> None:
    in_a_zip(nested_offset(), tmp_path)
    with pytest.raises(InvalidFile, match="no proper offset, shape and stride: a tuple, 6, 1"):
        lstm_convert.load(tmp_path / "a.pt")


def test_a_version_that_is_nested_deep(tmp_path: Path) -> None:
    as_legacy(b"\x80\x02}.", tmp_path)
    content = (tmp_path / "a.pt").read_bytes().replace(b"M\xe9\x03", b")" + b"\x85" * 50_000, 1)
    (tmp_path / "a.pt").write_bytes(content)
    with pytest.raises(InvalidFile, match="the version should be 1001, is a tuple"):
        lstm_convert.load(tmp_path / "a.pt")


def test_a_text_with_odd_escapes_is_refused_in_silence(tmp_path: Path) -> None:
    in_a_zip(b"S'\\q'\n.", tmp_path)
    with pytest.raises(InvalidFile, match="opcode STRING"):  # a warning would be an error of its own here
        lstm_convert.load(tmp_path / "a.pt")


def cell(document: Any) -> Any:
    return next(iter(next(iter(document["layers"].values()))["cells"].values()))


@pytest.mark.parametrize(
    "change",
    [
        lambda document: cell(document)["gate"].update(parameters={"slope": "LSTM"}),
        lambda document: cell(document)["gate"].update(name="hard_sigmoid", parameters={"slope": 0.2}),
        lambda document: cell(document)["gate"].update(name="elu", parameters={"alpha": 10**400}),
        lambda document: next(iter(document["layers"].values()))["origin"].update(keys=["W"]),
        lambda document: document["left_out"].append({"key": "a", "shape": [[1]], "dtype": "f4", "purpose": "x"}),
        lambda document: document["left_out"].append({"key": [["a"]], "shape": [1], "dtype": "f4", "purpose": "x"}),
        lambda document: document["provenance"].update(version=[["1"]]),
        lambda document: document["notes"].append({"a": [1]}),
    ],
)  # fmt: skip
def test_a_canonical_document_of_other_types(tmp_path: Path, change: Callable[[Any], None]) -> None:
    with pytest.raises(InvalidFile, match="its document is damaged"):
        lstm_convert.load(canonical(tmp_path, change))


def halves_of_nan(path: Path) -> None:
    arrays = load_file(TORCH / "float16.safetensors")
    arrays["lstm.weight_ih_l0"].view("u2")[0, 0] = 0x7D01  # a NaN that signals
    save_file(arrays, path)


def weights_of_nan(path: Path) -> None:
    arrays = load_file(TORCH / "variant_weight_norm_new.safetensors")
    key = next(key for key in arrays if key.endswith("original1"))
    arrays[key].view("u4")[0, 0] = 0x7F800001
    save_file(arrays, path)


@pytest.mark.parametrize("write", [halves_of_nan, weights_of_nan])
def test_a_nan_that_signals_is_refused_in_silence(tmp_path: Path, write: Callable[[Path], None]) -> None:
    write(tmp_path / "a.safetensors")
    with pytest.raises(InvalidFile, match="weights that are not numbers"):  # a warning would be an error of its own
        lstm_convert.load(tmp_path / "a.safetensors")


def test_the_parts_of_a_weight_that_are_whole_numbers(tmp_path: Path) -> None:
    arrays = load_file(TORCH / "variant_weight_norm_new.safetensors")
    save_file({key: array.astype("i4") for key, array in arrays.items()}, tmp_path / "a.safetensors")
    with pytest.raises(InvalidFile, match="the parts of a weight_norm are whole numbers"):
        lstm_convert.load(tmp_path / "a.safetensors")


def test_a_name_that_is_half_a_character(tmp_path: Path) -> None:
    in_a_zip(b"\x80\x02}X\x03\x00\x00\x00\xed\xa0\x80]cmy\nClass\n)\x81as.", tmp_path)
    with pytest.raises(InvalidFile, match="a name in it is no text"):
        lstm_convert.load(tmp_path / "a.pt")


def test_a_name_that_is_too_long_for_an_archive(tmp_path: Path) -> None:
    model = lstm_convert.load(FIXTURES / "torch-2.13/plain.pt")
    named = model.with_layers(replace(layer, path="a" * 70_000) for layer in model.layers)
    with pytest.raises(Unsupported, match=r"has 700\d\d bytes"):
        lstm_convert.save(named, tmp_path / "a.npz")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("read", [sequences.read_data, sequences.read_numbers, readout.from_file])
def test_data_with_a_nan_that_signals_are_refused_in_silence(
    read: Callable[[Path], object], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    numbers = np.full((2, 3, 4), 0x7F800001, "u4").view("f4")
    np.save(tmp_path / "a.npy", numbers[0] if read is readout.from_file else numbers)
    with pytest.raises(InvalidFile, match=r"a\.npy.*(NaN or infinite|no finite numbers)"):
        read(tmp_path / "a.npy")
    assert capfd.readouterr() == ("", "")


def test_a_result_that_nobody_runs_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No reference knows its activation, and no framework is installed."""
    for module in ("torch", "keras", "tensorflow"):
        monkeypatch.setitem(sys.modules, module, None)
    result = tmp_path / "a.npz"
    lstm_convert.convert(FIXTURES / "torch-2.13/plain.pt", result, proof=True)
    content = result.read_bytes()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(result, "w") as archive:
        for name, member in members.items():
            archive.writestr(name, member.replace("sigmoid".encode("utf-32-le"), "sigmoix".encode("utf-32-le")))
    with pytest.raises(Unsupported, match=r"a\.npz: lstm: neither the float64 reference nor a framework"):
        lstm_convert.verify(result)


def test_sequences_whose_squares_no_number_holds_are_measured() -> None:
    """By an infinite size everything would be the same as everything."""
    trial = sequences.Trial(np.array([[[3e200], [4e200]]]), (), (), None)
    assert comparison.of_trials([trial]).inputs == pytest.approx(np.sqrt(12.5) * 1e200)
    assert comparison.of_trials([replace(trial, x=np.zeros((1, 2, 1)))]).inputs == 0

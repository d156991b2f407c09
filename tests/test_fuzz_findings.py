"""What the fuzz driver found, each as the few lines that make it: read where it is sound, else refused in words."""

import io
import json
import shutil
import struct
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import h5py
import numpy as np
import pytest
from attacks.pickle_attacks import as_legacy, in_a_zip
from attacks.size_attacks import _chain, _input, _layer, _lstm, _write
from helpers import FIXTURES
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import lstm_convert
from lstm_convert import comparison, mapped, sequences
from lstm_convert.analysis import readout
from lstm_convert.containers import hdf5_heaps, hdf5_search
from lstm_convert.containers.hdf5_search import places
from lstm_convert.errors import InvalidFile, LayoutMismatch, LstmConvertError, Unsupported
from lstm_convert.frameworks.network_document import network_from_json, network_to_json

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


# Whole networks: what their weights are sound for, their architecture is not.

TANH = _layer("Activation", activation="tanh")


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([_input(7, 2), _lstm(), TANH], r"expected \{3\} features"),
        ([_input(0, 3), _lstm(), TANH], "cannot read what it gets"),
        ([_input(7, True), _lstm(), TANH], "is not stated"),
        ([_input(7, -3), _lstm(), TANH], "is not stated"),
    ],
)
def test_an_input_that_the_weights_cannot_read(tmp_path: Path, layers: list[Any], message: str) -> None:
    _write(lambda: _chain(layers), tmp_path)
    with pytest.raises((LayoutMismatch, Unsupported), match=message):
        lstm_convert.convert(tmp_path / "a.keras", tmp_path / "b.py")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.keras"]


def test_recurrent_layers_alone_of_a_model_that_has_none(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file["layers/dense/vars/0"], file["layers/dense/vars/1"] = np.ones((3, 2), "f4"), np.ones(2, "f4")
    dense = _layer("Dense", units=2, activation="linear")
    with zipfile.ZipFile(tmp_path / "a.keras", "w") as archive:
        archive.writestr("metadata.json", '{"keras_version": "3.15.1"}')
        archive.writestr("config.json", json.dumps(_chain([_input(3), dense])))
        archive.writestr("model.weights.h5", stream.getvalue())
    assert lstm_convert.load(tmp_path / "a.keras").network is not None
    for target, alone in (("b.py", True), ("b.npz", False)):
        with pytest.raises(Unsupported, match="the source has none"):
            lstm_convert.convert(tmp_path / "a.keras", tmp_path / target, lstm_only=alone)


# The heaps of HDF5.


def longest(content: bytes) -> int:
    whole = memoryview(content)
    return hdf5_heaps.longest_text(whole, places(whole, [hdf5_heaps.START])[hdf5_heaps.START])


def heap(*objects: tuple[int, int], length: int | None = None) -> bytes:
    after = [size if number else size - 16 for number, size in objects]
    body = b"".join(
        struct.pack("<H6xQ", number, size) + bytes(max(0, rest) if rest < 100 else 0)
        for (number, size), rest in zip(objects, after, strict=True)
    )
    return b"x" * 1000 + b"GCOL\1\0\0\0" + struct.pack("<Q", 16 + len(body) if length is None else length) + body


@pytest.mark.parametrize(
    "content", [heap(), heap((1, 8), (0, 16)), heap((0, 1 << 40)), b"GCOL\1", heap((1, 8), length=1 << 63)]
)
def test_a_heap_that_ends(content: bytes) -> None:
    longest(content)


@pytest.mark.parametrize("content", [heap((0, 0)), heap((1, 8), (0, 0)), heap((2, 2**64 - 16)), heap((0, 2**63))])
def test_a_heap_that_never_ends(content: bytes) -> None:
    for place in (0, 24, (1 << 20) - 1003):  # across the border of two blocks, too
        with pytest.raises(InvalidFile, match=f"the heap at byte {1000 + place} of it has no end"):
            longest(bytes(place) + content)


def test_heaps_without_number(tmp_path: Path) -> None:
    many = heap(*[(1, 0)] * (hdf5_heaps.MOST_TEXTS + 1))
    (tmp_path / "a.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + many)
    with pytest.raises(InvalidFile, match="texts in them"):
        lstm_convert.load(tmp_path / "a.h5")


def test_a_tree_that_leads_back_to_itself(tmp_path: Path) -> None:
    content = bytearray((FIXTURES / "keras-3.15.1/plain.weights.h5").read_bytes())
    node = content.rindex(b"TREE")
    struct.pack_into("<Q", content, node + 16, node)
    (tmp_path / "a.weights.h5").write_bytes(content)
    with pytest.raises(InvalidFile, match=f"the tree at byte {node} of it has no end"):
        lstm_convert.load(tmp_path / "a.weights.h5")


def test_a_name_that_is_half_a_character(tmp_path: Path) -> None:
    in_a_zip(b"\x80\x02}X\x03\x00\x00\x00\xed\xa0\x80]cmy\nClass\n)\x81as.", tmp_path)
    with pytest.raises(InvalidFile, match="a name in it is no text"):
        lstm_convert.load(tmp_path / "a.pt")


def test_what_begins_anywhere_is_found_once() -> None:
    starts = [b"TREE", hdf5_heaps.START]
    border = hdf5_search.BLOCK
    for place in (0, 1, 2, 3, 5, *range(border - 20, border + 5), *range(2 * border - 20, 2 * border + 5)):
        content = bytes(place) + b"TREE" + bytes(9) + hdf5_heaps.START
        assert list(places(memoryview(content), starts).values()) == [[place], [place + 13]]
    for place in range(mapped.HELD - 20, mapped.HELD + 5):  # between what two threads look through
        content = (bytes(place) + b"TREE" + bytes(9) + hdf5_heaps.START).ljust(2 * mapped.HELD)
        assert list(places(memoryview(content), starts).values()) == [[place], [place + 13]]
    for content in (b"", b"abc", b"TRE", b"GCOL"):
        assert places(memoryview(content), starts) == {start: [] for start in starts}
    with pytest.raises(InvalidFile, match="more than 200000 heaps and nodes"):
        places(memoryview(b"TREE" * 200_001), starts)


@given(st.binary(max_size=300), st.integers(1, 20))
def test_what_begins_is_found_where_bytes_find_finds_it(drawn: bytes, border: int) -> None:
    content = bytes(b"TREGCOL\1"[byte % 8] for byte in drawn)
    with patch.object(hdf5_search, "BLOCK", border):
        found = places(memoryview(content), [b"TREE", hdf5_heaps.START])
    for start, wanted in found.items():
        assert wanted == [place for place in range(len(content)) if content.startswith(start, place)]


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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda said: said.update(outputs=[[6, 1_000_000_000]]), "outputs: step 6, output 1000000000"),
        (lambda said: said.update(outputs=[[6, -1]]), "outputs: step 6, output -1"),
        (lambda said: said.update(outputs=[[2, 3]]), "outputs: step 2, output 3"),  # its sequence, h and c come before
        (lambda said: said["calls"][3].update(inputs=[[4, 1]]), "call 3 of last: reads step 4, output 1"),
        (lambda said: said["calls"][3].update(layer="none"), "call 3 of none: no such layer"),
    ],
)
def test_an_output_that_no_step_has(change: Callable[[Any], None], message: str) -> None:
    """Of two inputs, a layer that reads each, what joins them, and two more."""
    model = lstm_convert.load(FIXTURES / "keras-3.15.1/functional.keras")
    assert model.network is not None
    arrays = {
        f"{layer.name}/{name}": array for layer in model.network.layers.values() for name, array in layer.arrays.items()
    }
    keys = {
        layer.name: {name: f"{layer.name}/{name}" for name in layer.arrays} for layer in model.network.layers.values()
    }
    said = network_to_json(model.network, keys)
    recurrent = {layer.name: layer for layer in model.network.recurrent}
    assert network_from_json(said, recurrent, arrays.__getitem__).calls == model.network.calls
    change(said)
    with pytest.raises(InvalidFile, match="reads what is not there") as refused:
        network_from_json(said, recurrent, arrays.__getitem__)
    assert message in refused.value.details


def test_an_axis_that_is_a_text(tmp_path: Path) -> None:
    lstm_convert.convert(FIXTURES / "keras-3.15.1/functional.keras", tmp_path / "a.py")
    with safe_open(tmp_path / "a.safetensors", "np") as file:
        metadata, arrays = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no dict)
    axis = '"form": "concatenate", "axis": '
    damaged = {name: text.replace(f"{axis}-1", f'{axis}""') for name, text in metadata.items()}
    assert damaged != metadata
    save_file(arrays, tmp_path / "a.safetensors", damaged)
    with pytest.raises(InvalidFile, match=r"axis: expected a whole number from -64 to 63; .* found ''"):
        lstm_convert.load(tmp_path / "a.py")

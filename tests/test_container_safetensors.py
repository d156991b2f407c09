import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from lstm_convert.containers import Contents, Stored, safetensors
from lstm_convert.errors import InvalidFile, LstmConvertError, Unsupported

DTYPES = ["float16", "bfloat16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "bool"]
TENSORS = {dtype: torch.arange(6).reshape(2, 3).to(getattr(torch, dtype)) for dtype in DTYPES} | {
    "scalar": torch.tensor(2.5),
    "empty": torch.empty(0, 3),
}


def read(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    with safetensors.opened(path) as contents:
        return {name: np.array(stored.read()) for name, stored in contents.arrays.items()}, dict(contents.attributes)


def test_the_official_librarys_file_is_read(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "a.safetensors", {"format": "pt"})
    arrays, attributes = read(tmp_path / "a.safetensors")
    assert arrays.keys() == TENSORS.keys()
    assert attributes == {"": {"format": "pt"}}
    for name, tensor in TENSORS.items():
        assert arrays[name].shape == tuple(tensor.shape)
        assert arrays[name].dtype.name == str(tensor.dtype).removeprefix("torch.")
        np.testing.assert_array_equal(arrays[name].astype("float64"), tensor.to(torch.float64).numpy())


def test_the_official_library_opens_what_is_written_in_its_order(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "a.safetensors")
    with safetensors.opened(tmp_path / "a.safetensors") as contents:
        turned = dict(reversed([*contents.arrays.items()]))
        safetensors.write(tmp_path / "b.safetensors", Contents(turned, {"": {"made by": "größe"}}))
    loaded = load_file(tmp_path / "b.safetensors")
    for name, tensor in TENSORS.items():
        assert loaded[name].dtype == tensor.dtype
        assert torch.equal(loaded[name], tensor)
    with safe_open(tmp_path / "b.safetensors", "numpy") as file:
        assert file.metadata() == {"made by": "größe"}
    assert [name for name in read(tmp_path / "b.safetensors")[0] if name != "empty"] == [
        name for name in turned if name != "empty"
    ]


def test_any_memory_order_is_written_little_endian_and_aligned(tmp_path: Path) -> None:
    array = np.arange(6.0).reshape(2, 3)
    arrays = {"big": array.astype(">f8"), "transposed": array.T, "strided": array[:, ::2]}
    safetensors.write(tmp_path / "a", Contents({name: Stored.of(value) for name, value in arrays.items()}))
    for name, value in read(tmp_path / "a")[0].items():
        np.testing.assert_array_equal(value, arrays[name])
    assert struct.unpack("<Q", (tmp_path / "a").read_bytes()[:8])[0] % 8 == 0


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (Contents({"a": Stored.of(np.ones(1, "complex64"))}), "a is of type complex64"),
        (Contents({"__metadata__": Stored.of(np.ones(1))}), "keeps the name"),
        (Contents({}, {"": {"version": 3}}), "version is a int"),
    ],
)
def test_what_has_no_place_is_refused_before_a_file_is_there(tmp_path: Path, contents: Contents, message: str) -> None:
    with pytest.raises(Unsupported, match=message):
        safetensors.write(tmp_path / "a", contents)
    assert not (tmp_path / "a").exists()


def file_of(path: Path, header: Any, data: bytes = b"", length: int | None = None) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
    return path


def entry(shape: list[Any], begin: Any, end: Any, dtype: str = "U8") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def test_a_file_by_hand_is_read(tmp_path: Path) -> None:
    path = file_of(tmp_path / "a", {"y": entry([2], 1, 3), "x": entry([1], 0, 1)}, b"\x07\x08\x09")
    assert safetensors.sniff(path.read_bytes(), path)
    assert {name: array.tolist() for name, array in read(path)[0].items()} == {"x": [7], "y": [8, 9]}


@pytest.mark.parametrize(
    ("header", "data", "message"),
    [
        ({"a": entry([2], 0, 2), "b": entry([2], 1, 3)}, bytes(3), "b should begin at 2"),
        ({"a": entry([1], 0, 1), "b": entry([1], 2, 3)}, bytes(3), "b should begin at 1"),
        ({"a": entry([1], 0, 1)}, bytes(2), "take 1 bytes, but 2 follow"),
        ({"a": entry([9], 0, 9)}, bytes(2), "take 9 bytes, but 2 follow"),
        ({"a": entry([3], 0, 2)}, bytes(2), "3 bytes, but 2 in the file"),
        ({"a": entry([2**40, 2**40], 0, 2)}, bytes(2), "but 2 in the file"),
        ({"a": entry([1] * 99, 0, 1)}, bytes(1), "has the shape"),
        ({"a": entry([-1], 0, -1)}, b"", "should be whole numbers"),
        ({"a": entry([1.0], 0, 1)}, bytes(1), "should be whole numbers"),
        ({"a": entry([True], 0, 1)}, bytes(1), "should be whole numbers"),
        ({"a": entry([1], 0, 1, "F8_E4M3")}, bytes(1), "a is of type F8_E4M3"),
        ({"a": {"dtype": "U8"}}, b"", "should have dtype, shape and data_offsets"),
        ({"__metadata__": {"a": 1}}, b"", "should be texts"),
        (b'{"a":' + json.dumps(entry([1], 0, 1)).encode() + b',"a":{}}', bytes(1), "has 'a' twice"),
        (b"{" * 5, b"", "is no JSON"),
        (b"[" * 100_000, b"", "is no JSON"),
        (b"[]", b"", "should be a JSON object"),
        (b'{"\xff": 1}', b"", "is no JSON"),
        (b"{}", b"x", "take 0 bytes, but 1 follow"),
    ],
)
def test_a_header_that_does_not_describe_the_file_is_refused(
    tmp_path: Path, header: Any, data: bytes, message: str
) -> None:
    with pytest.raises(InvalidFile, match=message):
        read(file_of(tmp_path / "a", header, data))


@pytest.mark.parametrize("length", [3, 100_000_001, 2**64 - 1])
def test_a_lying_header_length_is_refused(tmp_path: Path, length: int) -> None:
    path = file_of(tmp_path / "a", b"{}", length=length)
    assert not safetensors.sniff(path.read_bytes(), path) or length == 3
    with pytest.raises(InvalidFile, match="the header should have"):
        read(path)


def test_truncated_anywhere_is_an_error_of_ours(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "a")
    whole = (tmp_path / "a").read_bytes()
    for length in range(len(whole)):
        (tmp_path / "b").write_bytes(whole[:length])
        with pytest.raises(LstmConvertError):
            read(tmp_path / "b")

import io
import zipfile
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from lstm_convert.containers import Contents, Stored, npz
from lstm_convert.errors import InvalidFile, LstmConvertError, Unsupported

ARRAYS: dict[str, Any] = {
    **{dtype: np.arange(6).reshape(2, 3).astype(dtype) for dtype in ["f2", "f4", ">f8", "i1", "<i8", "u2", "?", "c8"]},
    "scalar": np.array(2.5),
    "empty": np.empty((0, 3)),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "strided": np.arange(12.0)[::2],
    "text": np.array(["größe", "x"]),
    "a/b c": np.ones(1),
}


def read(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    with npz.opened(path) as contents:
        return {name: np.array(stored.read()) for name, stored in contents.arrays.items()}, dict(contents.attributes)


def assert_same(found: dict[str, Any]) -> None:
    assert list(found) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert found[name].dtype.newbyteorder("=") == array.dtype.newbyteorder("=")
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_numpys_file_is_read(tmp_path: Path, save: Any) -> None:
    save(tmp_path / "a.npz", **ARRAYS)
    assert npz.sniff((tmp_path / "a.npz").read_bytes()[:1024], tmp_path / "a.npz")
    assert_same(read(tmp_path / "a.npz")[0])


def test_numpy_opens_what_is_written(tmp_path: Path) -> None:
    contents = Contents(
        {name: Stored.of(array) for name, array in ARRAYS.items()}, {"": {"__metadata__": '{"a": "ö"}'}}
    )
    npz.write(tmp_path / "a.npz", contents)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        assert file["__metadata__"] == '{"a": "ö"}'
        assert_same({name: file[name] for name in file.files if name != "__metadata__"})
    arrays, attributes = read(tmp_path / "a.npz")
    assert_same(arrays)
    assert attributes == {"": {"__metadata__": '{"a": "ö"}'}}


def test_metadata_may_be_bytes(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", __metadata__=np.frombuffer(b"{}", np.uint8))
    assert read(tmp_path / "a.npz") == ({}, {"": {"__metadata__": "{}"}})


def test_writing_is_reproducible(tmp_path: Path) -> None:
    for name in "ab":
        npz.write(tmp_path / name, Contents({name: Stored.of(array) for name, array in ARRAYS.items()}))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("a", np.ones(1, ml_dtypes.bfloat16), "a is of type bfloat16"),
        ("a", np.array([None]), "a is of type object"),
        ("__metadata__", np.ones(1), "is kept for a text"),
    ],
)
def test_what_has_no_place_is_refused(tmp_path: Path, name: str, array: Any, message: str) -> None:
    with pytest.raises(Unsupported, match=message):
        npz.write(tmp_path / "a.npz", Contents({name: Stored.of(array)}))
    assert not (tmp_path / "a.npz").exists()


def archive(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return path


def npy(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def npy_header(header: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode()


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (npy(np.array([{}], dtype=object)), "array of Python objects"),
        (npy(np.zeros(1, [("x", "f4")])), "array of records"),
        (npy(np.ones(9))[:-1], "should have 72 bytes"),
        (npy(np.ones(9)) + b"x", "should have 72 bytes"),
        (b"", "the header of x.npy is damaged"),
        (b"\x93NUMPY\x09\x00", "version"),
        (npy_header("{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}"), "has the shape"),
        (npy_header("{'descr': '<f8', 'fortran_order': False, 'shape': (9999999999, 9999999999)}"), "should have"),
        (npy_header("(" * 9000), "the header of x.npy is damaged"),
        (npy_header("__import__('os').mkdir('executed')"), "the header of x.npy is damaged"),
    ],
)
def test_a_damaged_member_is_refused(tmp_path: Path, member: bytes, message: str) -> None:
    with pytest.raises(InvalidFile, match=message):
        read(archive(tmp_path / "a.npz", x=member))


def test_a_wrong_checksum_is_found(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.full(9000, 7.0))
    content = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "b.npz").write_bytes(content.replace(np.full(9000, 7.0).tobytes(), np.full(9000, 8.0).tobytes()))
    with pytest.raises(InvalidFile, match=r"x\.npy does not have the checksum"):
        read(tmp_path / "b.npz")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_truncated_anywhere_is_an_error_of_ours(tmp_path: Path, save: Any) -> None:
    save(tmp_path / "a.npz", x=np.arange(99.0), y=np.ones(3))
    whole = (tmp_path / "a.npz").read_bytes()
    for length in range(0, len(whole), 64):
        (tmp_path / "b.npz").write_bytes(whole[:length])
        with pytest.raises(LstmConvertError):
            read(tmp_path / "b.npz")


def test_a_zip_of_other_things_is_not_an_npz(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("x.npy", npy(np.ones(1)))
        file.writestr("config.json", "{}")
    assert not npz.sniff((tmp_path / "a.zip").read_bytes()[:1024], tmp_path / "a.zip")

"""PyTorch's files that would have something executed, lie about themselves, or are damaged."""

import os
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch_files import KINDS, Rebuilt, pickled_with, read, save, some

from lstm_convert.errors import InvalidFile, LstmConvertError


class Call:
    """Pickles as a call of any function."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.reduced = (function, arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.reduced


ATTACKS: dict[str, Callable[[str], Any]] = {
    f"{os.system.__module__}.system": lambda target: Call(os.system, f"touch {target}"),
    "builtins.eval": lambda target: Call(eval, f"open({target!r}, 'w').close()"),
    "builtins.getattr": lambda target: Call(map, Call(getattr, Path(target), "touch"), []),
    "shutil.copyfile": lambda target: Call(shutil.copyfile, __file__, target),
}


@KINDS
@pytest.mark.parametrize("name", ATTACKS)
def test_nothing_is_executed(tmp_path: Path, container: ModuleType, name: str) -> None:
    target = tmp_path / "executed"
    value = {"a": torch.ones(2), "nested": [({"deep": ATTACKS[name](str(target))},)]}
    path = save(value, tmp_path / "a.pt", container)
    with pytest.raises(InvalidFile, match="which is no tensor and no plain container; nothing was executed"):
        read(path, container)
    assert not target.exists()


def test_the_attacks_are_real(tmp_path: Path) -> None:
    target = tmp_path / "executed"
    torch.load(save(ATTACKS["builtins.eval"](str(target)), tmp_path / "a.pt"), weights_only=False)
    assert target.exists()


def archive(path: Path, pickled: bytes, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a/data.pkl", pickled)
        for name, content in members.items():
            file.writestr(f"a/data/{name}", content)
    return path


STACKED = b"\x80\x04\x8c\x0etorch.nn.utils\x8c\x09os.system\x93."
HOSTILE: dict[str, tuple[bytes, str]] = {
    "no pickle": (b"PK not a pickle", "makes no sense from byte 0"),
    "empty": (b"", "makes no sense"),
    "underflow": (b"\x80\x02R.", "makes no sense"),
    "memo bomb": (b"\x80\x02}r\xff\xff\xff\x7f.", "numbers its 3th value 2147483647"),
    "lying length": (b"\x80\x02X\xff\xff\xff\xffabc.", "makes no sense"),
    "lying 8 byte length": (b"\x80\x04\x8d" + b"\xff" * 7 + b"\x7fabc.", "makes no sense"),
    "a text opcode": (b"(ios\nsystem\n.", "opcode INST"),
    "an extension": (b"\x80\x02\x82\x01.", "opcode EXT1"),
    "a dotted name": (STACKED, "names torch.nn.utils.os.system"),
    "a name made of containers": (b"\x80\x04](K\x01e)\x93.", "no proper name"),
    "an unknown call": (b"\x80\x02cmy.module\nfunction\n)R.", "calls my.module.function"),
    "a call of a value": (b"\x80\x02})R.", "calls a dict"),
    "a changed name": (b"\x80\x02ctorch\nFloatStorage\n}b.", "changes torch.FloatStorage itself"),
    "an unknown persistent id": (b"\x80\x02X\x01\x00\x00\x00aQ.", "no storage of a known type"),
    "a cycle through lists": (b"\x80\x02]q\x00(" + b"]h\x00a" * 3 + b"e.", ""),
    "doublings of nothing": (
        b"\x80\x02]" + b"".join(b"q%c]h%ca" % (n, n) + b"h%ca" % n for n in range(60)) + b".",
        "",
    ),
    "doublings": (
        b"\x80\x02cmy\nClass\n)\x81" + b"".join(b"q%c]h%ca" % (n, n) + b"h%ca" % n for n in range(60)) + b".",
        "no bounds",
    ),
    "nested 100000 deep": (b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".", "no bounds"),
    "tuples nested as a key": (b"\x80\x02})" + b"\x85" * 100_000 + b"K\x01s.", ""),
    "a number of a million digits as a key": (
        b"\x80\x02}\x8b" + struct.pack("<I", 500_000) + b"\x01" * 500_000 + b"K\x01s.",
        "",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pickles_end_in_an_error_or_in_nothing(tmp_path: Path, name: str) -> None:
    pickled, message = HOSTILE[name]
    path = archive(tmp_path / "a.pt", pickled)
    if message:
        with pytest.raises(InvalidFile, match=message):
            read(path)
    else:
        assert read(path)[0] == {}


def tensor_pickle(offset: int, shape: tuple[int, ...], stride: tuple[int, ...], count: int = 6) -> bytes:
    identity = ("storage", torch.FloatStorage, "0", "cpu", count)
    return pickled_with(identity, {"w": Rebuilt(offset, shape, stride)})


@pytest.mark.parametrize(
    ("pickled", "message"),
    [
        (tensor_pickle(1, (2, 3), (3, 1)), "the tensor w reaches to number 6 of a storage that has 6"),
        (tensor_pickle(-1, (2,), (1,)), "no proper offset"),
        (tensor_pickle(0, (2,), (-1,)), "no proper offset"),
        (tensor_pickle(0, (2**63,), (0,)), "no proper offset"),
        (tensor_pickle(0, (2**40, 2**40), (0, 0)), "would grow from 24 to"),
        (tensor_pickle(0, (2, 3), (1,)), "2 dimensions and 1 strides"),
        (tensor_pickle(0, (1,) * 99, (1,) * 99), "99 dimensions"),
        (tensor_pickle(0, (7,), (1,), 7), r"storage 0 \(tensor w\) should have 28 bytes, has 24"),
        (tensor_pickle(0, (7,), (1,), -1), "storage 0 has -1 numbers"),
    ],
)
def test_a_tensor_must_lie_inside_its_storage(tmp_path: Path, pickled: bytes, message: str) -> None:
    with pytest.raises(InvalidFile, match=message):
        read(archive(tmp_path / "a.pt", pickled, **{"0": bytes(24)}))


def test_a_missing_storage_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidFile, match="the tensor w lies in storage 0, which the file does not have"):
        read(archive(tmp_path / "a.pt", tensor_pickle(0, (6,), (1,))))


def test_two_members_of_one_name_are_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.pt", b"\x80\x02}.")
    with zipfile.ZipFile(path, "a") as file, pytest.warns(UserWarning, match="Duplicate name"):
        file.writestr("a/data.pkl", b"\x80\x02].")
    with pytest.raises(InvalidFile, match=r"two members have the name a/data\.pkl"):
        read(path)


def directory_entry(path: Path, name: bytes) -> int:
    return path.read_bytes().rindex(name) - 46


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        (24, 2**31, "stored as it is, yet has two sizes"),  # the size
        (42, 0, "differ"),  # where the member begins: at the other's place
        (42, 2**31, "zip archive is damaged"),  # behind the end
        (10, 8, "the directory and the header of a/data/0 differ"),  # the compression
    ],
)
def test_a_lying_directory_is_refused(tmp_path: Path, field: int, value: int, message: str) -> None:
    path = archive(tmp_path / "a.pt", tensor_pickle(0, (6,), (1,)), **{"0": bytes(24)})
    content = bytearray(path.read_bytes())
    struct.pack_into("<H" if field == 10 else "<I", content, directory_entry(path, b"a/data/0") + field, value)
    path.write_bytes(content)
    with pytest.raises(InvalidFile, match=message):
        read(path)


def test_a_bomb_is_refused_before_it_unfolds(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.pt", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a/data.pkl", tensor_pickle(0, (6,), (1,)))
        file.writestr("a/data/0", bytes(70_000_000))
    with pytest.raises(InvalidFile, match="would grow from"):
        read(tmp_path / "a.pt")


@KINDS
def test_truncated_anywhere_is_an_error_of_ours(tmp_path: Path, container: ModuleType) -> None:
    whole = save({"a": some("float32"), "b": torch.ones(300)}, tmp_path / "a.pt", container).read_bytes()
    for length in range(0, len(whole), 64):
        (tmp_path / "b.pt").write_bytes(whole[:length])
        with pytest.raises(LstmConvertError):
            read(tmp_path / "b.pt", container)


@KINDS
def test_damaged_anywhere_is_an_error_of_ours_or_read(tmp_path: Path, container: ModuleType) -> None:
    whole = save({"a": some("int8"), "b": [torch.ones(2)]}, tmp_path / "a.pt", container).read_bytes()
    refused = 0
    for place in range(0, len(whole), 3):
        (tmp_path / "b.pt").write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            read(tmp_path / "b.pt", container)
        except LstmConvertError:
            refused += 1
    assert refused > 50

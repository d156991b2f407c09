"""HDF5 files that differ in their arrays' numbers alone are looked into once, and each still has its own numbers."""

import shutil
import struct
from collections import deque
from copy import deepcopy
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from lstm_convert import InvalidFile, convert, load
from lstm_convert.containers import hdf5_frames
from lstm_convert.containers.hdf5 import opened

FIXTURE = Path(__file__).parents[1] / "fixtures" / "keras-3.15.1" / "plain.h5"
Holds = dict[str, tuple[bytes, tuple[int, ...], str]]


@pytest.fixture(autouse=True)
def remembered(monkeypatch: pytest.MonkeyPatch) -> deque[Any]:
    """The frames that are remembered: none when a test begins."""
    frames: deque[Any] = deque(maxlen=hdf5_frames.FRAMES)
    monkeypatch.setattr("lstm_convert.containers.hdf5_frames._frames", frames)
    monkeypatch.setattr("lstm_convert.containers.hdf5_frames._met", deque(maxlen=hdf5_frames.FRAMES))
    return frames


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How large the files were that the HDF5 library looked into."""
    sizes: list[int] = []
    inner = h5py.h5f.open_file_image

    def counted(content: bytes) -> Any:
        sizes.append(len(content))
        return inner(content)

    monkeypatch.setattr(h5py.h5f, "open_file_image", counted)
    return sizes


def _held(path: Path) -> Holds:
    with opened(path) as contents:
        return {key: (each.read().tobytes(), each.shape, str(each.dtype)) for key, each in contents.arrays.items()}


def _by_library(path: Path) -> Holds:
    found: dict[str, Any] = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return {key: (array.tobytes(), array.shape, str(array.dtype)) for key, array in found.items()}


def _with_other_numbers(source: Path, path: Path, seed: int) -> Path:
    shutil.copyfile(source, path)
    with h5py.File(path, "r+") as file:
        random = np.random.default_rng(seed)
        file.visititems(lambda _, item: _draw(random, item))
    return path


def _draw(random: np.random.Generator, item: h5py.Group | h5py.Dataset) -> None:
    if isinstance(item, h5py.Dataset) and item.dtype.kind == "f":
        item[...] = random.normal(size=item.shape)


def test_files_of_one_frame_are_looked_into_once_and_each_has_its_own_numbers(tmp_path: Path, looks: list[int]) -> None:
    for number in range(6):
        path = _with_other_numbers(FIXTURE, tmp_path / f"{number}.h5", number)
        assert _held(path) == _by_library(path)
    assert len(looks) == 3  # the first, the second, and the second's frame


def test_a_known_frame_leads_to_what_the_library_finds_and_nobody_changes_it_for_the_next(
    tmp_path: Path, remembered: deque[Any]
) -> None:
    found = []
    for number in range(4):
        with opened(_with_other_numbers(FIXTURE, tmp_path / f"{number}.h5", number)) as contents:
            found.append((list(contents.arrays), deepcopy(contents.attributes)))
            contents.attributes["model_weights"]["layer_names"].append("not for the next")
    assert len(remembered) == 1
    assert found == [found[0]] * 4


def test_a_file_of_the_same_size_and_another_frame_is_looked_into(tmp_path: Path, looks: list[int]) -> None:
    for number in range(3):
        _held(_with_other_numbers(FIXTURE, tmp_path / f"{number}.h5", number))
    other = tmp_path / "other.h5"
    other.write_bytes(FIXTURE.read_bytes().replace(b'"units": 5', b'"units": 6'))
    before = len(looks)
    with opened(other) as contents:
        assert '"units": 6' in str(contents.document("model_config"))
    assert len(looks) > before


def test_an_array_that_lies_over_the_header_of_another_is_not_remembered(
    tmp_path: Path, remembered: deque[Any]
) -> None:
    path = tmp_path / "over.h5"
    with h5py.File(path, "w") as file:
        file["a"], file["b"] = np.arange(40.0), np.arange(5.0)
        header = h5py.h5o.get_info(file["b"].id).addr
    _move(path, "a", header)
    found = [_held(path) for _ in range(4)]
    assert found == [_by_library(path)] * 4
    assert not remembered


def test_an_array_that_lies_over_the_names_of_all_is_not_remembered(tmp_path: Path, remembered: deque[Any]) -> None:
    path, other = tmp_path / "names.h5", tmp_path / "other.h5"
    with h5py.File(path, "w") as file:
        file["a"], file["bcdefgh"] = np.arange(1.0), np.arange(5.0)
    _move(path, "a", path.read_bytes().index(b"bcdefgh"))
    other.write_bytes(path.read_bytes().replace(b"bcdefgh", b"bxxxxxx"))
    for each in (path, path, path, other, other):
        assert _held(each) == _by_library(each)
    assert not remembered


def _move(path: Path, name: str, place: int) -> None:
    """Let a file say that an array's numbers lie elsewhere in it."""
    with h5py.File(path) as file:
        where = struct.pack("<QQ", file[name].id.get_offset(), file[name].nbytes)
    content = path.read_bytes()
    assert content.count(where) == 1
    path.write_bytes(content.replace(where, struct.pack("<Q", place) + where[8:]))


def test_a_frame_whose_texts_are_many_times_as_long_as_the_file_is_not_remembered(
    tmp_path: Path, remembered: deque[Any]
) -> None:
    path = tmp_path / "texts.h5"
    with h5py.File(path, "w") as file:
        file["a"] = np.arange(5.0)
        file.attrs["texts"] = ["a" * 999, *(["b"] * 299)]
    content = path.read_bytes()
    references = content.index(struct.pack("<I", 999))
    long = content[references : references + 16]
    path.write_bytes(content[:references] + long * 300 + content[references + 300 * 16 :])
    for _ in range(3):
        with opened(path) as contents:
            assert contents.attributes[""]["texts"] == ["a" * 999] * 300
    assert not remembered


def test_so_many_frames_are_remembered_and_no_more(tmp_path: Path, remembered: deque[Any]) -> None:
    for size in range(1, 3 * hdf5_frames.FRAMES):
        path = tmp_path / f"{size}.h5"
        with h5py.File(path, "w") as file:
            file["a"] = np.arange(100.0 * size)
        for _ in range(2):
            assert _held(path) == _by_library(path)
    assert len(remembered) == hdf5_frames.FRAMES


def test_a_compressed_array_is_not_remembered(tmp_path: Path, remembered: deque[Any]) -> None:
    path = tmp_path / "compressed.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("a", data=np.arange(100.0), compression="gzip")
    assert [_held(path) for _ in range(3)] == [_by_library(path)] * 3
    assert not remembered


def test_what_is_no_number_is_refused_each_time(tmp_path: Path, remembered: deque[Any]) -> None:
    path = tmp_path / "records.h5"
    with h5py.File(path, "w") as file:
        file["a"] = np.zeros(4, [("x", "f4"), ("y", "i4")])
    for _ in range(4):
        with pytest.raises(InvalidFile, match="which are no numbers"):
            _held(path)
        with opened(path):
            pass
    assert not remembered


def test_a_damaged_file_of_a_known_frames_size_is_refused(tmp_path: Path) -> None:
    for number in range(3):
        load(_with_other_numbers(FIXTURE, tmp_path / f"{number}.h5", number))
    broken = tmp_path / "broken.h5"
    broken.write_bytes(FIXTURE.read_bytes().replace(b"TREE", b"EERT"))
    with pytest.raises(InvalidFile, match=r"broken\.h5"):
        load(broken)


def test_written_files_of_one_frame_have_their_own_numbers(tmp_path: Path) -> None:
    for number in range(4):
        source = _with_other_numbers(FIXTURE, tmp_path / f"{number}.h5", number)
        target = tmp_path / f"{number}.weights.h5"
        convert(source, target)
        before, after = _by_library(source), _by_library(target)
        moved = [held for name, held in before.items() if name.startswith("model_weights")]
        assert sorted(held for name, held in after.items() if not name.startswith("lstm_convert")) == sorted(moved)

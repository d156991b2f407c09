"""Arrays a block of rows at a time: the same numbers as the whole, whatever lies how."""

import errno
import hashlib
import io
import os
import tempfile
from itertools import accumulate
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from helpers import FIXTURES
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from lstm_convert import blocks, load, mapped
from lstm_convert.blocks import Rows, blocks_of, copied, kept, not_finite, pairs_of, placed, room
from lstm_convert.errors import InvalidFile
from lstm_convert.mapped import FileMap, Stream, let_go, pieces

SHAPES = hnp.array_shapes(min_dims=1, max_dims=2, min_side=0, max_side=50) | hnp.array_shapes(
    min_dims=3, max_dims=4, min_side=0, max_side=6
)


@st.composite
def views(draw: st.DrawFn) -> NDArray[Any]:
    """Arrays that lie in every way a view can: turned, every other row, backwards."""
    shape = draw(SHAPES)
    array = np.arange(np.prod(shape), dtype=draw(st.sampled_from(["<f4", ">f4", "<f8", "<f2"]))).reshape(shape)
    array = array.transpose(draw(st.permutations(range(len(shape)))))
    return array[tuple(slice(None, None, draw(st.sampled_from([1, 2, -1]))) for _ in shape)]


@given(views(), st.integers(1, 4000))
def test_blocks_are_contiguous_and_together_the_array(array: NDArray[Any], size: int) -> None:
    with patch.object(blocks, "BYTES", size):
        found = [*blocks_of(array)]
        made = [*blocks_of(Rows(array.shape, array.dtype, lambda start, stop: np.array(array[start:stop], order="C")))]
    for rows in (found, made):
        assert all(block.flags.c_contiguous and block.dtype == array.dtype for block in rows)
        assert all(len(block) == 1 or block.nbytes <= size for block in rows)
        np.testing.assert_array_equal(np.concatenate([array[:0], *rows]), array)


@given(views(), st.integers(1, 4000))
def test_a_copy_is_the_array(array: NDArray[Any], size: int) -> None:
    for most, large in ((blocks.BYTES, blocks.LARGE), (size, 0)):
        with patch.multiple(blocks, BYTES=most, LARGE=large, _TILE=(16, 7)):
            np.testing.assert_array_equal(copied(array, np.full(array.shape, np.nan, array.dtype)), array)


@given(views(), st.integers(1, 4000), st.data())
def test_pairs_are_the_same_places_of_both(array: NDArray[Any], size: int, data: st.DataObject) -> None:
    other = np.array(array, "f8", order=data.draw(st.sampled_from(["C", "F"])))
    with patch.object(blocks, "BYTES", size):
        pairs = [*pairs_of(array, other)]
    assert sum(one.size for one, _ in pairs) == array.size
    for one, two in pairs:
        np.testing.assert_array_equal(one, two)


def test_an_array_without_axes_is_one_block() -> None:
    assert [*blocks_of(np.array(3.0))] == [3.0]
    assert [(one.item(), two.item()) for one, two in pairs_of(np.array(3.0), np.array(4.0))] == [(3.0, 4.0)]


@pytest.mark.parametrize("order", ["C", "F"])
def test_numbers_that_are_none_are_counted(order: Any) -> None:
    array = np.zeros((300, 7), order=order)
    array[[3, 200, 299], [0, 6, 6]] = np.nan, np.inf, -np.inf
    for most, large in ((blocks.BYTES, blocks.LARGE), (100, 0)):
        with patch.multiple(blocks, BYTES=most, LARGE=large):
            assert not_finite(array) == 3
            assert not_finite(array[4:200]) == 0
            assert not_finite(array, array[4:200], array[:10]) == 4


@pytest.mark.parametrize("large", [1, 1 << 30], ids=["in a file", "in memory"])
def test_what_is_kept_is_there_and_leaves_no_file(large: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "LARGE", large)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    array = np.arange(60.0).reshape(12, 5)
    found = kept(array.shape, array.dtype, (array[row : row + 1] for row in range(12)))
    assert not [*tmp_path.iterdir()]
    np.testing.assert_array_equal(found, array)
    let_go(found)
    np.testing.assert_array_equal(found, array)
    assert kept((0, 5), array.dtype, []).shape == (0, 5)


@settings(deadline=None)
@given(data=st.data())
def test_what_was_let_go_of_is_read_again(data: st.DataObject) -> None:
    array = np.arange(30_000, dtype="<f4").reshape(100, 300)
    with tempfile.TemporaryFile() as file:
        file.write(b"head" + array.tobytes())
        file.flush()
        file_map = FileMap.of(file)
    with patch.object(blocks, "LARGE", 1):
        found = placed(file_map, array.dtype, array.shape, 4)
    place = tuple(slice(*sorted(data.draw(st.tuples(st.integers(0, 300), st.integers(0, 300))))) for _ in range(2))
    for view, wanted in ((found, array), (found.T, array.T), (found[::-1], array[::-1])):
        let_go(view[place])
        np.testing.assert_array_equal(view, wanted)


def test_only_what_we_mapped_is_let_go_of(tmp_path: Path) -> None:
    """Pages of a map that its owner writes to privately would be lost."""
    (tmp_path / "a").write_bytes(bytes(40_000))
    private = np.memmap(tmp_path / "a", "f4", "c")
    private[:] = 7
    assert [block.min() for block in blocks_of(private)] == [7]
    let_go(private)
    assert private.min() == 7


@pytest.mark.parametrize("count", [1, 10_000])
def test_what_is_mapped_stays_when_its_file_is_cut_short(count: int, tmp_path: Path) -> None:
    """Reading a map of the file itself would end the process."""
    path, content = tmp_path / "a", bytes(range(256)) * count
    path.write_bytes(content)
    with path.open("rb") as file:
        file.read(10)
        file_map = FileMap.of(file)
    os.truncate(path, 0)
    assert file_map[:] == content


@pytest.mark.parametrize("size", [mapped.HELD - 1, mapped.HELD, 2 * mapped.HELD + 7])
def test_a_file_is_copied_and_the_sum_is_that_of_the_copy(
    size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mapped, "_PIECE", 300_000)
    monkeypatch.setattr(mapped, "_HASHED", 700_000)
    content = np.random.default_rng(size).bytes(size)
    (tmp_path / "a").write_bytes(content)
    with (tmp_path / "a").open("rb") as file:
        file.read(3)
        copy = FileMap.of(file)
    assert (copy[:], copy.sha256()) == (content, hashlib.sha256(content).hexdigest())


class Growing(io.FileIO):
    """A file that somebody writes to whenever it is read."""

    def readinto(self, buffer: Any) -> int:
        with Path(str(self.name)).open("ab") as file:
            file.write(b"more")
        return super().readinto(buffer) or 0


def test_a_file_that_grows_while_it_is_copied_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(mapped.HELD))
    with Growing(tmp_path / "a") as file:
        assert FileMap.of(file)[:] == bytes(mapped.HELD)


class Shrinking(io.FileIO):
    """A file that somebody cuts short when it is read."""

    def readinto(self, buffer: Any) -> int:
        os.truncate(str(self.name), mapped.HELD - 1)
        return super().readinto(buffer) or 0


def test_a_file_that_is_cut_short_while_it_is_copied_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(mapped.HELD))
    with Shrinking(tmp_path / "a") as file, pytest.raises(InvalidFile, match="is cut short"):
        FileMap.of(file)


def test_a_file_for_whose_copy_there_is_no_room_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(mapped, "_copy", full)
    monkeypatch.setattr(mapped, "HELD", 1)
    with pytest.raises(InvalidFile, match="No space left on device"):
        load(FIXTURES / "torch-2.13/gru.pt")


@given(st.lists(st.binary(max_size=50)), st.integers(0, 50), st.integers(1, 20))
def test_pieces_are_the_bytes_and_end_where_those_of_the_file_do(chunks: list[bytes], place: int, size: int) -> None:
    with patch.object(mapped, "_PIECE", size):
        found = [*pieces(chunks, place)]
    assert b"".join(found) == b"".join(chunks)
    ends = [place + end for end in accumulate(map(len, found))]
    assert {*range(size, place + len(b"".join(chunks)) + 1, size)} - {*range(place + 1)} <= {*ends}


def test_memory_is_used_again_once_nobody_uses_it() -> None:
    block = room((1 << 10, 1 << 10), np.dtype("f4"))
    address = block.ctypes.data
    part = block[5:7].T.data
    del block
    others = [room((1 << 10, 1 << 10), np.dtype("f4")) for _ in range(6)]
    assert address not in [other.ctypes.data for other in others]
    del part
    assert address in [other.ctypes.data for other in (*others, room((1 << 18,), np.dtype("f8")))]


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with (tmp_path / "a").open("rb") as file, pytest.raises(InvalidFile, match="is empty"):
        FileMap.of(file)


@pytest.mark.parametrize("size", [3, 1 << 16])
def test_mapped_bytes_are_read_as_a_file(size: int, tmp_path: Path) -> None:
    content = np.arange(100_000, dtype="<u4").tobytes()
    (tmp_path / "a").write_bytes(content)
    with (tmp_path / "a").open("rb") as file:
        mapped = memoryview(FileMap.of(file))
    for stream in (Stream(mapped), io.BufferedReader(Stream(mapped))):
        assert stream.read(size) + stream.read(size) == content[: 2 * size]
        assert (stream.seek(-2, io.SEEK_END), stream.read(size)) == (len(content) - 2, content[-2:])
        assert (stream.seek(size), stream.seek(1, io.SEEK_CUR), stream.read(2)) == (
            size, size + 1, content[size + 1 : size + 3],
        )  # fmt: skip
        assert (stream.seek(len(content) + 9), stream.read(size)) == (len(content) + 9, b"")

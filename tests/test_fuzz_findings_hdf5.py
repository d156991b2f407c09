"""What the fuzz driver found in the bytes of HDF5 files: heaps and trees without an end, and where they begin."""

import struct
from pathlib import Path
from unittest.mock import patch

import pytest
from helpers import FIXTURES
from hypothesis import given
from hypothesis import strategies as st

import lstm_convert
from lstm_convert import mapped
from lstm_convert.containers import hdf5_heaps, hdf5_search
from lstm_convert.containers.hdf5_search import places
from lstm_convert.errors import InvalidFile


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

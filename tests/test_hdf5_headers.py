"""Where the texts of HDF5 attributes lie, found without the HDF5 library, in files of every form that it writes."""

import io
import struct
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from helpers import FIXTURES

import lstm_convert
from lstm_convert.containers import hdf5_headers
from lstm_convert.containers.hdf5_headers import Headers
from lstm_convert.errors import InvalidFile

PLACE = struct.Struct("<IQI")
CLAIMED = 2**32 - 1


def written(libver: str, *, numbered: bool = False, timed: bool = False, others: int = 0) -> bytearray:
    """Return a file whose group has a text, two texts and some numbers as attributes."""
    stream = io.BytesIO()
    with h5py.File(stream, "w", libver=libver) as file:
        group = file.create_group("a", track_order=numbered)
        if timed:
            made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            made.set_obj_track_times(True)
            space, kind = h5py.h5s.create(h5py.h5s.SCALAR), h5py.h5t.IEEE_F32LE
            group = h5py.Dataset(h5py.h5d.create(file.id, b"b", kind, space, dcpl=made))
        for number in range(others):
            group.attrs[f"other {number}"] = np.arange(3 * number)
            file.create_group(f"between {number}")  # so that there is no room for the next one behind this
        group.attrs["one"] = "tensorflow"
        group.attrs["some"] = ["keras", "a", "abc"]
        group.attrs.create("none", [], (0,), h5py.string_dtype())
    return bytearray(stream.getvalue())


FORMS: dict[str, dict[str, Any]] = {
    "version 1": {"libver": "earliest"},
    "version 1, in several places": {"libver": "earliest", "others": 20},
    "version 1, numbered": {"libver": "earliest", "numbered": True},
    "version 1, an array": {"libver": "earliest", "timed": True},
    "version 2": {"libver": "latest"},
    "version 2, in several places": {"libver": "latest", "others": 5},
    "version 2, numbered": {"libver": "latest", "numbered": True, "others": 5},
    "version 2, with times": {"libver": "latest", "timed": True, "others": 5},
}


def address_of(content: bytearray) -> int:
    """Return where the header of what has the texts begins."""
    with h5py.File(io.BytesIO(content)) as file:
        address: int = h5py.h5o.get_info(file["b" if "b" in file else "a"].id).addr
    return address


@pytest.mark.parametrize("form", FORMS)
def test_what_texts_claim_is_seen_in_every_form(form: str) -> None:
    content = written(**FORMS[form])
    address = address_of(content)
    asked = {b"one": 1, b"some": 3, b"none": 0}
    headers = Headers(memoryview(content))
    assert [headers.longest_claimed(address, *each) for each in asked.items()] == [10, 5, 0]
    last = content.index(PLACE.pack(3, content.index(b"GCOL"), 2))  # the library writes them from the last to the first
    struct.pack_into("<I", content, last, CLAIMED)
    headers = Headers(memoryview(content))
    assert [headers.longest_claimed(address, *each) for each in asked.items()] == [10, CLAIMED, 0]


def test_a_fixture_whose_text_claims_more_than_the_file_has(tmp_path: Path) -> None:
    content = bytearray((FIXTURES / "keras-2.2.0/plain.h5").read_bytes())
    heap = content.index(b"GCOL")
    place = content.index(PLACE.pack(len("2.2.0"), heap, 1))
    struct.pack_into("<I", content, place, CLAIMED)
    (tmp_path / "a.h5").write_bytes(content)
    with pytest.raises(InvalidFile, match=f"claims a text of {CLAIMED} bytes, and the longest of the file has"):
        lstm_convert.load(tmp_path / "a.h5")


def test_attributes_apart_from_what_has_them_are_refused() -> None:
    content = written("latest", others=20)
    with pytest.raises(InvalidFile, match="has its attributes apart, texts among them"):
        Headers(memoryview(content)).longest_claimed(address_of(content), b"one", 1)


def test_headers_that_lead_in_a_circle() -> None:
    content = written("earliest", others=20)
    address = address_of(content)
    version, size = hdf5_headers.FIRST.unpack_from(content, address)
    assert version == 1
    start = address + hdf5_headers.FIRST.size
    struct.pack_into("<HHB3xQQ", content, start, hdf5_headers.CONTINUATION, 16, 0, start, size)
    with pytest.raises(InvalidFile, match=f"more than {hdf5_headers.MOST_MESSAGES} messages"):
        Headers(memoryview(content)).longest_claimed(address, b"one", 1)


@pytest.mark.parametrize("address", [0, 1 << 40, 1 << 64, 96])
def test_what_is_no_header(address: int) -> None:
    with pytest.raises(InvalidFile, match=f"the header at byte {address} of it has no sound attributes"):
        Headers(memoryview(written("earliest"))).longest_claimed(address, b"one", 1)


def test_an_attribute_of_a_version_that_nobody_knows() -> None:
    content = written("earliest")
    address = address_of(content)
    name = content.index(b"one\0")
    content[name - 8] = 4
    with pytest.raises(InvalidFile, match="has no sound attributes"):
        Headers(memoryview(content)).longest_claimed(address, b"one", 1)

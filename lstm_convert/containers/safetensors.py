"""The safetensors format: a JSON header, then the numbers of one array behind the other.

    8 bytes      N, the length of the header, little-endian
    N bytes      JSON: {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, …, "__metadata__": {…}}
    the rest     the numbers, little-endian, in C order; offsets count from here; no holes, no overlaps

*Source:* safetensors 0.8, README.md, "Format".
"""

import json
import math
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from itertools import accumulate, chain
from pathlib import Path
from typing import Any

import numpy as np

from lstm_convert import json_text
from lstm_convert.blocks import placed
from lstm_convert.containers import Contents, Stored
from lstm_convert.containers.raw import byte_count, dtype_named, little_endian
from lstm_convert.errors import InvalidFile, Unsupported
from lstm_convert.mapped import FileMap, mapped, pieces

LENGTH = struct.Struct("<Q")
LONGEST_HEADER = json_text.LARGEST
METADATA = "__metadata__"
ALIGNMENT = 8
LARGEST_SIZE = 2**62
MOST_DIMENSIONS = 32

DTYPES: Mapping[str, str] = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U64": "uint64",
    "U32": "uint32",
    "U16": "uint16",
    "U8": "uint8",
    "BOOL": "bool",
}
DTYPE_NAMES = {dtype: name for name, dtype in DTYPES.items()}

COPY_AGAIN = "Copy or download the file again."


def sniff(head: bytes, path: Path) -> bool:
    """Tell whether a file begins with a length that fits and the brace of a JSON object."""
    if len(head) <= LENGTH.size or head[LENGTH.size : LENGTH.size + 1] != b"{":
        return False
    length: int = LENGTH.unpack_from(head)[0]
    return length <= min(LONGEST_HEADER, path.stat().st_size)


@contextmanager
def opened(path: Path, *, own: bool = False) -> Iterator[Contents]:
    """Open a safetensors file; its `__metadata__` is `attributes[""]`.

    Args:
        path: the file.
        own: whether we made it where nobody else writes.

    Yields:
        The arrays, in the order in which their numbers lie in the file, large ones as views of it, mapped.

    Raises:
        InvalidFile: the header is damaged or does not describe the file exactly.
    """
    with mapped(path, own=own) as content:
        yield _contents(content)


def _contents(content: FileMap) -> Contents:
    size = len(content)
    if size < LENGTH.size:
        raise InvalidFile(f"a safetensors file has at least {LENGTH.size} bytes, this one {size}")
    (length,) = LENGTH.unpack(content[: LENGTH.size])
    start = LENGTH.size + length
    if length > LONGEST_HEADER or start > size:
        raise InvalidFile(f"the header should have {length} bytes, the file has {size}", next_step=COPY_AGAIN)
    header = _header(content[LENGTH.size : start])
    metadata = header.pop(METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise InvalidFile(f"{METADATA} should be texts by name")
    spans = {name: _entry(name, entry) for name, entry in header.items()}
    arrays: dict[str, Stored] = {}
    end = 0
    for name, (dtype, shape, begin, stop) in sorted(spans.items(), key=lambda item: item[1][2:]):
        if begin != end:
            raise InvalidFile(f"the numbers of {name} should begin at {end}, where others end; they begin at {begin}")
        end = stop
        arrays[name] = Stored(shape, dtype, partial(placed, content, dtype.newbyteorder("<"), shape, start + begin))
    if start + end != size:
        raise InvalidFile(f"the arrays take {end} bytes, but {size - start} follow the header", next_step=COPY_AGAIN)
    return Contents(arrays, {"": metadata}, content.sha256)


def _header(text: bytes) -> dict[str, Any]:
    header = json_text.parsed(text, "the header")
    if not isinstance(header, dict):
        raise InvalidFile(f"the header should be a JSON object, is a {type(header).__name__}")
    return header


def _entry(name: str, entry: Any) -> tuple[np.dtype[Any], tuple[int, ...], int, int]:
    """Check one array's entry by itself, and return its dtype, shape, begin and end."""
    match entry:
        case {"dtype": str(code), "shape": list(shape), "data_offsets": [begin, end]}:
            numbers = [*shape, begin, end]
        case _:
            raise InvalidFile(f"the entry of {name} should have dtype, shape and data_offsets")
    if code not in DTYPES:
        known = ", ".join(DTYPES)
        raise InvalidFile(
            f"{name} is of type {code:.50}, which is not read", next_step=f"Types that are read: {known}."
        )
    if not all(type(number) is int and 0 <= number <= LARGEST_SIZE for number in numbers):
        raise InvalidFile(f"the shape and offsets of {name} should be whole numbers of at most {LARGEST_SIZE}")
    dtype = dtype_named(DTYPES[code])
    size = math.prod(shape) * dtype.itemsize
    if end - begin != size or len(shape) > MOST_DIMENSIONS:
        raise InvalidFile(f"{name} has the shape {shape!s:.200} of {code}, {size} bytes, but {end - begin} in the file")
    return dtype, tuple(shape), begin, end


def write(path: Path, contents: Contents) -> None:
    """Write the arrays in their own order, a few megabytes at a time; `attributes[""]` becomes `__metadata__`.

    Raises:
        Unsupported: an array's type, its name or an attribute has no place in the format.
    """
    ends = [*accumulate(map(byte_count, contents.arrays.values()), initial=0)]
    entries = {
        name: {"dtype": _dtype_name(name, stored), "shape": stored.shape, "data_offsets": ends[index : index + 2]}
        for index, (name, stored) in enumerate(contents.arrays.items())
    }
    metadata = contents.attributes.get("", {})
    _check_metadata(contents.arrays, metadata)
    header = json.dumps(({METADATA: dict(metadata)} if metadata else {}) | entries, separators=(",", ":")).encode()
    header += b" " * (-len(header) % ALIGNMENT)
    numbers = chain.from_iterable(map(little_endian, contents.arrays.values()))
    with path.open("wb") as file:
        file.writelines(pieces(chain([LENGTH.pack(len(header)) + header], numbers)))


def _dtype_name(name: str, stored: Stored) -> str:
    dtype = DTYPE_NAMES.get(stored.dtype.name)
    if dtype is None:
        known = ", ".join(DTYPE_NAMES)
        raise Unsupported(f"{name} is of type {stored.dtype}, which safetensors lacks", next_step=f"It has: {known}.")
    return dtype


def _check_metadata(arrays: Mapping[str, Stored], metadata: Mapping[str, Any]) -> None:
    if METADATA in arrays:
        raise Unsupported(f"safetensors keeps the name {METADATA} for itself", next_step="Rename the array.")
    for name, value in metadata.items():
        if not isinstance(value, str):
            raise Unsupported(f"safetensors metadata are texts; {name} is a {type(value).__name__}")

"""The headers of an HDF5 file's groups and arrays, looked into for how long the texts of their attributes claim to be.

    version 1                                 version 2
    1 byte    1                               4 bytes   "OHDR"
    7 bytes   of no interest here             1 byte    2
    4 bytes   how long the messages are       1 byte    flags
    4 bytes   nothing                         20 bytes  times, 16, and bounds, 4, where the flags say so
    messages  each 2 bytes kind, 2 bytes      1 to 8    how long the messages are
              length, 1 byte flags, 3 bytes   messages  each 1 byte kind, 2 bytes length, 1 byte flags,
              nothing, then so many bytes               2 bytes number where the flags say so, then so many bytes

A message may lead to more of them, which version 2 has between "OCHK" and a sum of 4 bytes. An attribute of texts has
16 bytes for each: 4 bytes length, 8 bytes where its heap is, 4 bytes which object of it. The library makes room for as
many bytes as are claimed, up to 4 GB, before it looks for the text.

*Source:* HDF5 File Format Specification 3.0, IV.A; HDF5 1.14.6, src/H5Oattr.c, H5O__attr_decode, and src/H5Tconv.c
"""

import struct
from collections.abc import Iterator

from lstm_convert.containers.hdf5_search import NEXT_STEP
from lstm_convert.errors import InvalidFile

MOST_MESSAGES = 1_000_000
"""How many messages the headers may have of all groups and arrays whose attributes are texts."""

SIGNATURE = b"OHDR"
FIRST = struct.Struct("<B7xI4x")
ATTRIBUTE, CONTINUATION, MANY_ATTRIBUTES = 0x0C, 0x10, 0x15
ADDRESS, SPAN = struct.Struct("<Q"), struct.Struct("<QQ")
VALUE = struct.Struct("<BxHHH")
TEXT = struct.Struct("<I12x")

_ELSEWHERE = 0x02  # a message's flag
_NUMBERED, _BOUNDED, _TIMED = 0x04, 0x10, 0x20  # a header's flags; the last two bits are the logarithm of a size
_HEAD, _NEW_HEAD, _NUMBERED_HEAD = (struct.Struct(head) for head in ("<HHB3x", "<BHB", "<BHB2x"))
_OLDEST, _NEWEST = 1, 3  # versions of an attribute: the oldest pads its parts, the newest has a byte more before them
_ALIGNMENT, _CHECKSUM = 8, 4
_NOWHERE = (1 << 64) - 1


class Headers:
    """The headers of a file, each looked into once.

    Args:
        content: the whole file.
    """

    def __init__(self, content: memoryview) -> None:
        self._content = content
        self._values: dict[int, dict[bytes, list[int]]] = {}
        self._left = MOST_MESSAGES

    def longest_claimed(self, address: int, name: bytes, count: int) -> int:
        """Return how long the longest text of an attribute claims to be.

        Args:
            address: where the header begins of what has it.
            name: the attribute's.
            count: how many texts it is.

        Raises:
            InvalidFile: the header does not hold it, or there are too many messages.
        """
        try:
            if address not in self._values:
                self._values[address] = self._attributes(address)
            claims = [
                TEXT.unpack_from(self._content, place + TEXT.size * number)[0]
                for place in self._values[address][name]
                for number in range(count)
            ]
        except (struct.error, OverflowError, LookupError) as error:
            raise _damaged(address) from error
        return max(claims, default=0)

    def _attributes(self, address: int) -> dict[bytes, list[int]]:
        """Return where the values of the attributes in a header begin, by name; a damaged one may have a name twice."""
        values: dict[bytes, list[int]] = {}
        for kind, flags, place in self._messages(address):
            if kind in (ATTRIBUTE, MANY_ATTRIBUTES):
                self._refuse_elsewhere(kind, flags, place)
            if kind == ATTRIBUTE:
                name, value = self._attribute(address, place)
                values.setdefault(name, []).append(value)
        return values

    def _attribute(self, address: int, place: int) -> tuple[bytes, int]:
        """Return the name of the attribute that a message is, and where its value begins."""
        version, *sizes = VALUE.unpack_from(self._content, place)
        if not _OLDEST <= version <= _NEWEST or not sizes[0]:
            raise _damaged(address)
        place += VALUE.size + (version == _NEWEST)
        name = bytes(self._content[place : place + sizes[0] - 1]).partition(b"\0")[0]
        alignment = _ALIGNMENT if version == _OLDEST else 1
        return name, place + sum(-(-size // alignment) * alignment for size in sizes)

    def _messages(self, address: int) -> Iterator[tuple[int, int, int]]:
        """Yield the kind and flags of each message of a header, and where it begins."""
        new = self._content[address : address + len(SIGNATURE)] == SIGNATURE
        head, start, size = self._new_start(address) if new else self._start(address)
        spans = [(start, start + size)]
        for begin, end in spans:  # of which messages add some meanwhile
            place = begin + head.size
            while place <= end:
                kind, length, flags = head.unpack_from(self._content, place - head.size)
                self._count_one()
                if kind == CONTINUATION:
                    start, size = SPAN.unpack_from(self._content, place)
                    spans.append((start + len(SIGNATURE), start + size - _CHECKSUM) if new else (start, start + size))
                yield kind, flags, place
                place += length + head.size

    def _start(self, address: int) -> tuple[struct.Struct, int, int]:
        """Return what each message of a header of version 1 begins with, and where they are."""
        version, size = FIRST.unpack_from(self._content, address)
        if version != 1:
            raise _damaged(address)
        return _HEAD, address + FIRST.size, size

    def _new_start(self, address: int) -> tuple[struct.Struct, int, int]:
        """Return the same of a header of version 2."""
        place = address + len(SIGNATURE) + 2
        flags = self._content[place - 1]
        place += 16 * bool(flags & _TIMED) + 4 * bool(flags & _BOUNDED)
        width = 1 << (flags & 3)
        size = int.from_bytes(self._content[place : place + width], "little")
        return _NUMBERED_HEAD if flags & _NUMBERED else _NEW_HEAD, place + width, size

    def _count_one(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise InvalidFile(f"the headers of its groups and arrays have more than {MOST_MESSAGES} messages")

    def _refuse_elsewhere(self, kind: int, flags: int, place: int) -> None:
        """Raise where a message says that the attributes, or the one that it is, are not in the header."""
        if kind == ATTRIBUTE:
            elsewhere = bool(flags & _ELSEWHERE)
        else:
            numbered = self._content[place + 1] & 1
            (heap,) = ADDRESS.unpack_from(self._content, place + 2 + 2 * numbered)
            elsewhere = heap != _NOWHERE
        if elsewhere:
            raise InvalidFile(
                "a group or array of it has its attributes apart, texts among them, where they are not looked for",
                next_step="Save it in the form that h5py has by default, libver='earliest'.",
            )


def _damaged(address: int) -> InvalidFile:
    return InvalidFile(
        f"this HDF5 file is damaged: the header at byte {address} of it has no sound attributes", next_step=NEXT_STEP
    )

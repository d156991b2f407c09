"""Mutations of zip archives: members by what they are, with sums that are right, and the directory that lists them."""

import io
import struct
import warnings
import zipfile
from collections.abc import Callable
from random import Random

Mutate = Callable[[bytes, Random], bytes]

_NAMES = ("../../escaped", "/etc/passwd", "a" * 60_000, "x\0y", "", ".", "archive/data.pkl", "config.json", "é.npy")
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
_ENTRY, _LOCAL, _END = b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06"
# Where a number stands behind each signature, and how wide it is.
_FIELDS = {
    _LOCAL: ((4, "<H"), (6, "<H"), (8, "<H"), (14, "<I"), (18, "<I"), (22, "<I"), (26, "<H"), (28, "<H")),
    _ENTRY: ((8, "<H"), (10, "<H"), (16, "<I"), (20, "<I"), (24, "<I"), (28, "<H"), (30, "<H"), (32, "<H"), (42, "<I")),
    _END: ((4, "<H"), (8, "<H"), (10, "<H"), (12, "<I"), (16, "<I"), (20, "<H")),
}


def mutated_archive(content: bytes, random: Random, mutate: Mutate) -> bytes:
    """Return an archive with one member, its name, or a number about it changed.

    Args:
        content: the archive.
        random: where chance comes from.
        mutate: changes a member's bytes by what they are.
    """
    if random.random() < 0.25:  # noqa: PLR2004 (a quarter)
        return _with_another_number(content, random)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = [(name, archive.read(name), zipfile.ZIP_STORED) for name in archive.namelist()]
    place = random.randrange(len(members))
    name, member, _ = members[place]
    change = random.choice(
        ("member", "member", "member", "member", "rename", "remove", "double", "add", "compress", "bomb")
    )
    if change == "member":
        members[place] = (name, mutate(member, random), random.choice(_METHODS[:2]))
    elif change == "rename":
        members[place] = (random.choice((*_NAMES, name.upper(), f"x/{name}")), member, zipfile.ZIP_STORED)
    elif change == "remove":
        del members[place]
    elif change == "double":
        members.append((name, mutate(member, random), zipfile.ZIP_STORED))
    elif change == "add":
        members.insert(place, (random.choice(_NAMES), random.randbytes(100), zipfile.ZIP_STORED))
    elif change == "compress":
        members = [(each, data, random.choice(_METHODS)) for each, data, _ in members]
    else:
        members[place] = (name, member + bytes(random.choice((10**6, 10**7))), zipfile.ZIP_DEFLATED)
    return _archive(members)


def _archive(members: list[tuple[str, bytes, int]]) -> bytes:
    stream = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w") as archive:
        warnings.simplefilter("ignore")  # two members of one name are what is wanted
        for name, content, method in members:
            archive.writestr(zipfile.ZipInfo(name[:65_535]), content, method, 1)
    return stream.getvalue()


def _with_another_number(content: bytes, random: Random) -> bytes:
    """Return an archive with one number of its headers changed."""
    signature = random.choice((_LOCAL, _ENTRY, _ENTRY, _END))
    places = [place for place in range(len(content) - 50) if content.startswith(signature, place)]
    if not places:
        return content
    offset, width = random.choice(_FIELDS[signature])
    size = struct.calcsize(width)
    place = random.choice(places) + offset
    old = struct.unpack_from(width, content, place)[0]
    largest = (1 << 8 * size) - 1
    new = (
        random.choice((0, 1, old + 1, old - 1, old * 2, largest, largest // 2, random.randrange(len(content))))
        & largest
    )
    return content[:place] + struct.pack(width, new) + content[place + size :]

"""The arguments of a pickle's opcodes: how each is told from the bytes behind it.

*Source:* Python 3.11, Lib/pickletools.py, whose `genops` reads the same in twice the time.
"""

import struct
from collections.abc import Callable, Mapping
from functools import partial
from mmap import mmap
from typing import Any

Read = Callable[[bytes | mmap, int], tuple[Any, int]]
"""From a pickle and where an argument begins in it: the argument, and where the next opcode is."""


def _number(form: str) -> Read:
    packed = struct.Struct(form)
    return lambda content, at: (packed.unpack_from(content, at)[0], at + packed.size)


def _counted(form: str, made: Callable[[bytes], Any]) -> Read:
    """Return what reads as many bytes as the number before them says, and makes something of them."""
    packed = struct.Struct(form)

    def read(content: bytes | mmap, at: int) -> tuple[Any, int]:
        start = at + packed.size
        end = start + packed.unpack_from(content, at)[0]
        if not start <= end <= len(content):
            raise ValueError(f"expected {end - start} bytes, but only {len(content) - start} remain")
        return made(content[start:end]), end

    return read


def _two_lines(content: bytes | mmap, at: int) -> tuple[tuple[str, str], int]:
    middle = content.find(b"\n", at)
    end = content.find(b"\n", middle + 1)
    if middle < 0 or end < 0:
        raise ValueError("no newline found when trying to read two lines")
    return (content[at:middle].decode("ascii"), content[middle + 1 : end].decode("ascii")), end + 1


_text = partial(str, encoding="utf-8", errors="surrogatepass")
_old_text = partial(str, encoding="latin-1")
_whole = partial(int.from_bytes, byteorder="little", signed=True)

ARGUMENTS: Mapping[str, Read] = {
    **dict.fromkeys(["PROTO", "BININT1", "BINGET", "BINPUT"], _number("<B")),
    "BININT2": _number("<H"),
    "BININT": _number("<i"),
    **dict.fromkeys(["LONG_BINGET", "LONG_BINPUT"], _number("<I")),
    "FRAME": _number("<Q"),
    "BINFLOAT": _number(">d"),
    "LONG1": _counted("<B", _whole),
    "LONG4": _counted("<i", _whole),
    "SHORT_BINUNICODE": _counted("<B", _text),
    "BINUNICODE": _counted("<I", _text),
    "BINUNICODE8": _counted("<Q", _text),
    "SHORT_BINSTRING": _counted("<B", _old_text),
    "BINSTRING": _counted("<i", _old_text),
    "SHORT_BINBYTES": _counted("<B", bytes),
    "BINBYTES": _counted("<I", bytes),
    "BINBYTES8": _counted("<Q", bytes),
    "BYTEARRAY8": _counted("<Q", bytearray),
    "GLOBAL": _two_lines,
}
"""By the opcode's name; the others that are read have none."""

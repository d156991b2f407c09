"""Mutations of any bytes at all: bits, runs, cuts, insertions, and the numbers that formats keep as little-endian."""

import struct
from random import Random

_WIDTHS = ("<B", "<H", "<I", "<Q")
_EDGES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFF_FFFF, 0xFFFF_FFFF, 2**62, 2**63 - 1, 2**64 - 1)
_LONGEST_RUN = 64


def mutated_bytes(content: bytes, random: Random) -> bytes:
    """Return bytes with one stretch of them changed.

    Args:
        content: the bytes.
        random: where chance comes from.
    """
    if not content:
        return random.randbytes(8)
    place = random.randrange(len(content))
    end = place + random.randrange(1, _LONGEST_RUN)
    before, run, after = content[:place], content[place:end], content[end:]
    width = random.choice(_WIDTHS)
    number = struct.pack(width, random.choice(_EDGES) % (1 << 8 * struct.calcsize(width)))
    bit = bytes([content[place] ^ (1 << random.randrange(8))])
    other = random.randrange(len(content))
    changes = {
        "bit": before + bit + content[place + 1 :],
        "number": before + number + content[place + len(number) :],
        "run": before + random.randbytes(len(run)) + after,
        "cut": before,
        "remove": before + after,
        "insert": before + random.randbytes(len(run)) + run + after,
        "repeat": before + run + run + after,
        "move": before + content[other : other + len(run)] + after,
    }
    return changes[random.choice(("bit", "number", *changes))]

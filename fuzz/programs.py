"""Mutations of pickles: opcodes removed, doubled, moved and added, and their arguments changed."""

import io
import pickletools
import struct
from random import Random

from bytes_of import mutated_bytes

_ATTACKS = (
    b"cos\nsystem\nX\x0c\x00\x00\x00touch hostile\x85R",
    b"c__builtin__\neval\nX\x01\x00\x00\x001\x85R",
    b"cbuiltins\ngetattr\ncos\nsystem\nX\x01\x00\x00\x00x\x86R",
    b"ctorch.hub\nload\n)R",
    b"cmy.own\nClass\n)\x81}b",
    b"X\x01\x00\x00\x00aQ",
    b"]" * 3000 + b"a" * 2999,
    b"\x8c\x02os\x8c\x06system\x93",
)
_NUMBERS = (0, 1, 0x7F, 0xFF, 0x7FFF_FFFF, 0xFFFF_FFFF)
_TEXTS = (b"", b"0", b"weight", b"os", b"../x", b"\0", b"a" * 5000)
_PLAIN = (
    b"N", b"\x88", b"\x89", b"K\x05", b"M\xff\xff", b"J\xff\xff\xff\xff", b"}", b"]", b")",
    b"(", b"\x85", b"\x86", b"t",
    b"s", b"u", b"R", b"\x81", b"b", b"0", b"h\x00", b"q\x00", b"\x94", b"\x8f", b"Q",
)  # fmt: skip


def mutated_pickles(content: bytes, random: Random) -> bytes:
    """Return one pickle of several, one behind the other, with one opcode changed, and what follows them as it is.

    Args:
        content: the pickles.
        random: where chance comes from.
    """
    programs, rest = _programs(content)
    if not programs:
        return mutated_bytes(content, random)
    largest = max(programs, key=len)
    changed = largest if random.random() < 0.8 else random.choice(programs)  # noqa: PLR2004 (most of the time)
    place = random.randrange(len(changed))
    change = random.choice(
        ("argument", "argument", "argument", "remove", "double", "move", "add", "add", "attack", "repeat")
    )
    if change == "argument":
        changed[place] = _with_another_argument(changed[place], random)
    elif change == "remove":
        del changed[place]
    elif change == "double":
        changed.insert(place, changed[random.randrange(len(changed))])
    elif change == "move":
        changed.insert(random.randrange(len(changed)), changed.pop(place))
    elif change == "add":
        code = random.choice(pickletools.opcodes)
        changed.insert(place, random.choice((random.choice(_PLAIN), code.code.encode("latin-1") + random.randbytes(4))))
    elif change == "attack":
        changed.insert(place, random.choice(_ATTACKS))
    else:
        changed[place:place] = changed[place : place + 8] * random.choice((2, 100, 10_000))
    return b"".join(opcode for program in programs for opcode in program) + rest


def _programs(content: bytes) -> tuple[list[list[bytes]], bytes]:
    """Return the opcodes of each pickle, and what follows the last."""
    programs: list[list[bytes]] = []
    stream, end = io.BytesIO(content), 0
    try:
        while content[end : end + 1] == b"\x80":
            starts = [end + position for _, _, position in pickletools.genops(stream) if position is not None]
            starts = [place - starts[0] + end for place in starts]
            stop = stream.tell()
            programs.append([content[start:after] for start, after in zip(starts, [*starts[1:], stop], strict=True)])
            end = stop
    except (ValueError, IndexError, struct.error):
        pass
    return programs, content[end:]


def _with_another_argument(opcode: bytes, random: Random) -> bytes:
    code, argument = opcode[:1], opcode[1:]
    if code in b"X" and argument:
        text = random.choice((*_TEXTS, argument[4:] + b"x", argument[4:][::-1]))
        return code + struct.pack("<I", len(text)) + text
    if code in b"c":
        module, _, name = argument.partition(b"\n")
        return (
            b"c"
            + random.choice((b"os", b"torch", b"builtins", module))
            + b"\n"
            + random.choice((b"system", b"Size", name))
        )
    if len(argument) in (1, 2, 4):
        number = random.choice((*_NUMBERS, random.randrange(1 << 8 * len(argument)))) & ((1 << 8 * len(argument)) - 1)
        return code + number.to_bytes(len(argument), "little")
    return code + mutated_bytes(argument, random) if argument else random.choice(_PLAIN)

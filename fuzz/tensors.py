"""Mutations of safetensors files and .npy files: their headers as what they are, their lengths kept right or not."""

import json
import struct
from random import Random

from bytes_of import mutated_bytes
from values import mutated_document

_LENGTH = struct.Struct("<Q")
_NPY_START, _NPY_VERSION_1 = b"\x93NUMPY", b"\x01\x00"
_NPY_WORDS = (
    b"(10000000000,)", b"(-1,)", b"(2, 3)", b"()", b"'|O'", b"'<f8'", b"'>f2'", b"True", b"__import__('os')",
    b"(" * 500, b"9" * 5000, b"{}", b"'descr'", b"[('a', '<f4')]", b"'<U4'", b"'|V9999'",
)  # fmt: skip


def mutated_safetensors(content: bytes, random: Random) -> bytes:
    """Return a safetensors file with its header or the document in it changed, or cut.

    Args:
        content: the file.
        random: where chance comes from.
    """
    length = _LENGTH.unpack_from(content)[0]
    header, numbers = content[_LENGTH.size : _LENGTH.size + length], content[_LENGTH.size + length :]
    change = random.choice(("header", "header", "header", "document", "document", "length", "numbers"))
    if change == "document":
        said = json.loads(header)
        for name, text in said.get("__metadata__", {}).items():
            said["__metadata__"][name] = mutated_document(text.encode(), random).decode()
        header = json.dumps(said).encode()
    elif change == "header":
        header = mutated_document(header, random)
    elif change == "numbers":
        numbers = mutated_bytes(numbers, random)
    lying = random.choice((0, 1, length - 1, length + 8, 2**40, 2**63)) if change == "length" else len(header)
    return _LENGTH.pack(lying) + header + numbers


def mutated_npy(content: bytes, random: Random) -> bytes:
    """Return an .npy file with its header or its numbers changed.

    Args:
        content: the file.
        random: where chance comes from.
    """
    if not content.startswith(_NPY_START + _NPY_VERSION_1):
        return mutated_bytes(content, random)
    start = len(_NPY_START) + len(_NPY_VERSION_1) + 2
    end = start + struct.unpack_from("<H", content, start - 2)[0]
    header, numbers = content[start:end], content[end:]
    if b"<U" in header and random.random() < 0.8:  # noqa: PLR2004 (a text: the document about the arrays)
        text = mutated_document(numbers.decode("utf-32-le").encode(), random).decode()
        numbers = text.encode("utf-32-le")
        header = header.replace(header[header.index(b"<U") : header.index(b"',")], f"<U{len(text)}".encode())
    elif random.random() < 0.7:  # noqa: PLR2004 (most of the time)
        words = header.split(b": ")
        place = random.randrange(len(words))
        header = b": ".join([*words[:place], random.choice(_NPY_WORDS) + b", ", *words[place + 1 :]])
    else:
        numbers = mutated_bytes(numbers, random)
    return _NPY_START + _NPY_VERSION_1 + struct.pack("<H", len(header) & 0xFFFF) + header + numbers

"""The pickle of a state dict, assembled opcode by opcode so that no torch is needed to write one.

*Source:* torch 2.13, what `torch.save` of an OrderedDict of tensors writes, protocol 2.
"""

import math
import struct
from collections.abc import Iterable, Mapping
from itertools import accumulate
from pickle import (
    BININT,
    BINPERSID,
    BINUNICODE,
    EMPTY_TUPLE,
    GLOBAL,
    LONG1,
    MARK,
    NEWFALSE,
    PROTO,
    REDUCE,
    SETITEMS,
    STOP,
    TUPLE,
)

from lstm_convert.containers import Stored
from lstm_convert.containers.torch_objects import STORAGE_DTYPES
from lstm_convert.errors import Unsupported

PROTOCOL = 2
STORAGES = {dtype: name for name, dtype in STORAGE_DTYPES.items() if not name.startswith(("Q", "Untyped"))}
"""The storage class of each type of number."""


def pickled(arrays: Mapping[str, Stored]) -> bytes:
    """Return the pickle of an OrderedDict in which the n-th array is a tensor in storage n.

    Raises:
        Unsupported: torch has no storage class for an array's type.
    """
    items = b"".join(_text(name) + _tensor(name, key, stored) for key, (name, stored) in enumerate(arrays.items()))
    return b"".join([PROTO, bytes([PROTOCOL]), _EMPTY_ORDERED_DICT, MARK, items, SETITEMS, STOP])


def _tensor(name: str, key: int, stored: Stored) -> bytes:
    """Return the call that rebuilds a tensor: its storage, offset, shape, strides, requires_grad and no hooks."""
    strides = [*accumulate(stored.shape[:0:-1], lambda step, size: step * max(size, 1), initial=1)][::-1]
    parts = [
        _storage(name, key, stored),
        _integer(0),
        _tuple(map(_integer, stored.shape)),
        _tuple(map(_integer, strides if stored.shape else [])),
        NEWFALSE,
        _EMPTY_ORDERED_DICT,
    ]
    return _global("torch._utils", "_rebuild_tensor_v2") + _tuple(parts) + REDUCE


def _storage(name: str, key: int, stored: Stored) -> bytes:
    storage = STORAGES.get(stored.dtype.name)
    if storage is None:
        raise Unsupported(
            f"the array {name} is of type {stored.dtype}, for which torch has no storage",
            next_step="Convert it to one of: " + ", ".join(STORAGES) + ".",
        )
    count = _integer(math.prod(stored.shape))
    return _tuple([_text("storage"), _global("torch", storage), _text(str(key)), _text("cpu"), count]) + BINPERSID


def _global(module: str, name: str) -> bytes:
    return GLOBAL + f"{module}\n{name}\n".encode()


def _tuple(parts: Iterable[bytes]) -> bytes:
    return MARK + b"".join(parts) + TUPLE


def _text(text: str) -> bytes:
    encoded = text.encode()
    return BINUNICODE + struct.pack("<I", len(encoded)) + encoded


def _integer(number: int) -> bytes:
    if number < 2**31:
        return BININT + struct.pack("<i", number)
    return LONG1 + struct.pack("<Bq", 8, number)


_EMPTY_ORDERED_DICT = _global("collections", "OrderedDict") + EMPTY_TUPLE + REDUCE

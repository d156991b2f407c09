"""Containers: bytes to named arrays with attributes, and back. A container never sees a framework's meaning.

Each module offers `sniff(head, path) -> bool` on a file's first bytes, `opened(path)`, a context manager that yields
`Contents`, and, where it can write, `write(path, contents)` and `opened(path, own=True)` for what that wrote where
nobody else writes. Nothing in a file is ever executed, and no path from a file is ever used as a path.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_convert.blocks import Rows, blocks_of
from lstm_convert.json_text import refuse_half_characters


@dataclass(frozen=True)
class Stored:
    """One array as it lies in a file, or is to: shape and dtype are known, the numbers are read when asked for."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read: Callable[[], NDArray[Any]]
    made: Rows | None = None
    """What makes its rows, where it is put together as it is written."""

    @classmethod
    def of(cls, array: NDArray[Any] | Rows) -> "Stored":
        """Return an array that is already at hand, or made of such, as a stored one."""
        return cls(array.shape, array.dtype, lambda: np.asarray(array), array if isinstance(array, Rows) else None)

    def blocks(self) -> Iterator[NDArray[Any]]:
        """Yield its rows in their order, contiguous and a few megabytes at a time."""
        return blocks_of(self.made or self.read())


@dataclass(frozen=True)
class Contents:
    """What a container holds: arrays by name in the file's order, and attributes by the path they hang on.

    The file's own attributes and documents (JSON texts and the like) are `attributes[""]`. Of a file that was read,
    `sha256` returns that of its bytes, which may still have to be waited for.

    Raises:
        InvalidFile: a name is no text that can be written, or printed.
    """

    arrays: Mapping[str, Stored]
    attributes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    sha256: Callable[[], str] = str

    def __post_init__(self) -> None:
        for name in (*self.arrays, *self.attributes):
            refuse_half_characters(name, "a name in it")

    def document(self, name: str) -> Any:
        """Return the attribute `name` of the file itself, or None."""
        return self.attributes.get("", {}).get(name)

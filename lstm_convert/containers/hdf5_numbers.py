"""The numbers of an array in an HDF5 file: where they lie, and the numbers themselves when they are asked for."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
from h5py import h5d, h5t

from lstm_convert.blocks import Array, kept, placed, rows_at_once
from lstm_convert.errors import InvalidFile

# Keras 3 keeps bfloat16 as bytes without a meaning.
_NUMBER_TYPES = (h5t.INTEGER, h5t.FLOAT, h5t.ENUM, h5t.OPAQUE)
_IN_PLACE = "fiuV"  # the kinds of number that lie in the file as in memory; V are bytes without a meaning


@dataclass(frozen=True)
class Numbers:
    """What reads the numbers of a dataset.

    Args:
        dataset: of an open file.
        path: what an error calls it.
        shape: its shape.
        dtype: of its numbers.
        content: the whole file.
        start: where the numbers begin; None where they do not lie in one piece.
    """

    dataset: h5d.DatasetID
    path: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    content: memoryview
    start: int | None

    def __call__(self) -> Array:
        """Return the numbers.

        Raises:
            InvalidFile: they are no numbers, or cannot be read.
        """
        stored = self.dataset.get_type()
        if stored.get_class() not in _NUMBER_TYPES:
            raise InvalidFile(f"{self.path} holds {self.dtype}, which are no numbers")
        try:
            if self.start is not None and self._lie_as_here(stored):
                return placed(self.content, self.dtype, self.shape, self.start)
            return kept(self.shape, self.dtype, _blocks(h5py.Dataset(self.dataset)))
        except OSError as error:
            raise InvalidFile(
                f"{self.path} cannot be read: {error}", next_step="Copy or download the file again."
            ) from error

    @property
    def are_in_place(self) -> bool:
        """Whether they are numbers, and lie in the file as they do in memory."""
        stored = self.dataset.get_type()
        return stored.get_class() in _NUMBER_TYPES and self._lie_as_here(stored)

    def _lie_as_here(self, stored: h5t.TypeID) -> bool:
        size = math.prod(self.shape) * self.dtype.itemsize
        whole = self.start is not None and self.start + size <= len(self.content)
        return whole and self.dtype.kind in _IN_PLACE and bool(stored == h5t.py_create(self.dtype))


def _blocks(dataset: h5py.Dataset) -> Iterator[Any]:
    """Yield a dataset's rows, some at a time, in whatever way they are stored."""
    if not dataset.shape:
        yield np.asarray(dataset[()])
        return
    at_once = rows_at_once(dataset.shape, dataset.dtype)
    whole_chunks = dataset.chunks[0] if dataset.chunks else 1  # a chunk is decompressed as a whole
    at_once = -(-at_once // whole_chunks) * whole_chunks
    yield from (dataset[start : start + at_once] for start in range(0, dataset.shape[0], at_once))

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
        content: the whole file.
        start: where the numbers begin; None where they do not lie in one piece.
    """

    dataset: h5d.DatasetID
    path: str
    content: memoryview
    start: int | None

    def __call__(self) -> Array:
        """Return the numbers.

        Raises:
            InvalidFile: they are no numbers, or cannot be read.
        """
        dataset, dtype = self.dataset, self.dataset.dtype
        if dataset.get_type().get_class() not in _NUMBER_TYPES:
            raise InvalidFile(f"{self.path} holds {dtype}, which are no numbers")
        try:
            if self.start is not None and self.are_in_place:
                return placed(self.content, dtype, dataset.shape, self.start)
            return kept(dataset.shape, dtype, _blocks(h5py.Dataset(dataset)))
        except OSError as error:
            raise InvalidFile(
                f"{self.path} cannot be read: {error}", next_step="Copy or download the file again."
            ) from error

    @property
    def are_in_place(self) -> bool:
        """Whether they are numbers, and lie in the file as they do in memory."""
        dtype: np.dtype[np.generic] = self.dataset.dtype
        as_here = dtype.kind in _IN_PLACE and self.dataset.get_type() == h5t.py_create(dtype)
        size = math.prod(self.dataset.shape) * dtype.itemsize
        return as_here and self.start is not None and self.start + size <= len(self.content)


def _blocks(dataset: h5py.Dataset) -> Iterator[Any]:
    """Yield a dataset's rows, some at a time, in whatever way they are stored."""
    if not dataset.shape:
        yield np.asarray(dataset[()])
        return
    at_once = rows_at_once(dataset.shape, dataset.dtype)
    whole_chunks = dataset.chunks[0] if dataset.chunks else 1  # a chunk is decompressed as a whole
    at_once = -(-at_once // whole_chunks) * whole_chunks
    yield from (dataset[start : start + at_once] for start in range(0, dataset.shape[0], at_once))

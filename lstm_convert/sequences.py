"""The sequences on which two layers are compared: seeded, of several lengths, with states and masks."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_convert.canonical import Recurrent
from lstm_convert.containers import npy
from lstm_convert.errors import InvalidFile

Array = NDArray[Any]

LENGTHS = (1, 7, 50)
BATCHES = (1, 4)

_LARGEST_DATA = 1 << 30
_DIMENSIONS = 3
_BATCH_FIRST = "expected numbers of shape (batch, time, features)"
# Random numbers are multiples of this, below 4 in size: exact in every numbers' type, so that all sides see the same.
_GRAIN = 1 / 64
_LARGEST = 255 * _GRAIN
_COUNTING = 0.7


@dataclass(frozen=True, eq=False)
class Trial:
    """What goes into a layer once.

    Args:
        x: (batch, time, inputs).
        h0: the initial output state of each direction.
        c0: the initial cell state of each direction.
        mask: which steps count, (batch, time), or None where no mask reaches the layer.
    """

    x: Array
    h0: tuple[Array, ...]
    c0: tuple[Array, ...]
    mask: Array | None

    @property
    def steps(self) -> int:
        """The length of the sequences."""
        return int(self.x.shape[1])


def trials(
    layer: Recurrent, random: np.random.Generator, data: Array | None = None, *, masked: bool = False
) -> Iterator[Trial]:
    """Yield what a layer is run on: seeded sequences of each length and batch size, or the user's own.

    Args:
        layer: whose sizes count.
        random: of the sequences, the initial states, none of which is zero, and the masks.
        data: (batch, time, features), taken in place of seeded sequences where the features are the layer's inputs.
        masked: whether a mask is given.
    """
    inputs = layer.forward.inputs
    if data is not None and data.shape[2] == inputs:
        xs: Sequence[Array] = [data]
    else:
        xs = [normal(random, (batch, steps, inputs)) for steps in LENGTHS for batch in BATCHES]
    for x in xs:
        h0 = tuple(normal(random, (len(x), cell.outputs)) for cell in layer.cells.values())
        c0 = tuple(normal(random, (len(x), cell.units)) for cell in layer.cells.values())
        yield Trial(x, h0, c0, random.random(x.shape[:2]) < _COUNTING if masked else None)


def normal(random: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Return normal numbers, none of them zero, that every type of number holds exactly.

    Args:
        random: their source.
        shape: of the array.
    """
    grains = np.round(random.normal(size=shape) / _GRAIN)
    return np.clip(np.where(grains == 0, 1, grains) * _GRAIN, -_LARGEST, _LARGEST)


def read_data(path: str | os.PathLike[str]) -> Array:
    """Return the user's own sequences from a .npy file.

    Args:
        path: an array of numbers, (batch, time, features).

    Raises:
        InvalidFile: it is no such array, too large, or holds numbers that are none.
    """
    return checked_data(_opened(Path(path)), str(path))


def read_numbers(path: str | os.PathLike[str]) -> Array:
    """Return an array of numbers of any shape from a .npy file, in float64.

    Args:
        path: an array of numbers, (batch, …).

    Raises:
        InvalidFile: it is no such array, too large, or holds numbers that are none.
    """
    array = _opened(Path(path))
    if not array.ndim or array.dtype.kind not in "iuf" or 0 in array.shape:
        raise InvalidFile(
            f"{path}: has the wrong shape or type", [f"expected an array of numbers, found {array.dtype} {array.shape}"]
        )
    return _finite(array, str(path))


def _opened(path: Path) -> Array:
    try:
        return npy.read(path, _LARGEST_DATA)
    except InvalidFile as error:
        what = f"{path}: cannot be read as sequences: {error.what}"
        raise InvalidFile(what, [_BATCH_FIRST], "Write it with numpy.save(path, x).") from error
    except OSError as error:
        raise InvalidFile(
            f"{path}: cannot be read: {error.strerror or error}", next_step="Name a readable file."
        ) from error


def checked_data(array: Array, name: str = "data") -> Array:
    """Return sequences in float64.

    Args:
        array: (batch, time, features).
        name: what an error calls them.

    Raises:
        InvalidFile: they have another shape, or numbers that are none.
    """
    if array.ndim != _DIMENSIONS or array.dtype.kind not in "iuf" or 0 in array.shape:
        raise InvalidFile(
            f"{name}: has the wrong shape or type", [f"{_BATCH_FIRST}, found {array.dtype} {array.shape}"],
            "x[None] makes one sequence a batch of one.",
        )  # fmt: skip
    return _finite(array, name)


def _finite(array: Array, name: str) -> Array:
    with np.errstate(invalid="ignore"):  # some NaN are an error by themselves to some processors
        wide = np.array(array, np.float64)
    if not np.isfinite(wide).all():
        raise InvalidFile(f"{name}: holds numbers that are NaN or infinite", next_step="Replace them first.")
    return wide

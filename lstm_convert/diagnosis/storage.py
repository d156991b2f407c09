"""The ways in which a kernel's numbers land in the wrong places: transposed, reshaped, interleaved."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, reduce
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
Move = Callable[[Float64], Float64]

_SAMPLE = 256


@dataclass(frozen=True)
class Misreading:
    """A kernel's memory taken for something else; it moves every number and loses none.

    Args:
        name: what kind it is: `transposed`, `reshaped`, `cudnn`, `uncudnn` or `interleaved`.
        detail: what was done, in words.
        make: a kernel, (4, units, inputs), to what it becomes.
        undo: the way back.
    """

    name: str
    detail: str
    make: Move
    undo: Move


Misreadings = tuple[Misreading, ...]


def made(misreadings: Misreadings, kernel: Float64) -> Float64:
    """Return what a kernel becomes by one misreading after another."""
    return reduce(lambda done, misreading: misreading.make(done), misreadings, kernel)


def undone(misreadings: Misreadings, kernel: Float64) -> Float64:
    """Return what a kernel was before it was misread."""
    return reduce(lambda done, misreading: misreading.undo(done), reversed(misreadings), kernel)


def singles(units: int, inputs: int) -> Iterator[Misreadings]:
    """Yield no misreading, and then each that a kernel of these sizes can suffer."""
    yield ()
    yield from ((misreading,) for misreading in _all(units, inputs))


def singles_and_pairs(units: int, inputs: int) -> Iterator[Misreadings]:
    """Yield no misreading, each, and every two different ones that a kernel can suffer one after the other."""
    yield from singles(units, inputs)
    yield from permutations(_all(units, inputs), 2)


@lru_cache(maxsize=512)
def sampled(shape: tuple[int, ...], misreadings: Misreadings, *, undoing: bool) -> NDArray[np.intp]:
    """Return where some numbers of each gate come from when a kernel is misread, or that is undone: (4, numbers).

    Args:
        shape: the kernel's shape.
        misreadings: what is done to it.
        undoing: whether it is undone instead.
    """
    places = np.arange(float(np.prod(shape))).reshape(shape)
    moved = (undone if undoing else made)(misreadings, places).reshape(shape[0], -1)
    return moved[:, :: max(1, moved.shape[1] // _SAMPLE)].astype(np.intp)


def _all(units: int, inputs: int) -> Iterator[Misreading]:
    if inputs == units:
        yield Misreading("transposed", "each gate's block is transposed", _swap_axes, _swap_axes)
    else:
        yield Misreading("cudnn", "each gate's block is the memory of cuDNN's", _block_to_cudnn, _block_from_cudnn)
        yield Misreading(
            "uncudnn", "each gate's block is reshaped instead of transposed", _block_from_cudnn, _block_to_cudnn
        )
    if inputs == 4 * units:
        yield Misreading("reshaped", "the whole array is transposed", _transpose, _transpose)
    yield Misreading(
        "reshaped", "(inputs, 4 units) reshaped to (4 units, inputs) instead of transposed", _to_rows, _to_columns
    )
    yield Misreading(
        "reshaped", "(4 units, inputs) reshaped to (inputs, 4 units) instead of transposed", _to_columns, _to_rows
    )
    yield INTERLEAVED
    yield APART


def _swap_axes(kernel: Float64) -> Float64:
    return kernel.transpose(0, 2, 1)


def _transpose(kernel: Float64) -> Float64:
    return _whole(kernel).T.reshape(kernel.shape)


def _to_rows(kernel: Float64) -> Float64:
    return np.ascontiguousarray(_whole(kernel).T).reshape(kernel.shape)


def _to_columns(kernel: Float64) -> Float64:
    rows, inputs = _whole(kernel).shape
    return np.ascontiguousarray(_whole(kernel)).reshape(inputs, rows).T.reshape(kernel.shape)


def _block_to_cudnn(kernel: Float64) -> Float64:
    gates, units, inputs = kernel.shape
    return np.ascontiguousarray(kernel).reshape(gates, inputs, units).transpose(0, 2, 1)


def _block_from_cudnn(kernel: Float64) -> Float64:
    return np.ascontiguousarray(kernel.transpose(0, 2, 1)).reshape(kernel.shape)


def interleave(array: Float64) -> Float64:
    """Return an array, gates first, whose rows are the gates of the first unit, then those of the second."""
    return np.ascontiguousarray(np.moveaxis(array, 0, 1)).reshape(array.shape)


def take_apart(array: Float64) -> Float64:
    """Return an array, gates first, of one whose rows are interleaved."""
    gates, units, *rest = array.shape
    return np.moveaxis(np.ascontiguousarray(array).reshape(units, gates, *rest), 1, 0)


def _whole(kernel: Float64) -> Float64:
    """Return the gates below each other: (4 * units, inputs)."""
    return kernel.reshape(-1, kernel.shape[-1])


INTERLEAVED = Misreading("interleaved", "the gates of each unit stand side by side", interleave, take_apart)
APART = Misreading("interleaved", "the gates are taken for side by side in each unit", take_apart, interleave)

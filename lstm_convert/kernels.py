"""Kernels to multiply by in float64, turned: held where they are small, made a block at a time where they are not."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_convert.mapped import let_go

Array = NDArray[Any]
Float64 = NDArray[np.float64]

_MOST_HELD = 1 << 20
# So many numbers of a larger kernel are in float64 at a time: they stay in a processor's cache.
_AT_ONCE = 1 << 18


def turned(kernels: Sequence[Array]) -> "Float64 | Kernels":
    """Return kernels turned, (kernels, inputs, outputs), in float64, for an array to be multiplied by (`x @ kernels`).

    Args:
        kernels: of one shape, (outputs, inputs) each.
    """
    if len(kernels) * math.prod(kernels[0].shape) > _MOST_HELD:
        return Kernels(kernels)
    # Anew, so that equal weights give equal sums however their file stored them.
    return np.array(kernels, np.float64).transpose(0, 2, 1)


class Kernels:
    """Large kernels, which are multiplied by as the array of them would be that `turned` does not make.

    Args:
        each: the kernels, (outputs, inputs) each.
    """

    __array_ufunc__ = None  # NumPy leaves it to this class to be multiplied

    def __init__(self, each: Sequence[Array]) -> None:
        self._each = each

    def __getitem__(self, at: Any) -> "Kernels | Kernel":
        return Kernels(self._each[at]) if isinstance(at, slice) else Kernel(self._each[at])

    def __rmatmul__(self, x: Float64) -> Float64:
        x = x if x.ndim > 2 else x[None]  # noqa: PLR2004 (the axis of the kernels is the one before a matrix)
        return np.concatenate([x @ Kernel(kernel) for kernel in self._each], axis=-3)


class Kernel:
    """One large kernel.

    Args:
        numbers: (outputs, inputs).
    """

    __array_ufunc__ = None

    def __init__(self, numbers: Array) -> None:
        self._numbers = numbers

    def __rmatmul__(self, x: Float64) -> Float64:
        """Return the product, of one block after another along the axis whose numbers lie farther apart."""
        kernel = self._numbers
        by_outputs = abs(kernel.strides[0]) > abs(kernel.strides[1])
        made = np.zeros((*x.shape[:-1], len(kernel)))
        count, width = kernel.shape if by_outputs else kernel.shape[::-1]
        at_once = max(1, _AT_ONCE // width)
        for start in range(0, count, at_once):
            at = slice(start, start + at_once)
            block = kernel[at] if by_outputs else kernel[:, at]
            numbers = block.astype(np.float64).T
            if by_outputs:
                made[..., at] = x @ numbers
            else:
                made += x[..., at] @ numbers
            let_go(block)
        return made

"""When two numbers are one number rounded, and to what."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_convert.canonical import RecurrentCell

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class Precision:
    """How far rounding to a type takes a number.

    Args:
        name: the type, or empty where nothing was rounded on purpose.
        unit: the largest relative error.
        floor: the largest absolute error of numbers too small for the type's full precision.
    """

    name: str
    unit: float
    floor: float

    def rounded(self, array: Float64) -> Float64:
        """Return an array rounded to the type."""
        return np.asarray(array.astype(_dtype(self.name)), np.float64)


# Conversions round a float32 now and then: a bias that is a sum, a kernel scaled by 6/5.
KEPT = Precision("", 2.0**-22, 2.0**-140)
# The narrower first: what fits in bfloat16 mostly fits in float16 too, and may have been rounded to it before.
NARROW = (Precision("bfloat16", 2.0**-8 + 2.0**-11, 2.0**-25), Precision("float16", 2.0**-11, 2.0**-25))


def lost(a: RecurrentCell, b: RecurrentCell, stored: np.dtype[Any]) -> Precision:
    """Return to what the second cell's kernels were rounded, if those of the first were not.

    Args:
        a: the right cell, in float64.
        b: the other cell, in float64.
        stored: the type in which the right cell was stored.
    """
    for precision in NARROW:
        if _fits(b, precision) and not _fits(a, precision):
            return precision
    for precision in NARROW:
        if stored.name == precision.name:
            return Precision("", precision.unit, precision.floor)
    return KEPT


def close(expected: Float64, found: Float64, precision: Precision) -> bool:
    """Return whether every number found is the expected one, rounded."""
    return bool((np.abs(found - expected) <= precision.unit * np.abs(expected) + precision.floor).all())


def similar(expected: Float64, found: Float64, precision: Precision) -> bool:
    """Return whether two arrays may hold the same numbers, whatever their signs and places."""
    return sums_agree(sums(expected), sums(found), expected.size, precision)


def sums(array: Float64) -> tuple[float, float]:
    """Return the sum of magnitudes and that of squares, which neither signs nor places change."""
    return float(np.abs(array).sum()), float(np.square(array).sum())


def sums_agree(expected: tuple[float, float], found: tuple[float, float], size: int, precision: Precision) -> bool:
    """Return whether two arrays may hold the same numbers, by their sums.

    Rounding errors mostly cancel in sums, so two trainings rarely agree so far.

    Args:
        expected: the sums of one array.
        found: those of the other, which may be rounded.
        size: how many numbers each has.
        precision: how far the other may be rounded.
    """
    tolerance = precision.unit * min(1.0, 6.0 / np.sqrt(size)) if precision.name else 4.0 * precision.unit
    return all(
        abs(one - other) <= power * tolerance * one + size * precision.floor
        for power, one, other in zip((1, 2), expected, found, strict=True)
    )


def _fits(cell: RecurrentCell, precision: Precision) -> bool:
    kernels = (np.asarray(cell.W), np.asarray(cell.U))
    return all(np.array_equal(_corner(X), precision.rounded(_corner(X))) for X in kernels) and all(
        np.array_equal(X, precision.rounded(X)) for X in kernels
    )


def _corner(array: Float64) -> Float64:
    return array[:, :8, :8]


def _dtype(name: str) -> np.dtype[Any]:
    if name == "bfloat16":
        import ml_dtypes  # noqa: PLC0415 (loaded when it is needed)

        narrow: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
        return narrow
    return np.dtype(name)

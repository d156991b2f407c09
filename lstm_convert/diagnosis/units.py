"""Which unit of one cell is which of another, when they stand in another order and with other signs."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lstm_convert.canonical import GATES
from lstm_convert.diagnosis.hypotheses import Units
from lstm_convert.diagnosis.orders import Order
from lstm_convert.diagnosis.precision import Precision, close

Float64 = NDArray[np.float64]

_CANDIDATE = GATES.index("g")


@dataclass(frozen=True, eq=False)
class Matched:
    """Units found in another cell, and where their signs show.

    Args:
        units: the signed permutation.
        gates_first: whether the gates were reordered before the signs were flipped, and not after.
        block: the block, counted in the other cell, whose rows are flipped.
    """

    units: Units
    gates_first: bool
    block: int


def matched(kernel: Float64, other: Float64, order: Order, precision: Precision) -> Matched | None:
    """Return which units make one kernel another, or None where no signed permutation does.

    Args:
        kernel: the right kernel, its gates already reordered, (4, units, inputs).
        other: the other kernel.
        order: how the gates were reordered, which tells the candidate's block.
        precision: how far the other was rounded.
    """
    lengths, others = (np.sort(np.abs(array).sum(axis=2), axis=1) for array in (kernel, other))
    if not close(lengths, others, replace(precision, floor=precision.floor * kernel.shape[2])):
        return None
    places = _nearest(np.abs(kernel), np.abs(other))
    if places is None or not close(np.abs(kernel[:, places]), np.abs(other), precision):
        return None
    agreement = (kernel[:, places] * other).sum(axis=2)
    signs = np.where(agreement < 0, -1.0, 1.0)
    if not close(kernel[:, places] * signs[:, :, None], other, precision):
        return None
    flipped = [block for block in range(len(GATES)) if (signs[block] < 0).any()]
    if not flipped:
        return Matched(Units(places, np.ones(len(places))), gates_first=True, block=_CANDIDATE)
    if len(flipped) > 1 or _CANDIDATE not in (flipped[0], order[flipped[0]]):
        return None
    return Matched(Units(places, signs[flipped[0]]), gates_first=flipped[0] == _CANDIDATE, block=flipped[0])


def moved(kernel: Float64, found: Matched, *, columns: bool) -> Float64:
    """Return a recurrent kernel with its units, and where they are what it reads its columns, moved as was found."""
    units = found.units
    rows: Float64 = kernel[:, units.order].copy()
    rows[found.block] *= units.signs[:, None]
    return rows[:, :, units.order] * units.signs if columns else rows


def _nearest(magnitudes: Float64, others: Float64) -> NDArray[np.intp] | None:
    """Return for each unit of the other kernel the one whose rows are nearest, if each is nearest to one."""
    rows, wanted = (np.concatenate(list(array), axis=1) for array in (magnitudes, others))
    distances = (rows**2).sum(axis=1) - 2.0 * (wanted @ rows.T)
    places = distances.argmin(axis=1)
    return places if np.bincount(places).max() == 1 else None

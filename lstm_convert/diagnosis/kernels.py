"""What was done to W and U: gates reordered, memory misread, units permuted.

Whatever was done moved numbers and lost none, so it is found by looking where each gate's numbers are now. A memory
misread before the gates were reordered is not the same as after: both are tried.
"""

from collections.abc import Callable, Iterator
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from lstm_convert.canonical import Activation, LSTMCell
from lstm_convert.diagnosis import storage, units
from lstm_convert.diagnosis.naming import Explanation, Found, named
from lstm_convert.diagnosis.orders import STRAIGHT, Order
from lstm_convert.diagnosis.precision import Precision, close, similar, sums, sums_agree
from lstm_convert.diagnosis.storage import Misreadings
from lstm_convert.diagnosis.units import Matched

Float64 = NDArray[np.float64]
# Two kernels between which nothing is left but reordered gates, and moved units.
Pair = tuple[Float64, Float64]

_ORDERS: tuple[Order, ...] = tuple(permutations(STRAIGHT))
_ODD = {"tanh", "linear", "softsign", "hard_tanh", "tanh_shrink", "hard_shrink", "soft_shrink"}


def explanations(a: LSTMCell, b: LSTMCell, precision: Precision) -> Iterator[Explanation]:
    """Yield what may have made the kernels of one cell those of another, the simplest first.

    Args:
        a: the right cell, in float64.
        b: the other, of the same sizes.
        precision: how far the other was rounded.
    """
    kernels = [(np.asarray(getattr(a, name)), np.asarray(getattr(b, name))) for name in ("W", "U")]
    if not all(similar(one, other, precision) for one, other in kernels):
        return
    in_place = [_all_in_place(kernels, storage.singles, paired, precision) for paired in _ORDER_OF_EVENTS]
    for found, paired in zip(in_place, _ORDER_OF_EVENTS, strict=True):
        if found:
            yield from named(*found, None, misread_last=paired is _read_last)
            if not any(kernel.misread for kernel in found):
                return
    if any(in_place):
        return
    for paired in _ORDER_OF_EVENTS:
        for of_kernel, of_recurrent, moved in _moved(a, kernels, paired, precision):
            yield from named(of_kernel, of_recurrent, moved, misread_last=paired is _read_last)
    for paired in _ORDER_OF_EVENTS:
        if both := _all_in_place(kernels, storage.singles_and_pairs, paired, precision):
            yield from named(*both, None, misread_last=paired is _read_last)


def _read_last(misread: Misreadings, kernel: Float64, other: Float64) -> Pair:
    """Return what is left to compare where the memory was misread last."""
    return kernel, storage.undone(misread, other)


def _read_first(misread: Misreadings, kernel: Float64, other: Float64) -> Pair:
    """Return what is left to compare where the memory was misread first."""
    return storage.made(misread, kernel), other


_Paired = Callable[[Misreadings, Float64, Float64], Pair]
_Catalogue = Callable[[int, int], Iterator[Misreadings]]
_ORDER_OF_EVENTS: tuple[_Paired, ...] = (_read_last, _read_first)


def _all_in_place(
    kernels: list[Pair], catalogue: _Catalogue, paired: _Paired, precision: Precision
) -> tuple[Found, Found] | None:
    """Return what was done to W and to U, where that explains both."""
    of_kernel = _in_place(*kernels[0], catalogue, paired, precision)
    of_recurrent = _in_place(*kernels[1], catalogue, paired, precision) if of_kernel else None
    return (of_kernel, of_recurrent) if of_kernel and of_recurrent else None


def _in_place(
    kernel: Float64, other: Float64, catalogue: _Catalogue, paired: _Paired, precision: Precision
) -> Found | None:
    """Return how the gates of one kernel became those of another, all units in their places."""
    for misread_so in catalogue(*kernel.shape[1:]):
        right, wrong = _samples(misread_so, kernel, other, paired)
        fits = [[close(gate, place, precision) for gate in right] for place in wrong]
        for order in _ORDERS:
            if all(fits[place][gate] for place, gate in enumerate(order)):
                right, wrong = paired(misread_so, kernel, other)
                if all(close(right[gate], wrong[place], precision) for place, gate in enumerate(order)):
                    return Found(misread_so, order)
    return None


def _samples(misread_so: Misreadings, kernel: Float64, other: Float64, paired: _Paired) -> Pair:
    """Return some numbers of each gate of what is left to compare, without moving all."""
    last = paired is _read_last
    straight = storage.sampled(kernel.shape, (), undoing=last)
    moved = storage.sampled(kernel.shape, misread_so, undoing=last)
    return kernel.ravel()[straight if last else moved], other.ravel()[moved if last else straight]


def _moved(
    cell: LSTMCell, kernels: list[Pair], paired: _Paired, precision: Precision
) -> Iterator[tuple[Found, Found, Matched]]:
    """Yield how kernels became others whose units were permuted."""
    (kernel, other), (recurrent, other_recurrent) = kernels
    columns = cell.projection is None
    for misread_so in storage.singles(*kernel.shape[1:]):
        right, wrong = paired(misread_so, kernel, other)
        for order in _similar_orders(right, wrong, precision):
            found = units.matched(right[list(order)], wrong, order, precision)
            if found is None or not _may_flip(cell, found):
                continue
            for of_recurrent in storage.singles(*recurrent.shape[1:]):
                pair = paired(of_recurrent, recurrent, other_recurrent)
                if close(units.moved(pair[0][list(order)], found, columns=columns), pair[1], precision):
                    yield Found(misread_so, order), Found(of_recurrent, order), found


def _similar_orders(right: Float64, wrong: Float64, precision: Precision) -> list[Order]:
    gates, places = ([sums(block) for block in kernel] for kernel in (right, wrong))
    fits = [[sums_agree(gate, place, right[0].size, precision) for gate in gates] for place in places]
    return [order for order in _ORDERS if all(fits[place][gate] for place, gate in enumerate(order))]


def _may_flip(cell: LSTMCell, found: Matched) -> bool:
    """Return whether the cell is the same with the signs that were found; they flip only what is odd."""
    return bool((found.units.signs > 0).all()) or (_is_odd(cell.candidate) and _is_odd(cell.output))


def _is_odd(activation: Activation) -> bool:
    return activation.name in _ODD

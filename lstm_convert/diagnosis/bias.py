"""Which mistakes were made with the biases, beside those made with everything."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import permutations, product

import numpy as np
from numpy.typing import NDArray

from lstm_convert.canonical import GATES, Cell, LSTMCell
from lstm_convert.diagnosis.hypotheses import Hypothesis, made
from lstm_convert.diagnosis.orders import STRAIGHT, letters
from lstm_convert.diagnosis.precision import Precision

Float64 = NDArray[np.float64]
# The two biases of a cell, the input side's first: (2, 4, units).
Sides = NDArray[np.float64]

# Each of two biases may be rounded, and their sum, and what it becomes.
_ROUNDINGS = 4
_FORGET = GATES.index("f")


@dataclass(frozen=True)
class BiasMistake:
    """One mistake made with the two biases of a cell, which count as their sum."""

    name: str
    detail: str
    make: Callable[[Sides], Sides]

    def of_cells(self) -> Hypothesis:
        """Return the same mistake as one of whole cells."""

        def make(cell: LSTMCell) -> LSTMCell:
            b, b_rec = self.make(sides(cell))
            return cell.with_arrays({"b": b, "b_rec": b_rec})

        return Hypothesis(self.name, self.detail, make)


Found = tuple[tuple[BiasMistake, ...], tuple[BiasMistake, ...]]


def sides(cell: Cell) -> Sides:
    """Return the two biases of a cell in float64, zeros for one that it has not."""
    zeros = np.zeros((len(cell.letters), cell.units))
    return np.array([zeros if bias is None else np.asarray(bias, np.float64) for bias in (cell.b, cell.b_rec)])


def explained(a: LSTMCell, b: LSTMCell, joint: tuple[Hypothesis, ...], precision: Precision) -> Found | None:
    """Return the fewest mistakes, two at most, made with the biases before and after what was done to everything.

    Args:
        a: the right cell.
        b: the other cell.
        joint: what was done to all arrays.
        precision: how far the biases were rounded.
    """
    found, move = sides(b).sum(axis=0), _Move.of(a, joint)
    catalogue = list(_mistakes(sides(a)))
    for before, after in _attempts(catalogue, crossing=not move.leaves_all):
        made_before = _made(sides(a), before)
        expected = _made(move(made_before), after)
        tolerance = _ROUNDINGS * precision.unit * np.abs(expected).sum(axis=0) + precision.floor
        if (np.abs(found - expected.sum(axis=0)) <= tolerance).all():
            return before, after
    return None


@dataclass(frozen=True, eq=False)
class _Move:
    """What happens to biases by what is done to all arrays: each number comes from some place, times some factor."""

    places: NDArray[np.intp]
    factors: Float64

    @classmethod
    def of(cls, cell: LSTMCell, joint: tuple[Hypothesis, ...]) -> "_Move":
        ones = np.ones((4, cell.units))
        numbered = np.arange(1.0, ones.size + 1.0).reshape(ones.shape)
        factors, moved = sides(made(cell.with_arrays({"b": ones, "b_rec": numbered}), joint))
        return cls(np.rint(moved / factors).astype(np.intp) - 1, factors)

    @property
    def leaves_all(self) -> bool:
        straight = np.arange(self.places.size).reshape(self.places.shape)
        return bool((self.places == straight).all() and (self.factors == 1.0).all())

    def __call__(self, both: Sides) -> Sides:
        moved: Sides = both.reshape(len(both), -1)[:, self.places] * self.factors
        return moved


def _attempts(catalogue: list[BiasMistake], *, crossing: bool) -> Iterator[Found]:
    """Yield what may have been done before and after everything else, the fewest mistakes first."""
    singles = [(mistake,) for mistake in catalogue]
    pairs = [pair for pair in product(catalogue, repeat=2) if pair[0].name != pair[1].name]
    yield (), ()
    yield from ((single, ()) for single in singles)
    if crossing:
        yield from (((), single) for single in singles)
    yield from ((pair, ()) for pair in pairs)
    if crossing:
        yield from (((one,), (other,)) for one, other in pairs)
        yield from (((), pair) for pair in pairs)


def _made(both: Sides, mistakes: tuple[BiasMistake, ...]) -> Sides:
    for mistake in mistakes:
        both = mistake.make(both)
    return both


def _mistakes(both: Sides) -> Iterator[BiasMistake]:
    """Yield every mistake with biases, the likelier first."""
    yield BiasMistake("bias_doubled", "the bias counts twice", lambda sides: 2.0 * sides)
    yield BiasMistake("bias_dropped", "the bias is zero", np.zeros_like)
    if both[0].any() and both[1].any():
        yield _side_dropped(0, "the input side's bias is dropped, the recurrent side's kept")
        yield _side_dropped(1, "the recurrent side's bias is dropped, the input side's kept")
    yield BiasMistake("bias_dropped", "half of the bias is dropped", lambda sides: 0.5 * sides)
    yield _added("forget_bias_missing", "the 1 added to the forget gate's bias is missing", {_FORGET: -1.0})
    yield _added("forget_bias_twice", "1 is added to the forget gate's bias once more", {_FORGET: 1.0})
    for order in permutations(STRAIGHT):
        if order != STRAIGHT:
            yield _misplaced(order)
    for gate in STRAIGHT:
        if gate != _FORGET:
            detail = f"the forget gate's bias of 1 stands on {GATES[gate]}"
            yield _added("bias_misplaced", detail, {_FORGET: -1.0, gate: 1.0})
    for gate in STRAIGHT:
        yield _of_gate("bias_dropped", f"the bias of {GATES[gate]} is zero", gate, 0.0)
        yield _of_gate("bias_doubled", f"the bias of {GATES[gate]} counts twice", gate, 2.0)


def _side_dropped(side: int, detail: str) -> BiasMistake:
    kept = np.array([1.0, 1.0])
    kept[side] = 0.0
    return BiasMistake("bias_dropped", detail, lambda sides: sides * kept[:, None, None])


def _added(name: str, detail: str, numbers: dict[int, float]) -> BiasMistake:
    def make(sides: Sides) -> Sides:
        done = sides.copy()
        for gate, number in numbers.items():
            done[1, gate] += number
        return done

    return BiasMistake(name, detail, make)


def _misplaced(order: tuple[int, ...]) -> BiasMistake:
    detail = f"the biases of {letters(order)} stand where those of {letters(STRAIGHT)} belong"
    return BiasMistake("bias_misplaced", detail, lambda sides: sides[:, list(order)])


def _of_gate(name: str, detail: str, gate: int, factor: float) -> BiasMistake:
    factors = np.ones(len(GATES))
    factors[gate] = factor
    return BiasMistake(name, detail, lambda sides: sides * factors[:, None])

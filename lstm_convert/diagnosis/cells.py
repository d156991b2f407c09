"""What was done to one cell: candidates from the weights, confirmed by what both cells compute."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lstm_convert.canonical import Activation, Cell, LSTMCell, Recurrent
from lstm_convert.diagnosis import bias, kernels, precision
from lstm_convert.diagnosis.hypotheses import (
    Hypothesis,
    Units,
    activations_replaced,
    gates_scaled,
    in_float64,
    made,
    precision_lost,
)
from lstm_convert.diagnosis.precision import NARROW, Precision, close
from lstm_convert.reference import run
from lstm_convert.table import KERAS_2, KERAS_3

Float64 = NDArray[np.float64]

STEPS = 7
BATCH = 2
SEED = 0

# What rounding a float32 a few times a step can do, as in the proof of a conversion, for outputs of size 1.
TOLERANCE = 8 * STEPS * 2.0**-23
# Where more than that is left, undoing the mistakes has to take away at least this much of the error.
MOST_LEFT = 0.02

# What the gates' weights are scaled by where an old hard_sigmoid becomes Keras 3's: 6/5.
_OLD, _OF_KERAS_3 = (row.activations["hard_sigmoid"].parameters["slope"] for row in (KERAS_2, KERAS_3))
_SCALE = _OLD / _OF_KERAS_3


@dataclass(frozen=True)
class Explained:
    """What was done to a cell, which may be nothing.

    Args:
        mistakes: the mistakes; what changes most comes first.
        residual: what they leave unexplained.
        units: how the units were permuted, or None.
    """

    mistakes: tuple[Hypothesis, ...]
    residual: float
    units: Units | None = None


def explained(a: Cell, b: Cell) -> Explained | None:
    """Return what was done to a right cell to make it another, or None where no known mistakes explain it.

    Args:
        a: the right cell.
        b: the other cell.

    Raises:
        Unsupported: an activation of theirs cannot be computed.
    """
    if not comparable(a, b):
        return None
    results = _results(a), _results(b)
    before, tolerance = _apart(*results), TOLERANCE * max(1.0, *(float(np.abs(result).max()) for result in results[0]))
    if before <= tolerance:
        return Explained((), before)
    # The known mistakes are those made with the gates of an LSTM.
    if not isinstance(a, LSTMCell) or not isinstance(b, LSTMCell):
        return None
    right, other = in_float64(a), in_float64(b)
    wanted = _Wanted(right, *results)
    lost = precision.lost(right, other, a.W.dtype)
    for reading in _readings(right, other):
        if found := _explained_so(wanted, other, reading, lost):
            return found
    return None


def comparable(a: Cell, b: Cell) -> bool:
    """Return whether two cells differ in their numbers and activations alone."""
    return _facts(a) == _facts(b)


def _facts(cell: Cell) -> dict[str, object]:
    """Return what must be equal for two cells to be comparable, by what it is called."""
    extras = {name: "one" for name in cell.arrays() if name in ("projection", "peephole")}
    sizes = {"inputs": cell.inputs, "units": cell.units, "outputs": cell.outputs}
    return {"kind": cell.kind, **sizes, **cell.settings(), **extras}


def difference(a: Cell, b: Cell) -> str:
    """Return in words how two cells differ that no mistake makes each other."""
    if not comparable(a, b):
        ones, others = _facts(a), _facts(b)
        both = [(name, ones.get(name, "none"), others.get(name, "none")) for name in ones | others]
        if a.kind != b.kind:
            both = both[:1]
        return "; ".join(
            f"{name.replace('_', ' ')}: {one} in the right one, {other} in the other"
            for name, one, other in both
            if one != other
        )
    parts = {"W": (a.W, b.W), "U": (a.U, b.U), "biases": (bias.sides(a).sum(axis=0), bias.sides(b).sum(axis=0))}
    far = [
        f"{name} by {np.linalg.norm(np.subtract(other, one, dtype=np.float64)) / size:.0%}"
        for name, (one, other) in parts.items()
        if (size := float(np.linalg.norm(np.asarray(one, np.float64))))
    ]
    return f"no known mistake makes one the other; relative to their size, the weights differ: {', '.join(far)}"


def distance(a: Cell, b: Cell) -> float:
    """Return the largest difference of any output or state of two cells on the same random sequences."""
    return _apart(_results(a), _results(b))


@dataclass(frozen=True, eq=False)
class _Wanted:
    """What a right cell computes, and what the other does, which is to be explained.

    Args:
        right: the right cell, in float64.
        results: its outputs and states.
        others: those of the other cell.
    """

    right: LSTMCell
    results: tuple[Float64, ...]
    others: tuple[Float64, ...]

    @property
    def before(self) -> float:
        """The error with nothing undone."""
        return _apart(self.results, self.others)

    @property
    def tolerance(self) -> float:
        """The error that rounding explains."""
        return TOLERANCE * max(1.0, *(float(np.abs(result).max()) for result in self.results))

    def left(self, done: LSTMCell) -> float:
        """Return the error left where a cell is what the right one becomes by mistakes."""
        return _apart(_results(done), self.others)

    def effect(self, hypothesis: Hypothesis) -> float:
        """Return how much one mistake alone changes what the right cell computes."""
        return _apart(_results(hypothesis.make(self.right)), self.results)


def _apart(results: tuple[Float64, ...], others: tuple[Float64, ...]) -> float:
    return max(float(np.abs(one - other).max()) for one, other in zip(results, others, strict=True))


@dataclass(frozen=True)
class _Reading:
    """A way to see what the activations have to do with the weights.

    Args:
        before: what was done first.
        after: what was done last.
        undone: the other cell without what was done last.
    """

    before: tuple[Hypothesis, ...] = ()
    after: tuple[Hypothesis, ...] = ()
    undone: Callable[[LSTMCell], LSTMCell] = lambda cell: cell


def _readings(a: LSTMCell, b: LSTMCell) -> Iterator[_Reading]:
    """Yield what may have been done to i, f and o for the sake of an activation; nothing first, if they have the same.

    Scaled weights are no mistake where they make one hard_sigmoid compute another, exactly.
    """
    same = (a.gate, a.candidate, a.output) == (b.gate, b.candidate, b.output)
    hard = a.gate.name == b.gate.name == "hard_sigmoid"
    if same:
        yield _Reading()
    elif hard and (a.candidate, a.output) == (b.candidate, b.output):
        slopes = a.gate.parameters["slope"], b.gate.parameters["slope"]
        if slopes[0] != slopes[1] and a.gate.parameters["offset"] == b.gate.parameters["offset"]:
            yield from _scaled(slopes[0] / slopes[1], a.gate, b.gate, "")
    if not same:
        yield _Reading(before=(activations_replaced(b),))
    if same and hard:
        for factor in (_SCALE, 1 / _SCALE):
            yield from _scaled(factor, a.gate, b.gate, "wrong_gate_activation")


def _scaled(factor: float, before: Activation, after: Activation, name: str) -> Iterator[_Reading]:
    scaling = gates_scaled(factor, after, name)
    yield _Reading(before=(scaling,))
    yield _Reading(after=(scaling,), undone=gates_scaled(1 / factor, before).make)


def _explained_so(wanted: _Wanted, b: LSTMCell, reading: _Reading, lost: Precision) -> Explained | None:
    a = wanted.right
    right, other = made(a, reading.before), reading.undone(b)
    for candidate in kernels.explanations(right, other, lost):
        found = bias.explained(right, other, candidate.hypotheses, lost)
        if found is None:
            continue
        first, last = (tuple(mistake.of_cells() for mistake in mistakes) for mistakes in found)
        whole = (*reading.before, *first, *candidate.hypotheses, *last, *reading.after)
        done = made(a, whole)
        rounding, left = _rounding(wanted, done, lost)
        if _agree(made(done, rounding), b, lost) and left <= max(wanted.tolerance, MOST_LEFT * wanted.before):
            return Explained(_best_first(wanted, (*whole, *rounding)), left, candidate.units)
    return None


def _rounding(wanted: _Wanted, done: LSTMCell, lost: Precision) -> tuple[tuple[Hypothesis, ...], float]:
    """Return the rounding of all arrays, in the way that comes nearest, and the error that it leaves."""
    if not lost.name:
        return (), wanted.left(done)
    wider = [precision for precision in NARROW if precision.unit < lost.unit]
    nearest: tuple[tuple[Hypothesis, ...], float] = (), np.inf
    for through in (None, *wider):
        for biases in ("apart", "together", "both", "kept"):
            rounding = precision_lost(lost, through=through, biases=biases)
            left = wanted.left(rounding.make(done))
            nearest = min(nearest, ((rounding,), left), key=lambda attempt: attempt[1])
            if left <= wanted.tolerance:
                return nearest
    return nearest


def _agree(a: Cell, b: Cell, lost: Precision) -> bool:
    """Return whether all arrays but the biases agree, number by number."""
    ones, others = a.arrays(), b.arrays()
    return all(close(ones[name], others[name], lost) for name in ones if name not in ("b", "b_rec"))


def _best_first(wanted: _Wanted, hypotheses: tuple[Hypothesis, ...]) -> tuple[Hypothesis, ...]:
    """Return the mistakes, without what is none, those first that alone change most of what the cell computes."""
    named = [hypothesis for hypothesis in hypotheses if hypothesis.name]
    return tuple(sorted(named, key=wanted.effect, reverse=True)) if len(named) > 1 else tuple(named)


def _results(cell: Cell) -> tuple[Float64, ...]:
    random = np.random.default_rng(SEED)
    x = random.normal(size=(BATCH, STEPS, cell.inputs))
    h0, c0 = random.normal(size=(BATCH, cell.outputs)), random.normal(size=(BATCH, cell.units))
    done = run(replace(Recurrent.of("", cell), return_sequences=True), x, [h0], [c0])
    return (*done.outputs, *done.h, *done.c)

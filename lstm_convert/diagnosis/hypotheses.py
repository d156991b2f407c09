"""The mistakes, each a function that makes it on a right cell."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from lstm_convert.canonical import GATES, Activation, Cell, LSTMCell
from lstm_convert.diagnosis.orders import Reordering
from lstm_convert.diagnosis.precision import Precision
from lstm_convert.diagnosis.storage import Misreading

Float64 = NDArray[np.float64]

_ARRAYS = ("W", "U", "b", "b_rec", "projection", "peephole")
_GATED = ("W", "U", "b", "b_rec")
_SIGMOID_GATES = [GATES.index(gate) for gate in "ifo"]


@dataclass(frozen=True)
class Hypothesis:
    """Something that may have been done to a cell.

    Args:
        name: the mistake's name; empty for what is none: the function is the same.
        detail: which gates and arrays, in words.
        make: the cell to what it becomes.
    """

    name: str
    detail: str
    make: Callable[[LSTMCell], LSTMCell]


@dataclass(frozen=True, eq=False)
class Units:
    """A signed permutation of units, after which an LSTM is the same for whoever reads its units so.

    Args:
        order: for each place, the unit that comes there.
        signs: for each place, 1.0, or -1.0 where the unit's state and output change their sign.
    """

    order: NDArray[np.intp]
    signs: Float64


def made(cell: LSTMCell, hypotheses: Iterable[Hypothesis]) -> LSTMCell:
    """Return what a cell becomes by one mistake after another."""
    return reduce(lambda done, hypothesis: hypothesis.make(done), hypotheses, cell)


def in_float64(cell: LSTMCell) -> LSTMCell:
    """Return a cell with all its numbers in float64."""
    return cell.with_arrays({name: np.ascontiguousarray(array, np.float64) for name, array in cell.arrays().items()})


def arrays_of(cell: LSTMCell, names: Iterable[str] = _ARRAYS) -> dict[str, Float64]:
    """Return those arrays of a cell that it has."""
    return {name: array for name, array in cell.arrays().items() if name in names}


def gates_reordered(reordering: Reordering, arrays: tuple[str, ...] = _GATED) -> Hypothesis:
    """Return the mistake of taking gates for others, in all arrays or in some."""

    def make(cell: LSTMCell) -> LSTMCell:
        places = list(reordering.order)
        return cell.with_arrays({name: array[places] for name, array in arrays_of(cell, arrays).items()})

    where = "" if set(arrays) == set(_GATED) else f", in {_in_words(arrays)} only"
    return Hypothesis(reordering.name, reordering.detail + where, make)


def misread(misreading: Misreading, name: str, arrays: tuple[str, ...], detail: str = "") -> Hypothesis:
    """Return the mistake of misreading the memory of some arrays."""

    def make(cell: LSTMCell) -> LSTMCell:
        return cell.with_arrays({key: misreading.make(array) for key, array in arrays_of(cell, arrays).items()})

    return Hypothesis(name, detail or f"{_in_words(arrays)}: {misreading.detail}", make)


def both(name: str, detail: str, hypotheses: Iterable[Hypothesis]) -> Hypothesis:
    """Return several mistakes that have one name together."""
    together = tuple(hypotheses)
    return Hypothesis(name, detail, lambda cell: made(cell, together))


def units_permuted(units: Units) -> Hypothesis:
    """Return the units in another order, some with their signs flipped."""
    moved, flipped = int((units.order != np.arange(len(units.order))).sum()), int((units.signs < 0).sum())
    detail = f"{moved} of {len(units.order)} units stand elsewhere, {flipped} have their sign flipped"
    return Hypothesis("units_permuted", detail, lambda cell: permuted(cell, units))


def permuted(cell: LSTMCell, units: Units) -> LSTMCell:
    """Return a cell with its units permuted and flipped: c and h of a flipped unit change their sign."""
    arrays = {name: array[:, units.order] for name, array in arrays_of(cell, (*_GATED, "peephole")).items()}
    for name in _GATED:
        if name in arrays:
            arrays[name] = arrays[name].copy()
            arrays[name][GATES.index("g")] *= units.signs if arrays[name].ndim == len("gu") else units.signs[:, None]
    if "peephole" in arrays:
        arrays["peephole"] = arrays["peephole"] * units.signs
    if cell.projection is None:
        arrays["U"] = arrays["U"][:, :, units.order] * units.signs
    else:
        arrays["projection"] = np.asarray(cell.projection)[:, units.order] * units.signs
    return cell.with_arrays(arrays)


def reading(cell: Cell, columns: Units) -> Cell:
    """Return what is no mistake: a cell whose inputs have another order, because the layer that gives them has it."""
    return cell.with_arrays({"W": np.asarray(cell.W)[:, :, columns.order] * columns.signs})


def activations_replaced(other: LSTMCell) -> Hypothesis:
    """Return the mistake of computing the same weights with another cell's activations."""
    names = {"gate": "gates", "candidate": "candidate", "output": "output"}
    kept: dict[str, Activation] = {name: getattr(other, name) for name in names}

    def make(cell: LSTMCell) -> LSTMCell:
        return replace(cell, gate=kept["gate"], candidate=kept["candidate"], output=kept["output"])

    return Hypothesis("wrong_gate_activation", f"{_activations(other)} computed", make)


def gates_scaled(factor: float, activation: Activation, name: str = "") -> Hypothesis:
    """Return i, f and o scaled, as one hard_sigmoid's weights are for another."""

    def make(cell: LSTMCell) -> LSTMCell:
        arrays = {key: array.copy() for key, array in arrays_of(cell, _GATED).items()}
        for array in arrays.values():
            array[_SIGMOID_GATES] *= factor
        if cell.peephole is not None:
            arrays["peephole"] = np.asarray(cell.peephole) * factor
        return replace(cell.with_arrays(arrays), gate=activation)

    detail = f"i, f and o are scaled by {factor:.4g}, as for another hard_sigmoid, and still computed with {activation}"
    return Hypothesis(name, detail if name else "", make)


def precision_lost(precision: Precision, *, through: Precision | None, biases: str) -> Hypothesis:
    """Return the rounding of all arrays to a narrower type.

    Args:
        precision: the type.
        through: the type to which they were rounded before that, or None.
        biases: whether the two biases are rounded `apart`, or their sum as one, `together`, or `both`, or are `kept`.
    """

    def rounded(array: Float64) -> Float64:
        return precision.rounded(through.rounded(array) if through else array)

    def make(cell: LSTMCell) -> LSTMCell:
        arrays = arrays_of(cell)
        if biases in ("together", "both") and "b" in arrays and "b_rec" in arrays:
            sides = [rounded(arrays[name]) if biases == "both" else arrays[name] for name in ("b", "b_rec")]
            arrays |= {"b": sides[0] + sides[1], "b_rec": np.zeros_like(sides[1])}
        kept = ("b", "b_rec") if biases == "kept" else ()
        return cell.with_arrays({name: array if name in kept else rounded(array) for name, array in arrays.items()})

    return Hypothesis("precision_lost", f"weights are rounded to {precision.name}", make)


def _activations(cell: LSTMCell) -> str:
    return f"gates {cell.gate}, candidate {cell.candidate}, output {cell.output}"


def _in_words(arrays: tuple[str, ...]) -> str:
    words = {"W": "the kernel", "U": "the recurrent kernel", "b": "the bias", "projection": "the projection"}
    return " and ".join(words[name] for name in arrays if name in words)

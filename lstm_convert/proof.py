"""The proof that a conversion computes the same: both sides run through the float64 reference on the same sequences."""

from dataclasses import dataclass, replace

import numpy as np

from lstm_convert.canonical import LSTM, Model
from lstm_convert.errors import InvalidFile
from lstm_convert.reference import run

STEPS = 7
BATCH = 2

# Each step may round each gate a few times; errors of single steps add up at worst.
_ROUNDINGS_PER_STEP = 8


@dataclass(frozen=True)
class Proof:
    """How far a result is from its source.

    Args:
        max_abs_difference: the largest difference of any output or state, both sides computed in float64.
        tolerance: the largest that rounding of the numbers' type explains.
        layers: how many layers were compared.
        steps: the length of the sequences.
    """

    max_abs_difference: float
    tolerance: float
    layers: int
    steps: int = STEPS


def prove(source: Model, result: Model, seed: int = 0) -> Proof:
    """Return how far the layers of a result are from those of its source, pair by pair in their order.

    Args:
        source: what was converted.
        result: what was written, read back.
        seed: of the input sequences and initial states, which are all random and none zero.

    Raises:
        InvalidFile: the result has other layers than the source, or differs by more than rounding.
    """
    if len(source.layers) != len(result.layers):
        raise InvalidFile(f"the result has {len(result.layers)} LSTM layers, the source {len(source.layers)}")
    random = np.random.default_rng(seed)
    worst, tolerance = 0.0, 0.0
    for before, after in zip(source.layers, result.layers, strict=True):
        difference, allowed = _difference(before, _as_stated(before, after), random)
        if not difference <= allowed:
            raise InvalidFile(
                "the result does not compute the same as its source",
                [f"{before.name}: expected a difference of at most {allowed:.1e}, found {difference:.1e}"],
                "This is a mistake of lstm_convert; please report it with the file.",
            )
        worst, tolerance = max(worst, difference), max(tolerance, allowed)
    return Proof(worst, tolerance, len(source.layers))


def _as_stated(before: LSTM, after: LSTM) -> LSTM:
    """Return a layer with what its file cannot state taken from the source: the gates' activation, what is returned."""
    cells = {name: replace(cell, gate=before.cells[name].gate) for name, cell in after.cells.items()}
    return replace(after.with_cells(cells), return_sequences=before.return_sequences)


def _difference(before: LSTM, after: LSTM, random: np.random.Generator) -> tuple[float, float]:
    if list(before.cells) != list(after.cells):
        raise InvalidFile(f"{before.name} has directions {list(before.cells)}, the result {list(after.cells)}")
    x = random.normal(size=(BATCH, STEPS, before.forward.inputs))
    h0 = [random.normal(size=(BATCH, cell.outputs)) for cell in before.cells.values()]
    c0 = [random.normal(size=(BATCH, cell.units)) for cell in before.cells.values()]
    one, other = run(before, x, h0, c0), run(after, x, h0, c0)
    ones, others = [one.sequence, one.output, *one.h, *one.c], [other.sequence, other.output, *other.h, *other.c]
    if [array.shape for array in ones] != [array.shape for array in others]:
        return np.inf, 0.0
    difference = max(float(np.abs(a - b).max()) for a, b in zip(ones, others, strict=True))
    return difference, _ROUNDINGS_PER_STEP * STEPS * _epsilon(before)


def _epsilon(layer: LSTM) -> float:
    dtype = layer.forward.W.dtype
    if dtype.name == "bfloat16":
        return 2.0**-7
    return float(np.finfo(dtype).eps)

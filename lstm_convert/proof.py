"""The proof that a conversion computes the same: both sides run through the float64 reference on the same sequences."""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from lstm_convert.beside import in_halves
from lstm_convert.canonical import Model, Recurrent, RecurrentCell
from lstm_convert.errors import InvalidFile
from lstm_convert.precision import epsilon
from lstm_convert.reference import run
from lstm_convert.sampling import count_same, is_large, some_units

STEPS = 7
BATCH = 2
_SEED = 0

_SHARE_OF_STEPS_THAT_COUNT = 0.6

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
        sampled: how many layers were too large to be run whole, so that 256 of their units were.
        compared: how many numbers those have, all of which were compared instead.
        same: how many of these are the same bit for bit; the others are rounded.
    """

    max_abs_difference: float
    tolerance: float
    layers: int
    steps: int = STEPS
    sampled: int = 0
    compared: int = 0
    same: int = 0


def prove(source: Model, result: Model, allow: frozenset[str] = frozenset()) -> Proof:
    """Return how far the layers of a result are from those of its source, pair by pair in their order.

    Args:
        source: what was converted.
        result: what was written, read back.
        allow: what the result's file cannot state and the user's own code does: taken from the source.

    Raises:
        InvalidFile: the result has other layers than the source, or differs by more than rounding.
    """
    if len(source.layers) != len(result.layers):
        raise InvalidFile(f"the result has {len(result.layers)} recurrent layers, the source {len(source.layers)}")
    random = np.random.default_rng(_SEED)
    worst, tolerance, sampled, compared, same = 0.0, 0.0, 0, 0, 0
    for before, found in zip(source.layers, result.layers, strict=True):
        after = _as_used(before, found, allow)
        difference, allowed = _difference(before, after, random)
        if not difference <= allowed:
            raise InvalidFile(
                "the result does not compute the same as its source",
                [f"{before.name}: expected a difference of at most {allowed:.1e}, found {difference:.1e}"],
                "This is a mistake of lstm_convert; please report it with the file.",
            )
        worst, tolerance = max(worst, difference), max(tolerance, allowed)
        if is_large(before):
            numbers, as_they_were = count_same(before, after)
            sampled, compared, same = sampled + 1, compared + numbers, same + as_they_were
    return Proof(worst, tolerance, len(source.layers), STEPS, sampled, compared, same)


def _as_used(before: Recurrent, after: Recurrent, allow: frozenset[str]) -> Recurrent:
    """Return a layer of the result with what the user's own code does around it."""
    allowed = {
        direction: {role: activation for role, activation in cell.activations().items() if activation.name in allow}
        for direction, cell in before.cells.items()
    }
    if any(allowed.values()) and list(before.cells) == list(after.cells):
        after = after.with_cells({name: cell.with_activations(allowed[name]) for name, cell in after.cells.items()})
    if "go_backwards" in allow:
        after = replace(after, go_backwards=before.go_backwards)
    if "merge" in allow:
        after = replace(after, merge=before.merge)
    if "mask" in allow:
        after = replace(after, masked_by=before.masked_by, zero_output_for_mask=before.zero_output_for_mask)
    return after


def _difference(before: Recurrent, after: Recurrent, random: np.random.Generator) -> tuple[float, float]:
    if before.kind != after.kind:
        raise InvalidFile(f"{before.name} is of the kind {before.kind}, the result {after.kind}")
    if list(before.cells) != list(after.cells):
        raise InvalidFile(f"{before.name} has directions {list(before.cells)}, the result {list(after.cells)}")
    if [_sizes(cell) for cell in before.cells.values()] != [_sizes(cell) for cell in after.cells.values()]:
        return np.inf, 0.0
    if is_large(before):
        before, after = in_halves(partial(some_units, seed=_SEED), [before, after])
    x = random.normal(size=(BATCH, STEPS, before.forward.inputs))
    h0 = [random.normal(size=(BATCH, cell.outputs)) for cell in before.cells.values()]
    c0 = [random.normal(size=(BATCH, cell.units)) for cell in before.cells.values()]
    mask = random.random((BATCH, STEPS)) < _SHARE_OF_STEPS_THAT_COUNT if before.masked_by else None
    if bool(before.masked_by) != bool(after.masked_by):
        return np.inf, 0.0
    one, other = (run(replace(layer, return_sequences=True), x, h0, c0, mask) for layer in (before, after))
    ones, others = [*one.outputs, *one.h, *one.c], [*other.outputs, *other.h, *other.c]
    if [array.shape for array in ones] != [array.shape for array in others]:
        return np.inf, 0.0
    difference = max(largest_difference(a, b) for a, b in zip(ones, others, strict=True))
    return difference, _ROUNDINGS_PER_STEP * STEPS * max(epsilon(layer.forward.W.dtype) for layer in (before, after))


def _sizes(cell: RecurrentCell) -> tuple[int, int, int]:
    return cell.units, cell.inputs, cell.outputs


def largest_difference(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return the largest difference; a net that overflows must overflow in the same places.

    Args:
        one: numbers of one side.
        other: those of the other, of the same shape.
    """
    finite = np.isfinite(one)
    if not finite.all():
        if not np.array_equal(one[~finite], other[~finite], equal_nan=True):
            return np.inf
        one, other = one[finite], other[finite]
    return float(np.abs(one - other).max(initial=0.0))

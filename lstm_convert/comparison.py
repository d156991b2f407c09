"""Two computations of one layer, held against each other: rows of numbers with a verdict."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_convert.errors import Unsupported
from lstm_convert.frameworks.running import Ran
from lstm_convert.rounding import coarsest, finest, tolerance, ulp
from lstm_convert.sequences import Trial
from lstm_convert.sides import REFERENCE

Runs = tuple[dict[str, Ran], dict[str, Ran]]


@dataclass(frozen=True)
class Row:
    """One comparison of one pair of layers at one length.

    Args:
        layer: the layer's name, or both where they differ.
        compared: who computed the two sides.
        steps: the length of the sequences.
        max_abs_error: the largest difference of any output or state.
        ulp: the same in units of the numbers' type at the largest value.
        framework_error: how far the framework that owns A is from float64, where it ran.
        tolerance: the largest difference that rounding explains.
        verdict: same or differs.
    """

    layer: str
    compared: str
    steps: int
    max_abs_error: float
    ulp: float
    framework_error: float | None
    tolerance: float
    verdict: str


def joined(layer: str, trials: Sequence[Trial], runs: Sequence[Runs]) -> Iterator[Row]:
    """Yield the rows of one pair of layers at one length.

    Args:
        layer: its name.
        trials: what went in, batch by batch, all of one length.
        runs: what A and what B computed of each, by who did.

    Raises:
        Unsupported: neither the reference nor a framework ran both.
    """
    ones, others = map(list, runs[0])
    if not ones or not others:
        raise Unsupported(f"{layer}: neither the float64 reference nor a framework runs both sides")
    for one, other in _pairings(ones, others):
        yield _row(layer, (one, other), trials, runs)


def _pairings(ones: Sequence[str], others: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield who is compared with whom: the references, and each side's framework, or what stands in for it."""
    if REFERENCE in ones and REFERENCE in others:
        yield REFERENCE, REFERENCE
    if ones and others and (ones[-1], others[-1]) != (REFERENCE, REFERENCE):
        yield ones[-1], others[-1]


def _row(layer: str, names: tuple[str, str], trials: Sequence[Trial], runs: Sequence[Runs]) -> Row:
    pairs = [(a[names[0]], b[names[1]]) for a, b in runs]
    stored = finest(next(iter(side.values())).dtype for side in runs[0])
    computed = [side.dtype for pair in pairs for side, name in zip(pair, names, strict=True) if name != REFERENCE]
    dtype = coarsest([stored, *computed])
    steps = trials[0].steps
    inputs = max(float(np.sqrt(np.mean(trial.x**2))) for trial in trials)
    scale = max(inputs, *(_scale(side) for pair in pairs for side in pair))
    allowed = tolerance(dtype, scale, steps)
    error = max(_difference(*pair) for pair in pairs)
    own = None
    if names[0] != REFERENCE and all(REFERENCE in a for a, _ in runs):
        own = max(_difference(a[names[0]], a[REFERENCE]) for a, _ in runs)
    same = error <= allowed and (own is None or own <= allowed)
    compared = f"{names[0]} A, {names[1]} B"
    return Row(layer, compared, steps, error, error / ulp(dtype, scale), own, allowed, "same" if same else "differs")


def _arrays(ran: Ran) -> list[NDArray[Any]]:
    return [*ran.outputs, *ran.h, *ran.c]


def _scale(ran: Ran) -> float:
    finite = (array[np.isfinite(array)] for array in _arrays(ran))
    return max((float(np.abs(array).max()) for array in finite if array.size), default=0.0)


def _difference(one: Ran, other: Ran) -> float:
    """Return the largest difference; infinite where shapes differ, or only one side is a number."""
    ones, others = _arrays(one), _arrays(other)
    if [array.shape for array in ones] != [array.shape for array in others]:
        return float("inf")
    return max(_largest(a, b) for a, b in zip(ones, others, strict=True))


def _largest(a: NDArray[Any], b: NDArray[Any]) -> float:
    with np.errstate(invalid="ignore"):
        apart = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, np.abs(a - b))
    return float(np.where(np.isnan(apart), np.inf, apart).max(initial=0.0))

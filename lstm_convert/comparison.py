"""Two computations of one layer, held against each other: rows of numbers with a verdict."""

from collections.abc import Callable, Iterator, Sequence
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


@dataclass(frozen=True)
class Measure:
    """What a comparison is measured by.

    Args:
        steps: the length of the sequences.
        inputs: the root mean square of what went in.
        tolerance: the largest difference that rounding explains, for a numbers' type and a scale.
    """

    steps: int
    inputs: float
    tolerance: Callable[[str, float], float]


def of_trials(trials: Sequence[Trial]) -> Measure:
    """Return what layers are measured by that ran on some sequences, all of one length."""
    steps = trials[0].steps
    inputs = max(_root_mean_square(trial.x) for trial in trials)
    return Measure(steps, inputs, lambda dtype, scale: tolerance(dtype, scale, steps))


def _root_mean_square(x: NDArray[Any]) -> float:
    largest = float(np.abs(x).max(initial=0.0))
    return largest and largest * float(np.sqrt(np.mean((x / largest) ** 2)))  # no square is too large for a number


def joined(name: str, measure: Measure, runs: Sequence[Runs]) -> Iterator[Row]:
    """Yield the rows of one pair of layers, or of networks, at one length.

    Args:
        name: what the rows call it.
        measure: the length, the size of what went in, and the tolerance.
        runs: what A and what B computed, batch by batch, by who did.

    Raises:
        Unsupported: neither the reference nor a framework ran both.
    """
    ones, others = map(list, runs[0])
    if not ones or not others:
        raise Unsupported(f"{name}: neither the float64 reference nor a framework runs both sides")
    for one, other in _pairings(ones, others):
        yield _row(name, (one, other), measure, runs)


def _pairings(ones: Sequence[str], others: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield who is compared with whom: the references, and each side's framework, or what stands in for it."""
    if REFERENCE in ones and REFERENCE in others:
        yield REFERENCE, REFERENCE
    if ones and others and (ones[-1], others[-1]) != (REFERENCE, REFERENCE):
        yield ones[-1], others[-1]


def _row(layer: str, names: tuple[str, str], measure: Measure, runs: Sequence[Runs]) -> Row:
    pairs = [(a[names[0]], b[names[1]]) for a, b in runs]
    stored = finest(next(iter(side.values())).dtype for side in runs[0])
    computed = [side.dtype for pair in pairs for side, name in zip(pair, names, strict=True) if name != REFERENCE]
    dtype = coarsest([stored, *computed])
    scale = max(measure.inputs, *(_scale(side) for pair in pairs for side in pair))
    allowed = measure.tolerance(dtype, scale)
    error = max(_difference(*pair) for pair in pairs)
    own = None
    if names[0] != REFERENCE and all(REFERENCE in a for a, _ in runs):
        own = max(_difference(a[names[0]], a[REFERENCE]) for a, _ in runs)
    same = error <= allowed and (own is None or own <= allowed)
    return Row(
        layer, f"{names[0]} A, {names[1]} B", measure.steps, error, error / ulp(dtype, scale), own, allowed,
        "same" if same else "differs",
    )  # fmt: skip


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

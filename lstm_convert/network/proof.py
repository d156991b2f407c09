"""The proof that two networks compute the same: both run through the float64 reference on the same inputs."""

from itertools import islice
from typing import Any

import numpy as np

from lstm_convert.canonical import Network
from lstm_convert.errors import InvalidFile
from lstm_convert.network.inputs import fitting_lengths, network_inputs
from lstm_convert.network.likeness import is_large, numbers_alike
from lstm_convert.network.reference import Float64, run_network
from lstm_convert.precision import epsilon
from lstm_convert.proof import STEPS, Proof, largest_difference

# Samples of the shortest inputs, and of the next longer ones: few, so that a large network takes seconds.
_BATCHES = (2, 1)

# So many roundings of the largest number of an output are no mistake: 1e-5 of it where weights are float32.
_ROUNDINGS = 80


def prove_network(source: Network, result: Network) -> Proof:
    """Return how far what a network computes is from what its source does.

    Both run on two samples of the shortest inputs that the source runs with, and on one of the next longer ones, or of
    the same where no axis may have any size. What rounding explains is relative to the largest number of each output.
    Two that are too large to be run, and the same layer by layer, are compared number by number instead.

    Args:
        source: what was converted.
        result: what was written, read back; its weights may be of a smaller type of number.

    Raises:
        InvalidFile: the result has other inputs or outputs than the source, or differs by more than rounding.
        LayoutMismatch: a layer cannot read what it gets.
        Unsupported: an activation, a merge or a mask cannot be computed.
    """
    for what in ("inputs", "outputs"):
        wanted, found = (len(getattr(network, what)) for network in (source, result))
        if wanted != found:
            raise InvalidFile(f"the result has {found} {what}, the source {wanted}")
    if is_large(source) and (alike := numbers_alike(source, result)):
        return Proof(0.0, 0.0, len(source.layers), STEPS, 0, *alike)
    rounding = max(epsilon(dtype) for network in (source, result) for dtype in _dtypes(network))
    worst, tolerance, times = 0.0, 0.0, list(islice(fitting_lengths(source), len(_BATCHES)))
    for seed, batch in enumerate(_BATCHES):
        inputs = network_inputs(source, seed, batch, times[min(seed, len(times) - 1)])
        before, after = (run_network(network, inputs) for network in (source, result))
        allowed = [_ROUNDINGS * rounding * _scale(output) for output in before]
        worst = max(worst, _compared(before, after, allowed))
        tolerance = max(tolerance, *allowed)
    return Proof(worst, tolerance, len(source.layers), max((x.shape[1] for x in inputs if x.ndim > 1), default=1))


def _dtypes(network: Network) -> set[np.dtype[Any]]:
    """Return the types of number of a network's arrays; float64 is that of what has none."""
    cells = [cell for layer in network.recurrent for cell in layer.cells.values()]
    held = [array.dtype for cell in cells for array in cell.held().values()]
    others = [array.dtype for layer in network.layers.values() for array in layer.arrays.values()]
    return {*held, *others, np.dtype(np.float64)}


def _scale(output: Float64) -> float:
    return float(np.abs(output[np.isfinite(output)]).max(initial=0.0))


def _compared(before: list[Float64], after: list[Float64], allowed: list[float]) -> float:
    """Return the largest difference of any output, and refuse one that is larger than allowed."""
    largest, wrong = 0.0, []
    for number, (expected, found, most) in enumerate(zip(before, after, allowed, strict=True)):
        if expected.shape != found.shape:
            wrong.append(f"output {number}: expected the shape {expected.shape}, found {found.shape}")
            continue
        difference = largest_difference(expected, found)
        largest = max(largest, difference)
        if not difference <= most:
            wrong.append(f"output {number}: expected a difference of at most {most:.1e}, found {difference:.1e}")
    if wrong:
        raise InvalidFile(
            "the result does not compute the same as its source", wrong,
            "This is a mistake of lstm_convert; please report it with the file.",
        )  # fmt: skip
    return largest

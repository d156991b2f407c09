"""The proof that two networks compute the same: both run through the float64 reference on the same inputs."""

from itertools import islice
from typing import Any

import numpy as np

from lstm_convert.canonical import Network
from lstm_convert.errors import InvalidFile
from lstm_convert.network_inputs import fitting_lengths, network_inputs
from lstm_convert.network_reference import Values, every_step
from lstm_convert.precision import epsilon
from lstm_convert.proof import Proof, largest_difference

# Samples of the shortest inputs, and of the next longer ones: few, so that a large network takes seconds.
_BATCHES = (2, 1)

# Each layer, and each step of a recurrent one, may round each number a few times; errors add up at worst.
_ROUNDINGS = 8


def prove_network(source: Network, result: Network) -> Proof:
    """Return how far what a network computes is from what its source does.

    Both run on two samples of the shortest inputs that the source runs with, and on one of the next longer ones. The
    difference that rounding explains is relative to the largest number that any layer of the source makes.

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
    rounding = max(epsilon(dtype) for network in (source, result) for dtype in _dtypes(network))
    worst, tolerance, times = 0.0, 0.0, list(islice(fitting_lengths(source), len(_BATCHES)))
    for seed, (batch, time) in enumerate(zip(_BATCHES, times, strict=False)):
        inputs = network_inputs(source, seed, batch, time)
        before, after = (every_step(network, inputs) for network in (source, result))
        allowed = _ROUNDINGS * rounding * _depth(source, before) * _scale(source, before)
        difference = _compared(source, result, before, after, allowed)
        worst, tolerance = max(worst, difference), max(tolerance, allowed)
    return Proof(worst, tolerance, len(source.layers), times[-1])


def _dtypes(network: Network) -> set[np.dtype[Any]]:
    """Return the types of number of a network's arrays; float64 is that of what has none."""
    cells = [cell for layer in network.recurrent for cell in layer.cells.values()]
    arrays = [array for layer in network.layers.values() for array in layer.arrays.values()]
    arrays += [array for cell in cells for array in cell.arrays().values()]
    return {array.dtype for array in arrays} | {np.dtype(np.float64)}


def _depth(network: Network, values: Values) -> int:
    """Return after how many layers, and steps of recurrent ones, the last number is made, at most."""
    steps = [
        values[call.inputs[0].step][call.inputs[0].output].shape[-2] if network.layers[call.layer].recurrent else 1
        for call in network.calls
    ]
    return sum(steps)


def _scale(network: Network, values: Values) -> float:
    """Return the largest number that a call makes, at least 1."""
    made = [array[np.isfinite(array)] for outputs in values[len(network.inputs) :] for array in outputs]
    return max([1.0, *(float(np.abs(array).max(initial=0.0)) for array in made)])


def _compared(source: Network, result: Network, before: Values, after: Values, allowed: float) -> float:
    """Return the largest difference of any output, and refuse one that is too large."""
    largest, wrong = 0.0, []
    for number, (one, other) in enumerate(zip(source.outputs, result.outputs, strict=True)):
        expected, found = before[one.step][one.output], after[other.step][other.output]
        same_shape = expected.shape == found.shape
        difference = largest_difference(expected, found) if same_shape else np.inf
        largest = max(largest, difference)
        if not same_shape:
            wrong.append(f"output {number}: expected the shape {expected.shape}, found {found.shape}")
        elif not difference <= allowed:
            wrong.append(f"output {number}: expected a difference of at most {allowed:.1e}, found {difference:.1e}")
    if wrong:
        raise InvalidFile(
            "the result does not compute the same as its source", wrong,
            "This is a mistake of lstm_convert; please report it with the file.",
        )  # fmt: skip
    return largest

"""What stands for a layer that is too large to be run whole in a proof: some of its units, and all of its numbers."""

from collections.abc import Iterator
from functools import partial
from itertools import starmap
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_convert.beside import in_halves
from lstm_convert.blocks import Array, pairs_of, taken
from lstm_convert.canonical import Activation, Gates, Recurrent, RecurrentCell
from lstm_convert.errors import InvalidFile
from lstm_convert.precision import epsilon

LARGE = 1 << 22
"""A layer, or a network, of more numbers is not run whole."""

UNITS = 256
"""How many units, inputs and outputs of a large layer are run."""

_AT_ONCE = 1 << 16
# Below it a type's numbers lie at even distances.
_SMALLEST = {"float16": 2.0**-14}
_SMALLEST_OF_OTHERS = 2.0**-126


def size(cell: RecurrentCell) -> int:
    """Return how many numbers the kernels of a cell have."""
    return len(cell.letters) * cell.units * (cell.inputs + cell.outputs)


def is_large(layer: Recurrent) -> bool:
    """Return whether a layer is too large to be run whole."""
    return any(size(cell) > LARGE for cell in layer.cells.values())


def some_units(layer: Recurrent, seed: int) -> Recurrent:
    """Return the layer that some units of a layer are by themselves, with some of its inputs.

    Args:
        layer: the layer.
        seed: which of them; those of two layers of one size are the same for the same seed.
    """
    return layer.with_cells({name: _part(cell, np.random.default_rng(seed)) for name, cell in layer.cells.items()})


def _part(cell: RecurrentCell, random: np.random.Generator) -> RecurrentCell:
    units, inputs, outputs = (_some(random, count) for count in (cell.units, cell.inputs, cell.outputs))
    held = cell.held()
    if "projection" not in held:
        outputs = units
    places: dict[str, Any] = {
        "W": (units, inputs), "U": (units, outputs), "b": (units,), "b_rec": (units,),
        "projection": (outputs, units), "peephole": (np.arange(3), units),
    }  # fmt: skip
    return cell.with_arrays(
        {
            name: [taken(gate, places[name]) for gate in array] if isinstance(array, Gates)
            else taken(array, places[name])
            for name, array in held.items()
        }
    )  # fmt: skip


def _some(random: np.random.Generator, count: int) -> NDArray[np.intp]:
    return np.sort(random.permutation(count)[:UNITS])


def count_same(before: Recurrent, after: Recurrent) -> tuple[int, int]:
    """Compare all numbers of two layers of one size that should compute the same.

    Args:
        before: a layer of the source.
        after: the same one of the result.

    Returns:
        How many numbers there are, and how many are the same bit for bit; the others differ by rounding alone.

    Raises:
        InvalidFile: some differ by more.
    """

    def counts(pair: tuple[str, tuple[Array, Array, float]]) -> tuple[int, int]:
        name, (one, other, factor) = pair
        try:
            return one.size, same_numbers(one, other, factor)
        except InvalidFile as error:
            raise InvalidFile(
                "the result does not hold the numbers of its source",
                [f"{before.name} {name}: {error.what}"],
                "This is a mistake of lstm_convert; please report it with the file.",
            ) from error

    pairs = [
        (f"({direction}) {name}", (one, other, factor))
        for direction, cell in before.cells.items()
        for name, one, other, factor in _to_compare(cell, after.cells[direction])
    ]
    counted, same = zip(*in_halves(counts, pairs), strict=True)
    return sum(counted), sum(same)


def _to_compare(before: RecurrentCell, after: RecurrentCell) -> Iterator[tuple[str, Array, Array, float]]:
    """Yield the arrays of two cells, by pairs, and what those of the second have been multiplied by."""
    factors = dict.fromkeys(before.letters, _slope(before) / _slope(after)) | {"g": 1.0}
    counting = [letter for letter in before.letters if letter != "f" or not before.settings().get("coupled")]
    for name, one, other in (("W", before.W, after.W), ("U", before.U, after.U)):
        yield from ((f"{name}.{letter}", one[letter], other[letter], factors[letter]) for letter in counting)
    ones, others = before.held(), after.held()
    if "projection" in ones:
        yield "projection", np.asarray(ones["projection"]), np.asarray(others["projection"]), 1.0
    if "peephole" in ones:
        each = zip("ifo", ones["peephole"], others["peephole"], strict=True)
        yield from ((f"peephole.{letter}", one, other, factors[letter]) for letter, one, other in each)
    biases = [_bias(before), _bias(after)]
    for letter in counting:
        one, other = (bias[before.letters.index(letter)] for bias in biases)
        yield f"b.{letter}", one.astype(before.W.dtype), other.astype(after.W.dtype), factors[letter]


def _slope(cell: RecurrentCell) -> float:
    gate: Activation | None = cell.activations().get("gate")
    return gate.parameters["slope"] if gate is not None and gate.name == "hard_sigmoid" else 1.0


def _bias(cell: RecurrentCell) -> NDArray[np.float64]:
    """Return the sum of a cell's biases, (gates, units)."""
    zeros = np.zeros((len(cell.letters), cell.units))
    return zeros + sum(np.asarray(bias, np.float64) for bias in (cell.b, cell.b_rec) if bias is not None)


def same_numbers(one: Array, other: Array, factor: float = 1.0) -> int:
    """Return how many numbers of two arrays are the same bit for bit, once the others are only rounded.

    Args:
        one: numbers.
        other: the same ones, multiplied by a factor and rounded to the other array's type.
        factor: the factor.

    Raises:
        InvalidFile: the shapes differ, or some numbers do.
    """
    if one.shape != other.shape:
        raise InvalidFile(f"expected the shape {one.shape}, found {other.shape}")
    # As a loop's variables would not, starmap lets go of each pair before it asks for the next.
    return sum(starmap(partial(_same_of_pair, factor), pairs_of(one, other)))


def _same_of_pair(factor: float, expected: Array, found: Array) -> int:
    """Return the same of some rows of both, which are contiguous."""
    ones, others = expected.reshape(-1), found.reshape(-1)
    pieces = (slice(start, start + _AT_ONCE) for start in range(0, ones.size, _AT_ONCE))
    return sum(_same_or_rounded(ones[piece], others[piece], factor) for piece in pieces)


def _same_or_rounded(expected: Array, found: Array, factor: float) -> int:
    if expected.dtype == found.dtype and factor == 1 and np.array_equal(_bits(expected), _bits(found)):
        return expected.size
    rounding = max(epsilon(expected.dtype), epsilon(found.dtype))
    wanted, got = expected.astype(np.float64) * factor, found.astype(np.float64)
    smallest = max(_SMALLEST.get(array.dtype.name, _SMALLEST_OF_OTHERS) for array in (expected, found))
    beyond = ~(np.abs(got - wanted) <= rounding * np.maximum(np.abs(wanted), smallest))
    if beyond.any():
        first = int(beyond.argmax())
        raise InvalidFile(f"expected {wanted[first]!r:.25}, found {got[first]!r:.25}, and {beyond.sum()} such")
    return int(np.count_nonzero(wanted == got))


def _bits(block: Array) -> Array:
    return block.view(f"u{block.dtype.itemsize}")

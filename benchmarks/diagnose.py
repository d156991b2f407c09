"""What a diagnosis costs: two bidirectional layers of 512 units, on one core.

    OMP_NUM_THREADS=1 python benchmarks/diagnose.py [--units 512]

Needs lstm_convert alone. Plants one mistake or two in a random network, prints the seconds and what was named. The last
rows are the hardest: nothing explains them, so everything is tried.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from lstm_convert import LSTM, Activation, Gates, LSTMCell, Model, diagnose
from lstm_convert.canonical import Array


def main() -> None:
    """Diagnose every planted network in turn and print the table."""
    parser = argparse.ArgumentParser(description="What a diagnosis costs.")
    parser.add_argument("--units", type=int, default=512, help="units of each direction (default 512)")
    units = parser.parse_args().units
    right = network(units, seed=0)
    plants: dict[str, Model] = {
        "nothing": right,
        "f and o swapped": everywhere(right, lambda cell: reordered(cell, [0, 3, 2, 1])),
        "f and o swapped, float16": everywhere(right, lambda cell: rounded(reordered(cell, [0, 3, 2, 1]))),
        "U transposed, forget bias missing": everywhere(right, lambda cell: less(transposed(cell))),
        "units permuted": everywhere(right, permuted),
        "units permuted, U transposed, float16": everywhere(right, lambda cell: rounded(transposed(permuted(cell)))),
        "directions and layers exchanged": exchanged(right),
        "hard_sigmoid": everywhere(right, hard),
        "another training": network(units, seed=1),
        "another training in float16": everywhere(network(units, seed=1), rounded),
        "other biases": everywhere(right, rebiased),
        "the same numbers shuffled": everywhere(right, shuffled),
        "shuffled, both hard_sigmoid": everywhere(right, lambda cell: shuffled(hard(cell))),
    }
    print(f"{'planted':<40} {'seconds':>8}  named")
    for name, other in plants.items():
        one = everywhere(right, hard) if "both hard" in name else right
        start = time.perf_counter()
        answer = diagnose(one, other)
        seconds = time.perf_counter() - start
        named = ", ".join(dict.fromkeys(mistake.name for mistake in answer.mistakes)) or "same"
        print(f"{name:<40} {seconds:8.2f}  {named}")


def network(units: int, seed: int) -> Model:
    """Return two random bidirectional layers, the second as wide as the first one's output."""
    random = np.random.default_rng(seed)

    def cell(inputs: int) -> LSTMCell:
        sizes = ((4, units, inputs), (4, units, units), (4, units))
        W, U, b = ((random.normal(size=size) / np.sqrt(units)).astype(np.float32) for size in sizes)  # noqa: N806
        return LSTMCell(Gates(W), Gates(U), Gates(b))

    widths = (2 * units, 2 * units)
    return Model(tuple(LSTM("lstm", cell(width), cell(width), depth=depth) for depth, width in enumerate(widths)))


def everywhere(model: Model, plant: Callable[..., LSTMCell]) -> Model:
    """Return a network with a mistake made in each of its cells."""
    layers = (layer.with_cells({at: plant(cell) for at, cell in layer.cells.items()}) for layer in model.layers)
    return replace(model, layers=tuple(layers))


def exchanged(model: Model) -> Model:
    """Return a network with its two layers exchanged, and the directions of each."""
    layers = (replace(layer, forward=layer.backward or layer.forward, backward=layer.forward) for layer in model.layers)
    return replace(model, layers=tuple(layers)[::-1])


def reordered(cell: LSTMCell, order: list[int]) -> LSTMCell:
    """Return a cell with its gates in another order."""
    return gated(cell, lambda array: array[order])


def rounded(cell: LSTMCell) -> LSTMCell:
    """Return a cell rounded to float16."""
    return gated(cell, lambda array: array.astype(np.float16))


def transposed(cell: LSTMCell) -> LSTMCell:
    """Return a cell with the blocks of U transposed."""
    return replace(cell, U=Gates(np.asarray(cell.U).transpose(0, 2, 1)))


def less(cell: LSTMCell) -> LSTMCell:
    """Return a cell without the 1 of the forget gate."""
    return replace(cell, b=Gates(np.asarray(cell.b) - np.array([0, 1, 0, 0], np.float32)[:, None]))


def hard(cell: LSTMCell) -> LSTMCell:
    """Return a cell computed with hard_sigmoid."""
    return replace(cell, gate=Activation("hard_sigmoid", {"slope": 0.2, "offset": 0.5}))


def rebiased(cell: LSTMCell) -> LSTMCell:
    """Return a cell with biases that have nothing to do with those it had."""
    return replace(cell, b=Gates(np.cos(np.asarray(cell.b) * 1e3)))


def permuted(cell: LSTMCell) -> LSTMCell:
    """Return a cell with its units in another order and every other one flipped."""
    order = np.random.default_rng(2).permutation(cell.units)
    signs = np.where(np.arange(cell.units) % 2, -1, 1).astype(np.float32)
    done = gated(cell, lambda array: array[:, order].copy())
    arrays = {name: np.array(array) for name, array in done.arrays().items()}
    for array in arrays.values():
        array[2] = (array[2].T * signs).T
    return replace(done, W=Gates(arrays["W"]), U=Gates(arrays["U"][:, :, order] * signs), b=Gates(arrays["b"]))


def shuffled(cell: LSTMCell) -> LSTMCell:
    """Return a cell with each gate's numbers in places that no mistake explains."""
    random = np.random.default_rng(3)
    return gated(cell, lambda array: random.permuted(array.reshape(4, -1), axis=1).reshape(array.shape))


def gated(cell: LSTMCell, change: Callable[[Array], Array]) -> LSTMCell:
    """Return a cell with its kernels and its bias changed."""
    return replace(
        cell,
        W=Gates(change(np.asarray(cell.W))),
        U=Gates(change(np.asarray(cell.U))),
        b=Gates(change(np.asarray(cell.b))),
    )


if __name__ == "__main__":
    main()

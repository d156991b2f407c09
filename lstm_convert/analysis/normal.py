"""The normal form: units sorted by the bias of the gate that keeps them, and signed.

The sign is the one with which the largest weight of the candidate is positive. For display, and to see that two files
hold one model: the order is no order of importance, and a little noise changes it. What the model computes stays; the
moves are kept, and undo it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lstm_convert.analysis.moving import Moves, Units, flippable, movable, moved_model, output_units, unmoved
from lstm_convert.analysis.stepping import biases, keeping_gate, opening_gates
from lstm_convert.canonical import Array, Model, RecurrentCell
from lstm_convert.errors import LayoutMismatch

Float64 = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Normalized:
    """A model in its normal form, and how to get back.

    Args:
        model: the model.
        moves: by layer, how each direction's units were moved.
        stayed: why a layer was left as it was, a line a layer.
    """

    model: Model
    moves: Moves
    stayed: tuple[str, ...]

    def original(self) -> Model:
        """Return the model as it was, bit for bit."""
        return moved_model(
            self.model, {name: tuple(each.inverse for each in units) for name, units in self.moves.items()}
        )

    def original_output(self, layer: str, output: Array) -> Array:
        """Return what a layer puts out with its units where they were.

        Args:
            layer: the layer's name.
            output: what it puts out in the normal form, (…, width).
        """
        return output_units(self.model[layer], self.moves[layer]).inverse.moved(output)

    def arrays(self) -> dict[str, Array]:
        """Return the moves as arrays, to be saved: `lstm.forward.order` and `lstm.forward.signs`."""
        return {
            f"{layer}.{direction}.{part}": getattr(each, part)
            for layer, units in self.moves.items()
            for direction, each in zip(self.model[layer].cells, units, strict=True)
            for part in ("order", "signs")
        }


def moves_of(model: Model, arrays: dict[str, Array]) -> Moves:
    """Return moves that were saved as arrays.

    Args:
        model: the model in its normal form.
        arrays: what `Normalized.arrays` returned.

    Raises:
        LayoutMismatch: they are not this model's moves.
    """
    wrong, moves = [], {}
    for layer in model.layers:
        units = []
        for direction, cell in layer.cells.items():
            order, signs = (arrays.get(f"{layer.name}.{direction}.{part}", np.empty(0)) for part in ("order", "signs"))
            if (
                order.dtype.kind not in "iu"
                or signs.dtype.kind not in "if"
                or sorted(np.ravel(order).tolist()) != list(range(cell.units))
                or np.shape(signs) != (cell.units,)
                or (np.abs(signs) != 1).any()
            ):
                wrong.append(f"{layer.name} {direction}: expected an order and signs of {cell.units} units")
                continue
            units.append(Units(np.asarray(order, np.intp), np.asarray(signs, np.float64)))
        moves[layer.name] = tuple(units)
    if wrong:
        raise LayoutMismatch("these are not the moves of this model", wrong)
    return moves


def normalize(model: Model) -> Normalized:
    """Return a model with the units of every layer in canonical order and sign; the model itself is not changed.

    Where the model has no network around it, the last layer's output moves too: `original_output` moves it back.

    Args:
        model: the model.
    """
    moves: dict[str, tuple[Units, ...]] = {}
    outputs: dict[str, Units] = {}
    stayed = []
    for layer in model.layers:
        reason = movable(model, layer.name)
        if reason:
            stayed.append(f"{layer.name}: {reason}")
        below = outputs.get(layer.follows or "", unmoved(layer.forward.inputs))
        moves[layer.name] = tuple(
            unmoved(cell.units) if reason else _canonical(cell, below) for cell in layer.cells.values()
        )
        outputs[layer.name] = output_units(layer, moves[layer.name])
    return Normalized(moved_model(model, moves), moves, tuple(stayed))


def _canonical(cell: RecurrentCell, inputs: Units) -> Units:
    """Return the order and the signs of a cell's units, by what no move of them changes."""
    kernel = inputs.moved(np.asarray(cell.W, np.float64))
    bias = dict(zip(cell.letters, biases(cell)[0], strict=True))
    keeps = keeping_gate(cell)
    others = sorted((gate for gate in opening_gates(cell) if gate != keeps), reverse=True)
    keys = [*np.linalg.norm(kernel, axis=2), *(bias[gate] for gate in others)]
    order = np.lexsort(keys if keeps is None else [*keys, -bias[keeps]])
    candidate = np.concatenate([kernel[cell.letters.index("g")], bias["g"][:, None]], axis=1)[order]
    largest = np.take_along_axis(candidate, np.abs(candidate).argmax(axis=1)[:, None], axis=1)[:, 0]
    return Units(order, np.where((largest < 0) & flippable(cell), -1.0, 1.0))

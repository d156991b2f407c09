"""Units put in another order and given other signs, which changes what a layer is written as and not what it computes.

Unit j of the moved cell is unit order[j] of the old one, its c, h and g times signs[j]; the gates that open and shut
keep their values. Signs need activations of the candidate, and of an LSTM's output, that are odd.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lstm_convert.canonical import Array, Layer, Model, Recurrent, RecurrentCell
from lstm_convert.errors import LayoutMismatch

Float64 = NDArray[np.float64]

ODD = ("tanh", "linear", "hard_tanh", "softsign", "tanh_shrink", "hard_shrink", "soft_shrink")


@dataclass(frozen=True, eq=False)
class Units:
    """A signed permutation.

    Args:
        order: which unit stands at each place.
        signs: 1 or -1 at each place.
    """

    order: NDArray[np.intp]
    signs: Float64

    @property
    def inverse(self) -> "Units":
        """What undoes it."""
        back = np.argsort(self.order)
        return Units(back, self.signs[back])

    def moved(self, array: Array) -> Array:
        """Return an array whose last axis is of units, moved; in its own type."""
        return np.asarray(array[..., self.order] * self.signs.astype(array.dtype))

    @property
    def still(self) -> bool:
        """Whether it moves nothing."""
        return bool((self.order == np.arange(len(self.order))).all() and (self.signs == 1).all())


Moves = Mapping[str, tuple[Units, ...]]


def unmoved(count: int) -> Units:
    """Return the signed permutation that moves nothing.

    Args:
        count: the number of units.
    """
    return Units(np.arange(count), np.ones(count))


def flippable(cell: RecurrentCell) -> bool:
    """Return whether a unit's sign can be flipped without a change of what the cell computes."""
    return all(activation.name in ODD for role, activation in cell.activations().items() if role != "gate")


def moved_cell(cell: RecurrentCell, units: Units, inputs: Units) -> RecurrentCell:
    """Return a cell with its units and what it reads moved.

    Args:
        cell: the cell.
        units: how its own units move.
        inputs: how what it reads was moved.
    """
    arrays = dict(cell.arrays())
    arrays["W"] = inputs.moved(arrays["W"])
    read = "projection" if "projection" in arrays else "U"  # what reads the cell's own units
    arrays[read] = units.moved(arrays[read])
    if "peephole" in arrays:
        arrays["peephole"] = units.moved(arrays["peephole"])
    candidate = cell.letters.index("g")
    for name in ("W", "U", "b", "b_rec"):
        if name in arrays:
            rows = arrays[name][:, units.order].copy()
            rows[candidate] = (rows[candidate].T * units.signs.astype(rows.dtype)).T
            arrays[name] = rows
    return cell.with_arrays(arrays)


def output_units(layer: Recurrent, units: tuple[Units, ...]) -> Units:
    """Return how a layer's merged output moves when its units do.

    Args:
        layer: the layer.
        units: how each direction's units move.

    Raises:
        LayoutMismatch: the directions are added up, and do not move alike.
    """
    own = [unmoved(cell.outputs) if "projection" in cell.arrays() else each
           for cell, each in zip(layer.cells.values(), units, strict=True)]  # fmt: skip
    if len(own) == 1:
        return own[0]
    forward, backward = own
    if layer.merge == "concat":
        order = np.concatenate([forward.order, backward.order + len(forward.order)])
        return Units(order, np.concatenate([forward.signs, backward.signs]))
    if (forward.order != backward.order).any() or (forward.signs != backward.signs).any() or not forward.still:
        raise LayoutMismatch("the units of directions that are not side by side cannot move", [layer.name])
    return forward


def moved_model(model: Model, moves: Moves) -> Model:
    """Return a model with the units of its layers moved, and all that reads them.

    Args:
        model: the model; where it has a network, `movable` says which of its layers may move.
        moves: by layer, how each direction's units move; a layer that is not named stays.
    """
    layers: dict[str, Recurrent] = {}
    outputs: dict[str, Units] = {}
    for layer in model.layers:
        below = outputs.get(layer.follows or "", unmoved(layer.forward.inputs))
        units = moves.get(layer.name) or tuple(unmoved(cell.units) for cell in layer.cells.values())
        cells = zip(layer.cells.items(), units, strict=True)
        layers[layer.name] = layer.with_cells({name: moved_cell(cell, each, below) for (name, cell), each in cells})
        outputs[layer.name] = output_units(layer, units)
    if model.network is None:
        return replace(model, layers=tuple(layers.values()))
    known = {reader.name: outputs[name] for name in layers for reader in dense_readers(model, name)}
    network = {
        name: replace(each, recurrent=layers[each.recurrent.name]) if each.recurrent is not None
        else _moved_dense(each, known[name]) if name in known else each
        for name, each in model.network.layers.items()
    }  # fmt: skip
    return replace(model, layers=tuple(layers.values()), network=replace(model.network, layers=network))


def _moved_dense(layer: Layer, units: Units) -> Layer:
    return replace(layer, arrays=dict(layer.arrays) | {"kernel": units.moved(layer.arrays["kernel"])})


def dense_readers(model: Model, name: str) -> list[Layer]:
    """Return the dense layers of a network that read a recurrent layer, straight or through dropout or one step taken.

    Args:
        model: the model, which has a network.
        name: the recurrent layer's name.
    """
    return _readers(model, name)[0]


def movable(model: Model, name: str) -> str | None:
    """Return why the units of a layer of a network must stay where they are, or None where they may move.

    Args:
        model: the model.
        name: the recurrent layer's name.
    """
    layer = model[name]
    if layer.backward and layer.merge != "concat" and "projection" not in layer.forward.arrays():
        return "its two directions are not put side by side"
    if any(each.starts_from == name for each in model.layers) or layer.starts_from:
        return "its states go from or to another layer"
    if model.network is None:
        return None
    return _readers(model, name)[1]


def _readers(model: Model, name: str) -> tuple[list[Layer], str | None]:
    """Return the dense layers that read a recurrent layer, and what else does so that its units must stay."""
    network = model.network
    assert network is not None  # noqa: S101 (its callers have one)
    inputs = len(network.inputs)
    own = {step for step, call in enumerate(network.calls, inputs)
           if (recurrent := network.layers[call.layer].recurrent) is not None and recurrent.name == name}  # fmt: skip
    found: list[Layer] = []
    if any(feed.step in own for feed in network.outputs):
        return found, "its output is the network's"
    for step, call in enumerate(network.calls, inputs):
        reads = [feed for feed in (*call.inputs, *call.states) if feed.step in own]
        if not reads:
            continue
        layer = network.layers[call.layer]
        if len(call.inputs) != 1 or call.states or reads[0].output:
            return found, f"{call.layer} reads its states, or other layers beside it"
        if layer.kind == "dropout" or (layer.kind == "take" and layer.options["axis"] == 1):
            own.add(step)
            if any(feed.step == step for feed in network.outputs):
                return found, "its output is the network's"
        elif layer.kind == "dense" and sum(each.layer == call.layer for each in network.calls) == 1:
            found.append(layer)
        elif layer.recurrent is None or layer.recurrent.follows != name:
            return found, f"{call.layer} reads it, and would have to move too"
    return found, None

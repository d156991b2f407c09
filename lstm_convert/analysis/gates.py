"""What the weights alone say of every gate and unit: no data, no choice of an output, any layers."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_convert.analysis.bounding import ranges_of
from lstm_convert.analysis.inventory import cells_of, gates, inventory
from lstm_convert.analysis.moving import dense_readers, movable
from lstm_convert.analysis.tables import Table
from lstm_convert.analysis.units import proven_rows, static_rows
from lstm_convert.canonical import Model, Recurrent
from lstm_convert.errors import LayoutMismatch

Float64 = NDArray[np.float64]
Row = dict[str, Any]
Box = tuple[float | Float64, float | Float64]


def read_gates(model: Model, *, name: str = "", box: Box | None = None) -> dict[str, Table]:
    """Return the tables `inventory`, `gates` and `units` of all layers of a model.

    Args:
        model: the model.
        name: what the tables call it.
        box: the least and the most of each feature that the layers which follow no other read, (inputs,) each, or one
            number for all; with it the gates' ranges are proven, without it they are left out.

    Raises:
        LayoutMismatch: the box has another number of features, or ends below where it starts.
        Unsupported: a box is given, and an activation is not bounded.
    """
    rows: list[Row] = []
    for layer in model.layers:
        rows += static_unit_rows(layer, name, _reads(model, layer))
    if box is not None:
        for first in (layer for layer in model.layers if layer.follows is None):
            rows += proven_unit_rows(_upwards(model.layers, first), name, *_checked(box, first))
    return {
        "inventory": inventory(model.layers, name),
        "gates": gates(model.layers, name),
        "units": Table.of("units", rows),
    }


def _checked(box: Box, layer: Recurrent) -> tuple[Float64, Float64]:
    """Return a box as two arrays, (inputs,) of a layer."""
    inputs = layer.forward.inputs
    low, high = (np.asarray(end, np.float64) for end in box)
    if {low.shape, high.shape} - {(), (inputs,)} or not (low <= high).all():
        raise LayoutMismatch(
            "no bounds can be proven for this box",
            [f"{layer.name}: expected one range or {inputs}, each from its least to its most, found {low} to {high}"],
        )  # fmt: skip
    return np.broadcast_to(low, inputs), np.broadcast_to(high, inputs)


def static_unit_rows(layer: Recurrent, name: str, reads: Float64 | None) -> list[Row]:
    """Return a row a unit of what a layer's own weights say.

    Args:
        layer: the layer.
        name: the model's name.
        reads: how strongly what is above reads each of its outputs, (width,), or None where that is not known.
    """
    rows, start = [], 0
    for place, cell in cells_of([layer], name):
        own = None if reads is None else reads[start : start + cell.outputs]
        start += cell.outputs if layer.merge == "concat" else 0
        rows += [place | row for row in static_rows(cell, own)]
    return rows


def proven_unit_rows(layers: Sequence[Recurrent], name: str, low: Float64, high: Float64) -> list[Row]:
    """Return the rows of the proven ranges; what a layer puts out at most is the box of the layer above.

    Args:
        layers: layers of which each reads the one before.
        name: the model's name.
        low: the least of each feature the first reads, (inputs,).
        high: the most.

    Raises:
        Unsupported: an activation is not bounded.
    """
    rows: list[Row] = []
    for layer in layers:
        bounds = []
        for place, cell in cells_of([layer], name):
            proven = ranges_of(cell, low, high)
            bounds.append(proven.h)
            rows += [place | row for row in proven_rows(proven)]
        if len(bounds) > 1 and layer.merge != "concat":
            break  # no box is stated for what is added up or multiplied
        high = np.concatenate(bounds)
        low = -high
    return rows


def kernel_reads(layer: Recurrent) -> Float64:
    """Return how strongly a layer's kernels read each of its inputs: the sum of their absolute weights.

    Args:
        layer: the layer.
    """
    kernels = [np.abs(np.asarray(cell.W, np.float64)).sum(axis=(0, 1)) for cell in layer.cells.values()]
    return np.asarray(np.sum(kernels, axis=0))


def _reads(model: Model, layer: Recurrent) -> Float64 | None:
    """Return how strongly all that reads a layer does so, or None where not all of it is known."""
    if movable(model, layer.name):
        return None
    reads = [kernel_reads(above) for above in model.layers if above.follows == layer.name]
    readers = dense_readers(model, layer.name) if model.network is not None else []
    reads += [np.abs(np.asarray(dense.arrays["kernel"], np.float64)).sum(axis=0) for dense in readers]
    if not reads:
        return None
    return np.asarray(np.sum(reads, axis=0))


def _upwards(layers: Sequence[Recurrent], first: Recurrent) -> list[Recurrent]:
    """Return a layer and those that follow it, as far as one alone follows."""
    chain = [first]
    while len(above := [layer for layer in layers if layer.follows == chain[-1].name]) == 1:
        chain += above
    return chain

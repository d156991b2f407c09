"""Where a Keras file keeps its recurrent cells: what the readers of both storage forms return."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_convert.containers import Stored
from lstm_convert.frameworks.keras.architecture import BACKWARD, Node
from lstm_convert.frameworks.keras.recurrent_specs import CellSpec, RecurrentSpec
from lstm_convert.layout import Layout

# Units of the gates side by side, by the kind of recurrent layer: its kernel has this many columns a unit.
GATE_COUNTS = {4: "LSTM", 3: "GRU", 1: "SimpleRNN"}


@dataclass(frozen=True)
class LocatedCell:
    """One cell's arrays as a file keeps them.

    Args:
        keys: the framework's name of each array and its key in the file.
        layout: the row that these names belong to, or None where only the version can tell.
    """

    keys: Mapping[str, str]
    layout: Layout | None = None


@dataclass(frozen=True)
class LocatedLayer:
    """One recurrent layer of a file, its cells in the order of its specification."""

    spec: RecurrentSpec
    cells: tuple[LocatedCell, ...]


def array_of(stored: Stored) -> NDArray[Any]:
    """Return an array; Keras 3 stores bfloat16, the only type HDF5 does not have, as two raw bytes."""
    array = stored.read()
    if array.dtype == np.dtype("V2"):
        import ml_dtypes  # noqa: PLC0415 (only such files need it)

        return array.view(ml_dtypes.bfloat16)
    return np.asarray(array)


def kind_by_shape(kernel: Stored, recurrent: Stored, bias: Stored | None = None) -> str:
    """Return which kind of recurrent cell some arrays are by their shapes alone, or "" where they are none."""
    if len(kernel.shape) != 2 or len(recurrent.shape) != 2 or kernel.shape[1] != recurrent.shape[1]:  # noqa: PLR2004 (matrices)
        return ""
    units, columns = recurrent.shape
    kind = GATE_COUNTS.get(columns // units, "") if units and columns % units == 0 else ""
    return (
        f"CuDNN{kind}" if kind and bias and bias.shape == (2 * columns,) else kind
    )  # cuDNN has two biases, in one array


def unstated(path: str, kinds: tuple[str, ...], backward: Sequence[bool]) -> RecurrentSpec:
    """Return the specification of a layer that a weights-only file shows but says nothing about.

    Args:
        path: its path in the model, as far as the file shows it.
        kinds: the kind of each of its cells.
        backward: for each cell, whether it is of the backward one of two directions.
    """
    node = Node(path.rpartition(".")[2], path, kinds[0], {}, (True, True))
    places = [(BACKWARD,) if turned else () for turned in backward]
    cells = tuple(CellSpec(kind, {}, (True, True), place) for kind, place in zip(kinds, places, strict=True))
    return RecurrentSpec(node, cells, bidirectional=any(backward), options={})

"""The forward pass in NumPy float64: what a model computes, whatever framework it came from. The oracle of every proof.

The equations are those of `canonical`; nothing here is fast on purpose, everything is plain.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_convert.canonical import LSTM, Activation, Cell
from lstm_convert.errors import Unsupported

Float64 = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Run:
    """What a layer returned.

    Args:
        sequence: every step's output in the order of the input, both directions side by side, (batch, time, outputs).
        output: what the layer returns as it is configured: the sequence, or its last step in each direction.
        h: the last output state of each direction, (batch, outputs of that direction).
        c: the last cell state of each direction, (batch, units).
    """

    sequence: Float64
    output: Float64
    h: tuple[Float64, ...]
    c: tuple[Float64, ...]


def run(
    layer: LSTM, x: NDArray[Any], h0: Sequence[NDArray[Any]] | None = None, c0: Sequence[NDArray[Any]] | None = None
) -> Run:
    """Return what a layer computes on a batch of sequences, in float64.

    Args:
        layer: one or two directions.
        x: (batch, time, inputs).
        h0: the initial output state of each direction, (batch, outputs of that direction); zeros where None.
        c0: the initial cell state of each direction, (batch, units); zeros where None.

    Raises:
        Unsupported: the layer is one that this reference does not compute.
    """
    if layer.go_backwards or layer.masked_by or (layer.backward and layer.merge != "concat"):
        raise Unsupported(f"{layer.name}: the reference computes no go_backwards, masks or merges but concat yet")
    x = np.asarray(x, np.float64)
    sequences, lasts, hs, cs = [], [], [], []
    for direction, cell in enumerate(layer.cells.values()):
        start_h = np.zeros((len(x), cell.outputs)) if h0 is None else np.asarray(h0[direction], np.float64)
        start_c = np.zeros((len(x), cell.units)) if c0 is None else np.asarray(c0[direction], np.float64)
        order = slice(None, None, -1) if direction else slice(None)
        sequence, h, c = run_cell(cell, x[:, order], start_h, start_c)
        sequences.append(sequence[:, order])
        lasts.append(sequence[:, -1])
        hs.append(h)
        cs.append(c)
    whole = np.concatenate(sequences, axis=-1)
    output = whole if layer.return_sequences else np.concatenate(lasts, axis=-1)
    return Run(whole, output, tuple(hs), tuple(cs))


def run_cell(cell: Cell, x: Float64, h: Float64, c: Float64) -> tuple[Float64, Float64, Float64]:
    """Return every step's h, (batch, time, outputs), and the last h and c of one cell that reads its steps in order.

    Args:
        cell: the cell.
        x: (batch, time, inputs).
        h: the first output state, (batch, outputs).
        c: the first cell state, (batch, units).
    """
    gate, candidate, output = (_function(activation) for activation in (cell.gate, cell.candidate, cell.output))
    # Contiguous, so that equal weights give equal sums however their file stored them.
    W, U = (np.ascontiguousarray(gates, np.float64) for gates in (cell.W, cell.U))  # noqa: N806 (the field's own letters)
    biases = [np.asarray(bias, np.float64) for bias in (cell.b, cell.b_rec) if bias is not None]
    bias = sum(biases, np.zeros((4, cell.units)))
    projection = None if cell.projection is None else np.asarray(cell.projection, np.float64)
    from_input = np.einsum("btd,gud->tgbu", x, W) + bias[:, None, :]
    steps = np.empty((x.shape[1], *h.shape))
    for step, z_input in enumerate(from_input):
        z_i, z_f, z_g, z_o = z_input + np.einsum("br,gur->gbu", h, U)
        c = gate(z_f) * c + gate(z_i) * candidate(z_g)
        h = gate(z_o) * output(c)
        if projection is not None:
            h = h @ projection.T
        steps[step] = h
    return steps.transpose(1, 0, 2), h, c


def _function(activation: Activation) -> Callable[[Float64], Float64]:
    if activation.name == "hard_sigmoid":
        slope, offset = activation.parameters["slope"], activation.parameters["offset"]
        return lambda x: np.clip(slope * x + offset, 0.0, 1.0)
    if activation.name not in _FUNCTIONS:
        raise Unsupported(f"activation {activation}: the reference knows {', '.join([*_FUNCTIONS, 'hard_sigmoid'])}")
    return _FUNCTIONS[activation.name]


def _sigmoid(x: Float64) -> Float64:
    return 0.5 + 0.5 * np.tanh(0.5 * x)  # as 1 / (1 + exp(-x)), without its overflow


_FUNCTIONS: dict[str, Callable[[Float64], Float64]] = {"sigmoid": _sigmoid, "tanh": np.tanh}

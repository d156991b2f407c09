"""The forward pass in NumPy float64: what a model computes, whatever framework it came from. The oracle of every proof.

The equations are those of `canonical`, for all gates, all samples and, of what the input gives, all steps at once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_convert.activations import function
from lstm_convert.canonical import Cell, GRUCell, Recurrent, RecurrentCell, SimpleRNNCell
from lstm_convert.errors import Unsupported
from lstm_convert.kernels import Kernels, turned

Float64 = NDArray[np.float64]
Bool = NDArray[np.bool_]
Turned = Float64 | Kernels
Step = Callable[[Float64, Float64, Float64], tuple[Float64, Float64]]


@dataclass(frozen=True, eq=False)
class Run:
    """What a layer returned.

    Args:
        outputs: what the layer returns as it is configured: every step, (batch, time, outputs), or the last one,
            (batch, outputs); one array, or one a direction where the two are not merged.
        h: the last output state of each direction, (batch, outputs of that direction).
        c: the last cell state of each direction, (batch, units); none where cells of this kind have none.
    """

    outputs: tuple[Float64, ...]
    h: tuple[Float64, ...]
    c: tuple[Float64, ...]

    @property
    def output(self) -> Float64:
        """The only output, or the forward one of two that are not merged."""
        return self.outputs[0]


def run(
    layer: Recurrent,
    x: NDArray[Any],
    h0: Sequence[NDArray[Any]] | None = None,
    c0: Sequence[NDArray[Any]] | None = None,
    mask: NDArray[Any] | None = None,
) -> Run:
    """Return what a layer computes on a batch of sequences, in float64.

    Args:
        layer: one or two directions.
        x: (batch, time, inputs).
        h0: the initial output state of each direction, (batch, outputs of that direction); zeros where None.
        c0: the initial cell state of each direction, (batch, units); zeros where None, or where there is no such state.
        mask: which steps count, (batch, time); all where None.

    Raises:
        Unsupported: an activation or a merge is not known.
    """
    x = np.asarray(x, np.float64)
    counts = None if mask is None else np.asarray(mask, bool)
    outputs, hs, cs = [], [], []
    for direction, cell in enumerate(layer.cells.values()):
        start_h = np.zeros((len(x), cell.outputs)) if h0 is None else np.asarray(h0[direction], np.float64)
        start_c = np.zeros((len(x), cell.units)) if c0 is None else np.asarray(c0[direction], np.float64)
        backwards = layer.go_backwards != bool(direction)
        order = slice(None, None, -1) if backwards else slice(None)
        counting = None if counts is None else counts[:, order]
        with np.errstate(over="ignore", invalid="ignore"):  # some nets grow without bound, in every framework
            steps, h, c = run_cell(cell, x[:, order], start_h, start_c, counting)
        if layer.zero_output_for_mask and counting is not None:
            steps = np.where(counting[:, :, None], steps, 0.0)
        # A backward half is turned back to the order of the other; a layer that stands alone is left as it was read.
        sequence = steps[:, ::-1] if direction else steps
        outputs.append(sequence if layer.return_sequences else steps[:, -1])
        hs.append(h)
        cs.append(c)
    return Run(_merged(layer, outputs), tuple(hs), tuple(cs) if has_cell_state(layer) else ())


def has_cell_state(layer: Recurrent) -> bool:
    """Return whether a layer's cells keep a cell state c beside h; only an LSTM's do."""
    return isinstance(layer.forward, Cell)


def run_cell(
    cell: RecurrentCell, x: Float64, h: Float64, c: Float64, counts: Bool | None = None
) -> tuple[Float64, Float64, Float64]:
    """Return every step's output, (batch, time, outputs), and the last h and c of one cell that reads steps in order.

    The output of a step that does not count is that of the step before, zero where there is none. A c that cells of
    this kind do not have stays as it was.

    Args:
        cell: the cell.
        x: (batch, time, inputs).
        h: the first output state, (batch, outputs).
        c: the first cell state, (batch, units).
        counts: which steps count, (batch, time); all where None.
    """
    W, U = (turned(gates.each) for gates in (cell.W, cell.U))  # noqa: N806 (the field's own letters)
    b, b_rec = (0.0 if bias is None else np.array(bias.each, np.float64)[:, None] for bias in (cell.b, cell.b_rec))
    next_states = _step_of(cell, U, b_rec + np.zeros((len(cell.letters), 1, cell.units)))
    from_input = x.transpose(1, 0, 2)[:, None] @ W + b
    steps = np.empty((x.shape[1], *h.shape))
    output = np.zeros_like(h)
    for step, z_input in enumerate(from_input):
        new_h, new_c = next_states(z_input, h, c)
        if counts is None:
            c, h, output = new_c, new_h, new_h
        else:
            counting = counts[:, step, None]
            c, h, output = np.where(counting, new_c, c), np.where(counting, new_h, h), np.where(counting, new_h, output)
        steps[step] = output
    return steps.transpose(1, 0, 2), h, c


def _step_of(cell: RecurrentCell, U: Turned, b_rec: Float64) -> Step:  # noqa: N803 (the field's own letter)
    """Return one step of a cell: from what the input gives each gate, h and c to the new h and c.

    Args:
        cell: the cell.
        U: its recurrent kernels, each turned: (gates, outputs, units).
        b_rec: its recurrent biases, (gates, 1, units).

    Raises:
        Unsupported: it is of no kind that is known, or an activation is not.
    """
    if isinstance(cell, Cell):
        return _lstm_step(cell, U, b_rec)
    if isinstance(cell, GRUCell):
        return _gru_step(cell, U, b_rec)
    if isinstance(cell, SimpleRNNCell):
        activation = function(cell.candidate)
        return lambda z_input, h, c: (activation(z_input[0] + h @ U[0] + b_rec[0]), c)
    raise Unsupported(f"a cell of the kind {cell.kind} is not known")


def _lstm_step(cell: Cell, U: Turned, b_rec: Float64) -> Step:  # noqa: N803
    gate, candidate, activation = function(cell.gate), function(cell.candidate), function(cell.output)
    peephole = None if cell.peephole is None else np.asarray(cell.peephole, np.float64)
    # What i and f see of the c before; g sees nothing, and o the new one.
    early = None if peephole is None else np.concatenate([peephole[:2], np.zeros_like(peephole[:2])])[:, None]

    def step(z_input: Float64, h: Float64, c: Float64) -> tuple[Float64, Float64]:
        z = z_input + h @ U + b_rec
        seeing = _clipped(z if early is None else z + early * c, cell.gate_clip)
        i, f, _, o = gate(seeing)  # all at once is quicker, though g is no gate
        g = candidate(seeing[2])
        new_c = _clipped((1.0 - i if cell.coupled else f) * c + i * g, cell.cell_clip)
        if peephole is not None:
            o = gate(_clipped(z[3] + peephole[2] * new_c, cell.gate_clip))
        return _projected(cell, o * activation(new_c)), new_c

    return step


def _gru_step(cell: GRUCell, U: Turned, b_rec: Float64) -> Step:  # noqa: N803
    gate, candidate = function(cell.gate), function(cell.candidate)

    def reset_after(z_input: Float64, h: Float64, c: Float64) -> tuple[Float64, Float64]:
        recurrent = h @ U + b_rec
        z, r = gate(z_input[:2] + recurrent[:2])
        return z * h + (1.0 - z) * candidate(z_input[2] + r * recurrent[2]), c

    def reset_before(z_input: Float64, h: Float64, c: Float64) -> tuple[Float64, Float64]:
        z, r = gate(z_input[:2] + h @ U[:2] + b_rec[:2])
        return z * h + (1.0 - z) * candidate(z_input[2] + (r * h) @ U[2] + b_rec[2]), c

    return reset_after if cell.reset_after else reset_before


def _clipped(x: Float64, bound: float | None) -> Float64:
    return x if bound is None else np.clip(x, -bound, bound)


def _projected(cell: Cell, h: Float64) -> Float64:
    if cell.projection is None:
        return h
    return _clipped(h @ turned([np.asarray(cell.projection)])[0], cell.projection_clip)


def _merged(layer: Recurrent, outputs: list[Float64]) -> tuple[Float64, ...]:
    if layer.backward is None or layer.merge is None:
        return tuple(outputs)
    forward, backward = outputs
    if layer.merge == "concat":
        return (np.concatenate(outputs, axis=-1),)
    if layer.merge == "sum":
        return (forward + backward,)
    if layer.merge == "ave":
        return ((forward + backward) / 2.0,)
    if layer.merge == "mul":
        return (forward * backward,)
    raise Unsupported(f"{layer.name}: merge {layer.merge!r} is not known")

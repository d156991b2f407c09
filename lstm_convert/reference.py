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
from lstm_convert.kernels import Kernels, is_held, turned

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
    return _run([layer], x, h0, c0, mask)[0]


def run_both(
    one: Recurrent,
    other: Recurrent,
    x: NDArray[Any],
    h0: Sequence[NDArray[Any]] | None = None,
    c0: Sequence[NDArray[Any]] | None = None,
    mask: NDArray[Any] | None = None,
) -> list[Run]:
    """Return what each of two layers computes, as `run` does; where only their numbers differ, both at once.

    Args:
        one: a layer.
        other: another, with as many directions.
        x: as in `run`.
        h0: as in `run`.
        c0: as in `run`.
        mask: as in `run`.

    Raises:
        Unsupported: as `run` raises.
    """
    together = [[one, other]] if _manner(one) == _manner(other) and _is_held(one) else [[one], [other]]
    return [ran for layers in together for ran in _run(layers, x, h0, c0, mask)]


def _manner(layer: Recurrent) -> list[Any]:
    """Return all that what a layer computes depends on beside its numbers."""
    own = [layer.go_backwards, layer.return_sequences, layer.zero_output_for_mask, layer.merge]
    cells = layer.cells.values()
    extras = [(cell.held().keys() - {"b", "b_rec"}, cell.activations(), cell.settings()) for cell in cells]
    return [*own, *((type(cell), cell.W.shape, cell.U.shape) for cell in cells), *extras]


def _is_held(layer: Recurrent) -> bool:
    return all(is_held(gates.each) for cell in layer.cells.values() for gates in (cell.W, cell.U))


def _run(
    layers: Sequence[Recurrent],
    x: NDArray[Any],
    h0: Sequence[NDArray[Any]] | None,
    c0: Sequence[NDArray[Any]] | None,
    mask: NDArray[Any] | None,
) -> list[Run]:
    """Return what each of some layers computes that differ in nothing but their numbers."""
    x, layer = np.asarray(x, np.float64), layers[0]
    counts = None if mask is None else np.asarray(mask, bool)
    each: list[list[tuple[Float64, Float64, Float64]]] = [[] for _ in layers]
    for direction, cells in enumerate(zip(*(layer.cells.values() for layer in layers), strict=True)):
        cell = cells[0]
        start_h = np.zeros((len(x), cell.outputs)) if h0 is None else np.asarray(h0[direction], np.float64)
        start_c = np.zeros((len(x), cell.units)) if c0 is None else np.asarray(c0[direction], np.float64)
        backwards = layer.go_backwards != bool(direction)
        order = slice(None, None, -1) if backwards else slice(None)
        counting = None if counts is None else counts[:, order]
        with np.errstate(over="ignore", invalid="ignore"):  # some nets grow without bound, in every framework
            ran = run_cells(cells, x[:, order], start_h, start_c, counting)
        for found, (outputs, h, c) in zip(each, ran, strict=True):
            unseen = None if counting is None or not layer.zero_output_for_mask else ~counting[:, :, None]
            steps = outputs if unseen is None else np.where(unseen, 0.0, outputs)
            # A backward half is turned back to the order of the other; a layer alone is left as it was read.
            sequence = steps[:, ::-1] if direction else steps
            found.append((sequence if layer.return_sequences else steps[:, -1], h, c))
    return [_returned(layer, *zip(*found, strict=True)) for found in each]


def _returned(layer: Recurrent, outputs: Sequence[Float64], h: tuple[Float64, ...], c: tuple[Float64, ...]) -> Run:
    return Run(_merged(layer, outputs), h, c if has_cell_state(layer) else ())


def has_cell_state(layer: Recurrent) -> bool:
    """Return whether a layer's cells keep a cell state c beside h; only an LSTM's do."""
    return isinstance(layer.forward, Cell)


@dataclass(frozen=True, eq=False)
class _Weights:
    """The numbers of a cell as the equations take them; those of several cells have one axis more, the last but two.

    Args:
        W: the input kernels, each turned: (gates, inputs, units).
        U: the recurrent kernels, each turned: (gates, outputs, units).
        b: the biases of the input side, (gates, 1, units).
        b_rec: those of the recurrent side.
        peephole: (3, 1, units), or None.
        projection: turned, (units, outputs), or None.
    """

    W: Turned
    U: Turned
    b: Float64
    b_rec: Float64
    peephole: Float64 | None
    projection: Any

    @classmethod
    def of(cls, cell: RecurrentCell) -> "_Weights":
        """Return those of a cell."""
        zeros, held = np.zeros((len(cell.letters), 1, cell.units)), cell.held()
        peephole, projection = held.get("peephole"), held.get("projection")
        return cls(
            turned(cell.W.each),
            turned(cell.U.each),
            zeros if cell.b is None else np.array(cell.b.each, np.float64)[:, None],
            zeros if cell.b_rec is None else np.array(cell.b_rec.each, np.float64)[:, None],
            None if peephole is None else np.asarray(peephole, np.float64)[:, None],
            None if projection is None else turned([np.asarray(projection)])[0],
        )

    @classmethod
    def side_by_side(cls, cells: Sequence[RecurrentCell]) -> "_Weights":
        """Return those of several cells, or of one as they are."""
        each = [cls.of(cell) for cell in cells]
        if len(each) == 1:
            return each[0]
        arrays = zip(*(vars(weights).values() for weights in each), strict=True)
        stacked: list[Any] = [None if those[0] is None else np.stack(those, axis=-3) for those in arrays]
        return cls(*stacked)


def run_cells(
    cells: Sequence[RecurrentCell], x: Float64, h: Float64, c: Float64, counts: Bool | None = None
) -> list[tuple[Float64, Float64, Float64]]:
    """Return every step's output, (batch, time, outputs), and the last h and c, of each of some cells.

    The output of a step that does not count is that of the step before, zero where there is none. A c that cells of
    this kind do not have stays as it was.

    Args:
        cells: which read the steps in order, and differ in nothing but their numbers.
        x: (batch, time, inputs).
        h: the first output state, (batch, outputs).
        c: the first cell state, (batch, units).
        counts: which steps count, (batch, time); all where None.
    """
    weights = _Weights.side_by_side(cells)
    next_states = _step_of(cells[0], weights)
    axes = (slice(None), *[None] * len(cells[1:]), None)
    from_input = x.transpose(1, 0, 2)[axes] @ weights.W + weights.b
    steps = np.empty((*from_input.shape[:1], *from_input.shape[2:-1], h.shape[-1]))
    output = np.zeros_like(h)
    for step, z_input in enumerate(from_input):
        new_h, new_c = next_states(z_input, h, c)
        if counts is None:
            c, h, output = new_c, new_h, new_h
        else:
            counting = counts[:, step, None]
            c, h, output = np.where(counting, new_c, c), np.where(counting, new_h, h), np.where(counting, new_h, output)
        steps[step] = output
    if len(cells) == 1:
        return [(steps.transpose(1, 0, 2), h, c)]
    of_all = [(len(cells), *state.shape[-2:]) for state in (h, c)]  # without that axis where no step changed it
    hs, cs = (np.broadcast_to(state, shape) for state, shape in zip((h, c), of_all, strict=True))
    return [(steps[:, number].transpose(1, 0, 2), hs[number], cs[number]) for number in range(len(cells))]


def _step_of(cell: RecurrentCell, weights: _Weights) -> Step:
    """Return one step of a cell: from what the input gives each gate, h and c to the new h and c.

    Args:
        cell: the cell, whose activations and settings count.
        weights: its numbers, or those of several such.

    Raises:
        Unsupported: it is of no kind that is known, or an activation is not.
    """
    if isinstance(cell, Cell):
        return _lstm_step(cell, weights)
    if isinstance(cell, GRUCell):
        return _gru_step(cell, weights)
    if isinstance(cell, SimpleRNNCell):
        activation, U, b_rec = function(cell.candidate), weights.U, weights.b_rec  # noqa: N806 (the field's own letter)
        return lambda z_input, h, c: (activation(z_input[0] + h @ U[0] + b_rec[0]), c)
    raise Unsupported(f"a cell of the kind {cell.kind} is not known")


def _lstm_step(cell: Cell, weights: _Weights) -> Step:
    gate, candidate, activation = function(cell.gate), function(cell.candidate), function(cell.output)
    U, b_rec, peephole, projection = weights.U, weights.b_rec, weights.peephole, weights.projection  # noqa: N806
    # What i and f see of the c before; g sees nothing, and o the new one.
    early = None if peephole is None else np.concatenate([peephole[:2], np.zeros_like(peephole[:2])])

    def step(z_input: Float64, h: Float64, c: Float64) -> tuple[Float64, Float64]:
        z = z_input + h @ U + b_rec
        seeing = _clipped(z if early is None else z + early * c, cell.gate_clip)
        i, f, _, o = gate(seeing)  # all at once is quicker, though g is no gate
        g = candidate(seeing[2])
        new_c = _clipped((1.0 - i if cell.coupled else f) * c + i * g, cell.cell_clip)
        if peephole is not None:
            o = gate(_clipped(z[3] + peephole[2] * new_c, cell.gate_clip))
        new_h = o * activation(new_c)
        return new_h if projection is None else _clipped(new_h @ projection, cell.projection_clip), new_c

    return step


def _gru_step(cell: GRUCell, weights: _Weights) -> Step:
    gate, candidate = function(cell.gate), function(cell.candidate)
    U, b_rec = weights.U, weights.b_rec  # noqa: N806

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


def _merged(layer: Recurrent, outputs: Sequence[Float64]) -> tuple[Float64, ...]:
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

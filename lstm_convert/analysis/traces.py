"""What every gate and state is at every step: of a cell, of a layer, of a stack of layers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_convert.analysis.stacks import Stack
from lstm_convert.analysis.stepping import Stepper, stepper_of
from lstm_convert.canonical import Recurrent
from lstm_convert.errors import LayoutMismatch, Unsupported

Float64 = NDArray[np.float64]
Bool = NDArray[np.bool_]

# The states that every cell of a stack starts from: c and h, by layer and direction.
States = Sequence[Sequence[tuple[Float64, Float64]]]


@dataclass(frozen=True, eq=False)
class CellTrace:
    """Gates and states of one cell, (time, batch, units), steps in the order in which the cell reads them.

    Args:
        stepper: the cell.
        backwards: whether it reads the sequence from its end.
        steps: each field of its kind's `Step`, the steps stacked.
        c: the cell state after each step, and before it where the step is masked; without units where there is none.
        h: the output after each step, (time, batch, outputs), the same.
        c0: the cell state before the first step.
        h0: the output before the first step.
        counts: which steps count, (time, batch), or None where all do.
    """

    stepper: Stepper
    backwards: bool
    steps: Any
    c: Float64
    h: Float64
    c0: Float64
    h0: Float64
    counts: Bool | None

    @property
    def c_before(self) -> Float64:
        """The cell state that each step reads, (time, batch, units)."""
        return np.concatenate([self.c0[None], self.c[:-1]])

    @property
    def h_before(self) -> Float64:
        """The output that each step reads, (time, batch, outputs)."""
        return np.concatenate([self.h0[None], self.h[:-1]])

    def in_time(self) -> dict[str, Float64]:
        """Return each gate, c where there is one, and h, (batch, time, units), steps in the order of the sequence."""
        order = slice(None, None, -1) if self.backwards else slice(None)
        arrays = {gate: getattr(self.steps, gate) for gate in self.stepper.cell.letters}
        arrays |= ({"c": self.c} if self.c.shape[-1] else {}) | {"h": self.h}
        return {name: array[order].transpose(1, 0, 2) for name, array in arrays.items()}


@dataclass(frozen=True, eq=False)
class LayerTrace:
    """The traces of a layer's cells and its merged output.

    Args:
        layer: the layer.
        cells: the trace of each direction, forward first.
        output: what the layer above reads: every step, (time, batch, outputs), as the layer lays them out.
    """

    layer: Recurrent
    cells: tuple[CellTrace, ...]
    output: Float64

    def dataset(self, samples: int | None = None) -> dict[str, Any]:
        """Return the traces as what `xarray.Dataset.from_dict` takes: dims direction, sample, time, unit.

        Where one direction has fewer units than the other, NaN stands for those it has not.

        Args:
            samples: how many sequences, the first ones; all where None.
        """
        traces = [cell.in_time() for cell in self.cells]
        arrays = {name: _side_by_side([trace[name][:samples] for trace in traces]) for name in traces[0]}
        dims = {name: ("direction", "sample", "time", "output" if name == "h" else "unit") for name in arrays}
        variables = {name: {"dims": dims[name], "data": array} for name, array in arrays.items()}
        sizes = {dim: size for name, array in arrays.items() for dim, size in zip(dims[name], array.shape, strict=True)}
        coords: dict[str, Any] = {dim: {"dims": (dim,), "data": np.arange(size)} for dim, size in sizes.items()}
        coords["direction"]["data"] = np.array(list(self.layer.cells))
        return {"dims": sizes, "coords": coords, "data_vars": variables, "attrs": {"layer": self.layer.name}}


def _side_by_side(arrays: list[Float64]) -> Float64:
    widest = max(array.shape[-1] for array in arrays)
    missing = [[(0, 0), (0, 0), (0, widest - array.shape[-1])] for array in arrays]
    return np.stack([np.pad(array, pad, constant_values=np.nan) for array, pad in zip(arrays, missing, strict=True)])


@dataclass(frozen=True, eq=False)
class StackTrace:
    """The traces of a stack's layers.

    Args:
        stack: the stack.
        layers: the trace of each layer.
        counts: which steps count, (time, batch), or None where all do.
    """

    stack: Stack
    layers: tuple[LayerTrace, ...]
    counts: Bool | None = None

    @property
    def steps(self) -> int:
        """The number of steps."""
        return len(self.layers[0].output)

    @property
    def sequences(self) -> int:
        """The number of sequences."""
        return int(self.layers[0].output.shape[1])


def trace(
    stack: Stack, x: NDArray[Any], *, mask: NDArray[Any] | None = None, states: States | None = None
) -> StackTrace:
    """Return every gate and state of every layer of a stack.

    Args:
        stack: the layers.
        x: (batch, time, inputs).
        mask: which steps count, (batch, time); all where None.
        states: c and h that each cell starts from, by layer and direction; zeros where None.

    Raises:
        LayoutMismatch: the data is not of this shape.
        Unsupported: an activation or a merge is not known.
    """
    sequence = time_first(stack, x)
    counts = None if mask is None else np.asarray(mask, bool).T
    layers = []
    for depth, layer in enumerate(stack.layers):
        start = None if states is None else states[depth]
        layers.append(trace_layer(layer, sequence, counts, start))
        sequence = layers[-1].output
    return StackTrace(stack, tuple(layers), counts)


def time_first(stack: Stack, x: NDArray[Any]) -> Float64:
    """Return the data in float64 as (time, batch, inputs).

    Args:
        stack: the layers that read it.
        x: (batch, time, inputs).

    Raises:
        LayoutMismatch: it has another shape.
    """
    if x.ndim != 3 or x.shape[2] != stack.inputs or not x.size:  # noqa: PLR2004 (the three axes of the argument)
        raise LayoutMismatch(
            f"{stack.layers[0].name} cannot read this data",
            [f"expected (sequences, steps, {stack.inputs}), found {x.shape}"],
        )
    return np.ascontiguousarray(np.asarray(x, np.float64).transpose(1, 0, 2))


def trace_layer(
    layer: Recurrent,
    x: Float64,
    counts: Bool | None = None,
    states: Sequence[tuple[Float64, Float64]] | None = None,
) -> LayerTrace:
    """Return the traces of one layer.

    Args:
        layer: the layer.
        x: (time, batch, inputs).
        counts: which steps count, (time, batch); all where None.
        states: c and h that each direction starts from; zeros where None.
    """
    cells, outputs = [], []
    for direction, cell in enumerate(layer.cells.values()):
        stepper = stepper_of(cell)
        backwards = layer.go_backwards != bool(direction)
        start = stepper.zeros(x.shape[1]) if states is None else states[direction]
        order = slice(None, None, -1) if backwards else slice(None)
        traced = trace_cell(stepper, x[order], start, None if counts is None else counts[order], backwards=backwards)
        cells.append(traced)
        outputs.append(_outputs(layer, traced)[:: -1 if direction else 1])
    return LayerTrace(layer, tuple(cells), _merged(layer, outputs))


def trace_cell(
    stepper: Stepper, x: Float64, start: tuple[Float64, Float64], counts: Bool | None = None, *, backwards: bool = False
) -> CellTrace:
    """Return the trace of one cell that reads steps in order.

    Args:
        stepper: the cell.
        x: (time, batch, inputs).
        start: c and h before the first step.
        counts: which steps count, (time, batch); all where None.
        backwards: whether the steps were turned round before; noted in the trace.
    """
    c, h = start
    z_input = stepper.from_input(x)
    steps, cs, hs = [], np.empty((*x.shape[:2], c.shape[-1])), np.empty((*x.shape[:2], h.shape[-1]))
    with np.errstate(over="ignore", invalid="ignore"):  # some nets grow without bound, in every framework
        for time, z in enumerate(z_input):
            step = stepper.step(z, c, h)
            if counts is None:
                c, h = step.c, step.h
            else:
                counting = counts[time, :, None]
                c, h = np.where(counting, step.c, c), np.where(counting, step.h, h)
            steps.append(step)
            cs[time], hs[time] = c, h
    stacked = type(steps[0])(*(np.stack(arrays) for arrays in zip(*steps, strict=True)))
    return CellTrace(stepper, backwards, stacked, cs, hs, *start, counts)


def _outputs(layer: Recurrent, traced: CellTrace) -> Float64:
    """Return what a cell puts out: h, but of a masked step zero or what was put out before, zero at first."""
    if traced.counts is None:
        return traced.h
    shown = traced.counts if layer.zero_output_for_mask else np.logical_or.accumulate(traced.counts, axis=0)
    return np.where(shown[:, :, None], traced.h, 0.0)


def _merged(layer: Recurrent, outputs: list[Float64]) -> Float64:
    if len(outputs) == 1:
        return outputs[0]
    merge = MERGES.get(layer.merge or "")
    if merge is None:
        raise Unsupported(f"{layer.name}: merge {layer.merge!r} is not known")
    return merge(*outputs)


MERGES: Mapping[str, Callable[[Float64, Float64], Float64]] = {
    "concat": lambda forward, backward: np.concatenate([forward, backward], axis=-1),
    "sum": lambda forward, backward: forward + backward,
    "ave": lambda forward, backward: (forward + backward) / 2.0,
    "mul": lambda forward, backward: forward * backward,
}


def last_output(traced: StackTrace, at: int = -1) -> Float64:
    """Return what is read from a stack: the last layer's output, (batch, outputs).

    A layer that returns its last step alone returns each direction's own last; of one that returns every step, `at`
    says which.

    Args:
        traced: the trace.
        at: the step, of a layer that returns every step.
    """
    top = traced.layers[-1]
    if top.layer.return_sequences:
        return np.asarray(top.output[at])
    return _merged(top.layer, [_outputs(top.layer, cell)[-1] for cell in top.cells])

"""One cell made ready to be stepped fast: flat kernels, folded biases, and the equations of one step, in float64.

The state of every kind of cell is the pair c and h; where a kind has no c, c has no units.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lstm_convert.activations import function
from lstm_convert.canonical import Cell, GRUCell, RecurrentCell, SimpleRNNCell
from lstm_convert.errors import Unsupported

Float64 = NDArray[np.float64]
Function = Callable[[Float64], Float64]


class LSTMStep(NamedTuple):
    """What one step of an LSTM computes: gates and states (batch, units), what was before a clip or a projection too.

    `given` is what the activations are given before the clip, (batch, 4, units); `raw_c` is c before its clip,
    `squashed` is output(c), `raw_h` is h before its projection's clip.
    """

    given: Float64
    i: Float64
    f: Float64
    g: Float64
    o: Float64
    raw_c: Float64
    c: Float64
    squashed: Float64
    raw_h: Float64
    h: Float64


class GRUStep(NamedTuple):
    """What one step of a GRU computes; c has no units.

    `given` is what the activations are given, (batch, 3, units); `looped` is U_g h + b_rec_g, which r multiplies where
    it resets after, and nothing else where it resets before.
    """

    given: Float64
    looped: Float64
    z: Float64
    r: Float64
    g: Float64
    c: Float64
    h: Float64


class SimpleRNNStep(NamedTuple):
    """What one step of a simple RNN computes; c has no units, and g is h."""

    given: Float64
    g: Float64
    c: Float64
    h: Float64


Step = LSTMStep | GRUStep | SimpleRNNStep


@dataclass(frozen=True, eq=False)
class _Stepper:
    """What all kinds of cells have: their kernels as float64 copies, gates stacked in their order.

    Args:
        cell: the cell.
        kernel: (gates units, inputs).
        recurrent: (gates units, outputs).
        bias: what is added to what the input gives, (gates units,).
    """

    cell: RecurrentCell
    kernel: Float64
    recurrent: Float64
    bias: Float64

    def from_input(self, x: Float64) -> Float64:
        """Return what the input alone adds to the gates, (…, gates units).

        Args:
            x: (…, inputs).
        """
        return x @ self.kernel.T + self.bias

    def zeros(self, batch: int) -> tuple[Float64, Float64]:
        """Return the states c, (batch, its units), and h, (batch, outputs), that a sequence starts from.

        Args:
            batch: the number of sequences.
        """
        units = self.cell.units if isinstance(self.cell, Cell) else 0
        return np.zeros((batch, units)), np.zeros((batch, self.cell.outputs))


@dataclass(frozen=True, eq=False)
class LSTMStepper(_Stepper):
    """An LSTM's cell.

    Args:
        peephole: (3, units), or None.
        projection: (outputs, units), or None.
        gate: the gates' activation.
        candidate: the candidate's.
        output: that of c on its way to h.
    """

    cell: Cell
    peephole: Float64 | None
    projection: Float64 | None
    gate: Function
    candidate: Function
    output: Function

    def step(self, z_input: Float64, c: Float64, h: Float64) -> LSTMStep:
        """Return one step.

        Args:
            z_input: what the input adds to the gates, (batch, 4 units).
            c: the cell state before, (batch, units).
            h: the output before, (batch, outputs).
        """
        cell = self.cell
        z = (h @ self.recurrent.T).reshape(len(h), 4, cell.units)
        z += z_input.reshape(z.shape)
        if self.peephole is not None:
            z[:, 0] += self.peephole[0] * c
            z[:, 1] += self.peephole[1] * c
        i, f = self._gates(clipped(z[:, :2], cell.gate_clip))
        g = self.candidate(clipped(z[:, 2], cell.gate_clip))
        raw_c = f * c
        raw_c += i * g
        new_c = clipped(raw_c, cell.cell_clip)
        if self.peephole is not None:
            z[:, 3] += self.peephole[2] * new_c
        o = self.gate(clipped(z[:, 3], cell.gate_clip))
        squashed = self.output(new_c)
        raw_h = o * squashed
        if self.projection is not None:
            raw_h = raw_h @ self.projection.T
        new_h = raw_h if self.projection is None else clipped(raw_h, cell.projection_clip)
        return LSTMStep(z, i, f, g, o, raw_c, new_c, squashed, raw_h, new_h)

    def _gates(self, z: Float64) -> tuple[Float64, Float64]:
        if self.cell.coupled:
            i = self.gate(z[:, 0])
            return i, 1.0 - i
        both = self.gate(z)
        return both[:, 0], both[:, 1]


@dataclass(frozen=True, eq=False)
class GRUStepper(_Stepper):
    """A GRU's cell; of one that resets after, the candidate's recurrent bias is apart.

    Args:
        inner_bias: what r multiplies beside U_g h, (units,); zeros where it resets before.
        gate: the activation of z and r.
        candidate: that of g.
    """

    cell: GRUCell
    inner_bias: Float64
    gate: Function
    candidate: Function

    def step(self, z_input: Float64, c: Float64, h: Float64) -> GRUStep:
        """Return one step.

        Args:
            z_input: what the input adds to the gates, (batch, 3 units).
            c: (batch, 0).
            h: the output before, (batch, units).
        """
        units = self.cell.units
        given = z_input.reshape(len(h), 3, units).copy()
        given[:, :2] += (h @ self.recurrent[: 2 * units].T).reshape(len(h), 2, units)
        both = self.gate(given[:, :2])
        z, r = both[:, 0], both[:, 1]
        inner = h if self.cell.reset_after else r * h
        looped = inner @ self.recurrent[2 * units :].T + self.inner_bias
        given[:, 2] += r * looped if self.cell.reset_after else looped
        g = self.candidate(given[:, 2])
        return GRUStep(given, looped, z, r, g, c, z * h + (1.0 - z) * g)


@dataclass(frozen=True, eq=False)
class SimpleRNNStepper(_Stepper):
    """A simple RNN's cell.

    Args:
        candidate: its activation.
    """

    cell: SimpleRNNCell
    candidate: Function

    def step(self, z_input: Float64, c: Float64, h: Float64) -> SimpleRNNStep:
        """Return one step.

        Args:
            z_input: what the input adds, (batch, units).
            c: (batch, 0).
            h: the output before, (batch, units).
        """
        given = z_input + h @ self.recurrent.T
        new_h = self.candidate(given)
        return SimpleRNNStep(given[:, None], new_h, c, new_h)


Stepper = LSTMStepper | GRUStepper | SimpleRNNStepper


def stepper_of(cell: RecurrentCell) -> Stepper:
    """Return a cell made ready; its arrays are copied, never written to.

    Args:
        cell: the cell.

    Raises:
        Unsupported: cells of this kind are not known.
    """
    rows = len(cell.letters) * cell.units
    kernel = np.array(cell.W, np.float64, order="C").reshape(rows, cell.inputs)
    recurrent = np.array(cell.U, np.float64, order="C").reshape(rows, cell.outputs)
    outer, inner = biases(cell)
    common = kernel, recurrent, outer.reshape(rows)
    if isinstance(cell, Cell):
        peephole, projection = (
            None if array is None else np.array(array, np.float64) for array in (cell.peephole, cell.projection)
        )
        activations = function(cell.gate), function(cell.candidate), function(cell.output)
        return LSTMStepper(cell, *common, peephole, projection, *activations)
    if isinstance(cell, GRUCell):
        return GRUStepper(cell, *common, inner, function(cell.gate), function(cell.candidate))
    if isinstance(cell, SimpleRNNCell):
        return SimpleRNNStepper(cell, *common, function(cell.candidate))
    raise Unsupported(f"a cell of the kind {cell.kind} is not known")


def biases(cell: RecurrentCell) -> tuple[Float64, Float64]:
    """Return all that counts of a cell's biases, however they are split: (gates, units), and (units,).

    The second is what a GRU that resets after adds to U_g h before r multiplies it, and else zero.

    Args:
        cell: the cell.
    """
    if not isinstance(cell, GRUCell) or not cell.reset_after or cell.b_rec is None:
        return folded_bias(cell), np.zeros(cell.units)
    recurrent = np.array(cell.b_rec, np.float64)
    candidate = cell.letters.index("g")
    inner = recurrent[candidate].copy()
    recurrent[candidate] = 0.0
    return recurrent if cell.b is None else recurrent + np.asarray(cell.b, np.float64), inner


def folded_bias(cell: RecurrentCell) -> Float64:
    """Return the sum of a cell's biases, (gates, units): of most cells it alone counts, however it is split.

    Args:
        cell: the cell.
    """
    both = [np.asarray(bias, np.float64) for bias in (cell.b, cell.b_rec) if bias is not None]
    return sum(both, np.zeros((len(cell.letters), cell.units)))


def clipped(x: Float64, bound: float | None) -> Float64:
    """Return x within a bound, x itself where there is none."""
    return x if bound is None else np.clip(x, -bound, bound)


def opening_gates(cell: RecurrentCell) -> str:
    """Return the letters of the gates that open and shut: all but the candidate's.

    Args:
        cell: the cell.
    """
    return cell.letters.replace("g", "")


def keeping_gate(cell: RecurrentCell) -> str | None:
    """Return the letter of the gate that says how much of the state is kept; a simple RNN has none.

    Args:
        cell: the cell.
    """
    return {"LSTM": "f", "GRU": "z"}.get(cell.kind)

"""One cell made ready to be stepped fast: flat kernels, folded biases, and the equations of one step, in float64."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lstm_convert.activations import function
from lstm_convert.canonical import Cell, RecurrentCell

Float64 = NDArray[np.float64]


class Step(NamedTuple):
    """What one step computes: gates and states (batch, units), what it was before a clip or a projection beside it.

    `z` is what the activations are given before the clip, (batch, 4, units); `raw_c` is c before its clip, `squashed`
    is output(c), `raw_h` is h before its projection's clip.
    """

    z: Float64
    i: Float64
    f: Float64
    g: Float64
    o: Float64
    raw_c: Float64
    c: Float64
    squashed: Float64
    raw_h: Float64
    h: Float64


@dataclass(frozen=True, eq=False)
class Stepper:
    """A cell's arrays as float64 copies, gates stacked in the order i, f, g, o, and its activations as functions.

    Args:
        cell: the cell.
        kernel: (4 units, inputs).
        recurrent: (4 units, outputs).
        bias: (4 units,), both sides' biases folded.
        peephole: (3, units), or None.
        projection: (outputs, units), or None.
        gate: the gates' activation.
        candidate: the candidate's.
        output: that of c on its way to h.
    """

    cell: Cell
    kernel: Float64
    recurrent: Float64
    bias: Float64
    peephole: Float64 | None
    projection: Float64 | None
    gate: Callable[[Float64], Float64]
    candidate: Callable[[Float64], Float64]
    output: Callable[[Float64], Float64]

    @classmethod
    def of(cls, cell: Cell) -> "Stepper":
        """Return a cell made ready.

        Args:
            cell: the cell; its arrays are copied, never written to.
        """
        rows = 4 * cell.units
        return cls(
            cell,
            np.array(cell.W, np.float64, order="C").reshape(rows, cell.inputs),
            np.array(cell.U, np.float64, order="C").reshape(rows, cell.outputs),
            folded_bias(cell).reshape(rows),
            None if cell.peephole is None else np.array(cell.peephole, np.float64),
            None if cell.projection is None else np.array(cell.projection, np.float64),
            function(cell.gate),
            function(cell.candidate),
            function(cell.output),
        )

    def from_input(self, x: Float64) -> Float64:
        """Return what the input alone adds to the gates, (…, 4 units).

        Args:
            x: (…, inputs).
        """
        return x @ self.kernel.T + self.bias

    def zeros(self, batch: int) -> tuple[Float64, Float64]:
        """Return the states c, (batch, units), and h, (batch, outputs), that a sequence starts from.

        Args:
            batch: the number of sequences.
        """
        return np.zeros((batch, self.cell.units)), np.zeros((batch, self.cell.outputs))

    def step(self, z_input: Float64, c: Float64, h: Float64) -> Step:
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
        return Step(z, i, f, g, o, raw_c, new_c, squashed, raw_h, new_h)

    def _gates(self, z: Float64) -> tuple[Float64, Float64]:
        if self.cell.coupled:
            i = self.gate(z[:, 0])
            return i, 1.0 - i
        both = self.gate(z)
        return both[:, 0], both[:, 1]


def folded_bias(cell: RecurrentCell) -> Float64:
    """Return the sum of a cell's biases, (gates, units): of most cells it alone counts, however it is split.

    Args:
        cell: the cell.
    """
    biases = [np.asarray(bias, np.float64) for bias in (cell.b, cell.b_rec) if bias is not None]
    return sum(biases, np.zeros((len(cell.letters), cell.units)))


def clipped(x: Float64, bound: float | None) -> Float64:
    """Return x within a bound, x itself where there is none."""
    return x if bound is None else np.clip(x, -bound, bound)

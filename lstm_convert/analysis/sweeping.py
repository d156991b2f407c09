"""One step back through a cell of each kind: from the gradients of c and h after it to those before it, exactly.

With lc and lh the gradients of c and h after a step of an LSTM and `'` for derivatives:

    dz_o = lh output(c) o'
    a    = lc + lh o output'(c)                 what c after the step has
    dz_i, dz_f, dz_g = a g i',  a c_before f',  a i g'
    dx = dz W      lh = dz U      lc = a f

Peepholes, projections, clips and coupled gates change these as their equations in `canonical` say. Of a GRU:

    dz_z, dz_g = lh (h_before - g) z',  lh (1 - z) g'
    dz_r = dz_g (U_g h + b_rec_g) r'            reset after;  (dz_g U_g) h_before r' reset before
    dx = dz W      lh = lh z + dz_z U_z + dz_r U_r + (dz_g r) U_g, or (dz_g U_g) r in its place
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lstm_convert.activations import derivative
from lstm_convert.analysis.stepping import GRUStep, GRUStepper, LSTMStep, LSTMStepper, SimpleRNNStepper
from lstm_convert.analysis.traces import CellTrace
from lstm_convert.errors import Unsupported

Float64 = NDArray[np.float64]


class Gradients(NamedTuple):
    """What a step back gives: of what the input gave the gates, (rows, batch, gates units), and of c and h before."""

    given: Float64
    c: Float64
    h: Float64


class LSTMSweep:
    """The steps of an LSTM, back.

    Args:
        traced: the cell's trace.
        cell_path: only what travels inside c: nothing through U, and nothing through the output gate.
    """

    def __init__(self, traced: CellTrace, stepper: LSTMStepper, steps: LSTMStep, *, cell_path: bool = False) -> None:
        cell, self.stepper, self.cell_path = stepper.cell, stepper, cell_path
        gate, candidate, output = derivative(cell.gate), derivative(cell.candidate), derivative(cell.output)
        z = steps.given if cell.gate_clip is None else np.clip(steps.given, -cell.gate_clip, cell.gate_clip)
        c_before = traced.c_before
        gates = np.empty_like(steps.given)  # what dz is of a and, for the output gate, of lh
        slope_i = gate(z[:, :, 0], steps.i)
        if cell.coupled:
            gates[:, :, 0] = (steps.g - c_before) * slope_i
            gates[:, :, 1] = 0.0
        else:
            gates[:, :, 0] = steps.g * slope_i
            gates[:, :, 1] = c_before * gate(z[:, :, 1], steps.f)
        gates[:, :, 2] = steps.i * candidate(z[:, :, 2], steps.g)
        gates[:, :, 3] = steps.squashed * gate(z[:, :, 3], steps.o)
        if cell.gate_clip is not None:
            gates *= np.abs(steps.given) <= cell.gate_clip
        self.gates = gates
        self.squash = steps.o * output(steps.c, steps.squashed)
        self.keep = steps.f
        # 0 where a clip cut and 1 where it did not.
        self.cell_clip = None if cell.cell_clip is None else np.abs(steps.raw_c) <= cell.cell_clip
        clip = cell.projection_clip if cell.projection is not None else None
        self.projection_clip = None if clip is None else np.abs(steps.raw_h) <= clip

    def back(self, step: int, lc: Float64, lh: Float64) -> Gradients:
        """Return the gradients before a step.

        Args:
            step: which one, as the cell reads them.
            lc: the gradients of c after it, (rows, batch, units).
            lh: those of h, (rows, batch, outputs).
        """
        stepper, gates, peephole = self.stepper, self.gates[step], self.stepper.peephole
        dz = np.empty((*lc.shape[:2], 4, lc.shape[2]))
        flat = dz.reshape(-1, 4 * lc.shape[2])
        inner = lh if self.projection_clip is None else lh * self.projection_clip[step]
        if stepper.projection is not None:
            inner = inner @ stepper.projection
        np.multiply(inner, gates[:, 3], out=dz[:, :, 3])
        a = inner * self.squash[step]
        a += lc
        if self.cell_path:
            dz[:, :, 3] = 0.0
        elif peephole is not None:
            a += dz[:, :, 3] * peephole[2]
        if self.cell_clip is not None:
            a *= self.cell_clip[step]
        np.multiply(a[:, :, None], gates[:, :3], out=dz[:, :, :3])
        new_lc = a * self.keep[step]
        if peephole is not None:
            new_lc += dz[:, :, 0] * peephole[0] + dz[:, :, 1] * peephole[1]
        new_lh = np.zeros_like(lh) if self.cell_path else (flat @ stepper.recurrent).reshape(lh.shape)
        return Gradients(flat, new_lc, new_lh)


class GRUSweep:
    """The steps of a GRU, back.

    Args:
        traced: the cell's trace.
    """

    def __init__(self, traced: CellTrace, stepper: GRUStepper, steps: GRUStep) -> None:
        self.stepper, self.steps, self.h_before = stepper, steps, traced.h_before
        gate, candidate = derivative(stepper.cell.gate), derivative(stepper.cell.candidate)
        self.of_z = (self.h_before - steps.g) * gate(steps.given[:, :, 0], steps.z)
        self.of_g = (1.0 - steps.z) * candidate(steps.given[:, :, 2], steps.g)
        self.slope_r = gate(steps.given[:, :, 1], steps.r)

    def back(self, step: int, lc: Float64, lh: Float64) -> Gradients:
        """Return the gradients before a step; see `LSTMSweep.back`."""
        units = lh.shape[2]
        r, u_g = self.steps.r[step], self.stepper.recurrent[2 * units :]
        dz = np.empty((*lh.shape[:2], 3, units))
        dz[:, :, 0], dz[:, :, 2] = lh * self.of_z[step], lh * self.of_g[step]
        if self.stepper.cell.reset_after:
            dz[:, :, 1] = dz[:, :, 2] * self.steps.looped[step] * self.slope_r[step]
            looped = (dz[:, :, 2] * r) @ u_g
        else:
            inner = dz[:, :, 2] @ u_g
            dz[:, :, 1] = inner * self.h_before[step] * self.slope_r[step]
            looped = inner * r
        flat = dz.reshape(-1, 3 * units)
        through_gates = (flat[:, : 2 * units] @ self.stepper.recurrent[: 2 * units]).reshape(lh.shape)
        return Gradients(flat, lc, lh * self.steps.z[step] + through_gates + looped)


class SimpleRNNSweep:
    """The steps of a simple RNN, back.

    Args:
        traced: the cell's trace.
    """

    def __init__(self, traced: CellTrace, stepper: SimpleRNNStepper) -> None:
        self.stepper = stepper
        self.slope = derivative(stepper.cell.candidate)(traced.steps.given[:, :, 0], traced.steps.g)

    def back(self, step: int, lc: Float64, lh: Float64) -> Gradients:
        """Return the gradients before a step; see `LSTMSweep.back`."""
        flat = (lh * self.slope[step]).reshape(-1, lh.shape[2])
        return Gradients(flat, lc, (flat @ self.stepper.recurrent).reshape(lh.shape))


Sweep = LSTMSweep | GRUSweep | SimpleRNNSweep


def sweep_of(traced: CellTrace, *, cell_path: bool = False) -> Sweep:
    """Return what goes back through a trace, step by step.

    Args:
        traced: the cell's trace.
        cell_path: of an LSTM, only what travels inside c.

    Raises:
        Unsupported: an activation makes each unit's value of all units'; or there is no cell path.
    """
    stepper, steps = traced.stepper, traced.steps
    if isinstance(stepper, LSTMStepper) and isinstance(steps, LSTMStep):
        return LSTMSweep(traced, stepper, steps, cell_path=cell_path)
    if cell_path:
        raise Unsupported(f"a {stepper.cell.kind} has no cell state c, and so no path inside it")
    if isinstance(stepper, GRUStepper) and isinstance(steps, GRUStep):
        return GRUSweep(traced, stepper, steps)
    assert isinstance(stepper, SimpleRNNStepper)  # noqa: S101 (the only other kind)
    return SimpleRNNSweep(traced, stepper)

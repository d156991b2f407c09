"""Sequences run again with a part of them replaced, from the states of before where those sum up the past."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_convert.analysis.readout import Readout, identity
from lstm_convert.analysis.stacks import Stack
from lstm_convert.analysis.stepping import Stepper
from lstm_convert.analysis.traces import last_output, time_first, trace

Float64 = NDArray[np.float64]
Indices = NDArray[np.intp]

# More outputs than these are only looked at together.
NAMED_OUTPUTS = 16


@dataclass(frozen=True, eq=False)
class Replay:
    """Sequences, what they make the model put out, and the states on the way.

    Args:
        stack: the layers.
        readout: what the outputs are.
        x: (time, batch, inputs).
        y: the outputs, (batch, outputs).
        steppers: the cell of each layer, of a causal stack.
        states: c and h of each layer before each step, (time, batch, …), of a causal stack.
    """

    stack: Stack
    readout: Readout
    x: Float64
    y: Float64
    steppers: tuple[Stepper, ...]
    states: tuple[tuple[Float64, Float64], ...]

    @classmethod
    def of(cls, stack: Stack, x: NDArray[Any], readout: Readout | None = None) -> "Replay":
        """Run some sequences.

        Args:
            stack: the layers.
            x: (batch, time, inputs).
            readout: what the outputs are; the last layer's output itself where None.
        """
        readout = identity(stack.outputs) if readout is None else readout
        traced = trace(stack, x)
        cells = [layer.cells[0] for layer in traced.layers] if stack.causal else []
        return cls(
            stack,
            readout,
            time_first(stack, x),
            readout(last_output(traced)),
            tuple(cell.stepper for cell in cells),
            tuple((cell.c_before, cell.h_before) for cell in cells),
        )

    @property
    def steps(self) -> int:
        """The number of steps."""
        return len(self.x)

    @property
    def sequences(self) -> int:
        """The number of sequences."""
        return int(self.x.shape[1])

    def resumed(self, time: int, source: Indices, tail: Float64) -> Float64:
        """Return the outputs where the past is one sequence's and the rest is given, (rows, outputs).

        Args:
            time: the first step that is given.
            source: for each row the sequence whose earlier steps it has.
            tail: the steps from there on, (steps, rows, inputs).
        """
        if time == self.steps:
            return self.y[source]
        if not self.stack.causal:
            whole = np.concatenate([self.x[:time, source], tail])
            return self.readout(last_output(trace(self.stack, whole.transpose(1, 0, 2))))
        states = [(c[time, source], h[time, source]) for c, h in self.states]
        for x in tail:
            below = x
            for depth, (stepper, (c, h)) in enumerate(zip(self.steppers, states, strict=True)):
                step = stepper.step(stepper.from_input(below), c, h)
                states[depth], below = (step.c, step.h), step.h
        return self.readout(states[-1][1])

    def replaced(self, time: int, x: Float64) -> Float64:
        """Return the outputs where one step is replaced, (batch, outputs).

        Args:
            time: the step.
            x: what is read there instead, (batch, inputs).
        """
        return self.resumed(time, np.arange(self.sequences), np.concatenate([x[None], self.x[time + 1 :]]))


def partners(order: Indices) -> Indices:
    """Return for each sequence another one, each taken once: the one before it in an order.

    Args:
        order: the sequences, at least 2, in any order.
    """
    other = np.empty_like(order)
    other[order] = np.roll(order, 1)
    return other


def output_names(readout: Readout) -> list[str]:
    """Return the names of the outputs that are looked at: each where they are few, and `*`, all of them together.

    Args:
        readout: the readout.
    """
    count = len(readout.matrix)
    return [*map(str, range(count)), "*"] if 1 < count <= NAMED_OUTPUTS else ["0"] if count == 1 else ["*"]


def by_output(values: Float64) -> Float64:
    """Return values of each output, (…, outputs), as columns of `output_names`: each, and their sum.

    Args:
        values: what may be summed over outputs: squares and variances.
    """
    count, total = values.shape[-1], values.sum(axis=-1, keepdims=True)
    return np.concatenate([values, total], axis=-1) if 1 < count <= NAMED_OUTPUTS else total

"""Sequences run again with a part of them replaced, from the states of before where those sum up the past."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_convert.analysis.readout import Output, identity, outputs_of
from lstm_convert.analysis.stacks import Stack
from lstm_convert.analysis.stepping import Stepper
from lstm_convert.analysis.traces import time_first, trace

Float64 = NDArray[np.float64]
Bool = NDArray[np.bool_]
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
        counts: which steps count, (time, batch), or None where all do.
        y: the outputs, (batch, outputs).
        h: what the last layer puts out at every step, (time, batch, width).
        steppers: the cell of each layer, of a causal stack.
        states: c and h of each layer before each step, (time, batch, …), of a causal stack.
    """

    stack: Stack
    readout: Output
    x: Float64
    counts: Bool | None
    y: Float64
    h: Float64
    steppers: tuple[Stepper, ...]
    states: tuple[tuple[Float64, Float64], ...]

    @classmethod
    def of(
        cls, stack: Stack, x: NDArray[Any], readout: Output | None = None, *, mask: NDArray[Any] | None = None
    ) -> "Replay":
        """Run some sequences.

        Args:
            stack: the layers.
            x: (batch, time, inputs).
            readout: what the outputs are; the last layer's output itself where None.
            mask: which steps count, (batch, time); all where None.
        """
        readout = identity(stack.outputs) if readout is None else readout
        traced = trace(stack, x, mask=mask)
        cells = [layer.cells[0] for layer in traced.layers] if stack.causal else []
        return cls(
            stack,
            readout,
            time_first(stack, x),
            traced.counts,
            outputs_of(readout, traced),
            traced.layers[-1].output,
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

    def resumed(self, time: int, source: Indices, tail: Float64, counts: Bool | None = None) -> Float64:
        """Return the outputs where the past is one sequence's and the rest is given, (rows, outputs).

        Args:
            time: the first step that is given.
            source: for each row the sequence whose earlier steps it has.
            tail: the steps from there on, (steps, rows, inputs).
            counts: which of them count, (steps, rows); None where all do.
        """
        if time == self.steps:
            return self.y[source]
        every = None if self.counts is None or counts is None else np.concatenate([self.counts[:time, source], counts])
        if not self.stack.causal:
            whole = np.concatenate([self.x[:time, source], tail])
            mask = None if every is None else every.T
            return outputs_of(self.readout, trace(self.stack, whole.transpose(1, 0, 2), mask=mask))
        h = self._outputs(time, source, tail, None if every is None else every[time:])
        if not self.readout.every:
            return self.readout(h[-1])
        whole = np.concatenate([self.h[:time, source], h]).transpose(1, 0, 2)
        return self.readout(whole, None if every is None else every.T)

    def _outputs(self, time: int, source: Indices, tail: Float64, counts: Bool | None) -> list[Float64]:
        """Return what the last layer puts out at each given step, (rows, width)."""
        states = [(c[time, source], h[time, source]) for c, h in self.states]
        found = []
        for step, x in enumerate(tail):
            below = x
            for depth, (stepper, (c, h)) in enumerate(zip(self.steppers, states, strict=True)):
                new = stepper.step(stepper.from_input(below), c, h)
                if counts is None:
                    states[depth], below = (new.c, new.h), new.h
                    continue
                counting = counts[step][:, None]
                states[depth] = np.where(counting, new.c, c), np.where(counting, new.h, h)
                # What a masked step puts out is the h of before: zero, from which all start, where none has counted.
                zeros = self.stack.layers[depth].zero_output_for_mask
                below = np.where(counting, new.h, 0.0 if zeros else h)
            found.append(below)
        return found

    def cut_off(self, kept: int) -> Float64:
        """Return the outputs where the last steps alone are read, from zero states, (batch, outputs).

        Args:
            kept: how many steps.
        """
        mask = None if self.counts is None else self.counts[-kept:].T
        return outputs_of(self.readout, trace(self.stack, self.x[-kept:].transpose(1, 0, 2), mask=mask))

    def replaced(self, time: int, x: Float64, counts: Bool | None = None) -> Float64:
        """Return the outputs where one step is replaced, (batch, outputs).

        Args:
            time: the step.
            x: what is read there instead, (batch, inputs).
            counts: in which sequences that counts, (batch,); as the step did where None.
        """
        tail = np.concatenate([x[None], self.x[time + 1 :]])
        after = None
        if self.counts is not None:
            own = self.counts[time] if counts is None else counts
            after = np.concatenate([own[None], self.counts[time + 1 :]])
        return self.resumed(time, np.arange(self.sequences), tail, after)


def partners(order: Indices) -> Indices:
    """Return for each sequence another one, each taken once: the one before it in an order.

    Args:
        order: the sequences, at least 2, in any order.
    """
    other = np.empty_like(order)
    other[order] = np.roll(order, 1)
    return other


def output_names(readout: Output) -> list[str]:
    """Return the names of the outputs that are looked at: each where they are few, and `*`, all of them together.

    Args:
        readout: the readout.
    """
    count = readout.outputs
    return [*map(str, range(count)), "*"] if 1 < count <= NAMED_OUTPUTS else ["0"] if count == 1 else ["*"]


def by_output(values: Float64) -> Float64:
    """Return values of each output, (…, outputs), as columns of `output_names`: each, and their sum.

    Args:
        values: what may be summed over outputs: squares and variances.
    """
    count, total = values.shape[-1], values.sum(axis=-1, keepdims=True)
    return np.concatenate([values, total], axis=-1) if 1 < count <= NAMED_OUTPUTS else total

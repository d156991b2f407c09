"""The readout: what is made of the last recurrent layer's output, and looked at.

It is the head of the model's own network (`head`), a matrix that is handed in, or that output itself.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from lstm_convert.analysis.traces import StackTrace, last_output
from lstm_convert.blocks import not_finite
from lstm_convert.containers import npy
from lstm_convert.errors import InvalidFile, LayoutMismatch, naming

Float64 = NDArray[np.float64]
Bool = NDArray[np.bool_]

H_ITSELF = "h itself"
_LARGEST = 1 << 28  # bytes of a matrix in a file


class Output(Protocol):
    """What a readout can do, whatever it is."""

    @property
    def source(self) -> str:
        """What it is, in words."""

    @property
    def outputs(self) -> int:
        """How many outputs it makes."""

    @property
    def every(self) -> bool:
        """Whether it reads every step that the layer puts out, and not the last one alone."""

    @property
    def picks(self) -> bool:
        """Whether it takes the largest of several steps, which has no derivative where all are the same."""

    @property
    def kernel(self) -> Float64 | None:
        """The weights that read the layer's output itself, (readers, width), or None where they are not known."""

    def __call__(self, h: Float64, counts: Bool | None = None) -> Float64:
        """Return the outputs, (batch, outputs), for (batch, [steps,] width)."""

    def gradients(self, h: Float64, counts: Bool | None = None) -> Float64:
        """Return the gradient of each output, (outputs, *the shape of h)."""

    def combined(self, weights: Float64) -> "Output":
        """Return the readout whose outputs are sums of this one's, by (new outputs, outputs)."""

    def bound(self) -> Float64:
        """Return the largest that each output's derivative by each unit of the last step can be, (outputs, width)."""


def read_by(readout: Output, traced: StackTrace, at: int = -1) -> tuple[Float64, Bool | None]:
    """Return what a readout reads: the output of one step or of every step, and of these which count.

    Args:
        readout: the readout.
        traced: the trace of every layer.
        at: the step that is read, of a stack that returns every step.
    """
    if not readout.every:
        return last_output(traced, at), None
    counts = None if traced.counts is None else traced.counts.T
    return traced.layers[-1].output.transpose(1, 0, 2), counts


def outputs_of(readout: Output, traced: StackTrace) -> Float64:
    """Return the outputs, (batch, outputs).

    Args:
        readout: the readout.
        traced: the trace of every layer.
    """
    return readout(*read_by(readout, traced))


@dataclass(frozen=True, eq=False)
class Readout:
    """Outputs as a linear function of the last recurrent layer's output.

    Args:
        matrix: (outputs, width of the layer's output).
        bias: (outputs,), or None.
        source: where it came from, in words.
    """

    matrix: Float64
    bias: Float64 | None = None
    source: str = "given"

    def __post_init__(self) -> None:
        outputs = self.matrix.shape[0] if self.matrix.ndim else 0
        if self.matrix.ndim != 2 or (self.bias is not None and self.bias.shape != (outputs,)):  # noqa: PLR2004 (a matrix)
            bias = None if self.bias is None else self.bias.shape
            raise LayoutMismatch(
                "this is no readout", [f"expected a matrix and a bias as long, found {self.matrix.shape} and {bias}"]
            )

    every: ClassVar[bool] = False
    picks: ClassVar[bool] = False

    @property
    def outputs(self) -> int:
        """How many outputs it makes."""
        return len(self.matrix)

    @property
    def kernel(self) -> Float64:
        """The matrix."""
        return self.matrix

    def __call__(self, h: Float64, counts: Bool | None = None) -> Float64:  # noqa: ARG002 (of one step there are none)
        """Return the outputs, (…, outputs), for what the layer puts out, (…, width)."""
        y = h @ self.matrix.T
        return y if self.bias is None else y + self.bias

    def gradients(self, h: Float64, counts: Bool | None = None) -> Float64:  # noqa: ARG002
        """Return the matrix, for each sample, (outputs, batch, width)."""
        return np.broadcast_to(self.matrix[:, None], (len(self.matrix), *h.shape))

    def combined(self, weights: Float64) -> "Readout":
        """Return the readout whose outputs are sums of this one's, by (new outputs, outputs)."""
        return Readout(weights @ self.matrix, None if self.bias is None else weights @ self.bias, self.source)

    def bound(self) -> Float64:
        """Return the size of each derivative, (outputs, width)."""
        return np.abs(self.matrix)


def identity(width: int) -> Readout:
    """Return the readout that stands in where there is none: the layer's output itself.

    Args:
        width: the width of the layer's output.
    """
    return Readout(np.eye(width), source=H_ITSELF)


def from_file(path: str | Path) -> Readout:
    """Return the readout whose matrix, (outputs, width), an .npy file holds.

    Args:
        path: the file.

    Raises:
        InvalidFile: it is no .npy file of numbers.
        LayoutMismatch: it holds no matrix.
    """
    path = Path(path)
    with naming(path):
        try:
            matrix = npy.read(path, _LARGEST)
        except OSError as error:
            raise InvalidFile(f"cannot be read: {error.strerror or error}") from error
        if matrix.dtype.kind not in "iuf" or not_finite(matrix):
            raise InvalidFile("the readout has entries that are no finite numbers")
        return Readout(matrix.astype(np.float64), source=path.name)

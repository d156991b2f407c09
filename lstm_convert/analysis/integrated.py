"""Integrated gradients: the difference to a baseline, shared out over the steps and features it came from."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_convert.analysis.jacobian import lag_jacobian
from lstm_convert.analysis.readout import Output, identity, outputs_of
from lstm_convert.analysis.stacks import Stack
from lstm_convert.analysis.traces import trace

Float64 = NDArray[np.float64]

NODES = 16


@dataclass(frozen=True, eq=False)
class Integrated:
    """Attributions, and how far they are from adding up.

    Args:
        values: (batch, outputs, time, inputs).
        residual: the largest difference between a sum of attributions and what it should be, y(x) - y(baseline).
    """

    values: Float64
    residual: float


def integrated_gradients(
    stack: Stack,
    x: NDArray[Any],
    readout: Output | None = None,
    *,
    baseline: Float64,
    nodes: int = NODES,
    mask: NDArray[Any] | None = None,
) -> Integrated:
    """Return the integrated gradients along the straight line from a baseline, by Gauss-Legendre quadrature.

    Args:
        stack: the layers.
        x: (batch, time, inputs).
        readout: what the outputs are; the last layer's output itself where None.
        baseline: what every step reads at the line's start, (inputs,).
        nodes: at how many points of the line the gradient is taken.
        mask: which steps count, (batch, time); all where None.
    """
    readout = identity(stack.outputs) if readout is None else readout
    x = np.asarray(x, np.float64)
    away = x - baseline
    places, weights = np.polynomial.legendre.leggauss(nodes)
    mean: Float64 | float = 0.0
    for place, weight in zip((places + 1.0) / 2.0, weights / 2.0, strict=True):
        mean = mean + weight * lag_jacobian(stack, baseline + place * away, readout, mask=mask).values
    values = np.asarray(mean * away[:, None])
    starts = np.broadcast_to(baseline, x.shape)
    ends = [outputs_of(readout, trace(stack, end, mask=mask)) for end in (x, starts)]
    residual = np.abs(values.sum(axis=(2, 3)) - (ends[0] - ends[1])).max()
    return Integrated(values, float(residual))

"""The response at rest: what an impulse k steps ago does to an output of a network that had come to rest before.

Weights alone, and exact, but of the network linearised at that one operating point. A state that does not settle, or
settles elsewhere when it starts elsewhere, has no such point, and is refused.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lstm_convert.analysis.jacobian import swept
from lstm_convert.analysis.readout import Output
from lstm_convert.analysis.stacks import Stack
from lstm_convert.analysis.stepping import Stepper, stepper_of
from lstm_convert.analysis.sweeping import sweep_of
from lstm_convert.analysis.traces import CellTrace, trace, trace_cell, trace_layer
from lstm_convert.errors import Unsupported

Float64 = NDArray[np.float64]

SETTLED = 1e-8  # the largest step of a state that counts as at rest
_STILLER = 1e-13  # where settling stops: far below, so that slow states are near their end
_STEPS = 20_000
_APART = 1e-5  # two rests further apart than this are two


@dataclass(frozen=True, eq=False)
class RestResponse:
    """The impulse response at rest.

    Args:
        values: (outputs, lags, inputs): d y / d x[t-k], lag 0 first.
        offsets: of each lag, the input's time less the output's.
        operating_point: what is read at rest, (inputs,).
        residual: the largest step that any state still made.
        steps: after how many steps it was at rest.
        spectral_radius: of the one-step Jacobian of the full state, c and h, of each layer and direction.
        spectral_radius_h: of its block of h alone, as if c stood still.
    """

    values: Float64
    offsets: NDArray[np.intp]
    operating_point: Float64
    residual: float
    steps: int
    spectral_radius: dict[str, float]
    spectral_radius_h: dict[str, float]


def rest_response(stack: Stack, operating_point: Float64, readout: Output | None = None, *, lags: int) -> RestResponse:
    """Return the impulse response of a stack that rests at a constant input.

    Args:
        stack: the layers.
        operating_point: the input, (inputs,).
        readout: what the outputs are; the last layer's output itself where None.
        lags: how many lags, from 0; as many into the future where a layer reads both ways and one of its steps is read.

    Raises:
        Unsupported: a state does not settle, or settles at more than one place; or the readout has no derivative there.
    """
    if readout is not None and readout.picks:
        raise Unsupported(
            "there is no response at rest: the readout takes the largest of steps that are all the same",
            ["which one it is has no derivative"],
        )
    x = np.asarray(operating_point, np.float64)
    states: list[list[tuple[Float64, Float64]]] = []
    residual, longest = 0.0, 0
    full: dict[str, float] = {}
    of_h: dict[str, float] = {}
    below = x
    for layer in stack.layers:
        states.append([])
        for direction, cell in layer.cells.items():
            name, stepper = f"{layer.name} {direction}", stepper_of(cell)
            c, h, change, steps = _settled(stepper, below, name)
            states[-1].append((c, h))
            residual, longest = max(residual, change), max(longest, steps)
            full[name], of_h[name] = _radii(trace_cell(stepper, below[None, None], (c, h)))
        below = trace_layer(layer, below[None, None], None, states[-1]).output[0, 0]
    every = readout is not None and readout.every
    both_ways = not stack.causal and stack.layers[-1].return_sequences and not every
    count = 2 * lags - 1 if both_ways else lags
    found = swept(trace(stack, np.broadcast_to(x, (1, count, len(x))), states=states), readout, at=lags - 1)
    order = np.argsort(found.lags, kind="stable")
    return RestResponse(found.values[0][:, order], found.offsets[order], x, residual, longest, full, of_h)


def _settled(stepper: Stepper, x: Float64, name: str) -> tuple[Float64, Float64, float, int]:
    """Return the state c and h, (1, …), at which a cell rests, its last step, and how many it took."""
    starts = np.array([0.0, 1.0, -1.0])[:, None]
    c, h = (start + zeros for start, zeros in zip((starts, np.tanh(starts)), stepper.zeros(len(starts)), strict=True))
    z = np.repeat(stepper.from_input(x)[None], len(starts), axis=0)
    change, count = np.inf, 0
    with np.errstate(over="ignore", invalid="ignore"):
        while change > _STILLER and count < _STEPS and np.isfinite(c).all() and np.isfinite(h).all():
            step = stepper.step(z, c, h)
            change = max(float(np.abs(new - old).max(initial=0.0)) for new, old in ((step.c, c), (step.h, h)))
            c, h, count = step.c, step.h, count + 1
    if not change <= SETTLED:
        raise Unsupported(
            "there is no response at rest: the state does not settle",
            [f"{name}: after {count} steps of one input a state still moved by {change:.3g}, more than {SETTLED:g}"],
            "choose another operating point, or measure on data",
        )
    apart = max(float(np.ptp(state, axis=0).max(initial=0.0)) for state in (c, h))
    if apart > _APART:
        raise Unsupported(
            "there is no one response at rest: the state settles where it started from",
            [f"{name}: started from 0, 1 and -1 it settles up to {apart:.3g} apart"],
            "choose another operating point, or measure on data",
        )
    return c[:1], h[:1], change, count


def _radii(traced: CellTrace) -> tuple[float, float]:
    """Return the spectral radius of the one-step Jacobian of the full state, c and h together, and of h alone."""
    c, h = traced.c0.shape[-1], traced.h0.shape[-1]
    rows = np.eye(c + h)[:, None]
    before = sweep_of(traced).back(0, rows[..., :c], rows[..., c:])
    full = np.concatenate([before.c[:, 0], before.h[:, 0]], axis=1)
    return _largest_eigenvalue(full), _largest_eigenvalue(full[c:, c:])


def _largest_eigenvalue(matrix: Float64) -> float:
    return float(np.abs(np.linalg.eigvals(matrix)).max())

"""A whole network in NumPy float64: each call with the function of its layer's kind, and the masks that reach it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_convert.canonical import Call, Feed, Layer, Network, Recurrent
from lstm_convert.errors import LayoutMismatch, Unsupported
from lstm_convert.network.masks import (
    ALL,
    ANY,
    IN_TURN,
    Given,
    Joined,
    Made,
    Mask,
    mask_of_call,
    masks_of_inputs,
    reaching,
)
from lstm_convert.network.operations import compute, differs
from lstm_convert.network.sizes import Budget
from lstm_convert.reference import run

Float64 = NDArray[np.float64]
Bool = NDArray[np.bool_]

# Each step's outputs: inputs first, then calls.
Values = list[tuple[Float64, ...]]

_SEQUENCES = 3  # axes: batch, time, features


def run_network(network: Network, inputs: Sequence[NDArray[Any]]) -> list[Float64]:
    """Return what a network computes, in the order of its outputs.

    Args:
        network: the layers and their calls.
        inputs: one array for each input, (batch, *shape); words are whole numbers.

    Raises:
        LayoutMismatch: the inputs, or what a layer gets, do not have the shapes that they should.
        Unsupported: an activation, a merge or a mask cannot be computed.
    """
    values = every_step(network, inputs)
    return [values[feed.step][feed.output] for feed in network.outputs]


def every_step(network: Network, inputs: Sequence[NDArray[Any]]) -> Values:
    """Return the outputs of each step: of an input itself, of a call what its layer returns.

    Args:
        network: the layers and their calls.
        inputs: one array for each input, (batch, *shape); words are whole numbers.

    Returns:
        For each step, as `Feed.step` counts them, its outputs, as `Feed.output` does.

    Raises:
        LayoutMismatch: the inputs, or what a layer gets, do not have the shapes that they should.
        Unsupported: an activation, a merge or a mask cannot be computed.
    """
    _check_inputs(network, inputs)
    reached, budget = reaching(network), Budget()
    values: Values = [(np.asarray(x, np.float64),) for x in inputs]
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # some nets overflow, in every framework
        for call in network.calls:
            budget.spend(network.layers[call.layer], [_value(values, feed) for feed in call.inputs])
            values.append(_called(network, call, values, reached))
    return values


def _check_inputs(network: Network, inputs: Sequence[NDArray[Any]]) -> None:
    if len(inputs) != len(network.inputs):
        raise LayoutMismatch(f"expected {len(network.inputs)} inputs, found {len(inputs)}")
    wrong = [
        f"{wanted.name}: expected shape (batch, {', '.join(map(str, wanted.shape))}), found {np.shape(x)}"
        for wanted, x in zip(network.inputs, inputs, strict=True)
        if np.ndim(x) != 1 + len(wanted.shape)
        or any(size not in (None, found) for size, found in zip(wanted.shape, np.shape(x)[1:], strict=True))
    ]
    if wrong:
        raise LayoutMismatch("the inputs do not have the network's shapes", wrong)


def _called(network: Network, call: Call, values: Values, reached: Sequence[Mask | None]) -> tuple[Float64, ...]:
    layer = network.layers[call.layer]
    inputs = [_value(values, feed) for feed in call.inputs]
    if layer.recurrent is not None:
        mask = mask_array(network, mask_of_call(network, call, reached), values)
        states = [_value(values, feed) for feed in call.states]
        return _recurrent(layer, layer.recurrent, inputs[0], states, mask)
    masks: list[Bool | None] = []
    if layer.kind == "merge" and network.joins == ANY:
        masks = [mask_array(network, mask, values) for mask in masks_of_inputs(network, call, reached)]
    elif layer.kind != "merge":
        masks = [mask_array(network, mask_of_call(network, call, reached), values)]
    if not layer.each_step:
        return (compute(layer, inputs, masks),)
    entries = inputs[0].shape[:2]
    merged = [None if mask is None else _without_entries(mask) for mask in masks]
    return (_with_entries(compute(layer, [_without_entries(x) for x in inputs], merged), entries),)


def _recurrent(
    layer: Layer, recurrent: Recurrent, x: Float64, states: Sequence[Float64], mask: Bool | None
) -> tuple[Float64, ...]:
    """Return the outputs of a recurrent layer, then its last states, h and then c, a direction after the other."""
    entries = x.shape[:2]
    if layer.each_step:
        x, states = _without_entries(x), [_without_entries(state) for state in states]
        mask = None if mask is None else _without_entries(mask)
    if x.ndim != _SEQUENCES or (mask is not None and mask.shape != x.shape[:2]):
        found = str(x.shape) if mask is None else f"{x.shape} and a mask {mask.shape}"
        raise LayoutMismatch(
            f"{layer.name}: cannot read what it gets",
            [f"expected (batch, time, features) and a mask (batch, time) if any, found {found}"],
        )
    of_each = len(states) // len(recurrent.cells)
    _check_widths(layer, recurrent, x, states)
    h0, c0 = (list(states[first::of_each]) if of_each > first else None for first in (0, 1))
    returned = run(recurrent, x, h0, c0, mask)
    lasts = [state for direction, h in enumerate(returned.h) for state in (h, *returned.c[direction : direction + 1])]
    outputs = (*returned.outputs, *lasts)
    return tuple(_with_entries(y, entries) for y in outputs) if layer.each_step else outputs


def _check_widths(layer: Layer, recurrent: Recurrent, x: Float64, states: Sequence[Float64]) -> None:
    """Raise where a recurrent layer reads, or starts from, other features than its weights have."""
    widths = [state.shape[-1] for state in states]
    wanted = [width for cell in recurrent.cells.values() for width in (cell.outputs, cell.units)]
    wanted = wanted if len(states) == len(wanted) else [cell.outputs for cell in recurrent.cells.values()]
    inputs = {cell.inputs for cell in recurrent.cells.values()}
    if inputs != {x.shape[-1]} or 0 in x.shape or (states and widths != wanted):
        raise LayoutMismatch(
            f"{layer.name}: cannot read what it gets",
            [f"expected {inputs} features and states of {wanted}, found {x.shape} and {widths}"],
        )


def _without_entries(x: NDArray[Any]) -> NDArray[Any]:
    """Return an array whose entries along axis 1 are samples."""
    return x.reshape(-1, *x.shape[2:])


def _with_entries(x: Float64, entries: tuple[int, ...]) -> Float64:
    return x.reshape(*entries, *x.shape[1:])


def _value(values: Values, feed: Feed) -> Float64:
    return values[feed.step][feed.output]


def mask_array(network: Network, mask: Mask | None, values: Values) -> Bool | None:
    """Return which steps count, (batch, time), or None where there is no mask.

    Args:
        network: the layers and their calls.
        mask: one that reaches a call, as `masks.reaching` says.
        values: the outputs of the steps before that call.

    Raises:
        Unsupported: masks of several shapes are joined.
    """
    match mask:
        case None:
            return None
        case Given(feed):
            return np.asarray(_value(values, feed) != 0)
        case Made(step):
            call = network.calls[step - len(network.inputs)]
            layer, x = network.layers[call.layer], _value(values, call.inputs[0])
            return x.astype(np.int64) != 0 if layer.kind == "embedding" else np.asarray(differs(layer, x).any(-1))
        case Joined():
            return _joined(network, mask, values)


def _joined(network: Network, mask: Joined, values: Values) -> Bool:
    parts = [mask_array(network, part, values) for part in mask.parts]
    if mask.how == IN_TURN:
        xs = [_value(values, feed) for feed in mask.feeds]
        return np.concatenate([_all(x) if part is None else part for part, x in zip(parts, xs, strict=True)], axis=1)
    there = [part for part in parts if part is not None]
    if mask.how not in (ALL, ANY) or len({part.shape for part in there}) > 1:
        raise Unsupported(f"masks of shapes {[part.shape for part in there]} cannot be joined by {mask.how!r}")
    return np.asarray(np.all(there, axis=0) if mask.how == ALL else np.any(there, axis=0))


def _all(x: Float64) -> Bool:
    return np.ones(x.shape[:2], bool)

"""Recurrent operations, and the last states that they return: h_n, a row for each layer and direction."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lstm_convert.activations import named
from lstm_convert.canonical import TANH, Activation, Feed
from lstm_convert.containers import Contents, Stored
from lstm_convert.frameworks import ReadOptions
from lstm_convert.frameworks.pytorch import state_dict
from lstm_convert.frameworks.pytorch.tracing.constants import known, tensor
from lstm_convert.frameworks.pytorch.tracing.site import NotUnderstood, Site
from lstm_convert.frameworks.pytorch.tracing.values import Stack, Tensor, Value, Zeros

_STACKED = 3  # axes of h_n: layers and directions, batch, features


def lstm(site: Site, a: Any) -> Value:
    """Return an LSTM's sequence, h_n and c_n."""
    return _recurrent(site, a, a.hx, {})


def _of_one_state(**said: Activation) -> Callable[[Site, Any], Value]:
    return lambda site, a: _recurrent(site, a, [a.hx], said)


def _recurrent(site: Site, a: Any, initial: Sequence[Value], said: Mapping[str, Activation]) -> Value:
    """Return the sequence and the last states.

    Args:
        site: the node.
        a: its arguments.
        initial: what it starts from: h_0, and c_0 where it has such.
        said: the activations that the operator says and the weights do not.
    """
    x = site.ordered(tensor(a.input), batch=0 if a.batch_first else 1)
    directions = 2 if a.bidirectional else 1
    layers = state_dict.read(Contents(_parameters(site, a, directions)), ReadOptions()).layers
    if len(layers) != a.num_layers:
        raise NotUnderstood("such recurrent layers are not read")
    if a.dropout and a.num_layers > 1:
        site.building.notes.append(
            f"{site.name}: its dropout between layers ({a.dropout:g}), of training alone, is left out"
        )
    starts = [_rows(given, a.num_layers * directions) for given in initial]
    ends: list[list[Tensor]] = [[] for _ in initial]
    feed = x.feed
    for depth, layer in enumerate(layers):
        rows = range(depth * directions, (depth + 1) * directions)
        states = [start[row].feed for row in rows for start in starts if start]
        if len(states) not in (0, directions * len(initial)):
            raise NotUnderstood("of its initial states only some are zeros")
        cells = {name: cell.with_activations(said) for name, cell in layer.cells.items()}
        layer = replace(layer.with_cells(cells), path=site.path)  # noqa: PLW2901 (the same layer, told more)
        feed = site.building.call_recurrent(layer, [feed], states)
        outputs = iter(range(1, 1 + directions * len(initial)))
        for cell in layer.cells.values():
            for state, end in enumerate(ends):
                width = cell.outputs if state == 0 else cell.units
                end.append(Tensor(Feed(feed.step, next(outputs)), (0, 1), (None, width)))
    sequence = site.made(feed, (0, 1, 2) if a.batch_first else (1, 0, 2))
    return (sequence, *map(Stack.of, ends))


def _parameters(site: Site, a: Any, directions: int) -> dict[str, Stored]:
    """Return the weights under the keys that they have in a state dict; they come layer by layer, each direction."""
    cells = a.num_layers * directions
    names = ["weight_ih", "weight_hh", *["bias_ih", "bias_hh"] * a.has_biases]
    names += ["weight_hr"] * (len(a.params) > cells * len(names))
    if len(a.params) != cells * len(names):
        raise NotUnderstood(f"expected {cells * len(names)} weights, found {len(a.params)}")
    keys = [
        f"{site.path}.{name}_l{depth}{direction}".lstrip(".")
        for depth in range(a.num_layers)
        for direction in ("", "_reverse")[:directions]
        for name in names
    ]
    return {key: Stored.of(known(value)) for key, value in zip(keys, a.params, strict=True)}


def _rows(given: Value, count: int) -> list[Tensor]:
    """Return the initial states, one for each layer and direction; none where they are zeros."""
    if isinstance(given, Zeros):
        return []
    if isinstance(given, Stack) and given.tensors.shape == (count,) and not given.batch_first:
        return list(given.tensors)
    raise NotUnderstood("it starts from other states than zeros or the last states of a recurrent layer")


# What is done with h_n before it is a tensor like others


def _kept(held: Any) -> Value:
    return held if isinstance(held, Tensor) else Stack(held)


def select(site: Site, a: Any) -> Value:  # noqa: ARG001 (every operation has both)
    """Return one of the states, or one row of them."""
    held = a.self
    if held.batch_first:
        if a.dim % _STACKED != 1:
            raise NotUnderstood("it picks one of the batch or of the features of states")
        one: Tensor = held.tensors[a.index]
        return one
    if a.dim % (held.tensors.ndim + 2) >= held.tensors.ndim:
        raise NotUnderstood("it picks one of the batch or of the features of states")
    return _kept(np.take(held.tensors, a.index, axis=a.dim % (held.tensors.ndim + 2)))


def cut(site: Site, a: Any) -> Value:  # noqa: ARG001 (every operation has both)
    """Return some of the states."""
    held = a.self
    axis = a.dim % (held.tensors.ndim + 2) - held.batch_first
    whole = (a.start or 0) == 0 and (a.end is None or a.end > 1 << 62) and a.step == 1
    if whole:
        return Stack(held.tensors, held.batch_first)
    if not 0 <= axis < held.tensors.ndim:
        raise NotUnderstood("it takes a part of the batch or of the features of states")
    picked = [slice(None)] * held.tensors.ndim
    picked[axis] = slice(a.start, a.end, a.step)
    return Stack(held.tensors[tuple(picked)], held.batch_first)


def unbind(site: Site, a: Any) -> Value:  # noqa: ARG001 (every operation has both)
    """Return the states one by one."""
    if a.dim % (a.self.tensors.ndim + 2) != 0 or a.self.batch_first:
        raise NotUnderstood("it takes states apart along another axis than their first")
    return tuple(_kept(held) for held in a.self.tensors)


def swap(site: Site, a: Any) -> Value:  # noqa: ARG001 (every operation has both)
    """Return states with the batch first, or back."""
    order = list(a.dims) if hasattr(a, "dims") else None
    if order is None:
        order = list(range(_STACKED))
        order[a.dim0], order[a.dim1] = order[a.dim1], order[a.dim0]
    if a.self.tensors.ndim != 1 or [dim % _STACKED for dim in order] != [1, 0, 2]:
        raise NotUnderstood("it moves the axes of states otherwise than the batch to the front")
    return Stack(a.self.tensors, not a.self.batch_first)


def reshape(site: Site, a: Any) -> Value:
    """Return states by layer and direction, or side by side where the batch is first."""
    held, sizes = a.self, site.sizes[0]
    features = held.tensors.flat[0].sizes[1]
    if held.batch_first or held.tensors.size == 1:
        together = [*held.tensors.flat]
        if sizes == (None, features * len(together)):
            return side_by_side(site, together)
    if not held.batch_first and sizes[-2:] == (None, features):
        return Stack(held.tensors.reshape(sizes[:-2])) if sizes[:-2] else next(held.tensors.flat)
    raise NotUnderstood("it mixes the axes of states")


def side_by_side(site: Site, tensors: Sequence[Tensor]) -> Tensor:
    """Return tensors (batch, features) as one."""
    if len(tensors) == 1:
        return tensors[0]
    options = {"form": "concatenate", "axis": -1, "axes": None, "normalize": None}
    return site.made(site.layer("merge", tensors, options))


def cat(site: Site, a: Any) -> Value:
    """Return states of several recurrent layers one behind the other, or side by side."""
    held = [Stack.of([x]) if isinstance(x, Tensor) else x for x in a.tensors]
    if not all(isinstance(x, Stack) and x.tensors.ndim == 1 for x in held) or len({x.batch_first for x in held}) > 1:
        raise NotUnderstood("it joins states with something else")
    axis = a.dim % _STACKED - held[0].batch_first
    if axis == 0:
        return Stack(np.concatenate([x.tensors for x in held]), held[0].batch_first)
    if a.dim % _STACKED != _STACKED - 1 or len({len(x.tensors) for x in held}) > 1:
        raise NotUnderstood("it joins batches of states")
    rows = [[x.tensors[row] for x in held] for row in range(len(held[0].tensors))]
    joined = []
    for number, row in enumerate(rows):
        width = sum(x.sizes[1] for x in row)
        part = Site(site.building, f"{site.name}.{number}", site.path, ((None, width),), site.dtype)
        joined.append(side_by_side(part, row))
    return Stack(Stack.of(joined).tensors, held[0].batch_first)


def same(site: Site, a: Any) -> Value:  # noqa: ARG001 (every operation has both)
    """Return the states as they lie."""
    value: Value = a.self
    return value


OPERATIONS: Mapping[str, Callable[[Site, Any], Value]] = {
    "lstm.input": lstm, "gru.input": _of_one_state(), "rnn_tanh.input": _of_one_state(candidate=TANH),
    "rnn_relu.input": _of_one_state(candidate=named("relu")),
}  # fmt: skip

# By the same names, where what comes in is a stack.
OF_STACKS: Mapping[str, Callable[[Site, Any], Value]] = {
    "select.int": select, "slice.Tensor": cut, "unbind.int": unbind, "transpose.int": swap, "permute": swap,
    "reshape": reshape, "view": reshape, "_unsafe_view": reshape, "flatten.using_ints": reshape, "squeeze": reshape,
    "squeeze.dim": reshape, "cat": cat, "concat": cat, "contiguous": same, "clone": same, "detach": same,
}  # fmt: skip

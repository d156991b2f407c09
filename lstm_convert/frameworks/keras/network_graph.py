"""A network as the functional graph that Keras 3 states, calls and numbers: its layers' names, calls, and their order.

Source: keras 3.15.1, keras/src/models/functional.py (serialize_node), keras/src/ops/function.py (map_graph)
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from lstm_convert.frameworks.keras.functional import document, entry, input_entry, object_of, tensor_of
from lstm_convert.frameworks.keras.network_form import Form
from lstm_convert.frameworks.keras.storing import OPERATIONS, Held


class Tensor(NamedTuple):
    """One output of one call of a Keras layer, and what it is."""

    layer: str
    call: int
    output: int
    rank: int
    dtype: str


@dataclass(frozen=True)
class PartCall:
    """One call of a Keras layer.

    Args:
        inputs: what it reads.
        listed: whether it takes them as one list.
        states: what a recurrent layer starts from.
        mask: the mask it is handed, or None.
    """

    inputs: tuple[Tensor, ...]
    listed: bool = False
    states: tuple[Tensor, ...] = ()
    mask: Tensor | None = None

    @property
    def reads(self) -> tuple[Tensor, ...]:
        """All that it reads, in Keras's order."""
        return (*self.inputs, *self.states, *([] if self.mask is None else [self.mask]))


@dataclass
class Part:
    """One Keras layer or operation of a written network, or an input.

    Args:
        name: its name.
        form: what it is; None for an input.
        dtype: the type of number that it computes in.
        shape: of an input, with the batch.
        calls: its calls.
    """

    name: str
    form: Form | None
    dtype: str
    shape: tuple[int | None, ...] = ()
    calls: list[PartCall] = field(default_factory=list)

    @property
    def held(self) -> Held:
        """The part and its arrays as a file holds them."""
        form = self.form or Form("InputLayer")
        return Held(self.name, form.class_name, form.arrays)


def graph_document(parts: Iterable[Part], inputs: list[str], outputs: list[Tensor]) -> dict[str, Any]:
    """Return the architecture that some parts make.

    Args:
        parts: the layers, operations and inputs.
        inputs: the names of the inputs, in the order in which they are handed in.
        outputs: what is returned.
    """
    # One alone stands in a list too: Keras 3.0.5 reads no other form, and later versions take it out of the list.
    return document(
        list(map(_entry, parts)), [[name, 0, 0] for name in inputs], [_reference(tensor) for tensor in outputs]
    )


def in_keras_order(parts: Mapping[str, Part], outputs: Iterable[Tensor]) -> list[Part]:
    """Return parts in the order of Keras's own lists, as it loads weights: the farther from an output first.

    Args:
        parts: the layers, operations and inputs by name, whose calls all lead to an output.
        outputs: what the model returns, in its order.
    """
    finished = list(_finished(parts, outputs))
    first_seen = {name: place for place, name in enumerate(_entered(parts, outputs))}
    depths: dict[tuple[str, int], int] = {}
    highest: dict[str, int] = {}
    for node in reversed(finished):
        depth = max(depths.get(node, 0), highest.get(node[0], 0))
        highest[node[0]] = depths[node] = depth
        for below in _nodes_below(parts, node):
            depths[below] = max(depth + 1, depths.get(below, 0))
    unread = [name for name in parts if name not in highest]
    ordered = sorted(highest, key=lambda name: (-highest[name], first_seen[name]))
    return [parts[name] for name in (*unread, *ordered)]


def _walk(parts: Mapping[str, Part], outputs: Iterable[Tensor]) -> Iterator[tuple[bool, tuple[str, int]]]:
    """Yield (False, call) where a search from the outputs down enters a call, (True, call) where it leaves it."""
    entered: set[tuple[str, int]] = set()
    for output in outputs:
        waiting = [(False, (output.layer, output.call))]
        while waiting:
            leaving, node = waiting.pop()
            if leaving:
                yield True, node
            elif node not in entered:
                entered.add(node)
                yield False, node
                waiting.append((True, node))
                waiting += [(False, below) for below in reversed(_nodes_below(parts, node))]


def _finished(parts: Mapping[str, Part], outputs: Iterable[Tensor]) -> Iterator[tuple[str, int]]:
    return (node for leaving, node in _walk(parts, outputs) if leaving)


def _entered(parts: Mapping[str, Part], outputs: Iterable[Tensor]) -> Iterable[str]:
    return dict.fromkeys(node[0] for leaving, node in _walk(parts, outputs) if not leaving)


def _nodes_below(parts: Mapping[str, Part], node: tuple[str, int]) -> list[tuple[str, int]]:
    name, call = node
    calls = parts[name].calls
    return [(tensor.layer, tensor.call) for tensor in calls[call].reads] if calls else []


def _entry(part: Part) -> dict[str, Any]:
    if part.form is None:
        return input_entry(part.name, list(part.shape), part.dtype)
    calls = [_call(part.form, call) for call in part.calls]
    if part.form.operation:
        stated = object_of(part.form.class_name, dict(part.form.config))
        operation = {**stated, "module": OPERATIONS, "registered_name": part.form.class_name}
        return {**operation, "name": part.name, "inbound_nodes": calls}
    return entry(part.name, part.form.class_name, named(part.form, part.name, part.dtype), calls)


def named(form: Form, name: str, dtype: str) -> dict[str, Any]:
    """Return a layer's config with its name and type of number."""
    return {"name": name, "dtype": dtype, **form.config}


def _call(form: Form, call: PartCall) -> dict[str, Any]:
    read = [_stated(tensor) for tensor in call.inputs]
    kwargs: dict[str, Any] = {}
    if call.states:
        kwargs["initial_state"] = [_stated(tensor) for tensor in call.states]
    if call.mask is not None:
        kwargs["mask"] = _stated(call.mask)
    return {"args": [*([read] if call.listed else read), *form.given], "kwargs": kwargs}


def _stated(tensor: Tensor) -> dict[str, Any]:
    """Keras reads where a tensor comes from; its shape it finds out by calling the layers again."""
    return tensor_of([None] * tensor.rank, tensor.dtype, tensor.layer, tensor.output, tensor.call)


def _reference(tensor: Tensor) -> list[Any]:
    return [tensor.layer, tensor.call, tensor.output]

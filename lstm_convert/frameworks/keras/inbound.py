"""What an architecture says of one call of a layer: which tensors it reads, and what it is told besides.

*Source:* keras 1.2.2, keras/engine/topology.py, Container.get_config; keras 2.15.0, keras/src/engine/node.py,
serialize; keras 3.15.1, keras/src/models/functional.py, serialize_node
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from lstm_convert.errors import InvalidFile

# (name of a layer, number of its call, number of its output)
Tensor = tuple[str, int, int]

_DEEPEST_NESTING = 50
# Arguments that say nothing of what is computed.
_IDLE_ARGUMENTS = ("name",)


@dataclass(frozen=True)
class Inbound:
    """One call of a layer.

    Args:
        reads: the tensors of its first argument, in order.
        given: those of each further argument, by its name or its place.
        stated: further arguments that are no tensors, by name or place, where they say anything.
    """

    reads: tuple[Tensor, ...] = ()
    given: Mapping[str, tuple[Tensor, ...]] = field(default_factory=dict)
    stated: Mapping[str, Any] = field(default_factory=dict)


def call_of(entry: Any) -> Inbound:
    """Return a call as one entry of `inbound_nodes` states it: Keras 3's object, or the list of those before."""
    if isinstance(entry, Mapping):
        first, *others = _items(entry.get("args")) or [None]
        kwargs = entry.get("kwargs")
        arguments = {str(place): value for place, value in enumerate(others, start=1)}
        return _call(first, arguments | dict(kwargs if isinstance(kwargs, Mapping) else {}))
    bare, kwargs = _without_kwargs(entry)
    return _call(bare, kwargs)


def tensors(value: Any, depth: int = 0) -> Iterator[Tensor]:
    """Yield the tensors that a serialised argument refers to, in order."""
    _refuse_deeper(depth)
    if isinstance(value, Mapping):
        config = value.get("config")
        history = config.get("keras_history") if isinstance(config, Mapping) else None
        for item in [history] if history is not None else value.values():
            yield from tensors(item, depth + 1)
    elif isinstance(value, list):
        if _is_tensor(value):
            yield value[0], value[1], value[2]
            value = value[3:]
        for item in value:
            yield from tensors(item, depth + 1)


def references(value: Any) -> Iterator[tuple[str, int]]:
    """Yield the (layer name, output number) pairs that a serialised argument refers to, in order."""
    return ((name, output) for name, _, output in tensors(value))


def calls_of(inbound_nodes: Any) -> tuple[tuple[tuple[str, int], ...], ...]:
    """Return for each call of a layer the (layer name, output number) pairs that it refers to."""
    return tuple(tuple(references(call)) for call in inbound_nodes) if isinstance(inbound_nodes, list) else ()


def mentions_mask(value: Any, depth: int = 0) -> bool:
    """Return whether a call's serialised arguments hold a mask that refers to some layer's output."""
    _refuse_deeper(depth)
    if isinstance(value, Mapping):
        return any(references(value.get("mask"))) or mentions_mask([*value.values()], depth)
    return isinstance(value, list) and any(mentions_mask(item, depth + 1) for item in value)


def _refuse_deeper(depth: int) -> None:
    if depth > _DEEPEST_NESTING:
        raise InvalidFile("the architecture's inbound_nodes are nested too deeply")


def _is_tensor(value: list[Any]) -> bool:
    return (
        len(value) >= 3  # noqa: PLR2004 (name, call, output)
        and isinstance(value[0], str)
        and isinstance(value[1], int)
        and isinstance(value[2], int)
    )


def _items(value: Any) -> list[Any]:
    """Return the items of a serialised list or tuple."""
    if isinstance(value, Mapping) and value.get("class_name") == "__tuple__":
        value = value.get("items")
    return value if isinstance(value, list) else []


def _call(first: Any, arguments: Mapping[str, Any]) -> Inbound:
    given = {name: found for name, value in arguments.items() if (found := tuple(tensors(value)))}
    stated = {
        name: value
        for name, value in arguments.items()
        if name not in given and name not in _IDLE_ARGUMENTS and not _says_nothing(value)
    }
    return Inbound(tuple(tensors(first)), given, stated)


def _says_nothing(value: Any) -> bool:
    """Return whether an argument is None or False, or a list of nothing but None: masks that are not there."""
    return value is None or value is False or (isinstance(value, list) and all(item is None for item in value))


def _without_kwargs(entry: Any, depth: int = 0) -> tuple[Any, dict[str, Any]]:
    """Return an entry of before Keras 3 without the keyword arguments, which stand behind each tensor, and those."""
    _refuse_deeper(depth)
    if not isinstance(entry, list):
        return entry, {}
    if _is_tensor(entry):
        behind = entry[3] if len(entry) > 3 and isinstance(entry[3], Mapping) else {}  # noqa: PLR2004 (the three of a tensor)
        return entry[:3], dict(behind)
    pairs = [_without_kwargs(item, depth + 1) for item in entry]
    return [bare for bare, _ in pairs], {name: value for _, kwargs in pairs for name, value in kwargs.items()}

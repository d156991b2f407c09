"""Mutations of JSON documents: values, types, sizes, names and nesting."""

import copy
import json
from collections.abc import Iterator
from random import Random
from typing import Any

_TEXTS = (
    "",
    "x",
    "\0",
    "../../../etc/passwd",
    "/etc/passwd",
    "Lambda",
    "__class__",
    "a" * 100_000,
    "é\u202e",
    "nan",
    "1",
    "\ud800",
)
_NUMBERS = (
    0,
    1,
    -1,
    2,
    255,
    2**31 - 1,
    2**31,
    2**63,
    -(2**63),
    10**30,
    10**400,
    0.5,
    -0.0,
    1e308,
    float("nan"),
    float("inf"),
)
_OTHERS: tuple[Any, ...] = (
    None,
    True,
    False,
    [],
    {},
    [[]],
    [None],
    {"": None},
    [0] * 10_000,
    [[1, 2], [3]],
    {"class_name": "LSTM"},
)
_DEPTHS = (3, 60, 500, 5000, 100_000)
_DEEP = "nested to a depth of "  # what stands for a nesting too deep for json.dumps
_MOST_COPIES = 2000
Place = tuple[Any, Any]  # a dict or list, and the key or index in it


def mutated_document(text: bytes, random: Random) -> bytes:
    """Return a JSON text with one thing in it changed; a text that is no JSON as it is.

    Args:
        text: the document.
        random: where chance comes from.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return text
    changed, twice = mutated_value(document, random)
    said = json.dumps(changed)
    for depth in _DEPTHS:
        said = said.replace(json.dumps(f"{_DEEP}{depth}"), _nested(depth, random))
    if twice and said.startswith("{"):
        said = f"{{{json.dumps(twice)}: {json.dumps(random.choice(_OTHERS))}, {said[1:]}"
    return said.encode()


def mutated_value(document: Any, random: Random) -> tuple[Any, str | None]:
    """Return a document with one thing changed, and a key that is to stand in it twice, if one is.

    Args:
        document: what JSON holds.
        random: where chance comes from.
    """
    root = [copy.deepcopy(document)]
    places = list(_places(root))
    container, key = random.choice(places)
    value = container[key]
    change = random.choice(
        ("other", "other", "other", "near", "near", "remove", "double", "swap", "deepen", "rename", "twice")
    )
    if change == "near":
        container[key] = _near(value, random)
    elif change == "remove" and len(places) > 1:
        del container[key]
    elif change == "double" and isinstance(value, list):
        container[key] = value * min(random.choice((2, 3, 1000)), 1 + _MOST_COPIES // (len(value) or 1))
    elif change == "swap":
        other, place = random.choice(places)
        container[key], other[place] = copy.deepcopy(other[place]), copy.deepcopy(value)
    elif change == "deepen":
        container[key] = f"{_DEEP}{random.choice(_DEPTHS)}"
    elif change == "rename" and isinstance(container, dict):
        container[random.choice((*_TEXTS, *container))] = container.pop(key)
    elif change == "twice" and isinstance(key, str):
        return (root[0], key) if root else (None, key)
    else:
        container[key] = random.choice(random.choice((_TEXTS, _NUMBERS, _OTHERS)))
    return (root[0] if root else None), None


def _nested(depth: int, random: Random) -> str:
    start, end = random.choice((("[", "]"), ('{"config":', "}"), ('{"layers":[', "]}")))
    return f"{start * depth}1{end * depth}"


def _near(value: Any, random: Random) -> Any:
    """Return a value of the same type, not far from a given one."""
    if isinstance(value, bool) or value is None:
        return not value
    if isinstance(value, int):
        return random.choice((value + 1, value - 1, -value, value * 2, value * 1000, 10**9, str(value), float(value)))
    if isinstance(value, float):
        return random.choice((-value, value * 1e30, 0.0, str(value)))
    if isinstance(value, str):
        cut = random.randrange(len(value) + 1)
        return random.choice(
            (value[:cut], value + value, value[:cut] + random.choice(_TEXTS) + value[cut:], value.swapcase())
        )
    if isinstance(value, list):
        return random.choice(
            (value[::-1], value[1:], [*value, *value[:1]], {str(i): each for i, each in enumerate(value)})
        )
    return random.choice((list(value.items()), {}, {**value, "class_name": "LSTM"}, dict(reversed(value.items()))))


def _places(container: Any) -> Iterator[Place]:
    """Yield every place of a document, from the outside inwards."""
    waiting = [container]
    while waiting:
        container = waiting.pop()
        for key in container if isinstance(container, dict) else range(len(container)):
            yield container, key
            if isinstance(container[key], dict | list):
                waiting.append(container[key])

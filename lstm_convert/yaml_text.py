"""YAML as Keras wrote architectures in: plain values, and tuples under a tag of their own."""

from typing import Any

import yaml

from lstm_convert.errors import InvalidFile

LARGEST = 1 << 18
"""How long a YAML text may be, in characters; this much takes its reader seconds."""
MOST_VALUES = 1_000_000
"""How many values it may stand for: it may mention one many times."""


class _Loader(yaml.SafeLoader):
    """A safe loader that also reads `!!python/tuple`, as a list: Keras wrote shapes so."""


def _as_list(loader: yaml.SafeLoader, node: yaml.SequenceNode) -> list[Any]:
    return loader.construct_sequence(node)


def _as_dict(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    values = loader.construct_mapping(node, deep=True)
    if len(values) < len(node.value) or not all(isinstance(key, str) for key in values):
        raise yaml.YAMLError("a mapping has a key twice, or one that is no text")
    return values


_Loader.add_constructor("tag:yaml.org,2002:python/tuple", _as_list)
_Loader.add_constructor("tag:yaml.org,2002:map", _as_dict)


def parsed(text: str) -> Any:
    """Return the value of a YAML text.

    Raises:
        InvalidFile: it is no YAML, has tags that name code, is too long, or stands for more than it is long.
    """
    if len(text) > LARGEST:
        raise InvalidFile(
            f"is no JSON, and with more than {LARGEST} characters too long for YAML",
            next_step="Give what model.to_json() returned.",
        )
    try:
        document = yaml.load(text, _Loader)  # noqa: S506 (a SafeLoader with one tag more, which makes lists)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise InvalidFile(
            f"is neither JSON nor plain YAML: {str(error).splitlines()[0]}",
            next_step="Give what model.to_json() or model.to_yaml() returned.",
        ) from error
    if _count(document, {}) > MOST_VALUES:
        raise InvalidFile(
            f"is YAML that stands for more than {MOST_VALUES} values",
            next_step="Give what model.to_json() returned.",
        )
    return document


def _count(value: Any, counts: dict[int, int]) -> int:
    """Return how many values a document stands for, those that it mentions again counted again; a cycle is endless."""
    if not isinstance(value, dict | list):
        return 1
    if id(value) not in counts:
        counts[id(value)] = MOST_VALUES + 1  # until it is counted: who meets it before stands inside it
        parts = value.values() if isinstance(value, dict) else value
        counts[id(value)] = 1 + sum(_count(part, counts) for part in parts)
    return counts[id(value)]

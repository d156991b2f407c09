"""YAML as Keras wrote architectures in: plain values, and tuples under a tag of their own."""

from typing import Any

import yaml

from lstm_convert.errors import InvalidFile


class _Loader(yaml.SafeLoader):
    """A safe loader that also reads `!!python/tuple`, as a list: Keras wrote shapes so."""


def _as_list(loader: yaml.SafeLoader, node: yaml.SequenceNode) -> list[Any]:
    return loader.construct_sequence(node)


_Loader.add_constructor("tag:yaml.org,2002:python/tuple", _as_list)


def parsed(text: str) -> Any:
    """Return the value of a YAML text.

    Raises:
        InvalidFile: it is no YAML, or has tags that name code.
    """
    try:
        return yaml.load(text, _Loader)  # noqa: S506 (a SafeLoader with one tag more, which makes lists)
    except (yaml.YAMLError, RecursionError) as error:
        raise InvalidFile(
            f"is neither JSON nor plain YAML: {str(error).splitlines()[0]}",
            next_step="Give what model.to_json() or model.to_yaml() returned.",
        ) from error

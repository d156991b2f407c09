"""Weights split over several HDF5 files, with a `.weights.json` that says which array lies where.

The names in the JSON are only compared, never opened: the parts are looked for under the names that the JSON's own name
implies. *Source:* keras 3.15.1, keras/src/saving/saving_lib.py, ShardedH5IOStore.
"""

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from lstm_convert import json_text
from lstm_convert.containers import Contents, Stored, hdf5
from lstm_convert.errors import InvalidFile

_ENDING = ".weights.json"
_MOST_PARTS = 100_000


def sniff(head: bytes, path: Path) -> bool:
    """Return whether a file is the JSON beside split weights."""
    return path.name.endswith(_ENDING) and head.lstrip().startswith(b"{")


@contextmanager
def opened(path: Path) -> Iterator[Contents]:
    """Yield the arrays of all the parts together, by their path within their part.

    Args:
        path: the `.weights.json`; its parts, `<base>_00000.weights.h5` and so on, lie beside it.

    Raises:
        InvalidFile: the JSON is damaged, names parts under other names, or a part is missing or repeats an array.
    """
    if path.stat().st_size > json_text.LARGEST:
        raise InvalidFile(f"is larger than {json_text.LARGEST} bytes, too large for a map of split weights")
    text = path.read_bytes()
    named = _named_parts(text)
    base = path.name.removesuffix(_ENDING)
    implied = [f"{base}_{number:05}.weights.h5" for number in range(min(len(named), _MOST_PARTS))]
    if sorted(named) != implied:
        raise InvalidFile(
            "the parts have other names than this file implies",
            [f"expected {', '.join(implied)}", f"found {', '.join(sorted(named))}"],
            "Give the parts and the .weights.json the names under which Keras saved them.",
        )
    arrays: dict[str, Stored] = {}
    attributes: dict[str, dict[str, Any]] = {}
    with ExitStack() as stack:
        for name in implied:
            if not path.with_name(name).is_file():
                raise InvalidFile(f"its part {name} is not beside it", next_step="Put all parts into one folder.")
            part = stack.enter_context(hdf5.opened(path.with_name(name)))
            if repeated := sorted(arrays.keys() & part.arrays.keys()):
                raise InvalidFile(f"{name} holds arrays that an earlier part has too", repeated)
            arrays |= part.arrays
            for group, values in part.attributes.items():
                attributes.setdefault(group, {}).update(values)
        yield Contents(arrays, attributes, hashlib.sha256(text).hexdigest)


def _named_parts(text: bytes) -> set[str]:
    document = json_text.parsed(text, "this map of split weights")
    weight_map = document.get("weight_map") if isinstance(document, dict) else None
    listed = list(weight_map.values()) if isinstance(weight_map, dict) else [None]
    names: list[Any] = [name for entry in listed for name in (entry if isinstance(entry, list) else [entry])]
    if not all(isinstance(name, str) for name in names):
        raise InvalidFile(
            "this is no map of split weights: its weight_map should name files", next_step=json_text.NEXT_STEP
        )
    return set(names)

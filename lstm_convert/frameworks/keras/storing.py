"""How Keras 3 files hold a model's architecture and its arrays: `.keras`, `.weights.h5` and the older `.h5`.

Source: keras 3.15.1, keras/src/saving/saving_lib.py, keras/src/legacy/saving/legacy_h5_format.py
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lstm_convert.containers import Contents, Stored
from lstm_convert.frameworks.keras import keepsake
from lstm_convert.frameworks.keras.architecture import snake_case

VERSION = "3.15.1"
OLDER = (".h5", ".hdf5")
OPERATIONS = "keras.src.ops.numpy"  # where Keras looks for an operation that is no layer
BFLOAT16 = "bfloat16"

# An attribute of HDF5 holds less than 64 kB; Keras splits longer lists.
_LONGEST_LIST = 60_000


@dataclass(frozen=True)
class Located:
    """One array of a layer.

    Args:
        place: where saved state keeps it below the layer's own group: `cell/vars/0`.
        name: what the older form lists it as below the layer's own name: `lstm_cell/kernel`.
        array: the array.
    """

    place: str
    name: str
    array: Stored


@dataclass(frozen=True)
class Held:
    """One layer of a Keras file.

    Args:
        name: its name.
        class_name: its Keras class.
        arrays: its arrays, in Keras's order.
    """

    name: str
    class_name: str
    arrays: tuple[Located, ...]


def contents_of(document: dict[str, Any], layers: Iterable[Held], kept: Contents, extension: str) -> Contents:
    """Return the contents of a Keras 3 file.

    Args:
        document: the architecture.
        layers: its layers, in the order of Keras's `model.layers`; those without arrays may be left out.
        kept: what is kept beside them for the way back.
        extension: which of the forms.
    """
    contents = _legacy(layers, document) if extension in OLDER else _saved_state(layers)
    attributes = {**contents.attributes, **kept.attributes}
    if extension == ".keras":
        attributes[""] = {
            "metadata.json": json.dumps({"keras_version": VERSION}),
            "config.json": json.dumps(document),
        }
    elif extension not in OLDER:
        named = {**document, "keras_version": VERSION}
        attributes[keepsake.GROUP] = {**attributes[keepsake.GROUP], "architecture": json.dumps(named)}
    return Contents({**contents.arrays, **kept.arrays}, attributes)


def _saved_state(layers: Iterable[Held]) -> Contents:
    """Return `.weights.h5`: variables by number, in groups by class and place that note the layer's name."""
    arrays: dict[str, Stored] = {}
    attributes: dict[str, dict[str, Any]] = {"vars": {}}  # of the model itself, without which Keras 3.0.5 opens nothing
    counts: Counter[str] = Counter()
    for layer in layers:
        component = snake_case(layer.class_name)
        group = f"layers/{component}" + (f"_{counts[component]}" if counts[component] else "")
        counts[component] += 1
        attributes[f"{group}/vars"] = {"name": layer.name}
        arrays |= {f"{group}/{located.place}": located.array for located in layer.arrays}
    # HDF5 has no such type: Keras keeps its bytes, and beside them what they are.
    attributes |= {
        key: {**attributes.get(key, {}), "dtype": BFLOAT16}
        for key, stored in arrays.items()
        if stored.dtype.name == BFLOAT16
    }
    return Contents(arrays, attributes)


def _legacy(layers: Iterable[Held], document: Mapping[str, Any]) -> Contents:
    """Return the older `.h5`: a group a layer, its arrays listed by name."""
    arrays: dict[str, Stored] = {}
    # The model is named without its module, as Keras has it; its layers with theirs: Keras makes those without from its
    # own layers alone, where operations are not, and drops an axis where it is several or, in 3.0.5, a number.
    # Source: keras 3.15.1, keras/src/legacy/saving/saving_utils.py, model_from_config
    stated = {"class_name": document["class_name"], "config": document["config"]}
    attributes: dict[str, dict[str, Any]] = {"": {"model_config": json.dumps(stated)}}
    names = [entry["name"] for entry in document["config"]["layers"]]
    attributes["model_weights"] = _in_parts("layer_names", names)
    attributes[""] |= {"keras_version": VERSION, "backend": "tensorflow"}
    attributes["model_weights"] |= {"keras_version": VERSION, "backend": "tensorflow"}
    attributes |= {f"model_weights/{name}": {"weight_names": []} for name in names}
    for layer in layers:
        listed = {f"{layer.name}/{located.name}": located.array for located in layer.arrays}
        attributes[f"model_weights/{layer.name}"] = _in_parts("weight_names", list(listed))
        arrays |= {f"model_weights/{layer.name}/{name}": stored for name, stored in listed.items()}
    return Contents(arrays, attributes)


def _in_parts(name: str, items: list[str]) -> dict[str, list[str]]:
    """Return a list as one attribute, or as `name0`, `name1`, … where it is too long for one."""
    width = max(map(len, map(str.encode, items)), default=1)
    at_once = max(1, _LONGEST_LIST // max(1, width))
    if len(items) <= at_once:
        return {name: items}
    return {f"{name}{part}": items[part * at_once :][:at_once] for part in range(-(-len(items) // at_once))}

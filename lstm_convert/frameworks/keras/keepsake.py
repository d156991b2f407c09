"""What a Keras file cannot say of a layer that came from elsewhere, kept beside its weights for the way back.

Keras stores one bias where others store two: the sum stands where Keras reads it, the two stand here. So does the name
of the layer in its source, and the architecture where Keras stores weights alone. A keepsake whose biases no longer add
up to the file's is out of date, and not used.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from lstm_convert import json_text
from lstm_convert.canonical import Origin, Recurrent, RecurrentCell
from lstm_convert.containers import Contents, Stored
from lstm_convert.errors import InvalidFile
from lstm_convert.frameworks.keras.located import array_of
from lstm_convert.packing import pack_arrays
from lstm_convert.table import KERAS_3, counterpart

GROUP = "lstm_convert"


def owns(key: str) -> bool:
    """Return whether an array of a file is a keepsake."""
    return key.startswith(f"{GROUP}/")


def kept(layers: Iterable[Recurrent], names: Mapping[str, str]) -> Contents:
    """Return what is to be kept of some layers: two biases, their place in the source, and their order.

    Args:
        layers: the layers under the names of their source.
        names: Keras's name of each.
    """
    arrays = {
        f"{GROUP}/{names[layer.name]}/{direction}/{name}": Stored.of(np.asarray(gates))
        for layer in layers
        for direction, cell in layer.cells.items()
        if cell.b_rec is not None
        for name, gates in (("b", cell.b), ("b_rec", cell.b_rec))
        if gates is not None
    }
    places = {
        names[layer.name]: {
            "path": layer.path,
            "depth": layer.depth,
            "layout": layer.origin.layout if layer.origin else "",
        }
        for layer in layers
    }
    return Contents(arrays, {GROUP: {"layers": json.dumps(places)}})


def restored(contents: Contents, layers: Iterable[Recurrent]) -> tuple[Recurrent, ...]:
    """Return layers with what the file keeps of them put back.

    Args:
        contents: the file.
        layers: its layers, as Keras's own part of the file has them.

    Raises:
        InvalidFile: the keepsake is damaged.
    """
    places = _places(contents)
    try:
        found = {layer.name: _restored(contents, layer, places.get(layer.name)) for layer in layers}
        names = {name: layer.name for name, layer in found.items()}
        return tuple(
            replace(
                layer,
                follows=names.get(layer.follows or "", layer.follows),
                starts_from=names.get(layer.starts_from or "", layer.starts_from),
            )
            for layer in found.values()
        )
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise InvalidFile(f"what lstm_convert left in this file is damaged: {error!r}") from error


def architecture(contents: Contents) -> str | None:
    """Return the architecture of weights that Keras stores without one, as JSON, or None where none was kept."""
    return contents.attributes.get(GROUP, {}).get("architecture")


def in_order(contents: Contents, layers: Iterable[Recurrent]) -> tuple[Recurrent, ...]:
    """Return layers in the order of their source, which Keras's own lists need not have.

    Args:
        contents: the file.
        layers: its layers, as Keras's own part of the file lists them.
    """
    order = list(_places(contents))
    return tuple(sorted(layers, key=lambda layer: order.index(layer.name) if layer.name in order else len(order)))


def _places(contents: Contents) -> dict[str, Any]:
    text = contents.attributes.get(GROUP, {}).get("layers")
    places = json_text.parsed(text, "what lstm_convert left in this file") if text else {}
    if not isinstance(places, dict):
        raise InvalidFile(f"what lstm_convert left in this file is a {type(places).__name__}")
    return places


def _restored(contents: Contents, layer: Recurrent, place: dict[str, Any] | None) -> Recurrent:
    if place is None:
        return layer
    cells = {name: _with_biases(contents, f"{GROUP}/{layer.name}/{name}", cell) for name, cell in layer.cells.items()}
    origin = Origin(str(place["layout"]), layer.origin.keys if layer.origin else ())
    depth = None if place["depth"] is None else int(place["depth"])
    return replace(layer.with_cells(cells), path=str(place["path"]), depth=depth, origin=origin)


def _with_biases(contents: Contents, group: str, cell: RecurrentCell) -> RecurrentCell:
    stored = {name: contents.arrays.get(f"{group}/{name}") for name in ("b", "b_rec")}
    biases = {name: array_of(array) for name, array in stored.items() if array is not None}
    if not biases or cell.b is None:
        return cell
    candidate = replace(cell, b=None, b_rec=None).with_arrays(biases)
    row = counterpart(KERAS_3, type(cell), reset_after=getattr(cell, "reset_after", True))
    same = np.array_equal(pack_arrays(row, candidate)["bias"], pack_arrays(row, cell)["bias"])
    return candidate if same else cell

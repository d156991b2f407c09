"""What a model says beside its arrays, as plain values that JSON holds, and back. An absent value is at its default."""

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, get_type_hints

from lstm_convert.canonical import (
    Activation,
    Cell,
    GRUCell,
    LeftOut,
    LSTMCell,
    Model,
    Origin,
    Provenance,
    Recurrent,
    SimpleRNNCell,
)
from lstm_convert.errors import InvalidFile

_CELLS: Mapping[str, type[Cell]] = {cell.kind: cell for cell in (LSTMCell, GRUCell, SimpleRNNCell)}
_WIRING = tuple(field.name for field in fields(Recurrent) if field.name not in ("forward", "backward", "origin"))


def parsed(text: Any) -> Mapping[str, Any]:
    """Return a document from its text; an empty one where there is none.

    Raises:
        InvalidFile: the text is no JSON object.
    """
    try:
        document = json.loads(text) if text else {}
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidFile(f"its document is no JSON: {error!s:.200}", next_step="Copy the file again.") from error
    return document if isinstance(document, Mapping) else {}


def of_model(model: Model) -> dict[str, Any]:
    """Return what a model says beside its layers."""
    return {
        "provenance": asdict(model.provenance),
        "left_out": [asdict(entry) for entry in model.left_out],
        "assumed": model.assumed,
        "notes": model.notes,
    }


def of_layer(layer: Recurrent) -> dict[str, Any]:
    """Return what a layer says beside its arrays, its cells' activations, clips and coupling under `cells`."""
    cells = {
        direction: {role: asdict(activation) for role, activation in cell.activations().items()} | cell.settings()
        for direction, cell in layer.cells.items()
    }
    origin = asdict(layer.origin) if layer.origin else None
    wiring = {name: getattr(layer, name) for name in _WIRING}
    return {"kind": layer.kind, **wiring, "origin": origin, "cells": cells}


def model_of(document: Mapping[str, Any], layers: tuple[Recurrent, ...]) -> Model:
    """Return the model that a document and its layers make.

    Raises:
        KeyError, TypeError, AttributeError: the document is damaged; whoever reads the file says so.
    """
    return Model(
        layers=layers,
        left_out=tuple(LeftOut(**{**entry, "shape": tuple(entry["shape"])}) for entry in document["left_out"]),
        assumed=tuple(map(str, document["assumed"])),
        notes=tuple(map(str, document.get("notes", ()))),
        provenance=Provenance(**document["provenance"]),
    )


def layer_of(said: Mapping[str, Any], cells: Mapping[str, Cell]) -> Recurrent:
    """Return the layer that a document and its cells make, by direction.

    Raises:
        KeyError, TypeError, AttributeError: as `model_of`.
    """
    origin = said["origin"]
    return Recurrent.of(
        forward=cells["forward"],
        backward=cells.get("backward"),
        origin=Origin(str(origin["layout"]), tuple(map(dict, origin["keys"]))) if origin else None,
        **_checked(Recurrent, {name: said[name] for name in _WIRING if name in said}),
    )


def cell_type(said: Mapping[str, Any]) -> type[Cell]:
    """Return the kind of a layer's cells; the first files that were written knew LSTMs alone, and do not say it.

    Raises:
        KeyError, TypeError: as `model_of`.
    """
    return _CELLS[said.get("kind", LSTMCell.kind)]


def cell_options(kind: type[Cell], said: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a cell that are no arrays.

    Raises:
        KeyError, TypeError, AttributeError: as `model_of`.
    """
    roles = {role: _activation(**said[role]) for role in kind.roles()}
    return roles | _checked(kind, {name: said[name] for name in kind.setting_names() if name in said})


def _activation(name: Any, parameters: Mapping[str, Any] | None = None) -> Activation:
    return Activation(str(name), {str(key): float(number) for key, number in (parameters or {}).items()})


def _checked(kind: type, values: dict[str, Any]) -> dict[str, Any]:
    """Return values after comparing their types with those of a class's fields."""
    hints = get_type_hints(kind)
    for name, value in values.items():
        hint = float | int | None if hints[name] == float | None else hints[name]
        if not isinstance(value, hint):
            raise TypeError(f"{name} is a {type(value).__name__}")
    return values

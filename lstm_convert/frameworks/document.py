"""What a model says beside its arrays, as plain values that JSON holds, and back. An absent value is at its default."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from graphlib import CycleError, TopologicalSorter
from typing import Any, get_type_hints

from lstm_convert import json_text
from lstm_convert.activations import FUNCTIONS, computable
from lstm_convert.canonical import (
    Activation,
    Cell,
    GRUCell,
    LeftOut,
    Model,
    Origin,
    Provenance,
    Recurrent,
    RecurrentCell,
    SimpleRNNCell,
)
from lstm_convert.canonical.options import is_number

_CELLS: Mapping[str, type[RecurrentCell]] = {cell.kind: cell for cell in (Cell, GRUCell, SimpleRNNCell)}
_WIRING = tuple(field.name for field in fields(Recurrent) if field.name not in ("forward", "backward", "origin"))


def parsed(text: Any) -> Mapping[str, Any]:
    """Return a document from its text; an empty one where there is none.

    Raises:
        InvalidFile: the text is no JSON object.
    """
    document = json_text.parsed(text, "its document") if text else {}
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
    _refuse_circles(layers)
    return Model(
        layers=layers,
        left_out=tuple(map(_left_out, document["left_out"])),
        assumed=tuple(map(_text, document["assumed"])),
        notes=tuple(map(_text, document.get("notes", ()))),
        provenance=Provenance(**{name: _text(value) for name, value in document["provenance"].items()}),
    )


def _refuse_circles(layers: Sequence[Recurrent]) -> None:
    """Raise where layers wait for one another, in whatever order a file names them."""
    read_by = {layer.name: filter(None, (layer.follows, layer.starts_from)) for layer in layers}
    try:
        TopologicalSorter(read_by).prepare()
    except CycleError as error:
        _, circle = error.args
        raise TypeError(f"its layers read in a circle: {' -> '.join(circle):.200}") from error


def layer_of(said: Mapping[str, Any], cells: Mapping[str, RecurrentCell]) -> Recurrent:
    """Return the layer that a document and its cells make, by direction.

    Raises:
        KeyError, TypeError, AttributeError: as `model_of`.
    """
    origin = said["origin"]
    return Recurrent.of(
        forward=cells["forward"],
        backward=cells.get("backward"),
        origin=Origin(str(origin["layout"]), tuple(map(_keys, origin["keys"]))) if origin else None,
        **_checked(Recurrent, {name: said[name] for name in _WIRING if name in said}),
    )


def cell_type(said: Mapping[str, Any]) -> type[RecurrentCell]:
    """Return the kind of a layer's cells; the first files that were written knew LSTMs alone, and do not say it.

    Raises:
        KeyError, TypeError: as `model_of`.
    """
    return _CELLS[said.get("kind", Cell.kind)]


def cell_options(kind: type[RecurrentCell], said: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a cell that are no arrays.

    Raises:
        KeyError, TypeError, AttributeError: as `model_of`.
    """
    roles = {role: activation_of(**said[role]) for role in kind.roles()}
    return roles | _checked(kind, {name: said[name] for name in kind.setting_names() if name in said})


def activation_of(name: Any, parameters: Mapping[str, Any] | None = None) -> Activation:
    """Return the activation that a document says.

    Args:
        name: its name.
        parameters: its numbers by their names; none where it has none.

    Raises:
        TypeError, AttributeError: as `model_of`.
    """
    numbers = {str(key): _number(number) for key, number in (parameters or {}).items()}
    activation = Activation(str(name), numbers)
    if activation.name in FUNCTIONS and not computable(activation):
        raise TypeError(f"{activation.name:.60} has the numbers {', '.join(numbers) or 'none'}")
    return activation


def _left_out(said: Mapping[str, Any]) -> LeftOut:
    texts = {name: _text(value) for name, value in said.items() if name != "shape"}
    return LeftOut(shape=_shape(said["shape"]), **texts)


def _shape(said: Any) -> tuple[int, ...]:
    if not isinstance(said, list) or not all(isinstance(size, int) for size in said):
        raise TypeError("a shape is no list of whole numbers")
    return tuple(said)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a text is a {type(value).__name__}")
    return value


def _keys(said: Mapping[str, Any]) -> dict[str, str]:
    return {str(name): _text(key) for name, key in said.items()}


def _number(value: Any) -> float:
    if not is_number(value):
        raise TypeError(f"a number is {value!r:.60}")
    return float(value)


def _checked(kind: type, values: dict[str, Any]) -> dict[str, Any]:
    """Return values after comparing their types with those of a class's fields."""
    hints = get_type_hints(kind)
    for name, value in values.items():
        is_right = value is None or is_number(value) if hints[name] == float | None else isinstance(value, hints[name])
        if not is_right:
            raise TypeError(f"{name} is {value!r:.60}")
    return values

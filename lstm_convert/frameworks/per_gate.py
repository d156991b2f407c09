"""The canonical form on disk: one tensor a gate, and one JSON document that says the rest.

Tensors are named `<layer>.<direction>.<what>_<gate>`: `lstm_1.forward.W_i` is (units, inputs), `U_f` (units, outputs),
`b_o` and `b_rec_o` (units,); `<layer>.forward.projection` is (outputs, units). The document is `lstm_convert` in the
metadata.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from lstm_convert.canonical import GATES, LSTM, Activation, Cell, Gates, LeftOut, Model, Origin, Provenance
from lstm_convert.containers import Contents, Stored
from lstm_convert.errors import InvalidFile, LayoutMismatch
from lstm_convert.frameworks import ReadOptions, WriteOptions, not_plain, renamed

FORMAT = "lstm_convert canonical"
VERSION = 1

_PER_GATE = ("W", "U", "b", "b_rec")
_ACTIVATIONS = ("gate", "candidate", "output")
_KNOWN_ACTIVATIONS = ("sigmoid", "tanh", "hard_sigmoid")
_WIRING = (
    "path", "depth", "follows", "merge", "go_backwards", "return_sequences", "return_state", "stateful", "masked_by",
)  # fmt: skip


def recognises(contents: Contents) -> bool:
    """Return whether a container holds the canonical form, even one whose document is damaged."""
    return FORMAT in _text(contents)


def read(contents: Contents, options: ReadOptions) -> Model:  # noqa: ARG001 (every adapter's read has both)
    """Return the model that a canonical file holds.

    Raises:
        InvalidFile: the document is damaged or of a later version.
        LayoutMismatch: tensors are missing; all of them are listed.
    """
    document = _document(contents)
    if document.get("version") != VERSION:
        raise InvalidFile(
            f"it is version {document.get('version')} of the canonical form; this lstm_convert reads version {VERSION}",
            next_step="Install a newer lstm_convert.",
        )
    try:
        return Model(
            layers=tuple(_layer(contents, name, layer) for name, layer in document["layers"].items()),
            left_out=tuple(LeftOut(**{**entry, "shape": tuple(entry["shape"])}) for entry in document["left_out"]),
            assumed=tuple(document["assumed"]),
            provenance=Provenance(**document["provenance"]),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidFile(f"its document is damaged: {error!r}") from error


def refusals(layer: LSTM, options: WriteOptions) -> Iterator[str]:  # noqa: ARG001 (every writer's refusals has both)
    """Yield why the canonical form does not hold a layer yet."""
    yield from not_plain(layer)
    for direction, cell in layer.cells.items():
        for role in _ACTIVATIONS:
            activation = getattr(cell, role)
            if activation.name not in _KNOWN_ACTIVATIONS:
                known = ", ".join(_KNOWN_ACTIVATIONS)
                yield f"{layer.name} ({direction}): {role} activation {activation}; only {known} are written yet"
        if cell.projection is not None:
            yield f"{layer.name} ({direction}): a projection to {cell.outputs}; projections are not written yet"


def write(model: Model, options: WriteOptions) -> Contents:
    """Return the canonical form: tensors gate by gate, and the document."""
    layers = renamed(model.layers, options.rename)
    arrays = {
        f"{layer.name}.{direction}.{name}": Stored.of(np.ascontiguousarray(array))
        for layer in layers
        for direction, cell in layer.cells.items()
        for name, array in _tensors(cell)
    }
    document = {
        "format": FORMAT,
        "version": VERSION,
        "provenance": asdict(model.provenance),
        "layers": {layer.name: _described(layer) for layer in layers},
        "left_out": [asdict(entry) for entry in model.left_out],
        "assumed": model.assumed,
    }
    place = "__metadata__" if options.extension == ".npz" else "lstm_convert"
    return Contents(arrays, {"": {place: json.dumps(document)}})


def usage(model: Model, options: WriteOptions) -> list[str]:
    """Return what was written, a line a cell."""
    return [
        f"{layer.name}.{direction}: W_i … ({cell.units}, {cell.inputs}), U_i … ({cell.units}, {cell.outputs})"
        for layer in renamed(model.layers, options.rename)
        for direction, cell in layer.cells.items()
    ]


def _text(contents: Contents) -> str:
    return str(contents.document("lstm_convert") or contents.document("__metadata__") or "")


def _document(contents: Contents) -> Mapping[str, Any]:
    try:
        document = json.loads(_text(contents))
    except (ValueError, RecursionError) as error:
        raise InvalidFile(f"its document is no JSON: {error}") from error
    return document if isinstance(document, Mapping) else {}


def _tensors(cell: Cell) -> Iterator[tuple[str, Any]]:
    for name, array in cell.arrays().items():
        if name in _PER_GATE:
            yield from ((f"{name}_{gate}", part) for gate, part in zip(GATES, array, strict=True))
        else:
            yield name, array


def _described(layer: LSTM) -> dict[str, Any]:
    cells = {
        direction: {role: asdict(getattr(cell, role)) for role in _ACTIVATIONS}
        for direction, cell in layer.cells.items()
    }
    origin = asdict(layer.origin) if layer.origin else None
    return {**{name: getattr(layer, name) for name in _WIRING}, "origin": origin, "cells": cells}


def _layer(contents: Contents, name: str, described: Mapping[str, Any]) -> LSTM:
    cells = {
        direction: _cell(contents, f"{name}.{direction}", activations)
        for direction, activations in described["cells"].items()
    }
    origin = described["origin"]
    return LSTM(
        forward=cells["forward"],
        backward=cells.get("backward"),
        origin=Origin(origin["layout"], tuple(origin["keys"])) if origin else None,
        **{field: described[field] for field in _WIRING},
    )


def _cell(contents: Contents, prefix: str, activations: Mapping[str, Any]) -> Cell:
    keys = {what: [f"{prefix}.{what}_{gate}" for gate in GATES] for what in _PER_GATE}
    present = {
        what: parts for what, parts in keys.items() if what in "WU" or any(key in contents.arrays for key in parts)
    }
    if missing := [key for parts in present.values() for key in parts if key not in contents.arrays]:
        raise LayoutMismatch("tensors of the canonical form are missing", [f"{key}: found nothing" for key in missing])
    shapes = {what: {contents.arrays[key].shape for key in parts} for what, parts in present.items()}
    if unequal := [f"{prefix}.{what}: gates of shapes {found}" for what, found in shapes.items() if len(found) > 1]:
        raise LayoutMismatch("the gates of one array have different shapes", unequal)
    arrays = {what: [contents.arrays[key].read() for key in parts] for what, parts in present.items()}
    projection = contents.arrays.get(f"{prefix}.projection")
    gates = {what: Gates(np.stack(parts)) for what, parts in arrays.items()}
    gate, candidate, output = (Activation(**activations[role]) for role in _ACTIVATIONS)
    return Cell(
        W=gates["W"],
        U=gates["U"],
        b=gates.get("b"),
        b_rec=gates.get("b_rec"),
        projection=None if projection is None else np.asarray(projection.read()),
        gate=gate,
        candidate=candidate,
        output=output,
    )

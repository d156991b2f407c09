"""The canonical form on disk: one tensor a gate, and one JSON document that says the rest.

Tensors are named `<layer>.<direction>.<what>_<gate>`: `lstm_1.forward.W_i` is (units, inputs), `U_f` (units, outputs),
`b_o` and `b_rec_o` (units,); a GRU has the gates z, r and g, a simple RNN g alone.
`<layer>.forward.projection` is (outputs, units). The document is `lstm_convert` in the metadata.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from lstm_convert.activations import computable
from lstm_convert.canonical import Cell, Model, Recurrent, RecurrentCell
from lstm_convert.containers import Contents, Stored
from lstm_convert.errors import InvalidFile, LayoutMismatch
from lstm_convert.frameworks import ReadOptions, WriteOptions, document, refuse_options, renamed

FORMAT = "lstm_convert canonical"
VERSION = 1

_ARRAYS = ("W", "U", "b", "b_rec")


def recognises(contents: Contents) -> bool:
    """Return whether a container holds the canonical form, even one whose document is damaged."""
    return FORMAT in _text(contents)


def read(contents: Contents, options: ReadOptions) -> Model:
    """Return the model that a canonical file holds.

    Raises:
        InvalidFile: the document is damaged or of a later version.
        LayoutMismatch: tensors are missing; all of them are listed.
    """
    refuse_options(options, "the canonical form, which says its activations itself")
    said = document.parsed(_text(contents))
    if said.get("version") != VERSION:
        raise InvalidFile(
            f"it is version {said.get('version')} of the canonical form; this lstm_convert reads version {VERSION}",
            next_step="Install a newer lstm_convert.",
        )
    try:
        layers = tuple(_layer(contents, name, layer) for name, layer in said["layers"].items())
        return document.model_of(said, layers)
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidFile(f"its document is damaged: {error!r:.200}") from error


def refusals(layer: Recurrent, options: WriteOptions) -> Iterator[str]:  # noqa: ARG001 (every writer's refusals has both)
    """Yield why the canonical form cannot say exactly what a layer computes; nothing where it can."""
    for direction, cell in layer.cells.items():
        for role, activation in cell.activations().items():
            if not computable(activation):
                yield f"{layer.name} ({direction}): {role} activation {activation}, which is not known"


def manner(layer: Recurrent) -> str:  # noqa: ARG001 (every writer's manner has it)
    """Return how exact a layer is in the canonical form, where it is not refused."""
    return "exact"


def write(model: Model, options: WriteOptions) -> Contents:
    """Return the canonical form: tensors gate by gate, and the document."""
    layers = renamed(model.layers, options.rename)
    arrays = {
        f"{layer.name}.{direction}.{name}": Stored.of(array)
        for layer in layers
        for direction, cell in layer.cells.items()
        for name, array in _tensors(cell)
    }
    said = {
        "format": FORMAT,
        "version": VERSION,
        "layers": {layer.name: document.of_layer(layer) for layer in layers},
        **document.of_model(model),
    }
    place = "__metadata__" if options.extension == ".npz" else "lstm_convert"
    return Contents(arrays, {"": {place: json.dumps(said)}})


def usage(model: Model, options: WriteOptions) -> list[str]:
    """Return what was written, a line a cell."""
    return [
        f"{layer.name}.{direction}: W_{cell.letters[0]} … ({cell.units}, {cell.inputs}), "
        f"U_{cell.letters[0]} … ({cell.units}, {cell.outputs})"
        for layer in renamed(model.layers, options.rename)
        for direction, cell in layer.cells.items()
    ]


def _text(contents: Contents) -> str:
    return str(contents.document("lstm_convert") or contents.document("__metadata__") or "")


def _tensors(cell: RecurrentCell) -> Iterator[tuple[str, Any]]:
    gates = _gates_of(type(cell))
    for name, array in cell.held().items():
        if name in gates:
            yield from ((f"{name}_{gate}", part) for gate, part in zip(gates[name], array, strict=True))
        else:
            yield name, array


def _gates_of(kind: type[RecurrentCell]) -> dict[str, str]:
    """Return the arrays of a kind of cell that are stored gate by gate, and the gates they have."""
    return {**dict.fromkeys(_ARRAYS, kind.letters), **({"peephole": "ifo"} if kind is Cell else {})}


def _layer(contents: Contents, name: str, said: Mapping[str, Any]) -> Recurrent:
    kind = document.cell_type(said)
    cells = {
        direction: _cell(contents, f"{name}.{direction}", kind, options) for direction, options in said["cells"].items()
    }
    return document.layer_of(said, cells)


def _cell(contents: Contents, prefix: str, kind: type[RecurrentCell], said: Mapping[str, Any]) -> RecurrentCell:
    keys = {what: [f"{prefix}.{what}_{gate}" for gate in gates] for what, gates in _gates_of(kind).items()}
    present = {
        what: parts for what, parts in keys.items() if what in "WU" or any(key in contents.arrays for key in parts)
    }
    if missing := [key for parts in present.values() for key in parts if key not in contents.arrays]:
        raise LayoutMismatch("tensors of the canonical form are missing", [f"{key}: found nothing" for key in missing])
    shapes = {what: {contents.arrays[key].shape for key in parts} for what, parts in present.items()}
    if unequal := [f"{prefix}.{what}: gates of shapes {found}" for what, found in shapes.items() if len(found) > 1]:
        raise LayoutMismatch("the gates of one array have different shapes", unequal)
    arrays: dict[str, Any] = {what: [contents.arrays[key].read() for key in parts] for what, parts in present.items()}
    if "peephole" in arrays:
        arrays["peephole"] = np.stack(arrays["peephole"])
    projection = contents.arrays.get(f"{prefix}.projection")
    if projection is not None:
        arrays["projection"] = np.asarray(projection.read())
    return kind.of(arrays, **document.cell_options(kind, said))

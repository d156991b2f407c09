"""PyTorch source code: a module written out with the weights it loads, for what nn.LSTM does not compute.

The weights' file also says what a state dict cannot, activations, directions, masks, in the document
`lstm_convert_source` of its metadata. So it is read back as the model it came from, and the proof needs no torch.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from lstm_convert.activations import computable
from lstm_convert.canonical import LSTM, Cell, Model, Recurrent
from lstm_convert.containers import Contents, Stored
from lstm_convert.errors import InvalidFile, LayoutMismatch
from lstm_convert.export import arrays_of, keys, source, state
from lstm_convert.frameworks import ReadOptions, WriteOptions, document, refuse_options, renamed

DOCUMENT = "lstm_convert_source"
VERSION = 1

_MERGES = ("concat", "sum", "mul", "ave", None)
_DTYPES = ("float16", "bfloat16", "float32", "float64")
_BIASES = ("b", "b_rec")


def recognises(contents: Contents) -> bool:
    """Return whether a container holds the weights of written-out source code."""
    return contents.document(DOCUMENT) is not None


def read(contents: Contents, options: ReadOptions) -> Model:
    """Return the model whose source code was written out, from the weights beside it.

    Args:
        contents: the weights by key, and the document.
        options: none but `keepsakes` concerns these files.

    Raises:
        InvalidFile: the document is damaged or of a later version.
        LayoutMismatch: arrays are missing or mis-shaped.
    """
    refuse_options(options, "the weights of source code, which say their activations themselves")
    said = document.parsed(contents.document(DOCUMENT))
    if said.get("version") != VERSION:
        raise InvalidFile(
            f"it is version {said.get('version')!s:.20} of written-out weights; version {VERSION} is read",
            next_step="Install a newer lstm_convert.",
        )
    try:
        return document.model_of(said, tuple(_layer(contents, layer) for layer in said["layers"]))
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidFile(f"the document {DOCUMENT} is damaged: {error!r:.200}") from error


def refusals(layer: Recurrent, options: WriteOptions) -> Iterator[str]:  # noqa: ARG001 (every writer's refusals has both)
    """Yield why a layer cannot be written out; nothing where it can."""
    if layer.backward and layer.merge not in _MERGES:
        yield f"{layer.name}: merge {layer.merge!r:.40} is not known"
    for direction, cell in layer.cells.items():
        for role, activation in cell.activations().items():
            if not computable(activation):
                yield f"{layer.name} ({direction}): {role} activation {activation} is not known"
        dtypes = sorted({array.dtype.name for array in cell.arrays().values()})
        if len(dtypes) > 1 or dtypes[0] not in _DTYPES:
            yield f"{layer.name} ({direction}): {', '.join(dtypes)} numbers; one of {', '.join(_DTYPES)} is written"
    if layer.backward and layer.backward.inputs != layer.forward.inputs:
        yield f"{layer.name}: its directions read {layer.forward.inputs} and {layer.backward.inputs} features"


def manner(layer: Recurrent) -> str:  # noqa: ARG001 (every writer's manner has it)
    """Return how exact a layer is in source code, where it is not refused."""
    return "exact as source"


def write(model: Model, options: WriteOptions) -> Contents:
    """Return the source code, the weights, and the document.

    Args:
        model: the layers.
        options: `rename`.

    Raises:
        Unsupported: the layers wait for one another in a circle.
    """
    model = replace(model, layers=renamed(model.layers, options.rename))
    described = [_described(layer, places) for layer, places in zip(model.layers, keys(model), strict=True)]
    said = {"version": VERSION, "layers": described, **document.of_model(model)}
    arrays = {key: Stored.of(array) for key, array in state(model).items()}
    return Contents(arrays, {"": {"source": source(model), "format": "pt", DOCUMENT: json.dumps(said)}})


def usage(model: Model, options: WriteOptions) -> list[str]:  # noqa: ARG001 (every writer's usage has both)
    """Return how to use what was written."""
    lines = ["import load from this file: model = load() has the weights, in eval mode"]
    if len(model.layers) == 1:
        last = "(h_n, c_n)" if isinstance(model.layers[0], LSTM) else "h_n"
        return [*lines, f"output, {last} = model(x, state), batch first"]
    return [*lines, "output, states = model(x, states), batch first; its docstring says what it takes"]


def _described(layer: Recurrent, places: list[dict[str, str]]) -> dict[str, Any]:
    """Return what a layer says, and for each cell where its arrays are and which of its biases it has."""
    said = document.of_layer(layer)
    for cell, options, keys_of in zip(layer.cells.values(), said["cells"].values(), places, strict=True):
        options["keys"] = keys_of
        options["biases"] = [name for name in _BIASES if getattr(cell, name) is not None]
    return said


def _layer(contents: Contents, said: Mapping[str, Any]) -> Recurrent:
    kind = document.cell_type(said)
    return document.layer_of(
        said, {direction: _cell(contents, kind, cell) for direction, cell in said["cells"].items()}
    )


def _cell(contents: Contents, kind: type[Cell], said: Mapping[str, Any]) -> Cell:
    if missing := [key for key in said["keys"].values() if key not in contents.arrays]:
        raise LayoutMismatch("weights are missing", [f"{key}: found nothing" for key in missing])
    arrays = {name: np.asarray(contents.arrays[key].read()) for name, key in said["keys"].items()}
    absent = set(_BIASES) - set(said["biases"])
    own = {name: array for name, array in arrays_of(kind, arrays).items() if name not in absent}
    return kind.of(own, **document.cell_options(kind, said))

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
from lstm_convert.canonical import LSTM, Array, Model, Network, Recurrent, RecurrentCell
from lstm_convert.containers import Contents, Stored
from lstm_convert.errors import InvalidFile, LayoutMismatch, LstmConvertError
from lstm_convert.export.loading import mark_of
from lstm_convert.export.network_plan import NetworkPlan
from lstm_convert.export.network_refusals import network_reasons
from lstm_convert.export.network_state import network_keys, network_state
from lstm_convert.export.state import arrays_of, keys, state
from lstm_convert.frameworks import ReadOptions, WriteOptions, document, refuse_options, renamed
from lstm_convert.frameworks.network_document import network_from_json, network_to_json

DOCUMENT = "lstm_convert_source"
_TEXT = "source"
_MARK = "mark"
VERSION = 2
_READ = (1, VERSION)  # the first knew no networks

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
        InvalidFile: the document is damaged or of a later version, or source code and weights do not go together.
        LayoutMismatch: arrays are missing or mis-shaped.
    """
    refuse_options(options, "the weights of source code, which say their activations themselves")
    text, mark = contents.document(_TEXT), contents.document(_MARK)
    if text is not None and mark is not None and mark_of(text) not in (None, mark):
        raise InvalidFile(
            "its source code and its weights were not written together",
            [f"expected weights with the mark {mark_of(text)}, found {mark:.20}"],
            "Convert again; the .safetensors file is a whole model by itself and can be the source.",
        )
    said = document.parsed(contents.document(DOCUMENT))
    if said.get("version") not in _READ:
        raise InvalidFile(
            f"it is version {said.get('version')!s:.20} of written-out weights; version {VERSION} is the last read",
            next_step="Install a newer lstm_convert.",
        )
    try:
        model = document.model_of(said, tuple(_layer(contents, layer) for layer in said["layers"]))
        if said.get("network") is None:
            return model
        recurrent = {layer.name: layer for layer in model.layers}
        network = network_from_json(said["network"], recurrent, lambda key: _array(contents, key))
        return replace(model, network=network)
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        if isinstance(error, LstmConvertError):
            raise
        raise InvalidFile(f"the document {DOCUMENT} is damaged: {error!r:.200}") from error


def refusals(layer: Recurrent, options: WriteOptions) -> Iterator[str]:  # noqa: ARG001 (every writer's refusals has both)
    """Yield why a layer cannot be written out; nothing where it can."""
    if layer.backward and layer.merge not in _MERGES:
        yield f"{layer.name}: merge {layer.merge!r:.40} is not known"
    for direction, cell in layer.cells.items():
        for role, activation in cell.activations().items():
            if not computable(activation):
                yield f"{layer.name} ({direction}): {role} activation {activation} is not known"
        dtypes = sorted({array.dtype.name for array in cell.held().values()})
        if len(dtypes) > 1 or dtypes[0] not in _DTYPES:
            yield f"{layer.name} ({direction}): {', '.join(dtypes)} numbers; one of {', '.join(_DTYPES)} is written"
    if layer.backward and layer.backward.inputs != layer.forward.inputs:
        yield f"{layer.name}: its directions read {layer.forward.inputs} and {layer.backward.inputs} features"


def network_refusals(network: Network, options: WriteOptions) -> Iterator[str]:
    """Yield why a network cannot be written out; nothing where it can."""
    for recurrent in network.recurrent:
        yield from refusals(recurrent, options)
    yield from network_reasons(network)
    for layer in network.layers.values():
        for name, array in layer.arrays.items():
            if array.dtype.name not in _DTYPES:
                yield f"{layer.name}: {array.dtype.name} numbers in {name}; one of {', '.join(_DTYPES)} is written"


def manner(layer: Recurrent) -> str:  # noqa: ARG001 (every writer's manner has it)
    """Return how exact a layer is in source code, where it is not refused."""
    return "exact as source"


def write(model: Model, options: WriteOptions) -> Contents:
    """Return the source code, the weights, and the document: of the whole network where there is one.

    Args:
        model: the layers; where it has a network, under the names that they are to have.
        options: `rename`, for layers alone.

    Raises:
        Unsupported: the layers wait for one another in a circle, or torch lacks what a network needs.
    """
    if model.network is not None:
        return _whole(model, model.network)
    model = replace(model, layers=renamed(model.layers, options.rename))
    described = [_described(layer, places) for layer, places in zip(model.layers, keys(model), strict=True)]
    said = {"version": VERSION, "layers": described, **document.of_model(model)}
    arrays = {key: Stored.of(array) for key, array in state(model).items()}
    return _written(model, arrays, said)


def _whole(model: Model, network: Network) -> Contents:
    recurrent, others = network_keys(network)
    described = [_described(layer, recurrent[layer.name]) for layer in network.recurrent]
    said = {
        "version": VERSION,
        "layers": described,
        "network": network_to_json(network, others),
        **document.of_model(model),
    }
    arrays = {key: Stored.of(array) for key, array in network_state(network).items()}
    return _written(model, arrays, said)


def _written(model: Model, arrays: Mapping[str, Stored], said: Mapping[str, Any]) -> Contents:
    from lstm_convert.export.text import text_of  # noqa: PLC0415 (who only reads writes no source code)

    text = text_of(model)
    return Contents(arrays, {"": {_TEXT: text, "format": "pt", _MARK: mark_of(text), DOCUMENT: json.dumps(said)}})


def usage(model: Model, options: WriteOptions) -> list[str]:  # noqa: ARG001 (as every writer's functions)
    """Return how to use what was written."""
    lines = ["import load from this file: model = load() has the weights, in eval mode"]
    if model.network is not None:
        return [*lines, f"{NetworkPlan(model.network).usage}, batch first"]
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
    cells = {direction: _cell(contents, kind, cell) for direction, cell in said["cells"].items()}
    return document.layer_of(said, cells)


def _cell(contents: Contents, kind: type[RecurrentCell], said: Mapping[str, Any]) -> RecurrentCell:
    if missing := [key for key in said["keys"].values() if key not in contents.arrays]:
        raise LayoutMismatch("weights are missing", [f"{key}: found nothing" for key in missing])
    arrays = {name: _array(contents, key) for name, key in said["keys"].items()}
    absent = set(_BIASES) - set(said["biases"])
    own = {name: array for name, array in arrays_of(kind, arrays).items() if name not in absent}
    return kind.of(own, **document.cell_options(kind, said))


def _array(contents: Contents, key: str) -> Array:
    if key not in contents.arrays:
        raise LayoutMismatch("weights are missing", [f"{key}: found nothing"])
    return np.asarray(contents.arrays[key].read())

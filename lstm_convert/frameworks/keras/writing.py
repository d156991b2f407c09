"""Canonical layers to a Keras 3 file: a functional model whose layers are the LSTMs, each with its weights.

A layer that follows another reads its output; every other layer has an input of its own. The outputs are those of the
layers that no other follows.

Source: keras 3.15.1, keras/src/layers/rnn/lstm.py and bidirectional.py (get_config), keras/src/saving/saving_lib.py,
keras/src/legacy/saving/legacy_h5_format.py
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from lstm_convert.canonical import LSTM, Cell, Model
from lstm_convert.containers import Contents, Stored
from lstm_convert.frameworks import WriteOptions, not_plain, renamed
from lstm_convert.frameworks.keras import keepsake
from lstm_convert.frameworks.keras.architecture import snake_case
from lstm_convert.layout import pack_arrays
from lstm_convert.table import KERAS_3

VERSION = "3.15.1"

_OLDER = (".h5", ".hdf5")
# Where the two directions of a Bidirectional are kept, and how its LSTMs are called.
_DIRECTIONS = {"forward": "forward_layer", "backward": "backward_layer"}
# An attribute of HDF5 holds less than 64 kB; Keras splits longer lists.
_LONGEST_LIST = 60_000
_BFLOAT16 = "bfloat16"


def refusals(layer: LSTM, options: WriteOptions) -> Iterator[str]:
    """Yield why a Keras 3 file cannot hold a layer exactly; nothing where it can."""
    yield from not_plain(layer)
    for direction, cell in layer.cells.items():
        for reason in KERAS_3.refusals(cell):
            yield f"{layer.name} ({direction}): {reason}"
    if options.extension in _OLDER and _dtype(layer.forward) == _BFLOAT16:
        yield f"{layer.name}: bfloat16, which Keras does not load from an older {options.extension}; .keras holds it"
    if layer.stateful:
        yield f"{layer.name}: stateful=True, which in Keras needs the batch size that its states were kept for"


def write(model: Model, options: WriteOptions) -> Contents:
    """Return the contents of a Keras 3 file.

    Args:
        model: the layers, all of which Keras 3 can hold.
        options: `extension` chooses among `.keras`, `.weights.h5` and the older `.h5`.

    Returns:
        Arrays and documents for the container of that extension.
    """
    named = renamed(model.layers, options.rename)
    kept = keepsake.kept(named)
    layers = as_listed(named)
    architecture = functional(layers)
    contents = _legacy(layers, architecture) if options.extension in _OLDER else _saved_state(layers)
    attributes = {**contents.attributes, **kept.attributes}
    if options.extension == ".keras":
        attributes[""] = {
            "metadata.json": json.dumps({"keras_version": VERSION}),
            "config.json": json.dumps(architecture),
        }
    return Contents({**contents.arrays, **kept.arrays}, attributes)


def usage(model: Model, options: WriteOptions) -> list[str]:
    """Return what was written, a line a layer."""
    return [
        f"{layer.name}: {'Bidirectional(LSTM' if layer.backward else 'LSTM'}({layer.forward.units}, "
        f"return_sequences={layer.return_sequences}){')' * bool(layer.backward)}"
        for layer in renamed(model.layers, options.rename)
    ]


def _arrays(cell: Cell) -> dict[str, Stored]:
    return {name: Stored.of(np.ascontiguousarray(array)) for name, array in pack_arrays(KERAS_3, cell).arrays.items()}


def as_listed(layers: tuple[LSTM, ...]) -> tuple[LSTM, ...]:
    """Return layers in the order of Keras's `model.layers`, as it loads weights: the farther from an output first.

    Source: keras 3.15.1, keras/src/ops/function.py, map_graph
    """
    follower = {layer.follows: layer for layer in layers if layer.follows}

    def place(layer: LSTM) -> tuple[int, int]:
        above = 0
        while layer.name in follower:
            layer, above = follower[layer.name], above + 1
        return -above, layers.index(layer)

    return tuple(sorted(layers, key=place))


def _saved_state(layers: tuple[LSTM, ...]) -> Contents:
    """Return `.weights.h5`: variables by number, in groups by class and place that note the layer's name."""
    arrays: dict[str, Stored] = {}
    attributes: dict[str, dict[str, Any]] = {}
    counts: Counter[str] = Counter()
    for layer in layers:
        component = snake_case(_class_name(layer))
        group = f"layers/{component}" + (f"_{counts[component]}" if counts[component] else "")
        counts[component] += 1
        attributes[f"{group}/vars"] = {"name": layer.name}
        for direction, cell in layer.cells.items():
            place = f"{group}/{_DIRECTIONS[direction]}/cell" if layer.backward else f"{group}/cell"
            arrays |= {f"{place}/vars/{number}": stored for number, stored in enumerate(_arrays(cell).values())}
    # HDF5 has no such type: Keras keeps its bytes, and beside them what they are.
    attributes |= {key: {"dtype": _BFLOAT16} for key, stored in arrays.items() if stored.dtype.name == _BFLOAT16}
    return Contents(arrays, attributes)


def _legacy(layers: tuple[LSTM, ...], architecture: Mapping[str, Any]) -> Contents:
    """Return the older `.h5`: a group a layer, its arrays listed by name."""
    arrays: dict[str, Stored] = {}
    attributes: dict[str, dict[str, Any]] = {"": {"model_config": json.dumps(_without_modules(architecture))}}
    names = [entry["config"]["name"] for entry in architecture["config"]["layers"]]
    attributes["model_weights"] = _in_parts("layer_names", names)
    attributes[""] |= {"keras_version": VERSION, "backend": "tensorflow"}
    attributes["model_weights"] |= {"keras_version": VERSION, "backend": "tensorflow"}
    attributes |= {f"model_weights/{name}": {"weight_names": []} for name in names}
    for layer in layers:
        listed: dict[str, Stored] = {}
        for direction, cell in layer.cells.items():
            scope = f"{layer.name}/{direction}_lstm" if layer.backward else layer.name
            listed |= {f"{scope}/lstm_cell/{name}": stored for name, stored in _arrays(cell).items()}
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


def _class_name(layer: LSTM) -> str:
    return "Bidirectional" if layer.backward else "LSTM"


def functional(layers: tuple[LSTM, ...]) -> dict[str, Any]:
    """Return the architecture: an input for each layer that follows none, then the layers."""
    followed = {layer.follows for layer in layers}
    names = {layer.name for layer in layers}
    entries, inputs, outputs, states = [], [], [], []
    for layer in layers:
        feeder = layer.follows if layer.follows in names else None
        if feeder is None:
            feeder = f"{layer.name}_input"
            inputs.append([feeder, 0, 0])
            entries.append(_entry(feeder, "InputLayer", _input_config(feeder, layer), []))
        call = {"args": [_tensor(feeder, layer.forward)], "kwargs": {}}
        entries.append(_entry(layer.name, _class_name(layer), _config(layer), [call]))
        if layer.name not in followed:
            outputs.append([layer.name, 0, 0])
        if layer.return_state:
            states += [[layer.name, 0, state] for state in range(1, 1 + 2 * len(layer.cells))]
    config = {
        "name": "lstm_convert",
        "trainable": True,
        "layers": entries,
        "input_layers": _alone_or_listed(inputs),
        "output_layers": _alone_or_listed(outputs + states),
    }
    module = "keras.src.models.functional"  # as Keras itself writes it; a loader looks for the class there
    return {"module": module, "class_name": "Functional", "config": config, "registered_name": "Functional"}


def _alone_or_listed(tensors: list[list[Any]]) -> list[Any]:
    """Return tensors as a model takes and gives them: one by itself, several in a list."""
    return tensors[0] if len(tensors) == 1 else tensors


def _entry(name: str, class_name: str, config: dict[str, Any], calls: list[Any]) -> dict[str, Any]:
    return {**_object(class_name, config), "name": name, "inbound_nodes": calls}


def _object(class_name: str, config: dict[str, Any]) -> dict[str, Any]:
    return {"module": "keras.layers", "class_name": class_name, "config": config, "registered_name": None}


def _tensor(feeder: str, cell: Cell) -> dict[str, Any]:
    config = {"shape": [None, None, cell.inputs], "dtype": _dtype(cell), "keras_history": [feeder, 0, 0]}
    return {"class_name": "__keras_tensor__", "config": config}


def _dtype(cell: Cell) -> str:
    return cell.W.dtype.name


def _input_config(name: str, layer: LSTM) -> dict[str, Any]:
    return {"batch_shape": [None, None, layer.forward.inputs], "dtype": _dtype(layer.forward), "name": name}


def _config(layer: LSTM) -> dict[str, Any]:
    if layer.backward is None:
        return _lstm_config(layer, layer.forward, layer.name, go_backwards=False)
    return {
        "name": layer.name,
        "dtype": _dtype(layer.forward),
        "merge_mode": "concat",
        "layer": _object("LSTM", _lstm_config(layer, layer.forward, "forward_lstm", go_backwards=False)),
        "backward_layer": _object("LSTM", _lstm_config(layer, layer.backward, "backward_lstm", go_backwards=True)),
    }


def _lstm_config(layer: LSTM, cell: Cell, name: str, *, go_backwards: bool) -> dict[str, Any]:
    return {
        "name": name,
        "dtype": _dtype(cell),
        "units": cell.units,
        "recurrent_initializer": "glorot_uniform",  # the default, orthogonal, is slow and cannot be drawn in bfloat16
        **pack_arrays(KERAS_3, cell).options,
        "use_bias": cell.b is not None or cell.b_rec is not None,
        "return_sequences": layer.return_sequences,
        "return_state": layer.return_state,
        "go_backwards": go_backwards,
    }


def _without_modules(architecture: Mapping[str, Any]) -> dict[str, Any]:
    """Return an architecture in the form of the older `.h5`, which names classes without their modules."""
    strip = ("module", "registered_name")
    layers = [
        {key: value for key, value in entry.items() if key not in strip} for entry in architecture["config"]["layers"]
    ]
    config = {**architecture["config"], "layers": layers}
    return {"class_name": architecture["class_name"], "config": config}

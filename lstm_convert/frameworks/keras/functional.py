"""The architecture of a written Keras 3 model: recurrent layers in a functional graph.

A layer that follows another reads its output; every other layer has an input of its own, `<layer>_input`. A layer that
is masked is given its mask by name, from an input `<layer>_mask` that all layers of its chain share. The outputs are
those of the layers that no other follows, and the states of those that return them.

Source: keras 3.15.1, keras/src/layers/rnn/lstm.py, gru.py, simple_rnn.py and bidirectional.py (get_config),
keras/src/models/functional.py
"""

from collections.abc import Iterator, Mapping
from typing import Any

from lstm_convert.canonical import Cell, GRUCell, Recurrent, RecurrentCell
from lstm_convert.frameworks.keras import extended
from lstm_convert.frameworks.keras.architecture import snake_case
from lstm_convert.packing import options as activation_options
from lstm_convert.table import KERAS_EXTENDED


def architecture(layers: tuple[Recurrent, ...]) -> dict[str, Any]:
    """Return the architecture of a model with these layers.

    Args:
        layers: what Keras 3 can hold, under the names it is to have, each after the one it follows.
    """
    by_name = {layer.name: layer for layer in layers}
    entries: list[dict[str, Any]] = []
    for layer in layers:
        entries += _inputs(layer, by_name)
        entries.append(entry(layer.name, class_name(layer), recurrent_config(layer), [_call(layer, by_name)]))
    outputs = [reference for layer in layers for reference in _outputs(layer, by_name)]
    states = [reference for layer in layers for reference in _states(layer)]
    inputs = [each["name"] for each in entries if each["class_name"] == "InputLayer"]
    return document(entries, _alone_or_listed([[name, 0, 0] for name in inputs]), _alone_or_listed(outputs + states))


def document(entries: list[dict[str, Any]], inputs: list[Any], outputs: list[Any]) -> dict[str, Any]:
    """Return a functional model as Keras states it.

    Args:
        entries: its layers.
        inputs: (layer, call, output) of each input, or of the one that stands alone.
        outputs: the same of what it returns.
    """
    config = {
        "name": "lstm_convert",
        "trainable": True,
        "layers": entries,
        "input_layers": inputs,
        "output_layers": outputs,
    }
    module = "keras.src.models.functional"  # as Keras itself writes it; a loader looks for the class there
    return {"module": module, "class_name": "Functional", "config": config, "registered_name": "Functional"}


def as_listed(layers: tuple[Recurrent, ...]) -> tuple[Recurrent, ...]:
    """Return layers in the order of Keras's `model.layers`, as it loads weights: the farther from an output first.

    Source: keras 3.15.1, keras/src/ops/function.py, map_graph
    """

    def above(layer: Recurrent) -> int:
        readers = [other for other in layers if layer.name in (other.follows, other.starts_from)]
        return 1 + max(map(above, readers)) if readers else 0

    return tuple(sorted(layers, key=lambda layer: (-above(layer), layers.index(layer))))


def class_name(layer: Recurrent) -> str:
    """Return the Keras class that holds a layer."""
    return "Bidirectional" if layer.backward else direction_class(layer)


def direction_class(layer: Recurrent) -> str:
    """Return the Keras class that holds one direction of a layer: LSTM, GRU, …, or an RNN of the cell of our own."""
    return "RNN" if extended.row_of(layer) is KERAS_EXTENDED else layer.kind


def class_of_cell(layer: Recurrent) -> str:
    """Return the name that Keras gives the cell in a layer of a kind: `lstm_cell`, `simple_rnn_cell`."""
    return snake_case(f"{layer.kind}Cell")


def _inputs(layer: Recurrent, by_name: Mapping[str, Recurrent]) -> Iterator[dict[str, Any]]:
    """Yield the inputs that a layer is the first to need: its sequence, and its mask."""
    if layer.follows not in by_name:
        shape = [_batch(layer), None, layer.forward.inputs]
        yield input_entry(_input_name(layer, "input", by_name), shape, _dtype(layer.forward))
    if layer.masked_by and _chain(layer, by_name) is layer:
        yield input_entry(_input_name(layer, "mask", by_name), [_batch(layer), None], "bool")


def _input_name(layer: Recurrent, purpose: str, by_name: Mapping[str, Recurrent]) -> str:
    """Return the name of an input of a layer, which no layer may have."""
    name = f"{layer.name}_{purpose}"
    while name in by_name:
        name += "_"
    return name


def _chain(layer: Recurrent, by_name: Mapping[str, Recurrent]) -> Recurrent:
    """Return the first of the layers of one mask that a layer follows without a break: it has the mask's input."""
    below = by_name.get(layer.follows or "")
    return _chain(below, by_name) if below is not None and below.masked_by == layer.masked_by else layer


def _call(layer: Recurrent, by_name: Mapping[str, Recurrent]) -> dict[str, Any]:
    """Return a layer's call: its sequence, its mask and the states it starts from."""
    feeder = layer.follows if layer.follows in by_name else _input_name(layer, "input", by_name)
    kwargs: dict[str, Any] = {}
    if layer.masked_by:
        mask = _input_name(_chain(layer, by_name), "mask", by_name)
        kwargs["mask"] = tensor_of([_batch(layer), None], "bool", mask, 0)
    if starter := by_name.get(layer.starts_from or ""):
        sizes = [(cell, size) for cell in starter.cells.values() for size in cell.state_sizes]
        kwargs["initial_state"] = [
            tensor_of([_batch(layer), size], _dtype(cell), starter.name, starter.sequences + number)
            for number, (cell, size) in enumerate(sizes)
        ]
    x = tensor_of([_batch(layer), None, layer.forward.inputs], _dtype(layer.forward), str(feeder), 0)
    return {"args": [x], "kwargs": kwargs}


def _outputs(layer: Recurrent, by_name: Mapping[str, Recurrent]) -> Iterator[list[Any]]:
    """Yield a layer's output where the model returns it: where no other layer follows."""
    if not any(other.follows == layer.name for other in by_name.values()):
        yield from ([layer.name, 0, number] for number in range(layer.sequences))


def _states(layer: Recurrent) -> Iterator[list[Any]]:
    """Yield the last states of a layer that returns them, h and c of each direction, or h alone."""
    if layer.return_state:
        yield from ([layer.name, 0, layer.sequences + number] for number in range(layer.states))


def _alone_or_listed(tensors: list[list[Any]]) -> list[Any]:
    return tensors[0] if len(tensors) == 1 else tensors


def _batch(layer: Recurrent) -> int | None:
    return layer.batch_size if layer.stateful else None


def _dtype(cell: RecurrentCell) -> str:
    return cell.W.dtype.name


def entry(name: str, kind: str, config: dict[str, Any], calls: list[Any]) -> dict[str, Any]:
    """Return a layer of a functional model, and its calls, as Keras states them."""
    return {**object_of(kind, config), "name": name, "inbound_nodes": calls}


def object_of(kind: str, config: dict[str, Any]) -> dict[str, Any]:
    """Return a layer as Keras states it wherever it stands."""
    return {"module": "keras.layers", "class_name": kind, "config": config, "registered_name": None}


def input_entry(name: str, shape: list[int | None], dtype: str) -> dict[str, Any]:
    """Return an input of a functional model as Keras states it, its shape with the batch."""
    return entry(name, "InputLayer", {"batch_shape": shape, "dtype": dtype, "name": name}, [])


def tensor_of(shape: list[int | None], dtype: str, layer: str, output: int, call: int = 0) -> dict[str, Any]:
    """Return a layer's output as Keras states it in the arguments of a call."""
    config = {"shape": shape, "dtype": dtype, "keras_history": [layer, call, output]}
    return {"class_name": "__keras_tensor__", "config": config}


def recurrent_config(layer: Recurrent) -> dict[str, Any]:
    """Return the config of a recurrent layer's class, `class_name(layer)`."""
    if layer.backward is None:
        return _layer_config(layer, layer.forward, layer.name, go_backwards=layer.go_backwards)
    inner = class_of_cell(layer).removesuffix("_cell")
    forward = _layer_config(layer, layer.forward, f"forward_{inner}", go_backwards=layer.go_backwards)
    backward = _layer_config(layer, layer.backward, f"backward_{inner}", go_backwards=not layer.go_backwards)
    return {
        "name": layer.name,
        "dtype": _dtype(layer.forward),
        "merge_mode": layer.merge,
        "layer": object_of(direction_class(layer), forward),
        "backward_layer": object_of(direction_class(layer), backward),
    }


def _layer_config(layer: Recurrent, cell: RecurrentCell, name: str, *, go_backwards: bool) -> dict[str, Any]:
    return {
        "name": name,
        "dtype": _dtype(cell),
        **_cell_config(layer, cell),
        "return_sequences": layer.return_sequences,
        "return_state": layer.return_state,
        "stateful": layer.stateful,
        "zero_output_for_mask": layer.zero_output_for_mask,
        "go_backwards": go_backwards,
    }


def _cell_config(layer: Recurrent, cell: RecurrentCell) -> dict[str, Any]:
    """Return what a layer of one direction says of its cell."""
    if isinstance(cell, Cell) and direction_class(layer) == "RNN":
        return {"cell": extended.cell_document(cell, "cell")}
    return {
        "units": cell.units,
        "recurrent_initializer": "glorot_uniform",  # the default, orthogonal, is slow and cannot be drawn in bfloat16
        **activation_options(extended.row_of(layer), cell),
        **({"reset_after": cell.reset_after} if isinstance(cell, GRUCell) else {}),
        "use_bias": cell.b is not None or cell.b_rec is not None,
    }

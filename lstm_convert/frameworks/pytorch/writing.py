"""Canonical layers, or a whole network, to a PyTorch state dict, and how to use it.

Source: torch 2.13.0, torch/nn/modules/rnn.py
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from lstm_convert.canonical import (
    LSTM,
    SIGMOID,
    TANH,
    Model,
    Network,
    Recurrent,
    RecurrentCell,
    SimpleRNNCell,
)
from lstm_convert.containers import Contents, Stored
from lstm_convert.export.network_state import network_paths, network_state, own_classes
from lstm_convert.frameworks import WriteOptions, renamed
from lstm_convert.layout import Layout
from lstm_convert.packing import pack_arrays
from lstm_convert.table import PYTORCH, PYTORCH_CELL, counterpart

# What the user may take over by its name: hard_sigmoid gates.
_USUAL = {"gate": SIGMOID}


def refusals(layer: Recurrent, options: WriteOptions) -> Iterator[str]:
    """Yield why PyTorch's module cannot compute a layer exactly; nothing where it can, or the user takes it over."""
    module = module_name(layer)
    for direction, cell in layer.cells.items():
        allowed = {role: usual for role, usual in _USUAL.items() if _name_of(cell, role) in options.allow}
        stated = cell.with_activations(allowed)
        for reason in layout_of(layer).refusals(stated):
            yield f"{layer.name} ({direction}): {reason}" + _allowable(
                "hard_sigmoid", reason.startswith("gate activation hard_sigmoid")
            )
    if layer.backward and layer.backward.units != layer.forward.units:
        units = f"{layer.forward.units} and {layer.backward.units}"
        yield f"{layer.name}: {units} units in its two directions; {module} has one size for both"
    functions = {_nonlinearity(cell): direction for direction, cell in layer.cells.items()}
    if len(functions) > 1:
        yield f"{layer.name}: {' and '.join(functions)} in its two directions; {module} has one for both"
    elif "relu" in functions and options.extension and "relu" not in options.allow:
        yield f"{layer.name}: nonlinearity='relu', which no state dict says" + _allowable("relu", True)
    around = {
        "mask": (layer.masked_by, f"a mask from {layer.masked_by!r} reaches it; {module} knows no masks"),
        "go_backwards": (layer.go_backwards, f"go_backwards=True; {module} reads forwards"),
        "merge": (layer.backward and layer.merge != "concat", f"merge_mode={layer.merge!r}; {module} joins by concat"),
    }
    for what, (present, reason) in around.items():
        if present and what not in options.allow:
            yield f"{layer.name}: {reason}" + _allowable(what, True)


def _name_of(cell: RecurrentCell, role: str) -> str:
    activation = cell.activations().get(role)
    return activation.name if activation else ""


def _allowable(what: str, possible: bool) -> str:  # noqa: FBT001 (a condition, not a flag)
    return f"; --allow {what} if your own module does it" if possible else ""


def manner(layer: Recurrent) -> str:  # noqa: ARG001 (every writer's manner has it)
    """Return how exact a layer is in PyTorch's module, where it is not refused."""
    return "exact"


def write(model: Model, options: WriteOptions) -> Contents:
    """Return a state dict that nn.LSTM, nn.GRU or nn.RNN loads; of a whole network, that of its written-out module.

    Args:
        model: the layers; where it has a network, under the names that they are to have.
        options: `stack`, `rename`, for layers alone.

    Returns:
        The arrays by key: `<path>.weight_ih_l0`, `_reverse` for the backward half; of a whole network, names of
        their own for the weights that nn.LSTM, nn.GRU and nn.RNN would compute something else with.
    """
    if model.network is not None:
        return Contents({key: Stored.of(array) for key, array in network_state(model.network).items()})
    arrays: dict[str, Stored] = {}
    for layer in as_written(model.layers, options):
        arrays |= _arrays(layer)
    return Contents(arrays)


def _arrays(layer: Recurrent) -> dict[str, Stored]:
    row = layout_of(layer)
    arrays: dict[str, Stored] = {}
    for direction, cell in zip(row.directions, layer.cells.values(), strict=False):
        for name, array in pack_arrays(row, cell).items():
            key = row.key.format(array=name, depth=layer.depth or 0, direction=direction)
            arrays[f"{layer.path}.{key}" if layer.path else key] = Stored.of(array)
    return arrays


def usage(model: Model, options: WriteOptions) -> list[str]:
    """Return how to use what was written, a line a module: the module to make, and what to take from its output."""
    if model.network is not None:
        own = own_classes(model.network)
        usual = tuple(layer for layer in model.layers if layer.name not in own)
        return [*_modules(usual), *_whole_module(model.network, own)]
    return [*_modules(as_written(model.layers, options))]


def _modules(layers: tuple[Recurrent, ...]) -> Iterator[str]:
    for path in dict.fromkeys(layer.path for layer in layers):
        module = [layer for layer in layers if layer.path == path]
        name = f"{path}: " if path else ""
        yield f"{name}{constructor(module)}"
        if not module[-1].return_sequences:
            last = "torch.cat([h_n[-2], h_n[-1]], -1)" if module[-1].backward else "output[:, -1]"
            yield f"{name}the source returns the last step alone: {last}"
        yield from (f"{name}{left}" for layer in module for left in _left_to_the_user(layer))


def _whole_module(network: Network, own: Mapping[str, str]) -> Iterator[str]:
    """Yield what is said of the rest of a network, and who writes the module of it all."""
    if own:
        named = ", ".join(own.values())
        yield f"{named}: no module of PyTorch's own computes or loads it; model.py has the class that does"
    others = [path for name, path in network_paths(network).items() if network.layers[name].arrays]
    yield f"{', '.join(others)}: the rest of the model; convert to model.py writes the module that loads all of it"


def _left_to_the_user(layer: Recurrent) -> Iterator[str]:
    """Yield what PyTorch's module does not do of a layer: the states it starts with, and what `--allow` is for."""
    module = module_name(layer)
    if layer.starts_from:
        states = "(h_n, c_n)" if isinstance(layer, LSTM) else "h_n"
        yield f"the source starts it from the last states of {layer.starts_from}: give it that {states}"
    for direction, cell in layer.cells.items():
        if (gate := cell.activations().get("gate", SIGMOID)) != SIGMOID:
            yield f"{module} alone computes something else: your module computes {gate} gates ({direction})"
    if layer.masked_by:
        yield f"{module} alone computes something else: your module carries the states over masked steps"
    if layer.go_backwards:
        yield f"{module} alone computes something else: your module gives it the sequence from its end"
    if layer.backward and layer.merge != "concat":
        yield f"{module} alone computes something else: your module merges the directions by {layer.merge}"


def constructor(module: Sequence[Recurrent]) -> str:
    """Return the call that makes the module which some layers of one path are loaded into."""
    arguments = ", ".join(
        str(value) if name in ("input_size", "hidden_size") else f"{name}={value!r}"
        for name, value in settings(module).items()
    )
    return f"{module_name(module[0])}({arguments}{'' if is_cell(module[0]) else ', batch_first=True'})"


def module_name(layer: Recurrent) -> str:
    """Return what PyTorch calls the module that a layer is written for: `nn.LSTM`, `nn.GRUCell`."""
    return layout_of(layer).name.removeprefix("pytorch ")


def settings(module: Sequence[Recurrent]) -> dict[str, Any]:
    """Return the arguments of that call, leaving out those at their defaults."""
    first = module[0].forward
    chosen = {
        "num_layers": (len(module), 1),
        "bias": (first.b is not None or first.b_rec is not None, True),
        "bidirectional": (module[0].backward is not None, False),
        "proj_size": (first.outputs if "projection" in first.held() else 0, 0),
        "nonlinearity": (_nonlinearity(first), "tanh"),
    }
    sizes: dict[str, Any] = {"input_size": first.inputs, "hidden_size": first.units}
    return sizes | {name: value for name, (value, default) in chosen.items() if value != default}


def _nonlinearity(cell: RecurrentCell) -> str:
    return cell.candidate.name if isinstance(cell, SimpleRNNCell) else TANH.name


def as_written(layers: tuple[Recurrent, ...], options: WriteOptions) -> tuple[Recurrent, ...]:
    """Return layers under the paths and depths they are written with."""
    return renamed(stacked(layers) if options.stack else layers, options.rename)


def stacked(layers: tuple[Recurrent, ...]) -> tuple[Recurrent, ...]:
    """Return layers with each run of them that one multi-layer module computes under the path of its first."""
    joined: list[Recurrent] = []
    first_of: dict[str, Recurrent] = {}
    depths: dict[str, int] = {}
    for layer in layers:
        below = next((earlier for earlier in layers if earlier.name == layer.follows), None)
        if below is None or not _same_size(below, layer):
            first_of[layer.name], depths[layer.name] = layer, 0
        else:
            first_of[layer.name], depths[layer.name] = first_of[below.name], depths[below.name] + 1
    tall = {first_of[name].name for name, depth in depths.items() if depth}
    for layer in layers:
        first = first_of[layer.name]
        if first.name in tall:
            depth = depths[layer.name]
            follows = f"{first.path or first.kind.lower()}.l{depth - 1}" if depth else layer.follows
            joined.append(replace(layer, path=first.path, depth=depth, follows=follows))
        else:
            joined.append(layer)
    return tuple(joined)


def _same_size(below: Recurrent, above: Recurrent) -> bool:
    """Return whether one module can hold both: of one kind, the same units, directions, biases and numbers' type."""
    if list(below.cells) != list(above.cells) or below.path == above.path or above.go_backwards:
        return False
    signature = [[_signature(cell) for cell in layer.cells.values()] for layer in (below, above)]
    return signature[0] == signature[1] and above.forward.inputs == len(below.cells) * below.forward.outputs


def _signature(cell: RecurrentCell) -> tuple[Any, ...]:
    without_bias = cell.b is None and cell.b_rec is None
    return cell.kind, cell.units, cell.outputs, cell.W.dtype, without_bias, _nonlinearity(cell)


def layout_of(layer: Recurrent) -> Layout:
    """Return the layout to write: nn.LSTMCell's where the layer was one, else nn.LSTM's; likewise of other kinds."""
    return counterpart(PYTORCH_CELL if is_cell(layer) else PYTORCH, type(layer.forward))


def is_cell(layer: Recurrent) -> bool:
    """Return whether a layer came from an nn.LSTMCell, GRUCell or RNNCell and can go back to one."""
    row = counterpart(PYTORCH_CELL, type(layer.forward))
    was_cell = layer.origin is not None and layer.origin.layout == row.name
    return was_cell and layer.depth is None and layer.backward is None

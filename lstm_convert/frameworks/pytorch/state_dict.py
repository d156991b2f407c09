"""PyTorch state dicts: which keys are an LSTM's, and what they are called when one is written.

A state dict says nothing of batch_first and dropout; both leave the weights as they are.

Source: torch 2.13.0, torch/nn/modules/rnn.py
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from lstm_convert.bundle import Bundle
from lstm_convert.canonical import LSTM, SIGMOID, Cell, LeftOut, Model, Origin, Provenance
from lstm_convert.containers import Contents, Stored
from lstm_convert.errors import LayoutMismatch, Unsupported
from lstm_convert.frameworks import ReadOptions, WriteOptions, refuse_options, renamed
from lstm_convert.frameworks.pytorch import parametrised
from lstm_convert.layout import Layout
from lstm_convert.packing import pack_arrays, unpack
from lstm_convert.table import PYTORCH, PYTORCH_CELL

_ARRAYS = "|".join(PYTORCH.names(projection=True))
_KEY = re.compile(rf"(?:(?P<path>.*)[./])?(?P<array>{_ARRAYS})(?:_l(?P<depth>\d+)(?P<reverse>_reverse)?)?")
# How a dynamically quantised LSTM keeps its weights: packed, for its own kernels only.
_PACKED = re.compile(r".*\b_all_weight_values\..*")
_WRAPPERS = ("_orig_mod",)
_MOST_LISTED = 10
_GATES_TIMES_UNITS = {4: "LSTM", 3: "GRU", 1: "RNN"}


@dataclass
class _Module:
    """The recurrent arrays under one path: for each layer and direction, the name of an array and its key."""

    cells: dict[tuple[int | None, bool], dict[str, str]] = field(default_factory=dict)

    @property
    def depths(self) -> list[int | None]:
        return sorted({depth for depth, _ in self.cells}, key=lambda depth: -1 if depth is None else depth)


def recognises(contents: Contents) -> bool:
    """Return whether a container may hold a state dict; any named arrays may."""
    return bool(contents.arrays) or bool(contents.attributes)


def read(contents: Contents, options: ReadOptions) -> Model:
    """Return the LSTM modules of a state dict or checkpoint.

    Args:
        contents: the arrays by key; levels of nested dicts are joined by `/`.
        options: none but `keepsakes` concerns a state dict.

    Returns:
        The model: one layer for each layer of each nn.LSTM, one for each nn.LSTMCell, in the file's order.

    Raises:
        LayoutMismatch: arrays are missing or mis-shaped; all of them are listed.
        Unsupported: weights are stored in a form that is not read.
    """
    refuse_options(options, "a state dict, whose LSTMs are all sigmoid and tanh")
    _refuse_packed(contents)
    contents, notes = parametrised.folded(contents)
    modules = _modules(contents)
    lstms = {path: module for path, module in modules.items() if _kind(contents, module) == "LSTM"}
    shortened = _shortened(list(lstms))
    problems: list[str] = []
    layers = [layer for path, module in lstms.items() for layer in _layers(contents, shortened[path], module, problems)]
    if problems:
        raise LayoutMismatch(
            "its LSTM weights are not complete or do not fit together",
            problems,
            "Save the whole state dict again: torch.save(model.state_dict(), path).",
        )
    used = {key for module in lstms.values() for cell in module.cells.values() for key in cell.values()}
    return Model(tuple(layers), tuple(_left_out(contents, used)), notes=notes, provenance=Provenance("pytorch"))


def refusals(layer: LSTM, options: WriteOptions) -> Iterator[str]:
    """Yield why nn.LSTM cannot compute a layer exactly; nothing where it can, or where the user takes it over."""
    for direction, cell in layer.cells.items():
        stated = replace(cell, gate=SIGMOID) if cell.gate.name in options.allow else cell
        for reason in layout_of(layer).refusals(stated):
            yield f"{layer.name} ({direction}): {reason}" + _allowable(
                "hard_sigmoid", reason.startswith("gate activation hard_sigmoid")
            )
    if layer.backward and layer.backward.units != layer.forward.units:
        units = f"{layer.forward.units} and {layer.backward.units}"
        yield f"{layer.name}: {units} units in its two directions; nn.LSTM has one size for both"
    around = {
        "mask": (layer.masked_by, f"a mask from {layer.masked_by!r} reaches it; nn.LSTM knows no masks"),
        "go_backwards": (layer.go_backwards, "go_backwards=True; nn.LSTM reads forwards"),
        "merge": (layer.backward and layer.merge != "concat", f"merge_mode={layer.merge!r}; nn.LSTM joins by concat"),
    }
    for what, (present, reason) in around.items():
        if present and what not in options.allow:
            yield f"{layer.name}: {reason}" + _allowable(what, True)


def _allowable(what: str, possible: bool) -> str:  # noqa: FBT001 (a condition, not a flag)
    return f"; --allow {what} if your own module does it" if possible else ""


def manner(layer: LSTM) -> str:  # noqa: ARG001 (every writer's manner has it)
    """Return how exact a layer is in nn.LSTM, where it is not refused."""
    return "exact"


def write(model: Model, options: WriteOptions) -> Contents:
    """Return a state dict that nn.LSTM loads.

    Args:
        model: the layers.
        options: `stack`, `rename`.

    Returns:
        The arrays by key: `<path>.weight_ih_l0`, `_reverse` for the backward half.
    """
    arrays: dict[str, Stored] = {}
    for layer in as_written(model.layers, options):
        row = layout_of(layer)
        for direction, cell in zip(row.directions, layer.cells.values(), strict=False):
            for name, array in pack_arrays(row, cell).arrays.items():
                key = row.key.format(array=name, depth=layer.depth or 0, direction=direction)
                arrays[f"{layer.path}.{key}" if layer.path else key] = Stored.of(np.ascontiguousarray(array))
    return Contents(arrays)


def usage(model: Model, options: WriteOptions) -> list[str]:
    """Return how to use what was written, a line a module: the module to make, and what to take from its output."""
    layers = as_written(model.layers, options)
    lines = []
    for path in dict.fromkeys(layer.path for layer in layers):
        module = [layer for layer in layers if layer.path == path]
        name = f"{path}: " if path else ""
        lines.append(f"{name}{constructor(module)}")
        if not module[-1].return_sequences:
            last = "torch.cat([h_n[-2], h_n[-1]], -1)" if module[-1].backward else "output[:, -1]"
            lines.append(f"{name}the source returns the last step alone: {last}")
        lines += [f"{name}{left}" for layer in module for left in _left_to_the_user(layer)]
    return lines


def _left_to_the_user(layer: LSTM) -> Iterator[str]:
    """Yield what nn.LSTM does not do of what a layer computes: the states it starts with, and what `--allow` names."""
    if layer.starts_from:
        yield f"the source starts it from the last states of {layer.starts_from}: give it that (h_n, c_n)"
    for direction, cell in layer.cells.items():
        if cell.gate != SIGMOID:
            yield f"nn.LSTM alone computes something else: your module computes {cell.gate} gates ({direction})"
    if layer.masked_by:
        yield "nn.LSTM alone computes something else: your module carries the states over masked steps"
    if layer.go_backwards:
        yield "nn.LSTM alone computes something else: your module gives it the sequence from its end"
    if layer.backward and layer.merge != "concat":
        yield f"nn.LSTM alone computes something else: your module merges the directions by {layer.merge}"


def constructor(module: Sequence[LSTM]) -> str:
    """Return the call that makes the module which some layers of one path are loaded into."""
    arguments = ", ".join(
        str(value) if name in ("input_size", "hidden_size") else f"{name}={value}"
        for name, value in settings(module).items()
    )
    return f"nn.LSTMCell({arguments})" if is_cell(module[0]) else f"nn.LSTM({arguments}, batch_first=True)"


def settings(module: Sequence[LSTM]) -> dict[str, int | bool]:
    """Return the arguments of that call, leaving out those at their defaults."""
    first = module[0].forward
    chosen = {
        "num_layers": (len(module), 1),
        "bias": (first.b is not None or first.b_rec is not None, True),
        "bidirectional": (module[0].backward is not None, False),
        "proj_size": (0 if first.projection is None else first.outputs, 0),
    }
    sizes: dict[str, int | bool] = {"input_size": first.inputs, "hidden_size": first.units}
    return sizes | {name: value for name, (value, default) in chosen.items() if value != default}


def as_written(layers: tuple[LSTM, ...], options: WriteOptions) -> tuple[LSTM, ...]:
    """Return layers under the paths and depths they are written with."""
    return renamed(stacked(layers) if options.stack else layers, options.rename)


def stacked(layers: tuple[LSTM, ...]) -> tuple[LSTM, ...]:
    """Return layers with each run of them that one multi-layer nn.LSTM computes under the path of its first."""
    joined: list[LSTM] = []
    first_of: dict[str, LSTM] = {}
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
            follows = f"{first.path or 'lstm'}.l{depth - 1}" if depth else layer.follows
            joined.append(replace(layer, path=first.path, depth=depth, follows=follows))
        else:
            joined.append(layer)
    return tuple(joined)


def _same_size(below: LSTM, above: LSTM) -> bool:
    """Return whether one nn.LSTM can hold both: the same units, directions, biases and numbers' type."""
    if list(below.cells) != list(above.cells) or below.path == above.path or above.go_backwards:
        return False
    signature = [
        [
            (cell.units, cell.outputs, cell.W.dtype, cell.b is None and cell.b_rec is None)
            for cell in layer.cells.values()
        ]
        for layer in (below, above)
    ]
    return signature[0] == signature[1] and above.forward.inputs == len(below.cells) * below.forward.outputs


def layout_of(layer: LSTM) -> Layout:
    """Return the layout to write: a cell's where the layer was an nn.LSTMCell, else nn.LSTM's."""
    return PYTORCH_CELL if is_cell(layer) else PYTORCH


def is_cell(layer: LSTM) -> bool:
    """Return whether a layer came from an nn.LSTMCell and can go back to one."""
    was_cell = layer.origin is not None and layer.origin.layout == PYTORCH_CELL.name
    return was_cell and layer.depth is None and layer.backward is None


def _refuse_packed(contents: Contents) -> None:
    opaque = [key for key, values in contents.attributes.items() if "opaque" in values]
    packed = [key for key in [*contents.arrays, *opaque] if _PACKED.fullmatch(key)]
    if packed:
        raise Unsupported(
            "holds a dynamically quantised LSTM, whose weights are packed for PyTorch's own kernels",
            [f"{key}: packed" for key in packed[:_MOST_LISTED]],
            "Save the model as it was before torch.ao.quantization.quantize_dynamic.",
        )


def _modules(contents: Contents) -> dict[str, _Module]:
    modules: dict[str, _Module] = {}
    for key in contents.arrays:
        if match := _KEY.fullmatch(key):
            depth = None if match["depth"] is None else int(match["depth"])
            cell = modules.setdefault(match["path"] or "", _Module()).cells.setdefault(
                (depth, bool(match["reverse"])), {}
            )
            cell[match["array"]] = key
    return modules


def _kind(contents: Contents, module: _Module) -> str:
    """Return which recurrent module some arrays are by the shape of its recurrent weights; LSTM if that is missing."""
    for cell in module.cells.values():
        if "weight_hr" in cell:
            return "LSTM"
        shape = contents.arrays[cell["weight_hh"]].shape if "weight_hh" in cell else ()
        if len(shape) == 2 and shape[1] and shape[0] % shape[1] == 0:  # noqa: PLR2004 (a matrix)
            return _GATES_TIMES_UNITS.get(shape[0] // shape[1], "")
    return "LSTM"


def _shortened(paths: list[str]) -> dict[str, str]:
    """Return each path without what only wraps the model: a checkpoint's dicts, DataParallel's and compile's names."""
    split = {path: path.rsplit("/", 1) if "/" in path else ["", path] for path in paths}
    one_dict = len({outer for outer, _ in split.values()}) == 1
    plain = {path: inner if one_dict else f"{outer}.{inner}".strip("./") for path, (outer, inner) in split.items()}
    names = {
        path: [part for part in re.split(r"[./]", inner) if part not in _WRAPPERS] for path, inner in plain.items()
    }
    if all(parts[:1] == ["module"] for parts in names.values()):
        names = {path: parts[1:] for path, parts in names.items()}
    return {path: ".".join(parts) for path, parts in names.items()}


def _layers(contents: Contents, path: str, module: _Module, problems: list[str]) -> Iterator[LSTM]:
    depths = module.depths
    expected = [None] if depths[0] is None else list(range(len(depths)))
    if depths != expected:
        problems.append(f"{path or 'the module'}: expected layers {expected}, found {depths}")
        return
    follows = None
    for depth in depths:
        row = PYTORCH_CELL if depth is None else PYTORCH
        cells = []
        for reverse in (False, True):
            keys = module.cells.get((depth, reverse), {})
            if not keys and not reverse:
                problems.append(f"{path or 'the module'}: layer {depth} has a reverse direction and no forward one")
            if keys and (cell := _cell(contents, row, keys, problems)):
                cells.append((cell, keys))
        if cells:
            layer = LSTM(
                path,
                cells[0][0],
                cells[1][0] if len(cells) > 1 else None,
                depth=depth if len(depths) > 1 else None,
                follows=follows,
                origin=Origin(row.name, tuple(keys for _, keys in cells)),
            )
            follows = layer.name
            yield layer


def _cell(contents: Contents, row: Layout, keys: Mapping[str, str], problems: list[str]) -> Cell | None:
    arrays: dict[str, Any] = {name: contents.arrays[key].read() for name, key in keys.items()}
    name, key = next(iter(keys.items()))
    before, _, after = key.rpartition(name)
    expected = {absent: f"{before}{absent}{after}" for absent in row.names(projection=True)}
    try:
        return unpack(row, Bundle(row.name, arrays, keys={**expected, **keys}))
    except LayoutMismatch as error:
        problems += error.details
        return None


def _left_out(contents: Contents, used: set[str]) -> Iterator[LeftOut]:
    for key, stored in contents.arrays.items():
        if key not in used:
            purpose = "optimizer state" if "optim" in key.partition("/")[0] and "/" in key else "weight"
            yield LeftOut(key, stored.shape, str(stored.dtype), purpose)

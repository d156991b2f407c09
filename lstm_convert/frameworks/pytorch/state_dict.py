"""A PyTorch state dict to canonical layers: which of its keys are an LSTM's.

A state dict says nothing of batch_first and dropout; both leave the weights as they are.

Source: torch 2.13.0, torch/nn/modules/rnn.py
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lstm_convert.bundle import Bundle
from lstm_convert.canonical import (
    Cell,
    GRUCell,
    LeftOut,
    Model,
    Origin,
    Provenance,
    Recurrent,
    RecurrentCell,
    SimpleRNN,
    SimpleRNNCell,
)
from lstm_convert.containers import Contents
from lstm_convert.errors import LayoutMismatch, Unsupported
from lstm_convert.frameworks import ReadOptions, refuse_options
from lstm_convert.frameworks.pytorch import parametrised
from lstm_convert.layout import Layout
from lstm_convert.packing import unpack
from lstm_convert.table import PYTORCH, PYTORCH_CELL, counterpart

_ARRAYS = "|".join(PYTORCH.names(projection=True))
_KEY = re.compile(rf"(?:(?P<path>.*)[./])?(?P<array>{_ARRAYS})(?:_l(?P<depth>\d+)(?P<reverse>_reverse)?)?")
# How a dynamically quantised LSTM keeps its weights: packed, for its own kernels only.
_PACKED = re.compile(r".*\b_all_weight_values\..*")
_WRAPPERS = ("_orig_mod",)
_MOST_LISTED = 10
# The kind of a cell by its gates' units side by side, which are the rows of its weights.
_CELL_OF: Mapping[int, type[RecurrentCell]] = {len(cell.letters): cell for cell in (Cell, GRUCell, SimpleRNNCell)}


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
    """Return the recurrent modules of a state dict or checkpoint.

    Args:
        contents: the arrays by key; levels of nested dicts are joined by `/`.
        options: none but `keepsakes` concerns a state dict.

    Returns:
        The model: one layer for each layer of each nn.LSTM, nn.GRU or nn.RNN, and for each cell, in the file's order.

    Raises:
        LayoutMismatch: arrays are missing or mis-shaped; all of them are listed.
        Unsupported: weights are stored in a form that is not read.
    """
    refuse_options(options, "a state dict, whose gates are all sigmoid, candidates tanh")
    _refuse_packed(contents)
    contents, notes = parametrised.folded(contents)
    found = {path: (module, _cell_type(contents, module)) for path, module in _modules(contents).items()}
    modules = {path: (module, cell) for path, (module, cell) in found.items() if cell is not None}
    shortened = shortened_paths(list(modules))
    problems: list[str] = []
    layers = [
        layer
        for path, (module, cell) in modules.items()
        for layer in _layers(contents, shortened[path], module, cell, problems)
    ]
    if problems:
        raise LayoutMismatch(
            "its recurrent weights are not complete or do not fit together",
            problems,
            "Save the whole state dict again: torch.save(model.state_dict(), path).",
        )
    used = {key for module, _ in modules.values() for cell in module.cells.values() for key in cell.values()}
    return Model(
        tuple(layers),
        tuple(_left_out(contents, used)),
        assumed=tuple(_assumed(layers)),
        notes=notes,
        provenance=Provenance("pytorch"),
    )


def _assumed(layers: Iterable[Recurrent]) -> Iterator[str]:
    if plain := [layer.path or layer.name for layer in layers if isinstance(layer, SimpleRNN)]:
        names = ", ".join(dict.fromkeys(plain))
        yield f"nonlinearity='tanh' in {names}, the default of nn.RNN; a state dict does not say, a live module does"


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


def _cell_type(contents: Contents, module: _Module) -> type[RecurrentCell] | None:
    """Return which kind of cell some arrays are by the shape of the recurrent weights; an LSTM's if that is missing."""
    for cell in module.cells.values():
        if "weight_hr" in cell:
            return Cell
        shape = contents.arrays[cell["weight_hh"]].shape if "weight_hh" in cell else ()
        if len(shape) == 2 and shape[1] and shape[0] % shape[1] == 0:  # noqa: PLR2004 (a matrix)
            return _CELL_OF.get(shape[0] // shape[1])
    return Cell


def shortened_paths(paths: Sequence[str]) -> dict[str, str]:
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


def _layers(
    contents: Contents, path: str, module: _Module, kind: type[RecurrentCell], problems: list[str]
) -> Iterator[Recurrent]:
    depths = module.depths
    expected = [None] if depths[0] is None else list(range(len(depths)))
    if depths != expected:
        problems.append(f"{path or 'the module'}: expected layers {expected}, found {depths}")
        return
    follows = None
    for depth in depths:
        row = counterpart(PYTORCH_CELL if depth is None else PYTORCH, kind)
        cells = []
        for reverse in (False, True):
            keys = module.cells.get((depth, reverse), {})
            if not keys and not reverse:
                problems.append(f"{path or 'the module'}: layer {depth} has a reverse direction and no forward one")
            if keys and (cell := _cell(contents, row, keys, problems)):
                cells.append((cell, keys))
        if cells:
            layer = Recurrent.of(
                path,
                cells[0][0],
                cells[1][0] if len(cells) > 1 else None,
                depth=depth if len(depths) > 1 else None,
                follows=follows,
                origin=Origin(row.name, tuple(keys for _, keys in cells)),
            )
            follows = layer.name
            yield layer


def _cell(contents: Contents, row: Layout, keys: Mapping[str, str], problems: list[str]) -> RecurrentCell | None:
    arrays: dict[str, Any] = {name: contents.arrays[key].read() for name, key in keys.items()}
    name, key = next(iter(keys.items()))
    before, _, after = key.rpartition(name)
    expected = {absent: f"{before}{absent}{after}" for absent in row.names(projection=row.projection is not None)}
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

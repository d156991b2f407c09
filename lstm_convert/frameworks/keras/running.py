"""Keras's own recurrent layers: of a file that Keras itself opens, else made anew with the weights read."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lstm_convert.canonical import Cell, Model, Recurrent, RecurrentCell
from lstm_convert.containers import Contents
from lstm_convert.errors import Unsupported
from lstm_convert.frameworks import WriteOptions
from lstm_convert.frameworks.keras import extended
from lstm_convert.frameworks.keras.network_running import network_engine
from lstm_convert.frameworks.keras.opening import (
    Opened,
    array_of,
    cell_of_ours,
    class_of_ours,
    first_line,
    installed,
    is_old,
    name_of,
    tensor_of,
)
from lstm_convert.frameworks.keras.recurrent_specs import CELL_CLASSES
from lstm_convert.frameworks.keras.writing import refusals
from lstm_convert.frameworks.running import Array, Engine, Ran, Runner
from lstm_convert.layout import Layout
from lstm_convert.packages import needed
from lstm_convert.packing import options, pack_arrays, rescaled
from lstm_convert.table import KERAS_2, KERAS_EXTENDED, counterpart

__all__ = ["network_engine", "runner"]

# First weights that cost nothing and that every numbers' type has, as the real ones follow.
_EMPTY = {"kernel_initializer": "zeros", "recurrent_initializer": "zeros", "bias_initializer": "zeros"}
# Settings that bind a layer to one batch size or one length are undone.
_FREE = {"stateful": False, "unroll": False, **_EMPTY}


def runner(model: Model, path: Path | None, contents: Contents | None) -> Runner:
    """Return what runs a model's layers in Keras.

    Args:
        model: the layers as they were read.
        path: the file they were read from, or None.
        contents: that file, opened.

    Raises:
        MissingFramework: neither Keras 3 nor tf_keras is installed.
    """
    own, *others = ("tf_keras", "keras") if is_old(model) else ("keras",)
    kerases = [keras for name in (own, *others) if (keras := installed(name))] or [needed(own, "running it")]
    opened = Opened(kerases[0], path, contents) if kerases[0].__name__ == own else None

    def engine(number: int, return_sequences: bool) -> Engine:  # noqa: FBT001 (of two arguments, as all runners)
        layer, reason = model.layers[number], "tf_keras, which is Keras 2, is not installed"
        with warnings.catch_warnings(), cell_of_ours(kerases[0]):
            warnings.simplefilter("ignore")  # the library never warns, and does not let Keras do so for it
            if opened:
                made, reason = _of_the_file(opened, layer, return_sequences=return_sequences)
                if made:
                    return Engine(name_of(opened.keras), "", _Run(opened.keras, made, layer))
            keras = kerases[0]
            made = _rebuilt(keras, layer, return_sequences=return_sequences, custom_layer=own == "keras")
        return Engine(name_of(keras), reason, _Run(keras, made, layer))

    return engine


def _of_the_file(opened: Opened, layer: Recurrent, *, return_sequences: bool) -> tuple[Any, str]:
    """Return a copy of a layer of a file that also returns its states, and why there is none."""
    model, reason = opened.whole
    if model is None:
        return None, reason
    found = _below(model, layer.name) or _below(model, layer.path)
    if found is None:
        return None, f"Keras's model of the file has no layer {layer.name}"
    try:
        return _telling(opened.keras, found, layer, return_sequences=return_sequences), ""
    except Exception as error:  # noqa: BLE001 (whatever Keras says)
        return None, f"Keras does not run the file's own layer: {first_line(error)}"


def _below(model: Any, path: str) -> Any:
    """Return the layer of a model, or the cell of a stack, at a path of names joined by dots."""
    for layer in model.layers:
        if layer.name == path:
            return layer
        rest = path.removeprefix(f"{layer.name}.")
        if rest == path:
            continue
        cells = getattr(getattr(layer, "cell", None), "cells", None)
        if cells and rest.isdecimal() and int(rest) < len(cells):
            return cells[int(rest)]
        if hasattr(layer, "layers"):
            return _below(layer, rest)
    return None


def _telling(keras: Any, found: Any, layer: Recurrent, *, return_sequences: bool) -> Any:
    """Return a copy of a layer of the file, with its weights, that returns its states too and keeps none."""
    while type(found).__name__ == "TimeDistributed":
        found = found.layer
    settings = {"return_sequences": return_sequences, "return_state": True}
    cell = (
        found if hasattr(found, "state_size") and not hasattr(found, "return_state") else getattr(found, "cell", None)
    )
    if type(cell).__name__ in CELL_CLASSES and type(found).__name__ not in CELL_CLASSES.values():
        plain = {"go_backwards": layer.go_backwards, "zero_output_for_mask": layer.zero_output_for_mask}
        return _built(keras.layers.RNN(cell, **settings, **plain), layer)
    copy = type(found).from_config(_with_settings(found.get_config(), settings))
    _built(copy, layer).set_weights(found.get_weights())
    return copy


def _with_settings(config: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return a layer's config with other settings, those of the layers it wraps too."""
    changed = {name: value for name, value in config.items() if name not in ("batch_input_shape", "batch_shape")}
    wrapped = [name for name in ("layer", "backward_layer") if isinstance(config.get(name), Mapping)]
    for name in wrapped:
        changed[name] = {**config[name], "config": _with_settings(config[name]["config"], settings)}
    if not wrapped:
        changed |= {**settings, **{name: value for name, value in _FREE.items() if name in config}}
    return changed


def _rebuilt(keras: Any, layer: Recurrent, *, return_sequences: bool, custom_layer: bool) -> Any:
    """Return a layer made anew, of the cell of our own where Keras 3 has none and `custom_layer` allows it.

    Raises:
        Unsupported: this Keras does not compute it exactly.
    """
    if keras.__name__ == "keras":
        reasons = list(refusals(layer, WriteOptions(custom_layer=custom_layer)))
        fitted = extended.fitted(layer)
        row, cells = extended.row_of(fitted), list(fitted.cells.values())
    else:
        reset_after = getattr(layer.forward, "reset_after", True)
        row = counterpart(KERAS_2, type(layer.forward), reset_after=reset_after)
        cells = [rescaled(row, cell) or cell for cell in layer.cells.values()]
        reasons = [reason for cell in layer.cells.values() for reason in row.refusals(cell)]
    if reasons:
        raise Unsupported(f"{keras.__name__} does not compute this: {'; '.join(reasons)}")
    settings = {
        "return_sequences": return_sequences,
        "return_state": True,
        "zero_output_for_mask": layer.zero_output_for_mask,
    }
    forward, *backward = (
        _one_direction(keras, row, cell, go_backwards=layer.go_backwards != bool(direction), **settings)
        for direction, cell in enumerate(cells)
    )
    made = forward
    if backward:
        made = keras.layers.Bidirectional(
            forward, merge_mode=layer.merge, backward_layer=backward[0], dtype=cells[0].W.dtype.name
        )
    weights = [np.asarray(array) for cell in cells for array in pack_arrays(row, cell).values()]
    _built(made, layer).set_weights(weights)
    return made


def _one_direction(keras: Any, row: Layout, cell: RecurrentCell, **settings: Any) -> Any:
    settings["dtype"] = cell.W.dtype.name
    if isinstance(cell, Cell) and row is KERAS_EXTENDED:
        config = extended.cell_document(cell, "cell")["config"]
        return keras.layers.RNN(class_of_ours().from_config(config), **settings)
    has_bias = cell.b is not None or cell.b_rec is not None
    made = getattr(keras.layers, cell.kind)
    return made(cell.units, use_bias=has_bias, **_EMPTY, **options(row, cell), **row.fixed, **settings)


def _built(made: Any, layer: Recurrent) -> Any:
    made(np.zeros((1, 1, layer.forward.inputs), np.float32))
    return made


class _Run:
    """A layer of Keras, called."""

    def __init__(self, keras: Any, made: Any, layer: Recurrent) -> None:
        self._keras, self._made, self._layer = keras, made, layer

    def __call__(self, x: Array, h0: Sequence[Array], c0: Sequence[Array], mask: Array | None) -> Ran:
        dtype = self._made.compute_dtype
        tensor = tensor_of(self._keras, _as(x, dtype))
        pairs = zip(h0, c0, strict=True) if self._has_c else ((h,) for h in h0)
        states = [tensor_of(self._keras, _as(state, dtype)) for pair in pairs for state in pair]
        masks = None if mask is None else tensor_of(self._keras, mask)
        given = {"initial_state": states, "mask": masks, "training": False}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                arrays = [array_of(self._keras, returned) for returned in self._made(tensor, **given)]
        except Exception as error:
            raise Unsupported(f"{self._keras.__name__} does not run it: {first_line(error)}") from error
        each = 2 if self._has_c else 1
        count = each * len(self._layer.cells)
        outputs, last = arrays[:-count], arrays[-count:]
        return Ran(tuple(outputs), tuple(last[::each]), tuple(last[1::2]) if self._has_c else (), dtype)

    @property
    def _has_c(self) -> bool:
        return isinstance(self._layer.forward, Cell)


def _as(array: Array, dtype: str) -> Array:
    if dtype == "bfloat16":
        import ml_dtypes  # noqa: PLC0415 (only such layers need it)

        return np.asarray(array).astype(ml_dtypes.bfloat16)
    return np.asarray(array).astype(dtype)

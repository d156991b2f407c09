"""Keras's own LSTM layers: of a file that Keras itself opens in its safe mode, else made anew with the weights read.

Keras 3 runs what Keras 3 wrote; tf_keras, which is Keras 2, what older ones did. A file is handed over only where all
its classes are layers that hold no code and read no other files: Keras's safe mode has been escaped before
(CVE-2024-3660, CVE-2025-1550, CVE-2025-8747, CVE-2025-9905). The one class that is not Keras's own is ExtendedLSTMCell;
it is always this package's, whatever source code lies beside the file.
"""

import importlib
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_convert.canonical import Cell, Model, Recurrent, RecurrentCell
from lstm_convert.containers import Contents
from lstm_convert.errors import MissingFramework, Unsupported
from lstm_convert.frameworks import WriteOptions
from lstm_convert.frameworks.keras import extended
from lstm_convert.frameworks.keras.architecture import CELL_CLASSES, EXTENDED
from lstm_convert.frameworks.keras.writing import refusals
from lstm_convert.frameworks.running import Array, Engine, NetworkEngine, Ran, Runner
from lstm_convert.layout import Layout
from lstm_convert.packing import options, pack_arrays, rescaled
from lstm_convert.table import KERAS_2, KERAS_EXTENDED, counterpart

_LAYERS = {
    "Activation", "ActivityRegularization", "Add", "AlphaDropout", "Attention", "Average", "AveragePooling1D",
    "AveragePooling2D", "BatchNormalization", "Bidirectional", "Concatenate", "Conv1D", "Conv2D", "Conv3D",
    "Cropping1D", "Cropping2D", "Dense", "Dot", "Dropout", "ELU", "Embedding", "Flatten", "Functional", "GRU",
    "GRUCell", "GaussianDropout", "GaussianNoise", "GetItem", "GlobalAveragePooling1D", "GlobalAveragePooling2D",
    "GlobalMaxPooling1D", "GlobalMaxPooling2D", "InputLayer", "LSTM", "LSTMCell", "LayerNormalization", "LeakyReLU",
    "Masking", "Maximum", "MaxPooling1D", "MaxPooling2D", "Minimum", "Model", "Multiply", "PReLU", "Permute", "RNN",
    "ReLU", "RepeatVector", "Rescaling", "Reshape", "Sequential", "SimpleRNN", "SimpleRNNCell", "Softmax",
    "SpatialDropout1D", "SpatialDropout2D", "StackedRNNCells", "Subtract", "ThresholdedReLU", "TimeDistributed",
    "UpSampling1D", "UpSampling2D", "ZeroPadding1D", "ZeroPadding2D",
}  # fmt: skip
_NO_LAYERS = {
    "Constant", "DTypePolicy", "GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "Identity", "L1", "L1L2",
    "L2", "LecunNormal", "LecunUniform", "MaxNorm", "NonNeg", "Ones", "Orthogonal", "OrthogonalInitializer", "Policy",
    "RandomNormal", "RandomUniform", "TruncatedNormal", "UnitNorm", "VarianceScaling", "Zeros", "__keras_tensor__",
    "__tuple__",
}  # fmt: skip
# What Keras 3 computes masks with, and one step or the steps turned around: functions of arrays alone.
_OPERATIONS = {
    "Any", "ExpandDims", "Flip", "LogicalAnd", "LogicalOr", "NotEqual", "OnesLike", "Take", "ZerosLike",
}  # fmt: skip
_CONFIGS = ("config.json", "model_config")
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
    old = _is_old(model)
    kerases = [keras for name in (("tf_keras", "keras") if old else ("keras",)) if (keras := _installed(name))]
    if not kerases:
        package = "tf_keras" if old else "keras"
        raise MissingFramework(f"{package} is not installed", next_step=f"pip install {package} tensorflow")
    own = "tf_keras" if old else "keras"
    opened = _Opened(kerases[0], path, contents) if kerases[0].__name__ == own else None

    def engine(number: int, return_sequences: bool) -> Engine:  # noqa: FBT001 (of two arguments, as all runners)
        layer, reason = model.layers[number], "tf_keras, which is Keras 2, is not installed"
        with warnings.catch_warnings(), _cell_of_ours(kerases[0]):
            warnings.simplefilter("ignore")  # the library never warns, and does not let Keras do so for it
            if opened:
                made, reason = opened.layer(layer, return_sequences=return_sequences)
                if made:
                    return Engine(_name(opened.keras), "", _Run(opened.keras, made, layer))
            keras = kerases[0]
            made = _rebuilt(keras, layer, return_sequences=return_sequences, custom_layer=own == "keras")
        return Engine(_name(keras), reason, _Run(keras, made, layer))

    return engine


def network_engine(model: Model, path: Path | None, contents: Contents | None) -> NetworkEngine:
    """Return a file's whole network in the Keras that its version belongs to.

    Args:
        model: the model as it was read.
        path: the file it was read from, or None.
        contents: that file, opened.

    Raises:
        MissingFramework: that Keras is not installed.
        Unsupported: it does not open the file, or would have to run code that is in it.
    """
    name = "tf_keras" if _is_old(model) else "keras"
    keras = _installed(name)
    if keras is None:
        raise MissingFramework(f"{name} is not installed", next_step=f"pip install {name} tensorflow")
    with _cell_of_ours(keras):
        whole, reason = _Opened(keras, path, contents).whole
    if whole is None:
        raise Unsupported(reason)
    computed = {getattr(layer, "compute_dtype", "") for layer in whole.layers}
    dtype = next(name for name in ("bfloat16", "float16", "float32", "float64") if name in computed)

    def run(inputs: Sequence[Array]) -> list[Array]:
        tensors = [_tensor(keras, array) for array in inputs]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                returned = whole(tensors if len(tensors) > 1 else tensors[0], training=False)
        except Exception as error:
            raise Unsupported(f"{keras.__name__} does not run it: {_first_line(error)}") from error
        return [_array(keras, tensor) for tensor in (returned if isinstance(returned, list | tuple) else [returned])]

    return NetworkEngine(_name(keras), run, dtype)


def _is_old(model: Model) -> bool:
    """Return whether Keras 1 or 2 wrote a model."""
    return model.provenance.version[:1] in ("0", "1", "2")


def _installed(name: str) -> Any:
    with suppress(ImportError), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module(name)
    return None


@contextmanager
def _cell_of_ours(keras: Any) -> Iterator[None]:
    """Let Keras 3 find this package's ExtendedLSTMCell under its name, and afterwards what it found before."""
    if keras.__name__ != "keras" or not hasattr(keras, "ops"):
        yield
        return
    registered = keras.saving.get_custom_objects()  # a custom_object_scope would not reach what Keras nests
    before = {EXTENDED: registered[EXTENDED]} if EXTENDED in registered else {}
    registered[EXTENDED] = _class_of_ours()
    try:
        yield
    finally:
        del registered[EXTENDED]
        registered.update(before)


def _class_of_ours() -> Any:
    module = extended.SOURCE_FILE.removesuffix(".py")
    return getattr(importlib.import_module(f"{extended.__package__}.{module}"), extended.CLASS_NAME)


def _name(keras: Any) -> str:
    own = "Keras" if keras.__name__ == "keras" else keras.__name__
    return f"{own} {keras.__version__} ({keras.backend.backend()})"


class _Opened:
    """A file that Keras itself opens, when it is first asked for a layer."""

    def __init__(self, keras: Any, path: Path | None, contents: Contents | None) -> None:
        self.keras = keras
        self._path = path
        self._refused = _refused(path, contents)

    def layer(self, layer: Recurrent, *, return_sequences: bool) -> tuple[Any, str]:
        """Return a copy of a layer of the file that also returns its states, and why there is none."""
        model, reason = self.whole
        if model is None:
            return None, reason
        found = _below(model, layer.name) or _below(model, layer.path)
        if found is None:
            return None, f"Keras's model of the file has no layer {layer.name}"
        try:
            return _telling(self.keras, found, layer, return_sequences=return_sequences), ""
        except Exception as error:  # noqa: BLE001 (whatever Keras says)
            return None, f"Keras does not run the file's own layer: {_first_line(error)}"

    @cached_property
    def whole(self) -> tuple[Any, str]:
        """Keras's model of the file, and why there is none."""
        if self._refused:
            return None, self._refused
        try:
            return self.keras.models.load_model(self._path, compile=False, safe_mode=True), ""
        except Exception as error:  # noqa: BLE001 (whatever Keras says of a file it does not open)
            return None, f"{self.keras.__name__} does not open the file: {_first_line(error)}"


def _refused(path: Path | None, contents: Contents | None) -> str:
    """Return why a file is not handed to Keras, or ""."""
    if path is None or contents is None:
        return "the model is in memory"
    text = next((text for name in _CONFIGS if (text := contents.document(name))), None)
    if text is None:
        return "the file holds weights alone, and Keras opens those only with the model's own code"
    strange = sorted(set(strange_classes(json.loads(text))))
    return f"the file is not handed to Keras: it may hold code in {', '.join(strange)}" if strange else ""


def strange_classes(value: Any) -> Iterator[str]:
    """Yield the classes of an architecture that are not known to be harmless."""
    if isinstance(value, Mapping):
        if "class_name" in value:
            module = str(value.get("module") or "keras").partition(".")[0]
            known = str(value["class_name"]) in _LAYERS | _NO_LAYERS | _OPERATIONS and module in ("keras", "tf_keras")
            ours = (value["class_name"], value.get("registered_name")) == (extended.CLASS_NAME, EXTENDED)
            if not known and not ours:
                yield str(value["class_name"])
        for inner in value.values():
            yield from strange_classes(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strange_classes(inner)


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
        return keras.layers.RNN(_class_of_ours().from_config(config), **settings)
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
        tensor = _tensor(self._keras, _as(x, dtype))
        pairs = zip(h0, c0, strict=True) if self._has_c else ((h,) for h in h0)
        states = [_tensor(self._keras, _as(state, dtype)) for pair in pairs for state in pair]
        masks = None if mask is None else _tensor(self._keras, mask)
        given = {"initial_state": states, "mask": masks, "training": False}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                arrays = [_array(self._keras, returned) for returned in self._made(tensor, **given)]
        except Exception as error:
            raise Unsupported(f"{self._keras.__name__} does not run it: {_first_line(error)}") from error
        each = 2 if self._has_c else 1
        count = each * len(self._layer.cells)
        outputs, last = arrays[:-count], arrays[-count:]
        return Ran(tuple(outputs), tuple(last[::each]), tuple(last[1::2]) if self._has_c else (), dtype)

    @property
    def _has_c(self) -> bool:
        return isinstance(self._layer.forward, Cell)


def _tensor(keras: Any, array: Array) -> Any:
    if hasattr(keras, "ops"):
        return keras.ops.convert_to_tensor(array)
    return importlib.import_module("tensorflow").convert_to_tensor(array)


def _array(keras: Any, tensor: Any) -> NDArray[np.float64]:
    numpy = keras.ops.convert_to_numpy(tensor) if hasattr(keras, "ops") else tensor.numpy()
    return np.array(numpy).astype(np.float64)


def _as(array: Array, dtype: str) -> Array:
    if dtype == "bfloat16":
        import ml_dtypes  # noqa: PLC0415 (only such layers need it)

        return np.asarray(array).astype(ml_dtypes.bfloat16)
    return np.asarray(array).astype(dtype)


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]:.150}"

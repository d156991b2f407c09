"""Which Keras runs a model, and whether it opens the model's file itself, in its safe mode.

Keras 3 runs what Keras 3 wrote; tf_keras, which is Keras 2, what older ones did. A file is handed over only where all
its classes are layers that hold no code and read no other files: Keras's safe mode has been escaped before
(CVE-2024-3660, CVE-2025-1550, CVE-2025-8747, CVE-2025-9905). The one class that is not Keras's own is ExtendedLSTMCell;
it is always this package's, whatever source code lies beside the file.
"""

import importlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_convert.canonical import Model
from lstm_convert.containers import Contents
from lstm_convert.errors import MissingFramework
from lstm_convert.frameworks.keras import extended
from lstm_convert.frameworks.keras.recurrent_specs import EXTENDED
from lstm_convert.frameworks.running import Array
from lstm_convert.packages import needed

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
# What Keras 3 computes masks and averages with, and what takes or moves steps: functions of arrays alone.
_OPERATIONS = {
    "Any", "Divide", "ExpandDims", "Flip", "LogicalAnd", "LogicalOr", "NotEqual", "OnesLike", "Take", "Transpose",
    "ZerosLike",
}  # fmt: skip
_CONFIGS = ("config.json", "model_config")


def is_old(model: Model) -> bool:
    """Return whether Keras 1 or 2 wrote a model."""
    return model.provenance.version[:1] in ("0", "1", "2")


def installed(name: str) -> Any:
    """Return a Keras by its package's name, or None where it is not installed."""
    with suppress(MissingFramework):
        return needed(name, "running it")
    return None


@contextmanager
def cell_of_ours(keras: Any) -> Iterator[None]:
    """Let Keras 3 find this package's ExtendedLSTMCell under its name, and afterwards what it found before."""
    if keras.__name__ != "keras" or not hasattr(keras, "ops"):
        yield
        return
    registered = keras.saving.get_custom_objects()  # a custom_object_scope would not reach what Keras nests
    before = {EXTENDED: registered[EXTENDED]} if EXTENDED in registered else {}
    registered[EXTENDED] = class_of_ours()
    try:
        yield
    finally:
        del registered[EXTENDED]
        registered.update(before)


def class_of_ours() -> Any:
    """Return this package's ExtendedLSTMCell."""
    module = extended.SOURCE_FILE.removesuffix(".py")
    return getattr(importlib.import_module(f"{extended.__package__}.{module}"), extended.CLASS_NAME)


def name_of(keras: Any) -> str:
    """Return what a Keras is called in answers, with its version and backend."""
    own = "Keras" if keras.__name__ == "keras" else keras.__name__
    return f"{own} {keras.__version__} ({keras.backend.backend()})"


class Opened:
    """A file that Keras itself opens, when it is first asked for.

    Args:
        keras: which Keras.
        path: the file, or None.
        contents: the same, opened.
    """

    def __init__(self, keras: Any, path: Path | None, contents: Contents | None) -> None:
        self.keras = keras
        self._path = path
        self._refused = _refused(path, contents)

    @cached_property
    def whole(self) -> tuple[Any, str]:
        """Keras's model of the file, and why there is none."""
        if self._refused:
            return None, self._refused
        try:
            return self.keras.models.load_model(self._path, compile=False, safe_mode=True), ""
        except Exception as error:  # noqa: BLE001 (whatever Keras says of a file it does not open)
            return None, f"{self.keras.__name__} does not open the file: {first_line(error)}"


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


def tensor_of(keras: Any, array: Array) -> Any:
    """Return an array as a tensor of a Keras's backend."""
    if hasattr(keras, "ops"):
        return keras.ops.convert_to_tensor(array)
    return importlib.import_module("tensorflow").convert_to_tensor(array)


def array_of(keras: Any, tensor: Any) -> NDArray[np.float64]:
    """Return a tensor of a Keras's backend in float64."""
    numpy = keras.ops.convert_to_numpy(tensor) if hasattr(keras, "ops") else tensor.numpy()
    return np.array(numpy).astype(np.float64)


def first_line(error: Exception) -> str:
    """Return what an error is and the first line of what it says."""
    lines = str(error).splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]:.150}"

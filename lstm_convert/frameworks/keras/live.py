"""Live Keras models and layers, of Keras 3 or tf_keras: read where they stand, or made from a model."""

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lstm_convert.canonical import Model, Provenance, Recurrent
from lstm_convert.containers import Contents, Stored
from lstm_convert.errors import InvalidFile, MissingFramework, Unsupported
from lstm_convert.frameworks import ReadOptions, WriteOptions
from lstm_convert.frameworks.keras import extended, reading, writing
from lstm_convert.frameworks.keras.functional import architecture, as_listed
from lstm_convert.packing import pack_arrays

if TYPE_CHECKING:
    import keras

_PACKAGES = ("keras", "tf_keras")

_UNJOINED = (
    "no mask reaches a recurrent layer and none starts from states it is given; of this model only its code says that"
)


def from_keras(model: "keras.Model | keras.Layer") -> Model:
    """Return the recurrent layers of a Keras model or layer.

    Args:
        model: built, so that it has weights; it is read, not changed. Keras 3 and tf_keras both do.

    Returns:
        The model; its arrays are copies.

    Raises:
        InvalidFile: it has no weights yet, no recurrent layer, or two layers of one name.
        Unsupported: it holds recurrent layers that are not read.
    """
    package = next((sys.modules[root] for root in _roots(model) if root in _PACKAGES and root in sys.modules), None)
    if package is None:
        raise TypeError(f"expected a Keras model or layer, found {type(model).__name__}")
    layers = list(model.layers) if _is_model(model) else [model]
    if not all(layer.built for layer in layers):
        unbuilt = [layer.name for layer in layers if not layer.built]
        raise InvalidFile(f"{model.name} has no weights yet", unbuilt, "Build it, or call it once.")
    if twice := [name for name, count in Counter(layer.name for layer in layers).items() if count > 1]:
        raise InvalidFile(f"{model.name} has layers of one name", twice, "Give each layer a name of its own.")
    document = _architecture(model) if _is_model(model) else None
    read = reading.read(_contents(layers, str(package.__version__)), ReadOptions(document or _listed(model, layers)))
    if not read.layers:
        raise InvalidFile(
            f"{model.name} has no LSTM, GRU or simple RNN", [f"found {type(layer).__name__}" for layer in layers]
        )
    assumed = (*read.assumed, _UNJOINED) if _is_model(model) and document is None else read.assumed
    return replace(read, assumed=assumed, provenance=Provenance("keras", str(package.__version__)))


def to_keras(model: Model | Recurrent, *, rename: Mapping[str, str] | None = None) -> "keras.Model":
    """Return a Keras 3 model whose layers are a model's recurrent ones, with their weights.

    Args:
        model: the layers.
        rename: old path to new path.

    Returns:
        A functional model: a layer that follows another reads its output, every other has an input of its own.

    Raises:
        MissingFramework: Keras 3 is not installed.
        Unsupported: Keras cannot compute some layer exactly; each reason is listed.
    """
    try:
        import keras  # noqa: PLC0415 (only making a model needs it)
    except ImportError as error:
        raise MissingFramework("to_keras needs Keras 3", next_step="pip install keras tensorflow") from error
    model = Model((model,)) if isinstance(model, Recurrent) else model
    if reasons := [reason for layer in model.layers for reason in writing.refusals(layer, WriteOptions())]:
        raise Unsupported("Keras cannot compute this model exactly", reasons)
    layers = writing.prepared(model.layers, rename or {})
    result: keras.Model = keras.models.model_from_json(json.dumps(architecture(as_listed(layers))))
    for layer in layers:
        arrays = [
            array
            for cell in layer.cells.values()
            for array in pack_arrays(extended.row_of(layer), cell).arrays.values()
        ]
        result.get_layer(layer.name).set_weights(arrays)
    return result


def _roots(model: Any) -> list[str]:
    return [cls.__module__.partition(".")[0] for cls in type(model).__mro__]


def _is_model(model: Any) -> bool:
    return hasattr(model, "layers") and hasattr(model, "to_json")


def _architecture(model: Any) -> dict[str, Any] | None:
    """Return a model's own architecture, or None where only its code says how its layers are joined."""
    try:
        document = json.loads(model.to_json())
    except (NotImplementedError, ValueError, TypeError):
        return None
    return dict(document) if "layers" in document.get("config", {}) else None


def _listed(model: Any, layers: list[Any]) -> dict[str, Any]:
    """Return an architecture that says what a model's layers are, and nothing of how they are joined."""
    return {"class_name": "Functional", "config": {"name": model.name, "layers": list(map(_document, layers))}}


def _document(layer: Any) -> dict[str, Any]:
    cls = type(layer)
    names = {"class_name": cls.__name__, "module": cls.__module__, "registered_name": cls.__name__}
    return {**names, "config": layer.get_config()}


def _contents(layers: list[Any], version: str) -> Contents:
    """Return a model's weights as an HDF5 file of it would list them."""
    arrays: dict[str, Stored] = {}
    attributes: dict[str, dict[str, Any]] = {"": {"keras_version": version, "layer_names": []}}
    for layer in layers:
        weights = [*layer.trainable_weights, *layer.non_trainable_weights]
        names = list(_numbered(getattr(weight, "path", weight.name) for weight in weights))
        attributes[""]["layer_names"].append(layer.name)
        attributes[layer.name] = {"weight_names": names}
        keyed = zip(names, weights, strict=True)
        arrays |= {f"{layer.name}/{name}": Stored.of(weight.numpy()) for name, weight in keyed}
    return Contents(arrays, attributes)


def _numbered(names: Iterable[str]) -> Iterator[str]:
    """Yield names with a number before each that was there already, as layers of several nested models may share it."""
    seen: Counter[str] = Counter()
    for name in names:
        yield f"{seen[name]}/{name}" if seen[name] else name
        seen[name] += 1

"""Live Keras models and layers, of Keras 3 or tf_keras: read where they stand, or made from a model."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lstm_convert.canonical import Model, Network, Provenance, Recurrent
from lstm_convert.containers import Contents, Stored
from lstm_convert.errors import InvalidFile, Unsupported
from lstm_convert.frameworks import ReadOptions, WriteOptions, renamed_network
from lstm_convert.frameworks.keras import extended, reading, writing
from lstm_convert.frameworks.keras.functional import architecture, as_listed
from lstm_convert.frameworks.keras.network_building import built
from lstm_convert.frameworks.keras.network_graph import graph_document
from lstm_convert.frameworks.keras.network_writing import network_refusals
from lstm_convert.frameworks.live import keras_package, model_of, whole_network
from lstm_convert.packages import needed
from lstm_convert.packing import pack_arrays

if TYPE_CHECKING:
    import keras
    import torch
    from torch import nn

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
    package = keras_package(model)
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
    if document is None:  # what its layers are is known, and nothing of how they are joined
        read = replace(read, network=None, not_understood=())
    assumed = (*read.assumed, _UNJOINED) if _is_model(model) and document is None else read.assumed
    return replace(read, assumed=assumed, provenance=Provenance("keras", str(package.__version__)))


def to_keras(
    model: "Model | Recurrent | nn.Module | keras.Model",
    *,
    rename: Mapping[str, str] | None = None,
    lstm_only: bool = False,
    example: "torch.Tensor | Sequence[torch.Tensor] | None" = None,
) -> "keras.Model":
    """Return a Keras 3 model that computes what a model does, with its weights.

    Args:
        model: the model, one recurrent layer, or what is live: a PyTorch module, a model of tf_keras.
        rename: old path to new path.
        lstm_only: whether only the recurrent layers are wanted where the whole network is known.
        example: what a PyTorch module's forward is given, as in `from_torch`.

    Returns:
        A functional model: the whole network where that is known; else the recurrent layers, of which one that follows
        another reads its output, and every other has an input of its own.

    Raises:
        MissingFramework: Keras 3 is not installed.
        Unsupported: Keras cannot compute some layer exactly, or the source holds layers that are not ported; each
            reason is listed.
    """
    package = needed("keras", "to_keras")
    model = model_of(model, example)
    network = whole_network(model, lstm_only=lstm_only)
    result: keras.Model = (
        _of_layers(package, model, rename or {})
        if network is None
        else _of_network(package, model, network, rename or {})
    )
    return result


def _of_network(keras: Any, model: Model, network: Network, rename: Mapping[str, str]) -> Any:
    if reasons := network_refusals(network, WriteOptions()):
        raise Unsupported("Keras cannot compute this model exactly", reasons)
    network = renamed_network(model, network, rename).network or network
    written = built(network)
    document = graph_document(written.parts, written.inputs, written.outputs)
    result = keras.models.model_from_json(json.dumps(document))
    for part in written.parts:
        if part.held.arrays:
            result.get_layer(part.name).set_weights([located.array.read() for located in part.held.arrays])
    return result


def _of_layers(keras: Any, model: Model, rename: Mapping[str, str]) -> Any:
    if reasons := [reason for layer in model.layers for reason in writing.refusals(layer, WriteOptions())]:
        raise Unsupported("Keras cannot compute this model exactly", reasons)
    layers = writing.prepared(model.layers, rename)
    result = keras.models.model_from_json(json.dumps(architecture(as_listed(layers))))
    for layer in layers:
        arrays = [
            np.asarray(array)
            for cell in layer.cells.values()
            for array in pack_arrays(extended.row_of(layer), cell).values()
        ]
        result.get_layer(layer.name).set_weights(arrays)
    return result


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

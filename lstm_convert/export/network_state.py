"""The weights of a network's written-out module: what its state dict calls them, and which arrays they are."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

import numpy as np

from lstm_convert.blocks import Rows
from lstm_convert.canonical import Array, Layer, Network
from lstm_convert.export.network_plan import NetworkPlan
from lstm_convert.export.state import keys_of_part, weights_of

# For each kind, the arrays by their names in the state dict. All have the layout that torch's own modules have.
_ARRAYS: Mapping[str, Mapping[str, str]] = MappingProxyType({
    "batch_norm": {"weight": "gamma", "bias": "beta", "running_mean": "mean", "running_var": "variance"},
    "conv": {"weight": "kernel", "bias": "bias"},
    "dense": {"weight": "kernel", "bias": "bias"},
    "embedding": {"weight": "kernel"},
    "layer_norm": {"weight": "gamma", "bias": "beta"},
    "prelu": {"weight": "alpha"},
})  # fmt: skip
# What torch's module has though the layer does not, and what it is then. nn.LayerNorm can do without a bias.
_FILLED = {("batch_norm", "gamma"): 1.0, ("batch_norm", "beta"): 0.0, ("layer_norm", "gamma"): 1.0}


def network_state(network: Network) -> dict[str, Array | Rows]:
    """Return the state dict of a network's written-out module, in the order of torch's own.

    Args:
        network: the layers and their calls.
    """
    plan = NetworkPlan(network)
    found: dict[str, Array | Rows] = {}
    for name, layer in network.layers.items():
        attribute = plan.attributes[name]
        if name in plan.parts and layer.recurrent is not None:
            for cell, places in zip(layer.recurrent.cells.values(), keys_of_part(plan.parts[name]), strict=True):
                found |= {places[array]: weight for array, weight in weights_of(cell).items()}
        else:
            found |= _layer_state(layer, attribute)
    return found


def network_paths(network: Network) -> dict[str, str]:
    """Return for each layer of a network the path of its submodule."""
    return NetworkPlan(network).attributes


def own_classes(network: Network) -> dict[str, str]:
    """Return the recurrent layers that are more than one module of PyTorch's: for each name the submodule's path."""
    plan = NetworkPlan(network)
    return {part.layer.name: plan.attributes[name] for name, part in plan.parts.items() if not part.torchs}


def _layer_state(layer: Layer, path: str) -> dict[str, Array]:
    """Return the part of a state dict that a layer is which is not recurrent.

    Args:
        layer: the layer.
        path: of its submodule.
    """
    return {f"{path}.{weight}": array for weight, array in _weights(layer)}


def network_keys(network: Network) -> tuple[dict[str, list[dict[str, str]]], dict[str, dict[str, str]]]:
    """Return where a state dict holds the arrays of a network.

    Args:
        network: the layers and their calls.

    Returns:
        For each recurrent layer, by its own name, the keys of each direction's arrays; for each other layer, the key
        of each of its arrays.
    """
    plan = NetworkPlan(network)
    recurrent = {plan.parts[name].layer.name: keys_of_part(plan.parts[name]) for name in plan.parts}
    others = {
        name: {array: f"{plan.attributes[name]}.{weight}" for array, weight in keys_of(layer).items()}
        for name, layer in network.layers.items()
        if layer.recurrent is None
    }
    return recurrent, others


def keys_of(layer: Layer) -> dict[str, str]:
    """Return for each array of a layer that is not recurrent the name of its weight within the submodule."""
    return {array: weight for weight, array in _ARRAYS.get(layer.kind, {}).items() if array in layer.arrays}


def filled(layer: Layer) -> list[str]:
    """Return the weights that a layer's submodule has though the layer has no such array."""
    if not {"gamma", "beta"} & set(layer.arrays):
        return []
    return [
        weight
        for weight, array in _ARRAYS.get(layer.kind, {}).items()
        if array not in layer.arrays and (layer.kind, array) in _FILLED
    ]


def channel_of(layer: Layer) -> int | None:
    """Return the axis along which a PReLU's numbers differ, counted with the batch; None where there are several."""
    alpha = layer.arrays["alpha"]
    differ = [axis for axis, size in enumerate(alpha.shape, start=1) if size != 1]
    if len(differ) > 1 or not alpha.ndim:
        return None
    return differ[0] if differ else 1


def _weights(layer: Layer) -> Iterator[tuple[str, Array]]:
    fill = filled(layer)
    for weight, name in _ARRAYS.get(layer.kind, {}).items():
        if name in layer.arrays:
            array = layer.arrays[name]
            yield weight, array.reshape(-1) if layer.kind == "prelu" and channel_of(layer) is not None else array
        elif weight in fill:
            like = next(iter(layer.arrays.values()))
            yield weight, np.full(like.shape, _FILLED[layer.kind, name], like.dtype)
    if layer.kind == "batch_norm":
        yield "num_batches_tracked", np.asarray(0, np.int64)

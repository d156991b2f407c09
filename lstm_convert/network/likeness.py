"""Whether two networks are the same but for rounding: layer by layer and number by number, nothing is run."""

from collections.abc import Mapping
from typing import Any

from lstm_convert import sampling
from lstm_convert.activations import named
from lstm_convert.blocks import Array
from lstm_convert.canonical import Activation, Layer, Network, Recurrent, RecurrentCell
from lstm_convert.errors import InvalidFile
from lstm_convert.network.masks import reaching
from lstm_convert.sampling import same_numbers, size

# What a recurrent layer is called with beside its cells; names aside, which a file may change.
_CALLED = ("merge", "go_backwards", "return_sequences", "return_state")


def is_large(network: Network) -> bool:
    """Return whether a network is too large to be run whole."""
    others = sum(array.size for layer in network.layers.values() for array in layer.arrays.values())
    return others + sum(size(cell) for layer in network.recurrent for cell in layer.cells.values()) > sampling.LARGE


def numbers_alike(source: Network, result: Network) -> tuple[int, int] | None:
    """Return how many numbers the layers that are not recurrent have, and how many of them are the same bit for bit.

    Args:
        source: what was converted.
        result: what was written, read back; its recurrent layers are known to hold the numbers of the source.

    Returns:
        The two counts, where all other numbers differ by rounding alone; None where the networks differ, in which case
        they may still compute the same.
    """
    layers = list(zip(source.layers.values(), result.layers.values(), strict=False))
    if len(source.layers) != len(result.layers) or not all(_alike(one, other) for one, other in layers):
        return None
    if _wiring(source) != _wiring(result):
        return None
    pairs = [(array, other.arrays[name]) for one, other in layers for name, array in one.arrays.items()]
    try:
        return sum(one.size for one, _ in pairs), sum(same_numbers(one, other) for one, other in pairs)
    except InvalidFile:
        return None


def _alike(one: Layer, other: Layer) -> bool:
    """Return whether two layers are of one kind and set to the same, and have the same arrays."""
    if _computed(one) != _computed(other) or one.each_step != other.each_step:
        return False
    if _shapes(one.arrays) != _shapes(other.arrays) or (one.recurrent is None) != (other.recurrent is None):
        return False
    return one.recurrent is None or other.recurrent is None or _called_alike(one.recurrent, other.recurrent)


def _computed(layer: Layer) -> tuple[str, Mapping[str, Any]]:
    """Return what a layer computes: the kind and the options of the plainest that computes the same."""
    match layer.kind:
        case "softmax" if layer.options["axis"] == -1:
            return "activation", {"activation": named("softmax")}
        case "merge" if layer.options["form"] != "dot":
            return layer.kind, {**layer.options, "normalize": None}
    return layer.kind, layer.options


def _shapes(arrays: Mapping[str, Array]) -> dict[str, tuple[int, ...]]:
    return {name: array.shape for name, array in arrays.items()}


def _called_alike(one: Recurrent, other: Recurrent) -> bool:
    """Return whether two recurrent layers are called alike and have cells that compute alike."""
    if any(getattr(one, name) != getattr(other, name) for name in _CALLED) or list(one.cells) != list(other.cells):
        return False
    pairs = zip(one.cells.values(), other.cells.values(), strict=True)
    return all(
        (type(cell), _activations(cell), cell.settings()) == (type(found), _activations(found), found.settings())
        for cell, found in pairs
    )


def _activations(cell: RecurrentCell) -> dict[str, Activation]:
    """Return a cell's activations but for the slope of a hard_sigmoid, which is made up for in the numbers."""
    return {
        role: Activation(activation.name, {**activation.parameters, "slope": 1.0})
        if activation.name == "hard_sigmoid" and role == "gate" else activation
        for role, activation in cell.activations().items()
    }  # fmt: skip


def _wiring(network: Network) -> tuple[object, ...]:
    """Return who reads whom, by numbers."""
    number = {name: place for place, name in enumerate(network.layers)}
    calls = [(number[call.layer], call.inputs, call.states, call.mask) for call in network.calls]
    return ([each.shape for each in network.inputs], calls, network.outputs, _masking(network))


def _masking(network: Network) -> tuple[object, ...]:
    """Return what is done with masks, where there are any."""
    if not any(reaching(network)) and not any(call.mask for call in network.calls):
        return ()
    merges = any(layer.kind == "merge" for layer in network.layers.values())
    return (merges and network.joins, *(layer.zero_output_for_mask for layer in network.recurrent))

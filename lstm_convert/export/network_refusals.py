"""Why a network cannot be written as PyTorch source."""

from collections.abc import Iterator

from lstm_convert.activations import computable
from lstm_convert.canonical import Layer, Network

_MOST_AXES = 3  # of a window, in torch


def network_reasons(network: Network) -> Iterator[str]:
    """Yield why a network cannot be written out, a line each; nothing where it can.

    Args:
        network: the layers and their calls.
    """
    if not network.inputs or not network.outputs:
        yield "the network has no inputs or no outputs"
    for layer in network.layers.values():
        yield from _of_layer(layer)


def _of_layer(layer: Layer) -> Iterator[str]:
    options = layer.options
    activation = options.get("activation")
    if activation is not None and not computable(activation):
        yield f"{layer.name}: activation {activation} is not known"
    if options.get("rank", 1) > _MOST_AXES:
        yield f"{layer.name}: a window of {options['rank']} axes; torch has at most {_MOST_AXES}"

"""Why a network cannot be written as PyTorch source."""

from collections.abc import Iterator

from lstm_convert.activations import computable
from lstm_convert.canonical import LSTM, Layer, Network
from lstm_convert.export.merges import FORMS
from lstm_convert.export.neighbours import DROPOUTS

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
    if layer.kind == "merge" and options["form"] not in FORMS:
        yield f"{layer.name}: merge {options['form']!r:.40} is not known"
    if layer.kind == "dropout" and options["form"] not in DROPOUTS:
        yield f"{layer.name}: {options['form']!r:.40} is not known"
    if options.get("rank", 1) > _MOST_AXES:
        yield f"{layer.name}: a window of {options['rank']} axes; torch has at most {_MOST_AXES}"
    if layer.recurrent is not None and not isinstance(layer.recurrent, LSTM):
        yield f"{layer.name}: {type(layer.recurrent).__name__} is not written as source yet"

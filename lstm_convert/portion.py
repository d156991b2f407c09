"""What of a model is written: the whole network, or its recurrent layers alone."""

from dataclasses import replace
from types import ModuleType

from lstm_convert.canonical import Model
from lstm_convert.errors import Unsupported
from lstm_convert.frameworks import WriteOptions, renamed_network


def portion(model: Model, adapter: ModuleType, options: WriteOptions) -> tuple[Model, WriteOptions]:
    """Return a model with its network where that is to be written, its layers renamed, else without; and how to write.

    Recurrent layers one after another and nothing else are written as layers, which a caller can also hand states to.

    Args:
        model: what was read.
        adapter: who writes.
        options: whether only the recurrent layers are wanted, and the new names.

    Raises:
        Unsupported: the source holds layers that are not ported; all of them are named.
    """
    layers_alone = replace(model, network=None, not_understood=())
    if not model.layers and (options.lstm_only or not hasattr(adapter, "network_refusals")):
        raise Unsupported(
            "is to hold recurrent layers alone, and the source has none",
            next_step="Write it to .keras, .weights.h5, .h5 or model.py, which hold whole models.",
        )
    if options.lstm_only or not hasattr(adapter, "network_refusals"):
        return layers_alone, options
    if model.not_understood:
        raise Unsupported(
            "is to hold a whole model, and the source has layers that are not ported",
            model.not_understood,
            "--lstm-only ports the recurrent layers alone.",
        )
    if model.network is None or model.network.is_stack:
        return layers_alone, options
    recurrent_alone = not any(layer.arrays for layer in model.network.layers.values())
    if hasattr(adapter, "reread") and recurrent_alone and not refusals(layers_alone, adapter, options):
        return layers_alone, options  # the file does not say who reads whom, and no other layer has anything in it
    return renamed_network(model, model.network, options.rename), replace(options, rename={})


def refusals(model: Model, adapter: ModuleType, options: WriteOptions) -> list[str]:
    """Return why an adapter cannot write a model exactly, a reason a line; none where it can.

    Args:
        model: what is to be written.
        adapter: who writes.
        options: how.
    """
    if model.network is not None:
        return list(adapter.network_refusals(model.network, options))
    return [reason for layer in model.layers for reason in adapter.refusals(layer, options)]

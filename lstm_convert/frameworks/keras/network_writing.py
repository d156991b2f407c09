"""A whole canonical network to a Keras 3 file, which any Keras 3 opens in safe mode.

Source: keras 3.0.5 and 3.15.1, keras/src/models/functional.py (functional_from_config)
"""

from collections.abc import Iterator
from dataclasses import replace

from lstm_convert.canonical import Layer, Model, Network
from lstm_convert.containers import Contents
from lstm_convert.frameworks import WriteOptions
from lstm_convert.frameworks.keras import keepsake, writing
from lstm_convert.frameworks.keras.network_activations import slope_factor
from lstm_convert.frameworks.keras.network_building import Written, built
from lstm_convert.frameworks.keras.network_form import Form
from lstm_convert.frameworks.keras.network_graph import graph_document
from lstm_convert.frameworks.keras.network_layers import needs_no_wrapper
from lstm_convert.frameworks.keras.network_parts import reasons
from lstm_convert.frameworks.keras.storing import contents_of

# What a line of usage need not say of a layer.
_UNSAID = ("name", "dtype", "data_format", "layer", "backward_layer")


def network_refusals(network: Network, options: WriteOptions) -> list[str]:
    """Return why a Keras 3 file cannot hold a network exactly, its recurrent layers included; nothing where it can.

    Args:
        network: the layers and their calls.
        options: how it is to be written.
    """
    return list(reasons(network, options))


def write(model: Model, options: WriteOptions) -> Contents:
    """Return the contents of a Keras 3 file: of the whole network where there is one, else of the layers alone.

    Args:
        model: what Keras 3 can hold; where it has a network, under the names that they are to have.
        options: `extension` chooses among `.keras`, `.weights.h5` and the older `.h5`; `rename`, for layers alone.

    Returns:
        Arrays and documents for the container of that extension.
    """
    network = model.network
    if network is None:
        return writing.write(model, options)
    written = built(network)
    document = graph_document(written.parts, written.inputs, written.outputs)
    return contents_of(document, [part.held for part in written.parts], _kept(network, written), options.extension)


def usage(model: Model, options: WriteOptions) -> list[str]:
    """Return what was written, a line a layer, and what was done to it.

    Args:
        model: what was written.
        options: how it was.
    """
    network = model.network
    if network is None:
        return writing.usage(model, options)
    written = built(network)
    recurrent = {
        written.names[name]: writing.described(layer.recurrent)
        for name, layer in network.layers.items()
        if layer.recurrent is not None and not layer.each_step and name in written.names
    }
    lines = [
        f"{part.name}: {recurrent.get(part.name) or _described(part.form)}"
        for part in written.parts
        if part.form is not None
    ]
    return lines + list(_notes(network, written)) + writing.import_notes(model, options)


def _kept(network: Network, written: Written) -> Contents:
    layers = {name: network.layers[name].recurrent for name in written.names}
    recurrent = {name: layer for name, layer in layers.items() if layer is not None}
    return keepsake.kept(recurrent.values(), {layer.name: written.names[name] for name, layer in recurrent.items()})


def _described(form: Form) -> str:
    said = [f"{name}={value!r}" for name, value in form.config.items() if name not in _UNSAID and value is not None]
    if inner := form.config.get("layer"):
        said.insert(0, inner["class_name"])
    return f"{form.class_name}({', '.join(said)})"


def _notes(network: Network, written: Written) -> Iterator[str]:
    for name, layer in network.layers.items():
        if name not in written.names:
            yield f"{name}: no output comes of it, so Keras has no place for it; it is left out"
            continue
        if written.names[name] != name:
            yield f"{name}: is called {written.names[name]}; Keras takes no such name, or another layer has it"
        if name in written.apart:
            yield f"{name}: has layers before and after it, with which all backends of Keras compute the same"
        yield from _what_was_done(layer)


def _what_was_done(layer: Layer) -> Iterator[str]:
    if layer.recurrent is not None:
        yield from writing.notes(replace(layer.recurrent, masked_by=None))
    if layer.arrays and layer.options.get("activation") and slope_factor(layer.options["activation"]):
        yield (
            f"{layer.name}: is scaled, so that Keras 3's hard_sigmoid, clip(x / 6 + 0.5, 0, 1), computes "
            f"{layer.options['activation']}"
        )
    if layer.each_step and needs_no_wrapper(layer):
        yield f"{layer.name}: computes the same without TimeDistributed, and is written without"

"""What the masks that reach the layers of a network mean there, and what of it is not ported.

*Source:* keras 2.15.0 and 3.15.1, keras/src/layers: pooling/global_average_pooling1d.py, activation(s)/softmax.py,
rnn/time_distributed.py and merging/
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from lstm_convert.canonical import Call, Network
from lstm_convert.canonical.kinds import RECURRENT
from lstm_convert.errors import Unsupported
from lstm_convert.frameworks.keras.settings import Age
from lstm_convert.network import masks

# Merges that make the same of numbers that count and of numbers that are masked.
_PLAIN_MERGES = ("add", "subtract", "average", "concatenate")


def settled(network: Network, wrappers: Mapping[str, str], age: Age) -> Network:
    """Return a network with what its masks decide.

    Args:
        network: the network as its layers alone state it.
        wrappers: the TimeDistributed around a layer, by the layer's name.
        age: what the file's age says.

    Raises:
        Unsupported: a mask reaches a layer that is not ported with one; all such are named.
    """
    reached = masks.reaching(network)
    reasons = [reason for call in network.calls for reason in _reasons(network, call, reached, wrappers, age)]
    if reasons:
        raise Unsupported("masks reach layers that are not ported with one", dict.fromkeys(reasons))
    masked = {
        call.layer
        for call in network.calls
        if _averages(network, call) and masks.mask_of_call(network, call, reached) is not None
    }
    layers = {
        name: replace(layer, options={**layer.options, "masked": True}) if name in masked else layer
        for name, layer in network.layers.items()
    }
    return replace(network, layers=layers)


def _averages(network: Network, call: Call) -> bool:
    """Return whether a call averages over time, in which masked steps do not count; a maximum takes them all."""
    layer = network.layers[call.layer]
    return layer.kind == "global_pool" and layer.options["rank"] == 1 and layer.options["form"] == "average"


def _reasons(
    network: Network, call: Call, reached: list[masks.Mask | None], wrappers: Mapping[str, str], age: Age
) -> Iterator[str]:
    layer, found = network.layers[call.layer], masks.masks_of_inputs(network, call, reached)
    if call.mask is not None:
        found = (masks.Given(call.mask),)
    if layer.kind == "merge":
        yield from _merge_reasons(network, call, found, age)
        return
    counts = (
        layer.kind == RECURRENT or _averages(network, call) or (layer.kind == "softmax" and age.softmax_takes_masks)
    )
    if not counts or not found or found[0] is None:
        return
    if layer.kind == "softmax":
        yield f"{layer.name}: a mask reaches this Softmax, which is not ported"
    elif masks.mask_of_call(network, call, reached) is None:
        yield f"{layer.name}: a mask over the entries reaches what a TimeDistributed wraps, which is not ported"
    elif any(wrappers.get(maker, "") != wrappers.get(layer.name, "") for maker in _makers(network, found[0])):
        yield f"{layer.name}: a mask made inside another TimeDistributed reaches it, which is not ported"


def _merge_reasons(network: Network, call: Call, found: tuple[masks.Mask | None, ...], age: Age) -> Iterator[str]:
    """Yield why a merge is not ported: between Keras 3.0 and 3.15 its treatment of masks changed."""
    form = network.layers[call.layer].options["form"]
    agree = len(set(found)) == 1 and form in _PLAIN_MERGES
    if not age.joins and form != "dot" and not agree and any(mask is not None for mask in found):
        yield f"{call.layer}: it joins masks, which versions of Keras 3 do differently, and of this one it is not known"


def _makers(network: Network, mask: masks.Mask) -> Iterator[str]:
    """Yield the names of the layers that make a mask."""
    if isinstance(mask, masks.Made):
        yield network.calls[mask.step - len(network.inputs)].layer
    for part in mask.parts if isinstance(mask, masks.Joined) else ():
        if part is not None:
            yield from _makers(network, part)

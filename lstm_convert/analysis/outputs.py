"""Which output of a model is looked at: the head of its network where that is known, or else h itself, and why."""

from typing import NamedTuple

import numpy as np

from lstm_convert.analysis.before import call_of
from lstm_convert.analysis.head import Head
from lstm_convert.analysis.readout import H_ITSELF, Output, identity
from lstm_convert.analysis.stacks import Stack
from lstm_convert.canonical import Feed, Input, Model, Network
from lstm_convert.errors import LayoutMismatch, Unsupported
from lstm_convert.network.masks import mask_of_feed, reaching
from lstm_convert.network.parts import part_of
from lstm_convert.network.reference import run_network
from lstm_convert.network.steps import EACH, LAST, NEIGHBOURS, steps_of


class LookedAt(NamedTuple):
    """A readout, and why it is h itself where it is."""

    readout: Output
    reason: str = ""


def readout_of(model: Model, stack: Stack, steps: int, name: str | None = None) -> LookedAt:
    """Return what a model makes of the output of its last recurrent layer that is looked at.

    Args:
        model: the model.
        stack: the layers that are looked at.
        steps: how many steps sequences have.
        name: the output, by the layer that makes it or its number, of a model with several; `h` is that output itself.

    Raises:
        LayoutMismatch: no such output reads the layer, or the layers behind it cannot read so many steps.
    """
    network, bare = model.network, identity(stack.outputs)
    if name == "h":
        return LookedAt(bare, "as was asked for")
    if network is None:
        if name is not None:
            raise LayoutMismatch(f"there is no output {name!r}", ["the file tells no network"], "Hand in a matrix.")
        return LookedAt(bare, "the file tells no network behind it")
    layer = stack.layers[-1].name
    heads, reasons = _heads(network, stack)
    if name is not None:
        outputs = [*_outputs(network)]
        name = outputs[int(name)] if name.isdecimal() and int(name) < len(outputs) else name
        if name not in heads:
            details = [f"{key}: {reasons.get(key, reasons.get('*', 'is'))}" for key in outputs]
            raise LayoutMismatch(f"no output {name!r} is made of {layer} alone", details, "Name one that is.")
        heads = {name: heads[name]}
    if len(heads) != 1:
        several = f"the model has several outputs ({', '.join(heads)}): name one with --readout"
        none = f"the model's output is not made of it alone: {'; '.join(dict.fromkeys(reasons.values()))}"
        return LookedAt(bare, several if heads else none)
    ((name, head),) = heads.items()
    return (
        LookedAt(_head(network, head, name, stack, steps))
        if head.calls
        else LookedAt(bare, "it is what the model puts out")
    )


def _heads(network: Network, stack: Stack) -> tuple[dict[str, Network], dict[str, str]]:
    """Return what makes each output of the stack's alone, and of the other outputs what else they are made of."""
    heads, reasons = {}, {}
    layer = stack.layers[-1].name
    place = call_of(network, layer)
    if place is None:
        return {}, {"*": f"{layer} is called more than once"}
    if network.layers[network.calls[place - len(network.inputs)].layer].each_step:
        return {}, {"*": f"{layer} is run on each of several sequences in a sample"}
    for name, feed in _outputs(network).items():
        try:
            heads[name] = part_of(network, Feed(place), feed, _given(stack))
        except Unsupported as error:
            reasons[name] = "; ".join(error.details) or error.what
    return heads, reasons


def _outputs(network: Network) -> dict[str, Feed]:
    """Return a network's outputs by the layers that make them; of several outputs of one layer, with their numbers."""
    named: dict[str, Feed] = {}
    for feed in network.outputs:
        name = network.calls[feed.step - len(network.inputs)].layer if feed.step >= len(network.inputs) else "input"
        named[name if name not in named and not feed.output else f"{name}:{feed.step}:{feed.output}"] = feed
    return named


def _given(stack: Stack) -> Input:
    width = (stack.outputs,)
    return Input("h", (None, *width) if stack.layers[-1].return_sequences else width)


def _head(network: Network, head: Network, name: str, stack: Stack, steps: int) -> Output:
    sequences = stack.layers[-1].return_sequences
    made = steps_of(head, EACH if sequences else LAST)[head.outputs[0].step]
    every, by_step = made not in (EACH, LAST), made in (EACH, NEIGHBOURS)
    source, masked = Feed(call_of(network, stack.layers[-1].name) or 0), None
    if every and mask_of_feed(network, source, reaching(network)) is not None:
        masked = part_of(network, source, _outputs(network)[name], _given(stack), Input("counts", (None,)))
    shape = (1, steps if every else 1, stack.outputs) if sequences else (1, stack.outputs)
    try:
        y = run_network(head, [np.zeros(shape)])[0]
    except LayoutMismatch as error:
        raise LayoutMismatch(
            f"the rest of the model cannot read {stack.layers[-1].name} after sequences of {steps} steps",
            [error.what, *error.details],
            "Hand in sequences as long as those it was made for, or look at h itself (--readout h).",
        ) from error
    size = (y[:, -1] if by_step else y).size
    layers = ", ".join(dict.fromkeys(call.layer for call in head.calls))
    said = f"the rest of the model, {layers}" + (", at the last step" if by_step else "")
    return Head(head, masked, every, sequences, by_step, size, said)


def is_h(readout: Output) -> bool:
    """Return whether a readout is h itself.

    Args:
        readout: the readout.
    """
    return readout.source == H_ITSELF

"""Which mask reaches each call of a network: who makes it, who passes it on, and how several are joined.

A mask says which steps count, (batch, time). The rules are those of `KINDS[...].mask`. Where a layer works on each
entry along axis 1 by itself, the mask over that axis passes it by; one that such a layer makes is over the axis after,
(batch, entries, time): it is for the layers that work on each entry too, and ends with them.

*Source:* keras 3.15.1 and 2.15, keras/src/layers/merging/base_merge.py, concatenate.py, rnn/time_distributed.py
"""

from collections.abc import Sequence
from dataclasses import dataclass

from lstm_convert.canonical.kinds import ENDS, JOINS, KINDS, MAKES
from lstm_convert.canonical.network import Call, Feed, Layer, Network
from lstm_convert.errors import Unsupported

# How the masks of several inputs become one.
ALL, ANY, IN_TURN = "all", "any", "in turn"

_TIME = (1, -2)  # of (batch, time, features)


@dataclass(frozen=True)
class Made:
    """The mask of an embedding, where its input is not zero, or a masking layer, where some feature is not its value.

    Args:
        step: the call that makes it, counted as `Feed.step` is.
    """

    step: int


@dataclass(frozen=True)
class Given:
    """A mask that is handed to a call as an array.

    Args:
        feed: whose numbers are true where a step counts.
    """

    feed: Feed


@dataclass(frozen=True)
class Joined:
    """The masks of several inputs as one.

    Args:
        how: a step counts where it does in `all` of the parts or in `any`; or the parts come one after another along
            time, `in turn`.
        parts: the masks; None only where they come in turn, for one input each: all of its steps count.
        feeds: of parts in turn, whose lengths they have.
    """

    how: str
    parts: tuple["Mask | None", ...]
    feeds: tuple[Feed, ...] = ()


Mask = Made | Given | Joined


def reaching(network: Network) -> list[Mask | None]:
    """Return the mask on each step's output, inputs first, then calls, as `Feed.step` counts them.

    Of a recurrent layer it is on its sequences, and not on the states that it returns beside them.

    Args:
        network: the layers and their calls.

    Raises:
        Unsupported: a layer makes a mask for each entry along axis 1 by itself, and there is one over that axis.
    """
    reached: list[Mask | None] = [None] * len(network.inputs)
    for call in network.calls:
        reached.append(_after(network, call, reached))
    return reached


def mask_of_feed(network: Network, feed: Feed, reached: Sequence[Mask | None]) -> Mask | None:
    """Return the mask on an output.

    Args:
        network: the layers and their calls.
        feed: which output.
        reached: what `reaching` says of the steps up to it.
    """
    return None if network.is_state(feed) else reached[feed.step]


def mask_of_call(network: Network, call: Call, reached: Sequence[Mask | None]) -> Mask | None:
    """Return the mask that a call's layer is given; of a merge, that of its inputs as one.

    Args:
        network: the layers and their calls.
        call: one of its calls.
        reached: what `reaching` says of the steps before it.
    """
    layer = network.layers[call.layer]
    mask = _on_inputs(network, call, reached)
    return mask if mask is None or _is_of_entries(network, mask) == layer.each_step else None


def masks_of_inputs(network: Network, call: Call, reached: Sequence[Mask | None]) -> tuple[Mask | None, ...]:
    """Return the mask on each of a call's inputs.

    Args:
        network: the layers and their calls.
        call: one of its calls.
        reached: what `reaching` says of the steps before it.
    """
    return tuple(mask_of_feed(network, feed, reached) for feed in call.inputs)


def _on_inputs(network: Network, call: Call, reached: Sequence[Mask | None]) -> Mask | None:
    layer, masks = network.layers[call.layer], masks_of_inputs(network, call, reached)
    if call.mask is not None:
        return Given(call.mask)
    if KINDS[layer.kind].mask == JOINS:
        return _joined(layer, call, masks, network.joins)
    return masks[0] if masks else None


def _after(network: Network, call: Call, reached: Sequence[Mask | None]) -> Mask | None:
    layer, before = network.layers[call.layer], _on_inputs(network, call, reached)
    rule = KINDS[layer.kind].mask
    passes_by = layer.each_step and before is not None and not _is_of_entries(network, before)
    if rule == MAKES and layer.options.get("mask_zero", True):
        if passes_by:
            raise Unsupported(f"{layer.name}: makes a mask for each entry, beside a mask over the entries")
        return Made(len(reached))
    if passes_by:
        return before
    ends = rule in (ENDS, MAKES) or (layer.recurrent is not None and not layer.recurrent.return_sequences)
    return None if ends else mask_of_call(network, call, reached)


def _is_of_entries(network: Network, mask: Mask) -> bool:
    """Return whether a mask was made for each entry along axis 1 by itself."""
    if isinstance(mask, Made):
        return network.layers[network.calls[mask.step - len(network.inputs)].layer].each_step
    parts = mask.parts if isinstance(mask, Joined) else ()
    return any(_is_of_entries(network, part) for part in parts if part is not None)


def _joined(layer: Layer, call: Call, masks: tuple[Mask | None, ...], joins: str) -> Mask | None:
    there = tuple(dict.fromkeys(mask for mask in masks if mask is not None))
    form = layer.options["form"]
    if form == "dot" or not there:
        return None
    if form == "concatenate" and layer.options["axis"] in _TIME:
        return Joined(IN_TURN, masks, call.inputs)
    if joins == ANY and None in masks:
        return None  # every step of the input without a mask counts
    return there[0] if len(there) == 1 else Joined(joins, there)

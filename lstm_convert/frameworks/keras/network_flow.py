"""What flows through a network on its way to Keras: how many axes each output has, of which type of number it is."""

from lstm_convert.canonical import Feed, Network
from lstm_convert.canonical.network import Call, Layer

# The axes of what a recurrent layer returns: all steps, or one of them.
_SEQUENCE, _STEP = 3, 2


def needed(network: Network) -> list[bool]:
    """Return of each call whether an output of the network comes of it; Keras knows no others.

    Args:
        network: the layers and their calls.
    """
    first = len(network.inputs)
    used = {feed.step for feed in network.outputs}
    for number in reversed(range(len(network.calls))):
        if number + first in used:
            used |= {feed.step for feed in read_by(network.calls[number])}
    return [number + first in used for number in range(len(network.calls))]


def read_by(call: Call) -> tuple[Feed, ...]:
    """Return all that a call reads, in Keras's order: its inputs, the states that it starts from, its mask."""
    return (*call.inputs, *call.states, *([] if call.mask is None else [call.mask]))


def ranks(network: Network) -> list[int]:
    """Return how many axes the output of each step has, the batch among them; of a recurrent layer, its sequence.

    Args:
        network: the layers and their calls.
    """
    found = [1 + len(entry.shape) for entry in network.inputs]
    for call in network.calls:
        found.append(_rank_after(network.layers[call.layer], [rank_of(network, feed, found) for feed in call.inputs]))
    return found


def rank_of(network: Network, feed: Feed, found: list[int]) -> int:
    """Return how many axes an output has.

    Args:
        network: the layers and their calls.
        feed: the output.
        found: the ranks of the steps up to it.
    """
    return _STEP if is_state(network, feed) else found[feed.step]


def is_state(network: Network, feed: Feed) -> bool:
    """Return whether an output is a state that a recurrent layer returns beside its sequence.

    Args:
        network: the layers and their calls.
        feed: the output.
    """
    number = feed.step - len(network.inputs)
    recurrent = network.layers[network.calls[number].layer].recurrent if number >= 0 else None
    return recurrent is not None and feed.output >= (1 if recurrent.merge else len(recurrent.cells))


def dtypes(network: Network) -> list[str]:
    """Return the type of number that each step's layer computes in: that of its arrays, else of what it reads.

    Args:
        network: the layers and their calls.
    """
    found = [entry.dtype if "float" in entry.dtype else "float32" for entry in network.inputs]
    for call in network.calls:
        found.append(own_dtype(network.layers[call.layer]) or found[call.inputs[0].step])
    return found


def own_dtype(layer: Layer) -> str | None:
    """Return the type of a layer's arrays, or None where it has none."""
    if layer.recurrent is not None:
        return str(layer.recurrent.forward.W.dtype.name)
    return next((str(array.dtype.name) for array in layer.arrays.values()), None)


def _rank_after(layer: Layer, given: list[int]) -> int:
    inner = [rank - 1 for rank in given] if layer.each_step else given
    return _own_rank(layer, inner) + (1 if layer.each_step else 0)


def _own_rank(layer: Layer, given: list[int]) -> int:
    options = layer.options
    if layer.recurrent is not None:
        return _SEQUENCE if layer.recurrent.return_sequences else _STEP
    if layer.kind == "merge":
        # Each loses the axis that is multiplied away, and one batch is shared; numbers alone stand in an axis of one.
        return max(2, sum(given) - 3) if options["form"] == "dot" else max(given)
    changed = {
        "embedding": given[0] + 1,
        "flatten": 2,
        "global_pool": given[0] if options.get("keepdims") else 2,
        "repeat": 3,
        "reshape": len(options.get("shape", ())) + 1,
        "take": given[0] - 1,
    }
    return changed.get(layer.kind, given[0])

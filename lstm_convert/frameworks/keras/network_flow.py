"""What flows through a network on its way to Keras: what an output comes of, and which types of number there are."""

from lstm_convert.canonical import Feed, Network
from lstm_convert.canonical.network import Call, Layer


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

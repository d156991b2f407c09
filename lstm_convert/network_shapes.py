"""The shapes of what a network computes on its way."""

from itertools import islice

from lstm_convert.canonical import Network
from lstm_convert.network_inputs import fitting_lengths, network_inputs
from lstm_convert.network_reference import every_step

BATCH, TIME = "batch", "time"

# A size of an array: a number, the batch's or the inputs' free size, or None where it follows from that: time - 2.
Size = int | str | None


def shapes(network: Network) -> list[tuple[tuple[Size, ...], ...]]:
    """Return the shape of each output of each step, as `Feed` counts them.

    They are found by running the network with two sizes of the axes that may have any; where only one fits, such sizes
    are given as numbers. That a size is `time` means that it is the inputs' free size; it is one for all of them here.

    Args:
        network: the layers and their calls.

    Raises:
        InvalidFile: the network runs with no size of its inputs that was tried.
        LayoutMismatch: a layer cannot read what it gets.
        Unsupported: an activation, a merge or a mask cannot be computed.
    """
    times = list(islice(fitting_lengths(network), 2))
    runs = [every_step(network, network_inputs(network, 0, 1, time)) for time in times]
    return [
        tuple(_shape([array.shape for array in arrays], times) for arrays in zip(*outputs, strict=True))
        for outputs in zip(*runs, strict=True)
    ]


def _shape(found: list[tuple[int, ...]], times: list[int]) -> tuple[Size, ...]:
    return (BATCH, *(_size(list(sizes), times) for sizes in zip(*(shape[1:] for shape in found), strict=True)))


def _size(sizes: list[int], times: list[int]) -> Size:
    if len(set(sizes)) == 1:
        return sizes[0]
    return TIME if sizes == times else None

"""What the first recurrent layer reads: the data itself, or what the layers before it make of the model's own input.

Those layers are run by the float64 reference, a batch at a time, with the masks that they make.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lstm_convert.analysis.stacks import Stack
from lstm_convert.canonical import Feed, Input, Model, Network
from lstm_convert.errors import LayoutMismatch, Unsupported
from lstm_convert.network.masks import Mask, reaching
from lstm_convert.network.parts import part_of
from lstm_convert.network.reference import every_step, mask_array
from lstm_convert.network.steps import EACH, NEIGHBOURS, WHOLE, steps_of

Float64 = NDArray[np.float64]
Bool = NDArray[np.bool_]
Rows = slice | NDArray[np.intp]
DataIs = Literal["model", "layer"]

_AXES = 3  # of what a recurrent layer reads: sequences, steps, features


@dataclass(frozen=True, eq=False)
class Sequences:
    """Sequences as a recurrent layer reads them.

    Args:
        x: (sequences, steps, inputs), in float64.
        counts: which steps count, (sequences, steps), or None where all do.
    """

    x: Float64
    counts: Bool | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Sequences, steps, inputs."""
        sequences, steps, inputs = self.x.shape
        return sequences, steps, inputs

    def __len__(self) -> int:
        return len(self.x)

    def read(self, rows: Rows) -> "Sequences":
        """Return some of them.

        Args:
            rows: which.
        """
        return Sequences(self.x[rows], None if self.counts is None else self.counts[rows])


@dataclass(frozen=True, eq=False)
class Data:
    """The user's data, and what makes of it what the first recurrent layer reads.

    Args:
        array: the data; may be memory-mapped.
        network: what stands before that layer, or None where the data is what it reads.
        shape: sequences, steps and inputs of what it reads.
        said: what must be known of the two, one sentence each.
        mask: the mask on what the layer reads, if any.
    """

    array: NDArray[Any]
    network: Network | None
    shape: tuple[int, int, int]
    said: tuple[str, ...] = ()
    mask: Mask | None = None

    @classmethod
    def plain(cls, array: NDArray[Any]) -> "Data":
        """Return data that is what the layer reads.

        Args:
            array: (sequences, steps, inputs).
        """
        sequences, steps, inputs = array.shape
        return cls(array, None, (sequences, steps, inputs))

    def __len__(self) -> int:
        return len(self.array)

    def read(self, rows: Rows) -> Sequences:
        """Return what the layer reads of some sequences.

        Args:
            rows: which.

        Raises:
            LayoutMismatch: the layers before it cannot read them: a word that is in no vocabulary.
        """
        x = np.asarray(self.array[rows], np.float64)
        if self.network is None:
            return Sequences(x)
        values = every_step(self.network, [x])
        counts = mask_array(self.network, self.mask, values)
        end = self.network.outputs[0]
        return Sequences(values[end.step][end.output], counts)


def data_of(model: Model, stack: Stack, array: NDArray[Any], data_is: DataIs | None = None) -> Data:
    """Return data as the first recurrent layer reads it.

    Args:
        model: the model.
        stack: the layers that are looked at.
        array: the model's own input, (sequences, …), or what the layer reads, (sequences, steps, inputs).
        data_is: which of both, where the shape tells neither.

    Raises:
        LayoutMismatch: it is neither of both, may be either, or the layers before cannot read it.
    """
    own, missing = _before(model, stack)
    fits_layer = array.ndim == _AXES and array.shape[2] == stack.inputs and array.size > 0
    fits_own = own is not None and _fits(own.inputs[0], array)
    layer = stack.layers[0].name
    if own is None and data_is == "model":
        raise LayoutMismatch(
            f"it is not known what stands between the model's input and {layer}", [missing], "hand in what it reads"
        )
    if own is None or not own.calls or data_is == "layer" or (fits_layer and not fits_own):
        if not fits_layer:
            raise LayoutMismatch(
                "this cannot be analyzed", [*_expected(own, stack, array), *([missing] if missing else [])]
            )
        return Data.plain(array)
    if not fits_own:
        raise LayoutMismatch("this cannot be analyzed", _expected(own, stack, array))
    if fits_layer and data_is is None and not _hands_on(own):
        raise LayoutMismatch(
            "this data may be two things",
            _expected(own, stack, array),
            "say which with --data-is model or --data-is layer",
        )
    if _readers(own) == {"embedding"} and not all((part == np.floor(part)).all() for part in map(np.asarray, array)):
        raise LayoutMismatch(
            "this cannot be analyzed", [f"data: expected words' numbers, whole ones, of {layer}'s model"]
        )
    found = Data(array, own, (0, 0, 0), tuple(_said(own, layer)), reaching(own)[own.outputs[0].step])
    first = found.read(slice(1))
    if first.x.ndim != _AXES or (first.counts is not None and first.counts.shape != first.x.shape[:2]):
        raise LayoutMismatch(f"{layer} reads no sequences of its own", [f"it reads {first.x.shape[1:]} of each sample"])
    return replace(found, shape=(len(array), first.x.shape[1], first.x.shape[2]))


def _fits(given: Input, array: NDArray[Any]) -> bool:
    return (
        array.ndim == 1 + len(given.shape)
        and array.size > 0
        and all(size in (None, found) for size, found in zip(given.shape, array.shape[1:], strict=True))
    )


def _expected(own: Network | None, stack: Stack, array: NDArray[Any]) -> list[str]:
    """Return what data may be, a line each, and what it is."""
    steps = f"(sequences, steps, {stack.inputs})"
    if own is None or not own.calls:
        return [f"data: expected {steps}, found {array.shape}"]
    given = own.inputs[0]
    shape = ", ".join(["sequences", *("any" if size is None else str(size) for size in given.shape)])
    layer = stack.layers[0].name
    return [
        f"data: expected the model's input {given.name}, ({shape}), or what {layer} reads, {steps}; found {array.shape}"
    ]


def _hands_on(network: Network) -> bool:
    """Return whether layers leave numbers as they are, but for steps that do not count."""
    return all(layer.kind in ("dropout", "masking") for layer in network.layers.values())


def _before(model: Model, stack: Stack) -> tuple[Network | None, str]:
    """Return what stands between the model's input and the first recurrent layer, or why that is not known."""
    network = model.network
    if network is None:
        return None, ""
    place = call_of(network, stack.layers[0].name)
    if place is None:
        return None, f"{stack.layers[0].name} is called more than once"
    call = network.calls[place - len(network.inputs)]
    if call.states or call.mask:
        return None, f"{call.layer} is handed {'states' if call.states else 'a mask'} by another layer"
    if network.layers[call.layer].each_step:
        return None, f"{call.layer} is run on each of several sequences in a sample"
    reasons: list[str] = []
    for number, given in enumerate(network.inputs):
        try:
            return part_of(network, Feed(number), call.inputs[0], given), ""
        except Unsupported as error:
            reasons += error.details
    return None, f"{call.layer} reads more than one input" if len(network.inputs) > 1 else "; ".join(reasons)


def call_of(network: Network, name: str) -> int | None:
    """Return the only step that calls a recurrent layer, as `Feed.step` counts it, or None where several do.

    Args:
        network: the layers and their calls.
        name: the recurrent layer's name.
    """
    recurrent = [network.layers[call.layer].recurrent for call in network.calls]
    places = [
        step for step, each in enumerate(recurrent, len(network.inputs)) if each is not None and each.name == name
    ]
    return places[0] if len(places) == 1 else None


def _said(network: Network, layer: str) -> Iterator[str]:
    names = ", ".join(dict.fromkeys(call.layer for call in network.calls))
    end = network.outputs[0].step
    made = steps_of(network, EACH if _has_steps(network) else WHOLE)[end]
    yield f"the data is the model's own input, of which {names} make what {layer} reads"
    if made == NEIGHBOURS:
        yield f"{names}: each step that {layer} reads stands for the same step of the data, but is made of others too"
    elif made != EACH:
        yield f"{names}: steps of the data do not stay steps; lags count the steps that {layer} reads"


def _has_steps(network: Network) -> bool:
    """Return whether axis 1 of a network's input is one of steps: of words alone where an embedding reads them."""
    return len(network.inputs[0].shape) > 1 or _readers(network) == {"embedding"}


def _readers(network: Network) -> set[str]:
    """Return the kinds of the layers that read a network's input."""
    return {network.layers[call.layer].kind for call in network.calls if Feed(0) in call.inputs}

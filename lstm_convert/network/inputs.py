"""Random inputs on which networks are compared: words of the vocabulary, padding where it is masked, else numbers."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_convert.canonical import Input, Layer, Network
from lstm_convert.errors import InvalidFile, LayoutMismatch, Unsupported
from lstm_convert.network.reference import run_network
from lstm_convert.network.sizes import MOST_NUMBERS
from lstm_convert.sequences import normal

Array = NDArray[Any]

# Tried in this order: odd lengths first, which show what is rounded, then those that halve often.
LENGTHS = (7, 11, 17, 33, 67, 131, 263, 8, 16, 64, 128, 256, 512, 1024)

# Layers that hand on the numbers they read.
_HANDING_ON = (
    "cropping", "dropout", "flatten", "flip", "masking", "permute", "repeat", "reshape", "take", "upsampling",
)  # fmt: skip
_WORDS = 10
_SHARE_OF_PADDING_INSIDE = 0.15


@dataclass
class _Use:
    """What is done with the numbers of an input."""

    embeddings: list[Layer] = field(default_factory=list)
    maskings: list[Layer] = field(default_factory=list)
    is_mask: bool = False


def network_inputs(network: Network, seed: int = 0, batch: int = 2, time: int | None = None) -> list[Array]:
    """Return one array for each input of a network, (batch, *shape), always the same for the same arguments.

    Words are whole numbers of the smallest vocabulary that they are looked up in. Where zeros are masked there are some
    in front of every other row, behind those between, and inside; where a masking layer reads an input, so are whole
    steps of its value. All else is normal.

    Args:
        network: the layers and their calls.
        seed: of the numbers.
        batch: how many samples.
        time: the size of all axes that may have any; where None, the first of `LENGTHS` that fits.

    Raises:
        InvalidFile: the network runs with no such size.
    """
    if time is None:
        time = next(fitting_lengths(network))
    random = np.random.default_rng(seed)
    uses = _uses(network)
    return [_array(given, use, random, batch, time) for given, use in zip(network.inputs, uses, strict=True)]


def fitting_lengths(network: Network) -> Iterator[int]:
    """Yield the sizes of `LENGTHS` with which a network runs; the first alone where no axis may have any size.

    Args:
        network: the layers and their calls.

    Raises:
        InvalidFile: there is none; the reason is that of the last.
    """
    if not any(None in given.shape for given in network.inputs):
        yield LENGTHS[0]
        return
    found, reason = False, ""
    for length in LENGTHS:
        try:
            run_network(network, network_inputs(network, 0, 1, length))
        except LayoutMismatch as error:
            reason = str(error)
            continue
        found = True
        yield length
    if not found:
        raise InvalidFile("the network runs with no length of its inputs", [*reason.splitlines()])


def _uses(network: Network) -> list[_Use]:
    """Return what is done with each input, by layers that read it itself or what others hand on of it."""
    uses = [_Use() for _ in network.inputs]
    sources = [{number} for number in range(len(network.inputs))]
    for call in network.calls:
        layer = network.layers[call.layer]
        read = set().union(*(sources[feed.step] for feed in call.inputs))
        for number in read:
            if layer.kind == "embedding":
                uses[number].embeddings.append(layer)
            elif layer.kind == "masking":
                uses[number].maskings.append(layer)
        for number in sources[call.mask.step] if call.mask else ():
            uses[number].is_mask = True
        handed_on = layer.kind in _HANDING_ON or layer.options.get("form") == "concatenate"
        sources.append(read if handed_on else set())
    return uses


def _array(given: Input, use: _Use, random: np.random.Generator, batch: int, time: int) -> Array:
    shape = (batch, *(time if size is None else size for size in given.shape))
    if math.prod(shape) > MOST_NUMBERS:
        raise Unsupported(f"its input {given.name} of shape {shape} is too large to be run")
    if use.is_mask:
        return np.logical_not(_padding(random, shape))
    if use.embeddings or "int" in given.dtype:
        words = min((len(layer.arrays["kernel"]) for layer in use.embeddings), default=_WORDS)
        masked = any(layer.options["mask_zero"] for layer in use.embeddings)
        drawn = random.integers(min(int(masked), words - 1), words, shape)
        return np.where(_padding(random, shape), 0, drawn) if masked else drawn
    numbers = normal(random, shape)
    for layer in use.maskings:
        padding = _padding(random, shape[:-1])[..., None]
        numbers = np.where(padding, np.float64(np.float32(layer.options["value"])), numbers)
    return numbers


def _padding(random: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return which steps, along the last axis, do not count: in front of even rows, behind odd ones, and inside."""
    if len(shape) == 1:
        return np.zeros(shape, bool)
    padding = random.random(shape) < _SHARE_OF_PADDING_INSIDE
    ends = shape[-1] // 4
    padding[::2, ..., :ends] = True
    padding[1::2, ..., shape[-1] - ends :] = True
    return padding

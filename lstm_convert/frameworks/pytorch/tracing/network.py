"""The network that a trace becomes: its layers by name, its calls, and what is left of both in the end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from lstm_convert.canonical import Array, Call, Feed, Input, Layer, Network, Recurrent
from lstm_convert.canonical.kinds import RECURRENT
from lstm_convert.frameworks.pytorch.tracing.values import Tensor


@dataclass
class Building:
    """A network in the making.

    Args:
        inputs: its inputs.
        dtype: of its weights.
        layers: the layers so far.
        calls: their calls so far.
        notes: what is left out of it that makes no difference once it is trained.
        seen: what is known of what was made, its axes as they are made.
    """

    inputs: tuple[Input, ...]
    dtype: str
    layers: dict[str, Layer] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seen: dict[Feed, Tensor] = field(default_factory=dict)

    def call(
        self,
        name: str,
        kind: str,
        options: Mapping[str, Any],
        arrays: Mapping[str, Array],
        inputs: Sequence[Feed],
    ) -> Feed:
        """Return the output of a call of a layer; the same layer under the same name is called again."""
        return self._called(Layer(name, kind, options, arrays), inputs, ())

    def call_recurrent(self, layer: Recurrent, inputs: Sequence[Feed], states: Sequence[Feed]) -> Feed:
        """Return the sequence that a recurrent layer makes; its states are the outputs after that."""
        return self._called(Layer(layer.name, RECURRENT, recurrent=layer), inputs, states)

    def _called(self, layer: Layer, inputs: Sequence[Feed], states: Sequence[Feed]) -> Feed:
        name, number = layer.name, 0
        while name in self.layers and not _alike(self.layers[name], layer):
            number += 1
            name = f"{layer.name}_{number}"
        self.layers.setdefault(name, replace(layer, name=name))
        self.calls.append(Call(name, tuple(inputs), tuple(states)))
        return Feed(len(self.inputs) + len(self.calls) - 1)

    def see(self, x: Tensor) -> Tensor:
        """Return a tensor, and remember what is known of it."""
        axes = range(len(x.order))
        sizes = tuple(x.sizes[x.order.index(axis)] for axis in axes)
        self.seen[x.feed] = Tensor(x.feed, tuple(axes), sizes, x.whole)
        return x

    def maker(self, feed: Feed) -> tuple[Layer, Call] | None:
        """Return the layer and the call that make something; None for an input."""
        number = feed.step - len(self.inputs)
        return None if number < 0 else (self.layers[self.calls[number].layer], self.calls[number])

    def finished(self, outputs: Sequence[Feed]) -> Network:
        """Return the network that makes some outputs, without the calls that nobody reads."""
        first, needed = len(self.inputs), {feed.step for feed in outputs}
        for number, call in reversed(list(enumerate(self.calls, first))):
            if number in needed:
                needed |= {feed.step for feed in (*call.inputs, *call.states)}
        kept = [number for number in range(first, first + len(self.calls)) if number in needed]
        places = {old: new for new, old in enumerate([*range(first), *kept])}

        def moved(feeds: Sequence[Feed]) -> tuple[Feed, ...]:
            return tuple(Feed(places[feed.step], feed.output) for feed in feeds)

        calls = [self.calls[number - first] for number in kept]
        calls = [replace(call, inputs=moved(call.inputs), states=moved(call.states)) for call in calls]
        called = {call.layer for call in calls}
        layers = {name: layer for name, layer in self.layers.items() if name in called}
        return with_neighbours(Network(self.inputs, layers, tuple(calls), moved(outputs)))


def with_neighbours(network: Network) -> Network:
    """Return a network whose recurrent layers say whom they follow, and whether their last states are read."""
    readers = [feed for call in network.calls for feed in (*call.inputs, *call.states)] + list(network.outputs)
    first = len(network.inputs)
    layers = dict(network.layers)
    for number, call in enumerate(network.calls, first):
        recurrent = layers[call.layer].recurrent
        if recurrent is None:
            continue
        once = [each.layer for each in network.calls].count(call.layer) == 1
        read = {feed.output for feed in readers if feed.step == number}
        recurrent = replace(
            recurrent,
            return_state=recurrent.return_state or max(read, default=0) > 0,
            follows=_followed(network, call, readers) if once else None,
            starts_from=_started_from(network, call) if once else None,
        )
        layers[call.layer] = replace(layers[call.layer], recurrent=recurrent)
    return replace(network, layers=layers)


def _followed(network: Network, call: Call, readers: Sequence[Feed]) -> str | None:
    """Return the recurrent layer whose sequence a call reads and nobody else does, or None."""
    (feed,) = call.inputs
    below = _recurrent(network, feed)
    return below.name if below and feed.output == 0 and readers.count(feed) == 1 else None


def _started_from(network: Network, call: Call) -> str | None:
    """Return the recurrent layer with all of whose last states a call starts, or None."""
    steps = {feed.step for feed in call.states}
    if len(steps) != 1 or [feed.output for feed in call.states] != list(range(1, len(call.states) + 1)):
        return None
    giver = _recurrent(network, call.states[0])
    return giver.name if giver else None


def _recurrent(network: Network, feed: Feed) -> Recurrent | None:
    number = feed.step - len(network.inputs)
    return None if number < 0 else network.layers[network.calls[number].layer].recurrent


def _alike(one: Layer, other: Layer) -> bool:
    """Return whether two layers are one: the same kind, settings and numbers."""
    if (one.kind, one.options, one.recurrent and one.recurrent.origin) != (
        other.kind,
        other.options,
        other.recurrent and other.recurrent.origin,
    ):
        return False
    names = one.arrays.keys()
    return names == other.arrays.keys() and all(np.array_equal(one.arrays[name], other.arrays[name]) for name in names)

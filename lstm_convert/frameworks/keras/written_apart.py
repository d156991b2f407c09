"""One layer that a Keras 3 file holds as several, because Keras's backends compute the one differently.

An average pooling with padding 'same', by the same of as many ones: `Divide(f(x), f(ones_like(x)))`, where f pads with
zeros, pools and crops; a layer normalisation of inner axes, between two Permutes; and the last step, as the first of
time turned around. `network_windows` and `network_layers` write them so; here they are read as the one layer they are.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lstm_convert.errors import Unsupported
from lstm_convert.frameworks.keras.neighbour import Neighbour
from lstm_convert.frameworks.keras.neighbours import neighbour
from lstm_convert.frameworks.keras.settings import Age
from lstm_convert.frameworks.keras.wiring import Value, WiredCall, Wiring
from lstm_convert.frameworks.keras.written_masks import MASK_ARGUMENTS


@dataclass(frozen=True)
class Together:
    """A wiring with one call where there were several.

    Args:
        wiring: its calls, with as many steps as before; the one layer is called where the last of the several was.
        hidden: the steps that make nothing any more.
        options: of layers by their node's id, what they are set to otherwise than they say.
    """

    wiring: Wiring
    hidden: frozenset[int] = frozenset()
    options: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)


def together(wiring: Wiring, age: Age) -> Together:
    """Return a wiring in which one layer that is written as several is one again.

    Args:
        wiring: the calls of an architecture.
        age: what the file's age says.
    """
    steps = _Steps(wiring, age)
    found = {
        number: one
        for number, call in enumerate(wiring.calls)
        if (one := _pooled(steps, call) or _normalized(steps, call) or _from_the_end(steps, call))
        and steps.read_here_alone(one.parts)
    }
    calls = tuple(found[number].call if number in found else call for number, call in enumerate(wiring.calls))
    hidden = frozenset(step for one in found.values() for step in one.parts)
    options = {id(one.call.node): one.options for one in found.values()}
    return Together(replace(wiring, calls=calls), hidden, options)


@dataclass(frozen=True)
class _Found:
    """A call of one layer, the steps that do its work beside the last, and its options that are set otherwise."""

    call: WiredCall
    parts: set[int]
    options: Mapping[str, Any] = field(default_factory=dict)


class _Steps:
    """The calls of a wiring by the steps that they are, and how often each is read."""

    def __init__(self, wiring: Wiring, age: Age) -> None:
        self._calls = dict(enumerate(wiring.calls, start=len(wiring.inputs)))
        self._age = age
        self._times = Counter(id(call.node) for call in wiring.calls)
        self._readers = Counter(step for call in wiring.calls for step, _ in _reads(call))
        self._readers.update(step for step, _ in wiring.outputs)

    def below(self, value: Value, *kinds: str) -> list[tuple[int, WiredCall]]:
        """Return the calls that a value comes of, each on the next, if they are of these kinds; nothing if not."""
        found: list[tuple[int, WiredCall]] = []
        for kind in kinds:
            call = self._calls.get(value[0])
            if call is None or self.kind(call) != kind or len(call.reads) != 1 or call.given.keys() - {*MASK_ARGUMENTS}:
                return []
            found.append((value[0], call))
            value = call.reads[0]
        wrapped = {call.wrapper is not None for _, call in found if not call.node.is_operation}
        return found if len(wrapped) <= 1 else []

    def kind(self, call: WiredCall) -> str:
        """Return the kind of a layer; of an operation that is no layer of a network by itself, its class."""
        if call.node.is_operation:
            return call.node.class_name
        what = self.what(call)
        return what.kind if what else ""

    def what(self, call: WiredCall) -> Neighbour | None:
        """Return what a layer is in a network; None where it is not ported, which is said elsewhere."""
        try:
            return neighbour(call.node, self._age, call.stated)
        except Unsupported:
            return None

    def called_once(self, call: WiredCall) -> bool:
        """Return whether a layer is called here alone."""
        return self._times[id(call.node)] == 1

    def read_here_alone(self, parts: set[int]) -> bool:
        """Return whether nothing else reads what some steps make."""
        return all(self._readers[step] == 1 for step in parts)


def _reads(call: WiredCall) -> Iterator[Value]:
    yield from call.reads
    for values in call.given.values():
        yield from values


def _pooled(steps: _Steps, call: WiredCall) -> _Found | None:
    """Return the average pooling that a quotient is, or None."""
    values = tuple(_reads(call))
    if steps.kind(call) != "Divide" or len(values) != 2 or call.stated:  # noqa: PLR2004 (of two)
        return None
    over, under = steps.below(values[0], *_AVERAGED), steps.below(values[1], *_AVERAGED, "OnesLike")
    if not over or not under or [each.node for _, each in over] != [each.node for _, each in under[:-1]]:
        return None
    crop, pool, pad = (steps.what(each) for _, each in over)
    if crop is None or pool is None or pad is None or pad.options["channels"] != pool.options["channels"]:
        return None
    ones, averaged = under[-1][1], over[-1][1]
    around = tuple((stride, stride) for stride in pool.options["strides"])
    as_written = (
        (pool.options["form"], pool.options["padding"]) == ("average", "same")
        and (pad.options["amounts"], crop.options["amounts"]) == (around, ((1, 1),) * len(around))
        and ones.reads == averaged.reads
    )
    return _Found(replace(over[1][1], reads=averaged.reads), {step for step, _ in over + under}) if as_written else None


_AVERAGED = ("cropping", "pool", "zero_padding")


def _normalized(steps: _Steps, call: WiredCall) -> _Found | None:
    """Return the layer normalisation that stands between two Permutes, of which this is the last, or None."""
    last = steps.what(call) if call.node.class_name == "Permute" and len(call.reads) == 1 else None
    if last is None:
        return None
    below = steps.below(call.reads[0], "layer_norm", "permute")
    norm, first = (steps.what(each) for _, each in below) if below else (None, None)
    if norm is None or first is None or not steps.called_once(below[0][1]):
        return None
    if (below[0][1].wrapper is None) != (call.wrapper is None):
        return None
    order, rank = first.options["order"], len(first.options["order"]) + 1
    if tuple(order[axis - 1] for axis in last.options["order"]) != tuple(range(1, rank)):
        return None
    axes = tuple(order[axis % rank - 1] for axis in norm.options["axes"])
    parts = {step for step, _ in below}
    return _Found(replace(below[0][1], reads=below[1][1].reads), parts, {"axes": axes})


def _from_the_end(steps: _Steps, call: WiredCall) -> _Found | None:
    """Return the step or feature, counted from the end, that one of what is turned around is, or None."""
    taken = steps.what(call) if steps.kind(call) == "Take" and len(call.reads) == 1 else None
    flipped = steps.below(call.reads[0], "Flip") if taken else []
    if taken is None or not flipped or not steps.called_once(call):
        return None
    (step, turning), index = flipped[0], taken.options["index"]
    turned = steps.what(turning)
    if turned is None or turned.options["axis"] != taken.options["axis"] or index < 0:
        return None
    return _Found(replace(call, reads=turning.reads), {step}, {"index": -1 - index})

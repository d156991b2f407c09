"""A part of a network as a network of its own: all that is computed between one output and another."""

from collections.abc import Iterable

from lstm_convert.canonical import Call, Feed, Input, Network
from lstm_convert.errors import Unsupported


def part_of(network: Network, source: Feed, target: Feed, given: Input, mask: Input | None = None) -> Network:
    """Return what makes one output of a network of another, and of nothing else.

    Args:
        network: the layers and their calls.
        source: the output that is read; the part's only input.
        target: the output that is made; the part's only output.
        given: what the part's input is.
        mask: what the part's second input is, the mask on the first, where there is one.

    Raises:
        Unsupported: it is made of something else too, or a merge reads what is masked.
    """
    first = len(network.inputs)
    needed = _needed(network, source, target)
    inputs = (given,) if mask is None else (given, mask)
    places = {source: Feed(0)}
    calls: list[Call] = []

    def moved(feeds: Iterable[Feed]) -> tuple[Feed, ...]:
        return tuple(
            places[each] if each == source else Feed(places[Feed(each.step)].step, each.output) for each in feeds
        )

    for step in sorted(needed - {source.step}):
        call = network.calls[step - first]
        handed = moved([call.mask])[0] if call.mask else None
        if mask is not None and source in call.inputs and handed is None:
            if network.layers[call.layer].kind == "merge":
                raise Unsupported(f"{call.layer} merges what is masked")
            handed = Feed(1)
        places[Feed(step)] = Feed(len(inputs) + len(calls))
        calls.append(Call(call.layer, moved(call.inputs), moved(call.states), handed))
    layers = {call.layer: network.layers[call.layer] for call in calls}
    return Network(inputs, layers, tuple(calls), moved([target]), network.joins)


def _needed(network: Network, source: Feed, target: Feed) -> set[int]:
    """Return the steps that are computed on the way back from the target to the source, the source's own too."""
    first, found, wrong = len(network.inputs), {source.step}, []
    waiting = [(target, "")]
    while waiting:
        feed, reader = waiting.pop()
        if feed == source:
            continue
        if feed.step == source.step:
            wrong.append(f"{reader} reads the states of {network.calls[feed.step - first].layer}")
        elif feed.step < first:
            wrong.append(f"{reader or 'it'} reads the input {network.inputs[feed.step].name}")
        elif feed.step not in found:
            found.add(feed.step)
            call = network.calls[feed.step - first]
            waiting += [
                (each, call.layer) for each in (*call.inputs, *call.states, *((call.mask,) if call.mask else ()))
            ]
    if wrong:
        raise Unsupported("this part of the network does not stand alone", sorted(set(wrong)))
    return found

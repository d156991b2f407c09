"""A whole network as plain values that JSON holds, and back. Its arrays are kept elsewhere, by keys that it names."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from lstm_convert.canonical import Activation, Array, Call, Feed, Input, Layer, Network, Recurrent
from lstm_convert.canonical.kinds import KINDS
from lstm_convert.canonical.options import DTYPE, JOINS, SIZES, refusals
from lstm_convert.errors import InvalidFile
from lstm_convert.frameworks import document
from lstm_convert.network.shapes import shapes

_OF_INPUTS = {"shape": SIZES, "dtype": DTYPE}

# The arrays of layers that are not recurrent: by the layer's name, the key of each.
Keys = Mapping[str, Mapping[str, str]]


def network_to_json(network: Network, keys: Keys) -> dict[str, Any]:
    """Return what a network says beside its arrays and its recurrent layers, which are named.

    Args:
        network: the layers and their calls.
        keys: for each layer that is not recurrent, the key under which each of its arrays is kept.
    """
    return {
        "inputs": [asdict(each) for each in network.inputs],
        "layers": [
            {
                "name": layer.name,
                "kind": layer.kind,
                "options": {name: _to_json(value) for name, value in layer.options.items()},
                "arrays": {
                    name: {"key": keys[layer.name][name], "shape": list(array.shape)}
                    for name, array in layer.arrays.items()
                },
                "recurrent": layer.recurrent.name if layer.recurrent is not None else None,
                "each_step": layer.each_step,
            }
            for layer in network.layers.values()
        ],
        "calls": [
            {
                "layer": call.layer,
                "inputs": [_pair(feed) for feed in call.inputs],
                "states": [_pair(feed) for feed in call.states],
                "mask": _pair(call.mask) if call.mask else None,
            }
            for call in network.calls
        ],
        "outputs": [_pair(feed) for feed in network.outputs],
        "joins": network.joins,
    }


def network_from_json(
    said: Mapping[str, Any], recurrent: Mapping[str, Recurrent], read: Callable[[str], Array]
) -> Network:
    """Return the network that a document, its recurrent layers and its arrays make.

    Args:
        said: what `network_to_json` returned.
        recurrent: the recurrent layers by name.
        read: returns the array of a key.

    Raises:
        InvalidFile: a layer is set to what no such layer is, or a call reads what is not there.
        LayoutMismatch: an array or option is missing or not its layer's.
        LookupError, TypeError, AttributeError, ValueError: the document is damaged; whoever reads the file says so.
    """
    said = {**said, "layers": [_with_options(each) for each in said["layers"]]}
    if wrong := [*_refusals(said)]:
        raise InvalidFile("its network or layers of it are set to what they cannot be", wrong, "Copy the file again.")
    inputs = tuple(Input(str(each["name"]), tuple(each["shape"]), each["dtype"]) for each in said["inputs"])
    layers = [_layer(each, recurrent, read) for each in said["layers"]]
    calls = tuple(
        Call(
            str(call["layer"]),
            tuple(map(_feed, call["inputs"])),
            tuple(map(_feed, call["states"])),
            _feed(call["mask"]) if call["mask"] else None,
        )
        for call in said["calls"]
    )
    network = Network(
        inputs, {layer.name: layer for layer in layers}, calls, tuple(map(_feed, said["outputs"])), said["joins"]
    )
    _check(network)
    shapes(network)  # raises what a document raises whose options do not go with its arrays and inputs
    return network


def _with_options(said: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a document says of a layer, with its options as a network has them."""
    return {**said, "options": {str(name): _from_json(value) for name, value in said["options"].items()}}


def _refusals(said: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a network and its layers cannot be set to."""
    yield from refusals({"joins": JOINS}, said)
    for each in said["inputs"]:
        yield from (f"input {each['name']!s:.60}: {refusal}" for refusal in refusals(_OF_INPUTS, each))
    for each in said["layers"]:
        kind = KINDS[str(each["kind"])]
        yield from (f"{each['name']!s:.60}: {refusal}" for refusal in refusals(kind.options, each["options"]))


def _layer(said: Mapping[str, Any], recurrent: Mapping[str, Recurrent], read: Callable[[str], Array]) -> Layer:
    return Layer(
        str(said["name"]),
        str(said["kind"]),
        said["options"],
        {str(name): read(each["key"]).reshape(_sizes(each["shape"])) for name, each in said["arrays"].items()},
        None if said["recurrent"] is None else recurrent[said["recurrent"]],
        said["each_step"] is True,
    )


def _check(network: Network) -> None:
    """Refuse calls of layers, and reading of outputs, that are not there, or not yet."""
    first, steps = len(network.inputs), len(network.inputs) + len(network.calls)
    calls = [(f"call {place} of {call.layer:.60}:", call) for place, call in enumerate(network.calls)]
    wrong = [f"{said} no such layer" for said, call in calls if call.layer not in network.layers]
    if not wrong:
        wrong += [f"{said} it reads nothing" for said, call in calls if not call.inputs]
        for place, (said, call) in enumerate(calls):
            feeds = (*call.inputs, *call.states, *((call.mask,) if call.mask else ()))
            wrong += _not_there(network, feeds, first + place, f"{said} reads")
        wrong += _not_there(network, network.outputs, steps, "outputs:")
    if wrong:
        raise InvalidFile("its network reads what is not there", wrong, "Copy the file again.")


def _not_there(network: Network, feeds: Iterable[Feed], steps: int, said: str) -> list[str]:
    """Return in words which outputs the first so many steps do not have."""
    return [
        f"{said} step {feed.step}, output {feed.output}"
        for feed in feeds
        if not (0 <= feed.step < steps and 0 <= feed.output < network.outputs_of(feed.step))
    ]


def _pair(feed: Feed) -> list[int]:
    return [feed.step, feed.output]


def _feed(pair: Any) -> Feed:
    step, output = pair
    if not isinstance(step, int) or not isinstance(output, int):
        raise TypeError(f"a feed is {pair!r:.60}")
    return Feed(step, output)


def _sizes(sizes: Any) -> tuple[Any, ...]:
    if not all(size is None or isinstance(size, int) for size in sizes):
        raise TypeError(f"a shape is {sizes!r:.60}")
    return tuple(sizes)


def _to_json(value: Any) -> Any:
    if isinstance(value, Activation):
        return asdict(value)
    return list(map(_to_json, value)) if isinstance(value, list | tuple) else value


def _from_json(value: Any) -> Any:
    if isinstance(value, Mapping):
        try:
            return document.activation_of(**value)
        except (TypeError, AttributeError):
            return value  # which no option may be
    return tuple(map(_from_json, value)) if isinstance(value, list) else value

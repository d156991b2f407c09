"""How a network is said: a line a call, and plain values. Nothing is printed here."""

from collections.abc import Iterator, Mapping
from typing import Any

from lstm_convert.canonical import Activation, Array, Feed, Network


def lines(network: Network) -> Iterator[str]:
    """Yield what a network is made of, a line an input and a line a call."""
    names = _names(network)
    width = max(map(len, (*names, *network.layers)), default=0)
    for given in network.inputs:
        shape = ", ".join("any" if size is None else str(size) for size in ("batch", *given.shape))
        yield f"{given.name:<{width}}  input ({shape}) {given.dtype}"
    for call in network.calls:
        layer = network.layers[call.layer]
        kind = f"{layer.kind}{_settings(layer.options)}" + _shapes(layer.arrays)
        repeated = " at each step" if layer.each_step else ""
        starts = f", starts from {_listed(names, call.states)}" if call.states else ""
        yield f"{layer.name:<{width}}  {kind}{repeated}, reads {_listed(names, call.inputs)}{starts}"
    yield f"returns {_listed(names, network.outputs)}"


def facts(network: Network) -> dict[str, Any]:
    """Return the same as plain values."""
    names = _names(network)
    return {
        "inputs": [{"name": given.name, "shape": list(given.shape), "dtype": given.dtype} for given in network.inputs],
        "calls": [
            {
                "layer": call.layer,
                "kind": network.layers[call.layer].kind,
                "options": {name: _plain(value) for name, value in network.layers[call.layer].options.items()},
                "arrays": {name: list(array.shape) for name, array in network.layers[call.layer].arrays.items()},
                "each_step": network.layers[call.layer].each_step,
                "reads": [_named(names, feed) for feed in call.inputs],
                "starts_from": [_named(names, feed) for feed in call.states],
            }
            for call in network.calls
        ],
        "outputs": [_named(names, feed) for feed in network.outputs],
    }


def _names(network: Network) -> list[str]:
    """Return the name of each step: of an input, or of the layer that is called."""
    return [given.name for given in network.inputs] + [call.layer for call in network.calls]


def _named(names: list[str], feed: Feed) -> str:
    return names[feed.step] + (f" [{feed.output}]" if feed.output else "")


def _listed(names: list[str], feeds: tuple[Feed, ...]) -> str:
    return ", ".join(_named(names, feed) for feed in feeds)


def _settings(options: Mapping[str, Any]) -> str:
    stated = [f"{name}={_plain(value)}" for name, value in options.items() if value is not None]
    return f"({', '.join(stated)})" if stated else ""


def _shapes(arrays: Mapping[str, Array]) -> str:
    return "".join(f", {name} {'x'.join(map(str, array.shape))}" for name, array in arrays.items())


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Activation) else value

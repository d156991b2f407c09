"""What is made of a layer's output: which of its steps the network around it reads."""

from collections.abc import Iterator

from lstm_convert.canonical import Feed, Layer, Model
from lstm_convert.diagnosis.layers import BACKWARD, FORWARD
from lstm_convert.diagnosis.layers import Layer as Explained
from lstm_convert.diagnosis.report import Mistake

_TIME = 1


def mistakes(right: Model, other: Model, layer: Explained) -> Iterator[Mistake]:
    """Yield the directions whose last step the other network takes from the wrong end.

    Args:
        right: the network that is right.
        other: the one that should be the same.
        layer: one of their layers, and what was done to it.
    """
    expected, found = (
        _from_last(model, name) for model, name in ((right, layer.right.name), (other, layer.other.name))
    )
    for direction in layer.taken:
        if expected.get(direction, True) and not found.get(direction, True):
            detail = (
                "the last step is taken from the wrong end: the step that this direction reads first; "
                "take h_n, or return_sequences=False"
            )
            yield Mistake("directions_exchanged", layer.right.name, direction, detail, layer.residual)


def _from_last(model: Model, name: str) -> dict[str, bool]:
    """Return for each direction of a layer whether the one step that is read of it is the one it reads last.

    Nothing is known where more steps are read, or the source does not tell its network.
    """
    layer = model[name]
    if not layer.return_sequences:
        return dict.fromkeys(layer.cells, True)
    steps = set(_steps_read(model, name))
    if not steps or not steps <= {0, -1} or len(steps) > 1:
        return {}
    (step,) = steps
    # Of the two directions the backward one is turned back to the order of time: what it read last comes first.
    return {FORWARD: step == -1} | ({BACKWARD: step == 0} if layer.backward else {})


def _steps_read(model: Model, name: str) -> Iterator[int | None]:
    """Yield which step of a layer's sequence each of its readers takes; None for all of them."""
    network = model.network
    if network is None:
        return
    made = [number for number, call in enumerate(network.calls, len(network.inputs)) if call.layer == name]
    sequences = [Feed(number) for number in made]
    for call in network.calls:
        if any(feed in sequences for feed in call.inputs):
            yield _taken(network.layers[call.layer])
    yield from (None for feed in network.outputs if feed in sequences)


def _taken(layer: Layer) -> int | None:
    """Return which step of a sequence a layer takes, or None where it reads all of them."""
    return layer.options["index"] if layer.kind == "take" and layer.options["axis"] == _TIME else None

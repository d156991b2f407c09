"""The layers and calls of a network, as they are made from the calls of a Keras architecture.

One recurrent layer of Keras may be several of a network: each cell of a stack is one, in each direction of a
Bidirectional. Where time comes before the batch (time_major of tf.keras 1.13 to 2.15), the two are exchanged around it.

Source: keras 2.15.0, keras/src/layers/rnn/base_rnn.py, bidirectional.py and stacked_rnn_cells.py
"""

from collections.abc import Sequence

from lstm_convert.canonical import Call, Feed, Layer, Recurrent
from lstm_convert.canonical.kinds import RECURRENT
from lstm_convert.frameworks.keras.recurrent_specs import RecurrentSpec
from lstm_convert.frameworks.keras.wiring import Value, Wiring

_EXCHANGED = {"order": (1, 0, 2)}  # time and batch
_MERGES = {"concat": "concatenate", "sum": "add", "mul": "multiply", "ave": "average"}


class Calls:
    """The layers and calls made so far.

    Args:
        wiring: the calls of the architecture, each of which is to be added or skipped in its turn.
    """

    def __init__(self, wiring: Wiring) -> None:
        first = len(wiring.inputs)
        self.layers: dict[str, Layer] = {}
        self.calls: list[Call] = []
        self.first_steps: dict[str, int] = {}  # the step of the wiring in which each layer is first called
        self.steps = list(range(first))  # the step of the network that makes what a step of the wiring does
        self.problems: list[str] = []
        self._wiring = wiring
        self._feeds: dict[Value, Feed] = {(number, 0): Feed(number) for number in range(first)}
        self._batch_first: dict[Value, Feed] = {}  # of what has time first in Keras

    def feed(self, value: Value) -> Feed:
        """Return what is an output of a call of the architecture; one that is not ported is a problem."""
        if value not in self._feeds and value in self._batch_first:
            turned = Layer(f"{self._path(value)}.time_first{value[1] or ''}", "transpose", _EXCHANGED)
            self._feeds[value] = self._called(turned, [self._batch_first[value]])
            self.first_steps[turned.name] = value[0]
        if value not in self._feeds:
            self.problems.append(f"{self._path(value)}: its output {value[1]} is read, which is not ported")
        return self._feeds.get(value, Feed(0))

    def skip(self) -> None:
        """Leave out a call that makes nothing of the network's own."""
        self.steps.append(0)

    def add(self, layers: Sequence[Layer], reads: Sequence[Feed]) -> None:
        """Add a call, of layers that are called one on the other."""
        for layer in layers:
            reads = [self._called(layer, reads)]
        self._finish(reads)

    def add_recurrent(
        self,
        layers: Sequence[Recurrent],
        spec: RecurrentSpec,
        read: Value,
        states: Sequence[Feed],
        mask: Feed | None,
        *,
        each_step: bool,
    ) -> None:
        """Add a call of a recurrent layer.

        Args:
            layers: what it is in a network, as `spec.names` has them.
            spec: what the architecture says of it.
            read: its sequence.
            states: what it starts from, in the order of its cells.
            mask: the mask that it is handed, or None.
            each_step: whether it stands in a TimeDistributed.
        """
        x, waiting = self._sequence(spec, read), list(states)
        sequences: list[list[Feed]] = []
        lasts: list[Feed] = []
        for names in spec.names:
            made = [x]
            for recurrent in (each for each in layers if each.name in names):
                layer = Layer(recurrent.name, RECURRENT, recurrent=recurrent, each_step=each_step)
                last = self._called(layer, made[:1], waiting[: recurrent.states], mask).step
                del waiting[: recurrent.states]
                made = [Feed(last, number) for number in range(recurrent.sequences)]
                returned = range(recurrent.states) if recurrent.return_state else ()
                lasts += [Feed(last, recurrent.sequences + number) for number in returned]
            sequences.append(made)
        outputs = sequences[0] if len(sequences) == 1 else self._joined(spec, sequences[0][0], sequences[1][0])
        self._finish(outputs + lasts, len(outputs) if spec.time_major and spec.options["return_sequences"] else 0)

    def _sequence(self, spec: RecurrentSpec, read: Value) -> Feed:
        """Return the sequence that a recurrent layer reads, its batch first."""
        if not spec.time_major:
            return self.feed(read)
        if read in self._batch_first:
            return self._batch_first[read]
        return self._called(Layer(f"{spec.node.path}.batch_first", "transpose", _EXCHANGED), [self.feed(read)])

    def _joined(self, spec: RecurrentSpec, forward: Feed, backward: Feed) -> list[Feed]:
        """Return what a Bidirectional makes of its directions: the backward one's steps in the order of the other's."""
        path, merge = spec.node.path, spec.options["merge"]
        if spec.options["return_sequences"]:
            backward = self._called(Layer(f"{path}.flip", "flip", {"axis": 1}), [backward])
        if merge is None:
            return [forward, backward]
        axis = -1 if merge == "concat" else None
        options = {"form": _MERGES[merge], "axis": axis, "axes": None, "normalize": False}
        return [self._called(Layer(path, "merge", options), [forward, backward])]

    def _called(
        self, layer: Layer, reads: Sequence[Feed], states: Sequence[Feed] = (), mask: Feed | None = None
    ) -> Feed:
        """Add one call, and return its first output."""
        self.layers.setdefault(layer.name, layer)
        self.first_steps.setdefault(layer.name, len(self.steps))
        self.calls.append(Call(layer.name, tuple(reads), tuple(states), mask))
        return Feed(len(self._wiring.inputs) + len(self.calls) - 1)

    def _finish(self, outputs: Sequence[Feed], time_first: int = 0) -> None:
        """Note what the outputs of the latest call are; the first of them have time first in Keras, and not here."""
        for number, feed in enumerate(outputs):
            kept = self._batch_first if number < time_first else self._feeds
            kept[len(self.steps), number] = feed
        self.steps.append(outputs[0].step)

    def _path(self, value: Value) -> str:
        place = value[0] - len(self._wiring.inputs)
        return self._wiring.inputs[value[0]].path if place < 0 else self._wiring.calls[place].node.path

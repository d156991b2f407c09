"""Every call of every layer of a Keras architecture, in an order in which they can be run, nested models taken apart.

A model that is called twice has each of its layers called twice. What a TimeDistributed wraps is called by itself, and
remembers the wrapper.

*Source:* keras 1.2.2, keras/engine/topology.py, and keras 3.15.1, keras/src/models/functional.py: get_config, which
numbers the calls of a layer, those of a nested model from 1 on where its own making counts as one
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from lstm_convert.errors import InvalidFile
from lstm_convert.frameworks.keras.architecture import MERGE, Node, recurrent_layers
from lstm_convert.frameworks.keras.inbound import Inbound, Tensor, call_of, tensors

INPUT_LAYER = "InputLayer"
TIME_DISTRIBUTED = "TimeDistributed"
MODEL_CLASSES = ("Sequential", "Functional", "Model")

_MOST_CALLS = 100_000

# The number of a step, inputs first, then calls; and which output of it.
Value = tuple[int, int]
# The name of a layer of a model, and which of its calls.
_Key = tuple[str, int]


@dataclass(frozen=True)
class WiredCall:
    """One call of a layer that is no model.

    Args:
        node: the layer.
        reads: the values of its first argument.
        given: those of its further arguments, by name or place.
        stated: its further arguments that are no tensors.
        wrapper: the TimeDistributed around it, or around the model that it stands in.
    """

    node: Node
    reads: tuple[Value, ...]
    given: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)
    stated: Mapping[str, Any] = field(default_factory=dict)
    wrapper: Node | None = None


@dataclass(frozen=True)
class Wiring:
    """The calls of an architecture.

    Args:
        inputs: for each input, the layer that states its shape and type: an input layer, or the first that reads it.
        calls: the calls, each after those that it reads.
        outputs: what the model returns.
        handed: for each call of a nested model that is handed masks, what it reads, and the masks, of which those of
            inputs that have none are left out.
        problems: what cannot be resolved, a line a layer.
    """

    inputs: tuple[Node, ...]
    calls: tuple[WiredCall, ...]
    outputs: tuple[Value, ...]
    handed: tuple[tuple[tuple[Value, ...], tuple[Value, ...]], ...] = ()
    problems: tuple[str, ...] = ()


def wired(root: Node) -> Wiring:
    """Return the calls of an architecture.

    Args:
        root: the architecture.

    Raises:
        InvalidFile: a layer reads itself, or one that is not there.
    """
    if not root.is_model:
        reason = (
            f"{root.name}: {root.class_name} is no model of layers that are joined in the file; its code joins them"
        )
        return Wiring((), (), (), problems=(reason,))
    builder = _Builder(root)
    inputs = tuple(inputs_of_model(root))
    outputs = builder.expand(root, [(number, 0) for number in range(len(inputs))], None, len(inputs))
    problems = tuple(dict.fromkeys(builder.problems))
    return Wiring(inputs, tuple(builder.calls), tuple(outputs), tuple(builder.handed), problems)


def inputs_of_model(model: Node) -> Iterable[Node]:
    """Return the layers that take a model's inputs, in order: input layers, or the first layer of a chain."""
    if not model.is_chain:
        return [model.child(name) for name, _, _ in tensors(model.config.get("input_layers"))]
    first = model.children[0]
    return [node for branch in first.children for node in _inputs_of(branch)] if first.class_name == MERGE else [first]


def _inputs_of(branch: Node) -> Iterable[Node]:
    return inputs_of_model(branch) if branch.is_model else [branch]


class _Builder:
    def __init__(self, root: Node) -> None:
        self.calls: list[WiredCall] = []
        self.handed: list[tuple[tuple[Value, ...], tuple[Value, ...]]] = []
        self.problems: list[str] = []
        self._count = 0
        self._inputs = len(list(inputs_of_model(root)))
        self._recurrent = {id(spec.node) for spec in recurrent_layers(root)}
        self._graphs: dict[int, _Graph] = {}  # of each model, however often it is called

    def expand(self, model: Node, arguments: Sequence[Value], wrapper: Node | None, count: int) -> list[Value]:
        """Add the calls of a model's layers for one call of it, and return its outputs."""
        self._check_count()
        if model.own_class or model.class_name not in MODEL_CLASSES:
            own = model.own_class or model.class_name
            self.problems.append(
                f"{model.path or 'the model'}: {own} is a class of its own, which may compute anything"
            )
        if count != len(arguments):
            self.problems.append(f"{model.path}: it has {count} inputs and is called on {len(arguments)}")
            return []
        if model.is_chain:
            return self._expand_chain(model, list(arguments), wrapper)
        return self._expand_graph(model, arguments, wrapper)

    def _check_count(self) -> None:
        """Count one more call of a layer or model, and refuse to go on without bounds."""
        self._count += 1
        if self._count > _MOST_CALLS:
            raise InvalidFile(f"the architecture calls its layers more than {_MOST_CALLS} times")

    def _expand_chain(self, model: Node, values: list[Value], wrapper: Node | None) -> list[Value]:
        for child in model.children:
            if child.class_name == MERGE and child.children:
                values = self._branches(child, values, wrapper)
            if child.class_name != INPUT_LAYER:
                values = self._apply(child, Inbound(), values, {}, wrapper)
        return values

    def _branches(self, merge: Node, values: list[Value], wrapper: Node | None) -> list[Value]:
        """Add the calls of the models that Keras 1's Merge holds, and return what each makes."""
        made: list[Value] = []
        for branch in merge.children:
            taken = len(list(_inputs_of(branch)))
            made += self._apply(branch, Inbound(), values[:taken], {}, wrapper)
            values = values[taken:]
        return made

    def _expand_graph(self, model: Node, arguments: Sequence[Value], wrapper: Node | None) -> list[Value]:
        graph = self._graphs.get(id(model)) or self._graphs.setdefault(id(model), _Graph(model))
        made: dict[_Key, list[Value]] = {}
        for place, name in enumerate(graph.input_names):
            made[name, 0] = [arguments[place]]
        for key in graph.order:
            if key not in made:
                node, inbound = model.child(key[0]), graph.calls[key]
                reads = [self._value(model, graph, made, tensor) for tensor in inbound.reads]
                given = {
                    name: tuple(self._value(model, graph, made, tensor) for tensor in found)
                    for name, found in inbound.given.items()
                }
                made[key] = self._apply(node, inbound, reads, given, wrapper)
        return [self._value(model, graph, made, tensor) for tensor in graph.outputs]

    def _value(self, model: Node, graph: "_Graph", made: Mapping[_Key, list[Value]], tensor: Tensor) -> Value:
        """Return the value that a reference means; a layer that is no model may have any number of outputs."""
        name, _, output = tensor
        values = made[graph.key(tensor)]
        if model.child(name).is_model or graph.is_input(name):
            if not 0 <= output < len(values):
                self.problems.append(f"{model.child(name).path}: it is asked for output {output} of {len(values)}")
                return (0, 0)
            return values[output]
        return (values[0][0], output) if values else (0, 0)

    def _apply(
        self,
        node: Node,
        inbound: Inbound,
        reads: Sequence[Value],
        given: Mapping[str, tuple[Value, ...]],
        wrapper: Node | None,
    ) -> list[Value]:
        """Add one call of a layer, or of all that it holds, and return its outputs; of a layer, the first."""
        if id(node) not in self._recurrent and node.class_name == TIME_DISTRIBUTED and node.children:
            return self._distribute(node, inbound, reads, given, wrapper)
        if node.is_model:
            if others := [*(given.keys() - {"mask"}), *inbound.stated]:
                self.problems.append(f"{node.path}: it is called with {', '.join(others)}")
            if given.get("mask"):
                self.handed.append((tuple(reads), given["mask"]))
            return self.expand(node, reads, wrapper, len(list(inputs_of_model(node))))
        self._check_count()
        self.calls.append(WiredCall(node, tuple(reads), given, inbound.stated, wrapper))
        return [(self._inputs + len(self.calls) - 1, 0)]

    def _distribute(
        self,
        node: Node,
        inbound: Inbound,
        reads: Sequence[Value],
        given: Mapping[str, tuple[Value, ...]],
        wrapper: Node | None,
    ) -> list[Value]:
        if wrapper is not None:
            self.problems.append(f"{node.path}: a TimeDistributed inside another is not ported")
        if node.own_class:
            self.problems.append(f"{node.path}: {node.own_class} is a class of its own, which may compute anything")
        return self._apply(node.children[0], inbound, reads, given, node)


class _Graph:
    """The joints of one functional model: its calls, and what each reads."""

    def __init__(self, model: Node) -> None:
        self._model = model
        self.input_names = [name for name, _, _ in tensors(model.config.get("input_layers"))]
        self._count = 0
        self._inputs = frozenset(self.input_names)
        self.outputs = list(tensors(model.config.get("output_layers")))
        entries = {child.name: [call_of(entry) for entry in child.inbound] for child in model.children}
        self._first = self._numbers_of_first_calls(entries)
        self.calls = {(name, place): call for name, calls in entries.items() for place, call in enumerate(calls)}
        self.calls |= {(name, 0): Inbound() for name in self.input_names}

    def is_input(self, name: str) -> bool:
        """Return whether a layer is one of the model's inputs."""
        return name in self._inputs

    def key(self, tensor: Tensor) -> _Key:
        """Return the call that a reference means."""
        name, number, _ = tensor
        key = (name, 0) if self.is_input(name) else (name, number - self._first.get(name, 0))
        if key not in self.calls:
            raise InvalidFile(
                f"the architecture refers to a call of {name!r} in {self._model.path or 'the model'} that is not there",
                [f"expected call {number} of {name}, found {sum(1 for other, _ in self.calls if other == name)} calls"],
            )
        return key

    @cached_property
    def order(self) -> list[_Key]:
        """Return the calls that the outputs need, each after those it reads, else in the order of the layers."""
        needed = set(self._after_their_feeds(map(self.key, self.outputs)))
        return self._after_their_feeds(key for key in self.calls if key in needed)

    def _numbers_of_first_calls(self, entries: Mapping[str, list[Inbound]]) -> dict[str, int]:
        """Return for each nested model the number by which its first call is referred to: 0 or 1."""
        referred: dict[str, set[int]] = {}
        calls = [tensor for entry in entries.values() for call in entry for tensor in _all_tensors(call)]
        for name, number, _ in [*calls, *self.outputs]:
            referred.setdefault(self._model.child(name).name, set()).add(number)
        return {name: int(0 not in numbers) for name, numbers in referred.items() if self._model.child(name).is_model}

    def _after_their_feeds(self, wanted: Iterable[_Key]) -> list[_Key]:
        """Return calls and all that they need, each after what it reads."""
        order: list[_Key] = []
        done: dict[_Key, bool] = {}
        for start in wanted:
            waiting = [start]
            while waiting:
                key = waiting[-1]
                if key in done:
                    order += [key] * (not done[key])
                    done[key] = True
                    waiting.pop()
                    continue
                done[key] = False
                feeds = [self.key(tensor) for tensor in _all_tensors(self.calls[key])]
                if any(done.get(feed) is False for feed in feeds):
                    raise InvalidFile(f"layer {key[0]!r} of the architecture reads its own output, or it would have to")
                waiting += [feed for feed in reversed(feeds) if feed not in done]
        return order


def _all_tensors(call: Inbound) -> list[Tensor]:
    return [*call.reads, *(tensor for found in call.given.values() for tensor in found)]

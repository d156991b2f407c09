"""The whole network of a Keras file: its layers as canonical ones, and their calls."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lstm_convert.activations import computable
from lstm_convert.canonical import Call, Cell, Feed, Layer, Network, Recurrent
from lstm_convert.canonical.network import RECURRENT
from lstm_convert.errors import InvalidFile, LayoutMismatch, Unsupported
from lstm_convert.frameworks.keras import ages, masking, shapes, written_masks
from lstm_convert.frameworks.keras.architecture import Node, RecurrentSpec, recurrent_layers
from lstm_convert.frameworks.keras.layers import Source
from lstm_convert.frameworks.keras.neighbour import Neighbour
from lstm_convert.frameworks.keras.neighbour_arrays import NeighbourArrays, arrays_of
from lstm_convert.frameworks.keras.neighbours import neighbour
from lstm_convert.frameworks.keras.settings import Age
from lstm_convert.frameworks.keras.wiring import TIME_DISTRIBUTED, Value, WiredCall, Wiring
from lstm_convert.frameworks.keras.written_masks import MASK_ARGUMENTS

_STATES = ("initial_state", "1")


@dataclass(frozen=True)
class Understood:
    """A network, or why there is none.

    Args:
        network: the whole network.
        reasons: why there is none, a line a layer.
        assumed: what the file does not say of it and was taken for granted, one sentence each.
    """

    network: Network | None = None
    reasons: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()


def understood(source: Source, wiring: Wiring, layers: Mapping[str, Recurrent]) -> Understood:
    """Return the whole network of a file, or every reason why there is none.

    Args:
        source: what the file says of itself.
        wiring: the calls of its architecture.
        layers: its recurrent layers under the names that the architecture gives them.
    """
    if source.graph is None:
        return Understood()
    root, age = source.graph.root, ages.age_of(source)
    specs = {id(spec.node): spec for spec in recurrent_layers(root)}
    reasons = list(wiring.problems)
    neighbours: dict[int, Neighbour] = {}
    recurrent: dict[int, tuple[Recurrent, ...]] = {}
    hidden, assumed = written_masks.operations(wiring), tuple(ages.assumptions(root, age))
    for step, call in enumerate(wiring.calls, start=len(wiring.inputs)):
        if step in hidden:
            continue
        try:
            if spec := specs.get(id(call.node)):
                recurrent[id(call.node)] = _recurrent(spec, call, layers)
            else:
                _check_reads(call, found := neighbour(call.node, age, call.stated), hidden)
                neighbours[id(call.node)] = found
        except Unsupported as error:
            reasons.append(f"{call.node.path}: {error.what}")
    reasons += _repeated_names(wiring)
    if reasons:
        return Understood(reasons=tuple(dict.fromkeys(reasons)))
    used = {key for layer in layers.values() if layer.origin for keys in layer.origin.keys for key in keys.values()}
    found_arrays = arrays_of(source.contents, root, neighbours, {*neighbours, *recurrent}, used, source.version)
    if found_arrays.problems:
        return Understood(reasons=found_arrays.problems)
    used_layers = {layer.name for stack in recurrent.values() for layer in stack}
    if idle := [name for name in layers if name not in used_layers]:
        return Understood(reasons=tuple(f"{name}: no output of the model needs it" for name in idle))
    try:
        return Understood(_network(root, wiring, hidden, neighbours, recurrent, found_arrays, age), assumed=assumed)
    except (Unsupported, LayoutMismatch, InvalidFile) as error:
        return Understood(reasons=error.details or (error.what,))


def _recurrent(spec: RecurrentSpec, call: WiredCall, layers: Mapping[str, Recurrent]) -> tuple[Recurrent, ...]:
    """Return the recurrent layers that a node makes: one, or one a cell of a stack."""
    path, kinds = spec.node.path, " and ".join(dict.fromkeys(cell.kind for cell in spec.cells))
    names = [path] if path in layers else [f"{path}.{number}" for number in range(len(spec.cells))]
    if not all(name in layers for name in names):
        raise Unsupported(f"{kinds} is not ported yet")
    found = tuple(layers[name] for name in names)
    if call.wrapper is not None and spec.node.class_name == TIME_DISTRIBUTED:
        raise Unsupported("a TimeDistributed inside another is not ported")
    given = {name: values for name, values in call.given.items() if name not in (*_STATES, *MASK_ARGUMENTS)}
    if given or call.stated:
        raise Unsupported(f"it is called with {', '.join([*given, *call.stated])}")
    states = _states(call)
    if len(found) > 1 and (states or spec.options.get("go_backwards")):
        raise Unsupported("a stack of cells that starts from given states, or reads backwards, is not ported")
    if not call.reads:
        raise Unsupported("it is called on nothing")
    if states and len(states) != _state_count(found[0]):
        raise Unsupported(f"it is called with {len(states)} states, expected {_state_count(found[0])}")
    unknown = [
        f"its activation {activation.name:.60} is not known"
        for layer in found
        for cell in layer.cells.values()
        for activation in cell.activations().values()
        if not computable(activation)
    ]
    if unknown:
        raise Unsupported(unknown[0])
    return found


def _states(call: WiredCall) -> tuple[Value, ...]:
    return call.reads[1:] + tuple(value for name in _STATES for value in call.given.get(name, ()))


def _check_reads(call: WiredCall, found: Neighbour, hidden: frozenset[int]) -> None:
    """Raise where a layer is called on other tensors than it has a place for; a mask that is written out is none."""
    given = [name for name, values in call.given.items() if name != "mask" or values[0][0] not in hidden]
    if given:
        raise Unsupported(f"it is called with {', '.join(given)}")
    if found.kind != "merge" and len(call.reads) != 1:
        raise Unsupported(f"it is called on {len(call.reads)} tensors, expected one")
    if found.kind == "merge" and len(call.reads) < 1 + (found.options["form"] in ("dot", "subtract")):
        raise Unsupported(f"it is called on {len(call.reads)} tensors")


def _repeated_names(wiring: Wiring) -> Iterator[str]:
    nodes = {id(call.node): call.node for call in wiring.calls}
    seen: set[str] = set()
    for node in nodes.values():
        if node.path in seen:
            yield f"{node.path}: two layers have this name"
        seen.add(node.path)


def _network(
    root: Node,
    wiring: Wiring,
    hidden: frozenset[int],
    neighbours: Mapping[int, Neighbour],
    recurrent: Mapping[int, tuple[Recurrent, ...]],
    found: NeighbourArrays,
    age: Age,
) -> Network:
    inputs = shapes.inputs_of(root, wiring)
    calls: list[Call] = []
    last: list[int] = list(range(len(inputs)))  # the step of a network that makes what a step of the wiring does
    layers: dict[str, Layer] = {}
    number = {id(node): place for place, node in enumerate(root.walk())}
    order: dict[str, tuple[int, int]] = {}
    wrappers: dict[str, str] = {}
    for step, call in enumerate(wiring.calls, start=len(inputs)):
        if step in hidden:
            last.append(0)
            continue
        made = _made(call, neighbours, recurrent, found)
        order |= {layer.name: (number[id(call.node)], depth) for depth, layer in enumerate(made)}
        wrapper = call.node if call.node.class_name == TIME_DISTRIBUTED else call.wrapper
        wrappers |= {layer.name: wrapper.path for layer in made if wrapper is not None}
        layers |= {layer.name: layers.get(layer.name, layer) for layer in made}
        first = len(inputs) + len(calls)
        calls += _calls(call, made, last, first, hidden)
        last.append(first + len(made) - 1)
    _check_outputs(wiring, recurrent)
    outputs = tuple(_feed(value, last) for value in wiring.outputs)
    in_order = dict(sorted(layers.items(), key=lambda item: order[item[0]]))
    network = Network(inputs, in_order, tuple(calls), outputs, age.joins or "all")
    if problems := list(written_masks.differing(network, wiring, last, hidden)):
        raise Unsupported("masks are handed to layers that are not their own", problems)
    return masking.settled(network, wrappers, age)


def _made(
    call: WiredCall,
    neighbours: Mapping[int, Neighbour],
    recurrent: Mapping[int, tuple[Recurrent, ...]],
    found: NeighbourArrays,
) -> list[Layer]:
    """Return what a layer of Keras is in a network: one layer, or several, each called on the one before."""
    node, each_step = call.node, call.wrapper is not None or call.node.class_name == TIME_DISTRIBUTED
    if stack := recurrent.get(id(node)):
        return [Layer(layer.name, RECURRENT, recurrent=layer, each_step=each_step) for layer in stack]
    what, arrays = neighbours[id(node)], found.arrays.get(id(node), {})
    before, then = (
        [Layer(f"{node.path}.{part.kind}", part.kind, part.options, each_step=each_step)] if part else []
        for part in (what.before, what.then)
    )
    return [*before, Layer(node.path, what.kind, what.options, arrays, each_step=each_step), *then]


def _calls(
    call: WiredCall, made: Sequence[Layer], last: Sequence[int], first: int, hidden: frozenset[int]
) -> Iterator[Call]:
    """Yield the calls of the layers that one is made of, each on the one before."""
    masks_given = [value for name in MASK_ARGUMENTS for value in call.given.get(name, ()) if value[0] not in hidden]
    mask = _feed(masks_given[0], last) if masks_given else None
    reads = tuple(_feed(value, last) for value in call.reads)
    if made[0].recurrent is None:
        yield Call(made[0].name, reads)
    else:
        yield Call(made[0].name, reads[:1], tuple(_feed(value, last) for value in _states(call)), mask)
    for number, layer in enumerate(made[1:]):
        yield Call(layer.name, (Feed(first + number),), mask=mask)


def _feed(value: Value, last: Sequence[int]) -> Feed:
    return Feed(last[value[0]], value[1])


def _check_outputs(wiring: Wiring, recurrent: Mapping[int, tuple[Recurrent, ...]]) -> None:
    """Raise where an output is read that a layer does not have, or that a stack has for each of its cells."""
    read = {value for call in wiring.calls for value in _all_reads(call)} | set(wiring.outputs)
    problems = []
    for step, output in sorted(read):
        if not output:
            continue
        call = wiring.calls[step - len(wiring.inputs)] if step >= len(wiring.inputs) else None
        stack = recurrent.get(id(call.node), ()) if call else ()
        if len(stack) != 1 or not 0 <= output < _output_count(stack[0]):
            path = call.node.path if call else wiring.inputs[step].path
            problems.append(f"{path}: its output {output} is read, which is not ported")
    if problems:
        raise Unsupported("outputs are read that are not ported", problems)


def _output_count(layer: Recurrent) -> int:
    """Return how many outputs a recurrent layer has: its sequences, then the states of each direction."""
    return (1 if layer.merge or not layer.backward else 2) + _state_count(layer) * layer.return_state


def _state_count(layer: Recurrent) -> int:
    """Return how many states a recurrent layer has: h of each direction, and the c that only an LSTM has."""
    return sum(1 + isinstance(cell, Cell) for cell in layer.cells.values())


def _all_reads(call: WiredCall) -> Iterator[Value]:
    yield from call.reads
    for values in call.given.values():
        yield from values

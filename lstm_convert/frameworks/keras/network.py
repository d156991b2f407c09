"""The whole network of a Keras file: its layers as canonical ones, and their calls."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lstm_convert.activations import computable
from lstm_convert.canonical import Layer, Network, Recurrent
from lstm_convert.errors import InvalidFile, LayoutMismatch, Unsupported
from lstm_convert.frameworks.keras import ages, masking, shapes, written_masks
from lstm_convert.frameworks.keras.architecture import Node
from lstm_convert.frameworks.keras.layers import Source, version_numbers
from lstm_convert.frameworks.keras.neighbour import Neighbour
from lstm_convert.frameworks.keras.neighbour_arrays import NeighbourArrays, arrays_of
from lstm_convert.frameworks.keras.neighbours import neighbour
from lstm_convert.frameworks.keras.network_calls import Calls
from lstm_convert.frameworks.keras.recurrent_specs import RecurrentSpec, recurrent_layers
from lstm_convert.frameworks.keras.settings import Age
from lstm_convert.frameworks.keras.wiring import TIME_DISTRIBUTED, Value, WiredCall, Wiring
from lstm_convert.frameworks.keras.written_apart import together
from lstm_convert.frameworks.keras.written_masks import MASK_ARGUMENTS

_STATES = ("initial_state", "1")
_STATES_IN_ORDER_SINCE = (2, 3)


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
    joined = together(wiring, age)
    wiring = joined.wiring
    specs = {id(spec.node): spec for spec in recurrent_layers(root)}
    reasons = list(wiring.problems)
    neighbours: dict[int, Neighbour] = {}
    recurrent: dict[int, tuple[Recurrent, ...]] = {}
    hidden, assumed = written_masks.operations(wiring) | joined.hidden, tuple(ages.assumptions(root, age))
    for step, call in enumerate(wiring.calls, start=len(wiring.inputs)):
        if step in hidden:
            continue
        try:
            if spec := specs.get(id(call.node)):
                recurrent[id(call.node)] = _recurrent(spec, call, layers, source.version)
            else:
                _check_reads(call, found := neighbour(call.node, age, call.stated), hidden)
                neighbours[id(call.node)] = found.set_to(joined.options.get(id(call.node), {}))
        except Unsupported as error:
            reasons.append(f"{call.node.path}: {error.what}")
    reasons += _repeated_names(wiring)
    if reasons:
        return Understood(reasons=tuple(dict.fromkeys(reasons)))
    used = {key for layer in layers.values() if layer.origin for keys in layer.origin.keys for key in keys.values()}
    found_arrays = arrays_of(source.contents, root, neighbours, {*neighbours, *recurrent}, used, source.version)
    if found_arrays.problems:
        return Understood(reasons=found_arrays.problems)
    called = {id(layer) for stack in recurrent.values() for layer in stack}
    if idle := [name for name, layer in layers.items() if id(layer) not in called]:
        return Understood(reasons=tuple(f"{name}: no output of the model needs it" for name in idle))
    try:
        return Understood(_network(root, wiring, hidden, neighbours, recurrent, found_arrays, age), assumed=assumed)
    except (Unsupported, LayoutMismatch, InvalidFile) as error:
        return Understood(reasons=error.details or (error.what,))


def _recurrent(
    spec: RecurrentSpec, call: WiredCall, layers: Mapping[str, Recurrent], version: str
) -> tuple[Recurrent, ...]:
    """Return the recurrent layers that a node makes: one, or one a cell of a stack."""
    names = [name for direction in spec.names for name in direction]
    if not all(name in layers for name in names):
        raise Unsupported(f"{' and '.join(dict.fromkeys(cell.kind for cell in spec.cells))} is not ported yet")
    found = tuple(layers[name] for name in names)
    if reasons := [*_stands_wrongly(spec, call, found[0]), *_is_given_wrongly(spec, call, found, version)]:
        raise Unsupported("; ".join(reasons))
    return found


def _stands_wrongly(spec: RecurrentSpec, call: WiredCall, first: Recurrent) -> Iterator[str]:
    """Yield why a recurrent layer is not ported where it stands: in a TimeDistributed, behind a mask."""
    distributed = spec.node.class_name == TIME_DISTRIBUTED
    if call.wrapper is not None and distributed:
        yield "a TimeDistributed inside another is not ported"
    if (call.wrapper is not None or distributed) and (spec.time_major or len(spec.names) > 1):
        yield "time_major=True, or a stack of cells in each direction, is not ported in a TimeDistributed"
    if first.masked_by and spec.time_major:
        yield "a mask with time_major=True is not ported"
    if first.masked_by and spec.stacked and (first.go_backwards or len(spec.names) > 1):
        yield "a mask of a stack of cells that reads backwards is not ported"
    if first.stateful and spec.time_major:
        yield "states that live on with time_major=True are not ported"


def _is_given_wrongly(
    spec: RecurrentSpec, call: WiredCall, found: tuple[Recurrent, ...], version: str
) -> Iterator[str]:
    """Yield why a recurrent layer is not ported with what it is called with, and returns, and computes."""
    given = [name for name in call.given if name not in (*_STATES, *MASK_ARGUMENTS)]
    if given or call.stated:
        yield f"it is called with {', '.join([*given, *call.stated])}"
    if not call.reads:
        yield "it is called on nothing"
    states, expected = _states(call), sum(each.states for each in found)
    if states and len(states) != expected:
        yield f"it is called with {len(states)} states, expected {expected}"
    if spec.stacked and (states or found[0].return_state) and _turns_states_around(version):
        yield "states of a stack of cells, which Keras before 2.3 has from the top down, are not ported"
    cells = [cell for layer in found for cell in layer.cells.values()]
    for activation in [each for cell in cells for each in cell.activations().values() if not computable(each)][:1]:
        yield f"its activation {activation.name:.60} is not known"


def _turns_states_around(version: str) -> bool:
    """Return whether a version has the states of a stack of cells in the reverse order of the cells.

    Source: keras 2.2.0 and 2.3.1, keras/layers/recurrent.py, StackedRNNCells.state_size
    """
    return not version.endswith("-tf") and version_numbers(version) < _STATES_IN_ORDER_SINCE


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
    specs = {id(spec.node): spec for spec in recurrent_layers(root)}
    made = Calls(wiring)
    for step, call in enumerate(wiring.calls, start=len(inputs)):
        if step in hidden:
            made.skip()
            continue
        each_step = _wrapper(call) is not None
        if stack := recurrent.get(id(call.node)):
            handed = [value for name in MASK_ARGUMENTS for value in call.given.get(name, ()) if value[0] not in hidden]
            mask = made.feed(handed[0]) if handed else None
            states, spec = [made.feed(value) for value in _states(call)], specs[id(call.node)]
            made.add_recurrent(stack, spec, call.reads[0], states, mask, each_step=each_step)
        else:
            parts = _parts(call, neighbours[id(call.node)], found, each_step=each_step)
            made.add(parts, [made.feed(value) for value in call.reads])
    outputs = tuple(map(made.feed, wiring.outputs))
    if made.problems:
        raise Unsupported("outputs are read that are not ported", tuple(dict.fromkeys(made.problems)))
    caller = {name: wiring.calls[step - len(inputs)] for name, step in made.first_steps.items()}
    number = {id(node): place for place, node in enumerate(root.walk())}
    in_order = dict(sorted(made.layers.items(), key=lambda item: number[id(caller[item[0]].node)]))
    network = Network(inputs, in_order, tuple(made.calls), outputs, age.joins or "all")
    if problems := list(written_masks.differing(network, wiring, made.steps, hidden)):
        raise Unsupported("masks are handed to layers that are not their own", problems)
    wrappers = {name: wrapper.path for name, call in caller.items() if (wrapper := _wrapper(call))}
    return masking.settled(network, wrappers, age)


def _wrapper(call: WiredCall) -> Node | None:
    """Return the TimeDistributed that a layer is, or stands in."""
    return call.node if call.node.class_name == TIME_DISTRIBUTED else call.wrapper


def _parts(call: WiredCall, what: Neighbour, found: NeighbourArrays, *, each_step: bool) -> list[Layer]:
    """Return what a layer of Keras is in a network: one layer, or several, each called on the one before."""
    node, arrays = call.node, found.arrays.get(id(call.node), {})
    before, then = (
        [Layer(f"{node.path}.{part.kind}", part.kind, part.options, each_step=each_step)] if part else []
        for part in (what.before, what.then)
    )
    return [*before, Layer(node.path, what.kind, what.options, arrays, each_step=each_step), *then]

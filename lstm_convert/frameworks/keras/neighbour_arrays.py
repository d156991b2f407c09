"""Where a Keras file keeps the arrays of the layers around the recurrent ones, and those arrays as canonical ones."""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from lstm_convert.canonical import Array
from lstm_convert.containers import Contents
from lstm_convert.errors import InvalidFile
from lstm_convert.frameworks.keras import legacy, saved_state
from lstm_convert.frameworks.keras.architecture import Node
from lstm_convert.frameworks.keras.located import array_of
from lstm_convert.frameworks.keras.neighbour import Neighbour, Slot


@dataclass(frozen=True)
class _Place:
    """One array of one layer, and whether it counts as trainable there."""

    node: Node
    slot: Slot

    @property
    def trained(self) -> bool:
        return self.slot.trained and self.node.trainable[1]


@dataclass(frozen=True)
class NeighbourArrays:
    """What was found.

    Args:
        arrays: the canonical arrays of each layer by name, by the layer's identity.
        problems: what is missing or mis-shaped, a line an array.
    """

    arrays: Mapping[int, Mapping[str, Array]]
    problems: tuple[str, ...]


def arrays_of(
    contents: Contents,
    root: Node,
    neighbours: Mapping[int, Neighbour],
    called: Collection[int],
    used: Collection[str],
    version: str,
) -> NeighbourArrays:
    """Return the arrays of the layers around the recurrent ones.

    Args:
        contents: the file.
        root: its architecture, all of whose layers are understood.
        neighbours: what each layer is, by its identity.
        called: the identities of all layers that are called, the recurrent ones too.
        used: the keys that the recurrent layers have.
        version: of Keras.
    """
    problems: list[str] = []
    if legacy.recognises(contents):
        keys = _in_lists(contents, root, neighbours, called, used, version, problems)
    else:
        keys = _in_groups(contents, root, neighbours)
    arrays: dict[int, dict[str, Array]] = {}
    for place, key in keys:
        try:
            arrays.setdefault(id(place.node), {})[place.slot.name] = _canonical(contents, place, key)
        except InvalidFile as error:
            problems.append(error.what)
    return NeighbourArrays(arrays, tuple(problems))


def _canonical(contents: Contents, place: _Place, key: str) -> Array:
    stored, slot = contents.arrays.get(key), place.slot
    here = f"{place.node.path}: {slot.stored[0]}"
    expected = " or ".join(map(str, slot.forms))
    if stored is None:
        raise InvalidFile(f"{here}: expected {expected}, found nothing at {key}")
    form = next((form for form in slot.forms if form.fits(stored.shape)), None)
    if form is None:
        raise InvalidFile(f"{here}: expected {expected}, found {stored.shape}")
    return form.turned(array_of(stored))


def _in_groups(contents: Contents, root: Node, neighbours: Mapping[int, Neighbour]) -> list[tuple[_Place, str]]:
    groups = saved_state.groups_of(root, contents)
    return [
        (_Place(node, slot), f"{groups[id(node)]}/vars/{number}")
        for node in root.walk()
        if id(node) in neighbours
        for number, slot in enumerate(neighbours[id(node)].slots)
    ]


def _in_lists(
    contents: Contents,
    root: Node,
    neighbours: Mapping[int, Neighbour],
    called: Collection[int],
    used: Collection[str],
    version: str,
    problems: list[str],
) -> list[tuple[_Place, str]]:
    lists = legacy.listed_weights(contents)
    found: list[tuple[_Place, str]] = []
    for node in legacy.grouped(root):
        if not any(id(inner) in called for inner in node.walk()):
            continue
        places = _modern_order(node, neighbours) if version.startswith("3") else _order(node, neighbours)
        weights = [weight for weight in lists.get(node.name, []) if weight.key not in used]
        if len(places) != len(weights):
            expected = ", ".join(f"{place.node.name} {place.slot.stored[0]}" for place in places) or "nothing"
            names = ", ".join(weight.name for weight in weights) or "nothing"
            problems.append(f"{node.path}: expected the arrays {expected:.200}, found {names:.200}")
            continue
        for place, weight in zip(places, weights, strict=True):
            if not _is_named(weight.name, place.slot):
                problems.append(f"{place.node.path}: expected {place.slot.stored[0]}, found {weight.name} in its place")
        found += [(place, weight.key) for place, weight in zip(places, weights, strict=True)]
    return found


def _is_named(name: str, slot: Slot) -> bool:
    """Return whether a weight's name ends as a slot's does; a file may number it, and Keras 3.0 wrote nothing else."""
    last = re.sub(r"(_\d+)?(:0)?$", "", name.rpartition("/")[2])
    return any(last == stored or last.endswith(f"_{stored}") for stored in slot.stored)


def _places(node: Node, neighbours: Mapping[int, Neighbour]) -> Iterator[_Place]:
    """Yield the arrays of a layer and of all below it, layer by layer."""
    for inner in node.walk():
        if id(inner) in neighbours:
            yield from (_Place(inner, slot) for slot in neighbours[id(inner)].slots)


def _modern_order(node: Node, neighbours: Mapping[int, Neighbour]) -> list[_Place]:
    """Return a group's arrays as Keras 3 lists them: the trainable ones first, if the layer itself is trainable.

    Source: keras 3.15.1, keras/src/layers/layer.py, weights, trainable_weights and non_trainable_weights
    """
    places = list(_places(node, neighbours))
    return sorted(places, key=lambda place: not place.trained) if node.trainable[1] else places


def _order(node: Node, neighbours: Mapping[int, Neighbour]) -> list[_Place]:
    """Return a group's arrays as every Keras before lists them: the trainable ones first, at each level of nesting.

    Source: keras 1.2.2, keras/engine/topology.py, Container; tf.keras 2.15.0, keras/src/engine/training.py, Model
    """
    trained, others = _sorted(node, neighbours)
    return trained + others


def _sorted(node: Node, neighbours: Mapping[int, Neighbour]) -> tuple[list[_Place], list[_Place]]:
    trained: list[_Place] = []
    others: list[_Place] = []
    if id(node) in neighbours:
        places = [_Place(node, slot) for slot in neighbours[id(node)].slots]
        trained = [place for place in places if place.slot.trained]
        others = [place for place in places if not place.slot.trained]
    for child in node.children:
        of_child = _sorted(child, neighbours)
        trained += of_child[0]
        others += of_child[1]
    return (trained, others) if node.trainable[1] else ([], trained + others)

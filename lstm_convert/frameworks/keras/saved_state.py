"""Keras's second way to save weights: a group for each layer, cell and optimizer, named by class and place.

`.weights.h5` and the `model.weights.h5` inside a `.keras`. A layer's own name appears only as an attribute, from Keras
3.8 on; before, a layer is known by its class and how many of that class came before it.

Source: keras 3.15.1, keras/src/saving/saving_lib.py, _save_state; tf.keras 2.12 to 2.15, the same file
"""

import re
from collections.abc import Iterator

from lstm_convert.containers import Contents
from lstm_convert.errors import LayoutMismatch
from lstm_convert.frameworks.keras import extended
from lstm_convert.frameworks.keras.architecture import BACKWARD, FORWARD, Node, snake_case
from lstm_convert.frameworks.keras.located import LocatedCell, LocatedLayer, kind_by_shape, unstated
from lstm_convert.frameworks.keras.recurrent_specs import EXTENDED, CellSpec, recurrent_layers
from lstm_convert.table import KERAS_2

# tf.keras 2.12 to 2.14 kept layers under the second name, 2.12 and 2.13 with gaps in their numbers.
LAYER_CONTAINERS = ("layers", "_layer_checkpoint_dependencies")
_NAMES = tuple(KERAS_2.names())
_DIRECTIONS = (FORWARD, BACKWARD)


def recognises(contents: Contents) -> bool:
    """Return whether an HDF5 file is of this kind."""
    return any(re.search(r"(^|/)vars/\d+$", key) for key in contents.arrays)


def located(contents: Contents, root: Node | None) -> list[LocatedLayer]:
    """Return the recurrent layers of a file and where their arrays are, in the model's order.

    Without an architecture, that is the order of the groups' names, numbers counted as numbers.

    Args:
        contents: the HDF5 file.
        root: its architecture, or None where there is none.
    """
    if root is None or not root.children:
        return list(_by_shape(contents))
    groups = groups_of(root, contents)
    layers = []
    for spec in recurrent_layers(root):
        cells = tuple(_cell(contents, groups.get(id(spec.node), spec.node.path), cell) for cell in spec.cells)
        layers.append(LocatedLayer(spec, cells))
    return layers


def groups_of(root: Node, contents: Contents) -> dict[int, str]:
    """Return the group of every layer of an architecture, by the layer's identity.

    What stands in an architecture twice, in a nested model and beside it, is saved once, where it is met first.
    """
    groups = dict(_assigned(root, "", contents))
    held: dict[tuple[str, str], list[Node]] = {}
    missing: list[Node] = []
    for node in root.walk():
        if groups.get(id(node)) in contents.attributes:
            held.setdefault((node.class_name, node.name), []).append(node)
        elif id(node) in groups:
            missing.append(node)
    for node in missing:
        twins = held.get((node.class_name, node.name), [])
        if twin := next((twin for twin in twins if twin.config == node.config), None):
            groups |= {
                id(own): groups[id(shared)]
                for own, shared in zip(node.walk(), twin.walk(), strict=True)
                if id(shared) in groups
            }
    return groups


def _cell(contents: Contents, group: str, spec: CellSpec) -> LocatedCell:
    group = "/".join([group, *spec.place, "vars"])
    if spec.kind == EXTENDED:
        return LocatedCell({name: f"{group}/{number}" for number, name in enumerate(extended.array_names(spec.config))})
    return LocatedCell(_variables(contents, group))


def _variables(contents: Contents, group: str) -> dict[str, str]:
    """Return the variables of one cell: numbered in the order kernel, recurrent kernel, bias."""
    keys = {name: f"{group}/{number}" for number, name in enumerate(_NAMES)}
    required = keys if keys["bias"] in contents.arrays else {name: keys[name] for name in _NAMES[:2]}
    return dict(required)


def _assigned(node: Node, group: str, contents: Contents) -> Iterator[tuple[int, str]]:
    """Yield the group of every layer below a node, by the layer's identity."""
    if not node.is_model:
        for child in node.children:
            yield id(child), f"{group}/layer"
            yield from _assigned(child, f"{group}/layer", contents)
        return
    prefix = f"{group}/" if group else ""
    container = next((prefix + name for name in LAYER_CONTAINERS if prefix + name in contents.attributes), "")
    present = _children(contents, container)
    by_class: dict[str, list[Node]] = {}
    for child in node.children:
        by_class.setdefault(snake_case(child.class_name), []).append(child)
    for component, members in by_class.items():
        names = _numbered(present, component)
        if len(names) != len(members):
            names = [component + (f"_{number}" if number else "") for number in range(len(members))]
        for child, name in zip(members, names, strict=True):
            yield id(child), f"{container}/{name}"
            yield from _assigned(child, f"{container}/{name}", contents)


def _children(contents: Contents, group: str) -> list[str]:
    depth = group.count("/") + 1
    return [
        path.split("/")[depth]
        for path in contents.attributes
        if path.startswith(f"{group}/") and path.count("/") == depth
    ]


def _numbered(names: list[str], component: str) -> list[str]:
    """Return the names that are a class's component with or without a number, in the order of their numbers."""
    return sorted((name for name in names if re.fullmatch(rf"{component}(_\d+)?", name)), key=_natural)


def _natural(path: str) -> list[tuple[str, int]]:
    """Return a key that sorts `lstm_10` behind `lstm_9`."""
    return [(text, int(number or -1)) for text, number in re.findall(r"([^/\d]*)(\d*)", path)]


def _by_shape(contents: Contents) -> Iterator[LocatedLayer]:
    """Yield the layers whose variables have the shapes of a recurrent cell, for want of an architecture."""
    layers: dict[str, list[tuple[str, str, LocatedCell]]] = {}
    groups = {key.rpartition("/vars/")[0] for key in contents.arrays if "/vars/" in key}
    for group in sorted(groups, key=_natural):
        keys = _variables(contents, f"{group}/vars")
        kernel, recurrent, *_ = (contents.arrays.get(key) for key in keys.values())
        if group.endswith("/cell") and not (kernel and recurrent):
            raise LayoutMismatch(
                f"{group} is a recurrent cell that is not complete",
                [f"{key}: expected an array, found nothing" for key in keys.values() if key not in contents.arrays],
                "If this is one part of split weights, give the .weights.json beside it.",
            )
        if group.endswith("/cell") and f"{group}/vars/{len(keys)}" in contents.arrays:
            raise LayoutMismatch(
                f"{group} is a recurrent cell with more arrays than an LSTM's",
                [f"{group}/vars/{len(keys)}: expected nothing, found an array"],
                "Give the model's architecture (model.to_json()) with --config FILE.",
            )
        kind = kind_by_shape(kernel, recurrent) if kernel and recurrent else ""
        # Two matrices of one width may be of anything; those of a simple RNN are known by where they are alone.
        if kind and (kind != "SimpleRNN" or re.search(r"(^|/)(cell|simple_rnn_cell(_\d+)?)$", group)):
            owner, direction = _owner(group)
            layers.setdefault(owner, []).append((direction, kind, LocatedCell(keys)))
    for owner, found in layers.items():
        found.sort(key=lambda entry: _DIRECTIONS.index(entry[0]) if entry[0] else 0)
        directions, kinds, cells = zip(*found, strict=True)
        both = set(directions) == set(_DIRECTIONS)
        backward = [both and direction == BACKWARD for direction in directions]
        yield LocatedLayer(unstated(_path(contents, owner), kinds, backward), cells)


def _owner(group: str) -> tuple[str, str]:
    """Return the layer that a cell's group belongs to, and which direction of it the cell is."""
    parts = group.split("/")
    if "cells" in parts[-2:-1]:
        parts = parts[:-2]
    if parts[-1] == "cell":
        parts = parts[:-1]
    direction = parts.pop() if parts[-1] in _DIRECTIONS else ""
    return "/".join(parts), direction


def _path(contents: Contents, owner: str) -> str:
    """Return a layer's path: the layers' own names where the file has them, else the components of their groups."""
    parts = owner.split("/")
    names = [
        str(contents.attributes.get("/".join([*parts[: depth + 1], "vars"]), {}).get("name", part))
        for depth, part in enumerate(parts)
        if part not in (*LAYER_CONTAINERS, "layer")
    ]
    return ".".join(names)

"""Keras's first way to save weights: a group a layer, and in it a flat list of arrays named by `weight_names`.

`model.save('x.h5')` and `save_weights('x.h5')` of Keras 1 to 3. A nested model is one group; its list holds the
trainable weights of all its layers, then the others.

Source: keras 1.2.2 and 2.2.0, keras/engine/topology.py, save_weights_to_hdf5_group; keras 3.15.1,
keras/src/legacy/saving/legacy_h5_format.py
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lstm_convert.containers import Contents
from lstm_convert.errors import InvalidFile
from lstm_convert.frameworks.keras.architecture import MERGE, Node
from lstm_convert.frameworks.keras.located import LocatedCell, LocatedLayer, kind_by_shape, unstated
from lstm_convert.frameworks.keras.recurrent_specs import recurrent_layers
from lstm_convert.table import KERAS_1, KERAS_1_GPU, KERAS_1_GRU, KERAS_2, KERAS_EXTENDED

_KERAS_1_NAMES = tuple(KERAS_1.names())
_KERAS_1_GRU_NAMES = tuple(KERAS_1_GRU.names())
_KERAS_1_GPU_NAMES = tuple(KERAS_1_GPU.names())
_KERAS_2_NAMES = tuple(KERAS_2.names())
# What lists an array a gate: its shapes are those of one gate.
_KIND_BY_NAMES = {_KERAS_1_NAMES: "LSTM", _KERAS_1_GRU_NAMES: "GRU"}
# The cell of our own, where it lists more than Keras's.
_EXTENDED_NAMES = [
    tuple(KERAS_EXTENDED.names(bias=bias, peephole=peephole, projection=projection))
    for bias in (True, False)
    for peephole, projection in ((True, True), (True, False), (False, True))
]


@dataclass(frozen=True)
class Weight:
    """One array of a layer's flat list: its name there and its key in the file."""

    name: str
    key: str

    @property
    def array(self) -> str:
        """Its last name within the cell: `kernel` of `lstm_1/lstm_cell_3/kernel_2:0`, `W_i` of `lstm_1_W_i:0`."""
        last = self.name.rpartition("/")[2].removesuffix(":0")
        if keras_1 := re.fullmatch(r"(?:.*_)?([WUb](?:_[icfozrh])?)", last):
            return keras_1[1]
        return re.sub(r"_\d+$", "", last)

    @property
    def scope(self) -> str:
        """What its name says before that: the layer it was made in, as far as the name tells."""
        name = self.name.removesuffix(":0")
        before = name.removesuffix(name.rpartition("/")[2]).rstrip("/")
        if keras_1 := re.fullmatch(rf"(.*)_{self.array}", name):
            before = keras_1[1]
        return "/".join(part for part in before.split("/") if not re.fullmatch(r"(\w*_)?(cell|cells)(_\d+)?", part))


def recognises(contents: Contents) -> bool:
    """Return whether an HDF5 file is of this kind."""
    return _base(contents) is not None


def located(contents: Contents, root: Node | None) -> list[LocatedLayer]:
    """Return the recurrent layers of a file and where their arrays are, in the model's order.

    Args:
        contents: the HDF5 file.
        root: its architecture, or None where there is none.

    Raises:
        InvalidFile: the architecture and the arrays contradict each other.
    """
    groups = listed_weights(contents)
    if root is None:
        return [layer for name, weights in groups.items() for layer in _by_name(contents, name, weights)]
    cells = {name: list(_cells(weights)) for name, weights in groups.items()}
    _check_layers(root, groups)
    return [layer for child in grouped(root) for layer in _by_position(child, cells.get(child.name, []))]


def grouped(root: Node) -> list[Node]:
    """Return the layers that have a group of their own: those of the model, and those of the models that a Merge joins.

    Source: keras 1.2.2, keras/models.py, Sequential.flattened_layers
    """
    layers: list[Node] = []
    for child in root.children:
        branches = child.children if child.class_name == MERGE else ()
        for branch in branches:
            layers += grouped(branch) if branch.is_model else [branch]
        layers += [] if branches else [child]
    return layers


def _base(contents: Contents) -> str | None:
    for base in ("model_weights", ""):
        if "layer_names" in contents.attributes.get(base, {}) or "layer_names0" in contents.attributes.get(base, {}):
            return base
    return None


def _listed(attributes: Mapping[str, object], name: str) -> list[str]:
    """Return a list attribute; one of more than 64 kB is stored in parts, `layer_names0`, `layer_names1` and so on."""
    parts = [attributes[name]] if name in attributes else []
    while f"{name}{len(parts)}" in attributes and name not in attributes:
        parts.append(attributes[f"{name}{len(parts)}"])
    return [str(item) for part in parts if isinstance(part, list) for item in part]


def listed_weights(contents: Contents) -> dict[str, list[Weight]]:
    """Return the weights that each layer lists; raise one error for all that are not there."""
    base = _base(contents) or ""
    groups: dict[str, list[Weight]] = {}
    for layer in _listed(contents.attributes[base], "layer_names"):
        group = f"{base}/{layer}" if base else layer
        names = _listed(contents.attributes.get(group, {}), "weight_names")
        groups[layer] = [Weight(name, f"{group}/{name}") for name in names]
    listed = [weight.key for weights in groups.values() for weight in weights]
    if missing := [key for key in listed if key not in contents.arrays]:
        raise InvalidFile(
            "it lists weights that it does not hold",
            [f"{key}: expected an array, found nothing" for key in missing],
            "The file is incomplete; copy or download it again.",
        )
    return groups


def _cells(weights: list[Weight]) -> Iterator[LocatedCell]:
    """Yield the recurrent cells in a flat list: runs of arrays whose names are those of one cell."""
    position = 0
    while position < len(weights):
        cell = _cell_at(weights, position)
        if cell:
            yield cell
        position += len(cell.keys) if cell else 1


def _cell_at(weights: list[Weight], position: int) -> LocatedCell | None:
    here = [weight.array for weight in weights[position : position + len(_KERAS_1_NAMES)]]
    for names, layout in (
        (_KERAS_1_NAMES, KERAS_1),
        (_KERAS_1_GRU_NAMES, KERAS_1),
        (_KERAS_1_GPU_NAMES, KERAS_1_GPU),
        *((names, None) for names in _EXTENDED_NAMES),
        (_KERAS_2_NAMES, None),
        (_KERAS_2_NAMES[:-1], None),
    ):
        if tuple(here[: len(names)]) == names:
            run = weights[position : position + len(names)]
            return LocatedCell({weight.array: weight.key for weight in run}, layout)
    return None


def _check_layers(root: Node, groups: Mapping[str, list[Weight]]) -> None:
    layers = grouped(root)
    named = {child.name for child in layers}
    if missing := [child.name for child in layers if recurrent_layers(child) and child.name not in groups]:
        raise InvalidFile(
            "the architecture has layers that the weights do not",
            [f"{name}: expected a group of weights, found nothing" for name in missing],
            f"The weights hold {', '.join(groups) or 'no layers'}; give the architecture that belongs to them.",
        )
    if foreign := [name for name, weights in groups.items() if name not in named and any(_cells(weights))]:
        raise InvalidFile(
            "the weights have recurrent layers that the architecture does not",
            [f"{name}: expected a layer of the architecture, found none" for name in foreign],
            "Give the architecture that belongs to these weights.",
        )


def _by_position(child: Node, found: list[LocatedCell]) -> list[LocatedLayer]:
    """Return a group's layers: its list has the trainable cells first, then the others, each in the model's order."""
    specs = recurrent_layers(child)
    wanted = [cell for spec in specs for cell in spec.cells]
    if len(wanted) != len(found):
        raise InvalidFile(
            f"layer {child.path!r} ({child.class_name}) does not hold the recurrent cells its architecture says",
            [f"expected {len(wanted)}, found {len(found)}"],
            "Custom layers around an LSTM are not read; build the model from Keras's own layers and save it again.",
        )
    stored_order = sorted(range(len(wanted)), key=lambda k: [not flag for flag in wanted[k].trainable])
    in_order = [cell for _, cell in sorted(zip(stored_order, found, strict=True), key=lambda pair: pair[0])]
    layers = []
    for spec in specs:
        layers.append(LocatedLayer(spec, tuple(in_order[: len(spec.cells)])))
        in_order = in_order[len(spec.cells) :]
    return layers


def _by_name(contents: Contents, group: str, weights: list[Weight]) -> Iterator[LocatedLayer]:
    """Yield a group's layers as the names of its weights tell them apart, for want of an architecture."""
    scopes: dict[str, list[tuple[str, LocatedCell]]] = {}
    names = {weight.key: weight for weight in weights}
    for cell in _cells(weights):
        scope = names[next(iter(cell.keys.values()))].scope
        inner = re.sub(r"(^|/)(forward|backward)_[^/]*$", "", scope)
        kernel, recurrent, *bias = (contents.arrays[key] for key in cell.keys.values())
        kind = _KIND_BY_NAMES.get(tuple(cell.keys)) or kind_by_shape(kernel, recurrent, *bias[:1])
        if tuple(cell.keys) in _EXTENDED_NAMES:
            kind = f"a cell with {list(cell.keys)[-1]}, whose settings only an architecture says (--config)"
        scopes.setdefault(_below(group, inner), []).append((kind, cell))
    for path, found in scopes.items():
        kinds, cells = zip(*found, strict=True)
        depths = [next(iter(cell.keys.values())).count("backward_") for cell in cells]
        yield LocatedLayer(unstated(path, kinds, [depth > depths[0] for depth in depths]), cells)


def _below(group: str, scope: str) -> str:
    """Return a layer's path from its group and the scope of its weights, which may or may not repeat the group."""
    parts = [part for part in scope.split("/") if part]
    inner = parts[parts.index(group) + 1 :] if group in parts else parts
    return ".".join([group, *inner])

"""The recurrent layers that an architecture states: one cell, two directions of it, or stacks of cells.

Source: keras 2.15.0 and 3.15.1, keras/src/layers/rnn/rnn.py, stacked_rnn_cells.py and bidirectional.py (get_config)
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lstm_convert.frameworks.keras.architecture import BACKWARD, FORWARD, Node, config_of, own_class, snake_case

RECURRENT_CLASSES = ("LSTM", "GRU", "SimpleRNN", "CuDNNLSTM", "CuDNNGRU", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D")
CELL_CLASSES = {"LSTMCell": "LSTM", "GRUCell": "GRU", "SimpleRNNCell": "SimpleRNN"}
# What is read of these, by the kinds of cell that it is made of.
READ_KINDS = ("LSTM", "GRU", "SimpleRNN")
# The cell of our own, by the name under which Keras registers it.
EXTENDED = "lstm_convert>ExtendedLSTMCell"


@dataclass(frozen=True)
class CellSpec:
    """One recurrent cell as an architecture states it.

    Args:
        kind: Recurrent, GRU, SimpleRNN, or the class Keras names where it is another.
        config: the settings of the layer or cell.
        trainable: the flags that decide its place in a flat list of weights.
        place: where saved state keeps it below its layer's own group: `("forward_layer", "cell")`.
    """

    kind: str
    config: Mapping[str, Any]
    trainable: tuple[bool, bool]
    place: tuple[str, ...]


@dataclass(frozen=True)
class RecurrentSpec:
    """One recurrent layer as an architecture states it: one cell, two directions of it, or a stack of cells."""

    node: Node
    cells: tuple[CellSpec, ...]
    bidirectional: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def stacked(self) -> bool:
        """Whether it stacks cells, in a direction or in each of two."""
        return len(self.cells) > 1 + self.bidirectional

    @property
    def time_major(self) -> bool:
        """Whether its sequences have time before the batch."""
        configs = [
            self.node.config,
            *(cell.config for cell in self.cells),
            *(child.config for child in self.node.children),
        ]
        return any(config.get("time_major") for config in configs)

    @property
    def names(self) -> tuple[tuple[str, ...], ...]:
        """The names of the layers it is: one, or one a cell of a stack from the bottom up, each direction by itself."""
        path = self.node.path
        if not self.stacked:
            return ((path,),)
        if not self.bidirectional:
            return (tuple(f"{path}.{number}" for number in range(len(self.cells))),)
        backward = sum(BACKWARD in cell.place for cell in self.cells)
        return (
            tuple(f"{path}.forward.{number}" for number in range(len(self.cells) - backward)),
            tuple(f"{path}.backward.{number}" for number in range(backward)),
        )


def recurrent_layers(node: Node) -> list[RecurrentSpec]:
    """Return the recurrent layers at and below a node, in the model's order."""
    if spec := _recurrent(node):
        return [spec]
    return [spec for child in node.children for spec in recurrent_layers(child)]


def _recurrent(node: Node) -> RecurrentSpec | None:
    """Return what a node is as a recurrent layer, or None; one of the user's own class may compute anything."""
    spec = _by_class(node)
    if spec is None or not node.own_class:
        return spec
    own = (replace(cell, kind=node.own_class) if cell.kind in READ_KINDS else cell for cell in spec.cells)
    return replace(spec, cells=tuple(own))


def _by_class(node: Node) -> RecurrentSpec | None:
    """Return what a node is as a recurrent layer by the last name of its class, or None where it is none."""
    if node.class_name in RECURRENT_CLASSES:
        cell = _cell(node.class_name, node, node.config, ("cell",))
        return RecurrentSpec(node, (cell,), options=_options(node.config))
    if node.class_name == "RNN":
        return RecurrentSpec(node, tuple(_rnn_cells(node)), options=_options(node.config))
    if node.class_name == "Bidirectional":
        return _bidirectional(node)
    if node.class_name == "TimeDistributed" and node.children and (inner := _recurrent(node.children[0])):
        return replace(inner, node=node, cells=_inside("layer", inner))
    return None


def _bidirectional(node: Node) -> RecurrentSpec | None:
    """Return a Bidirectional's two cells; without a `backward_layer`, the backward one is set as the forward."""
    layers = [_recurrent(child) for child in node.children]
    forward, backward = (layers[0], layers[-1]) if layers else (None, None)
    if forward is None or backward is None:
        return None
    cells = _inside(FORWARD, forward) + _inside(BACKWARD, backward)
    return RecurrentSpec(
        node, cells, bidirectional=True, options={**forward.options, "merge": node.config.get("merge_mode", "concat")}
    )


def _inside(attribute: str, spec: RecurrentSpec) -> tuple[CellSpec, ...]:
    return tuple(replace(cell, place=(attribute, *cell.place)) for cell in spec.cells)


def _cell(kind: str, node: Node, config: Mapping[str, Any], place: tuple[str, ...]) -> CellSpec:
    own = bool(config.get("trainable", True))
    return CellSpec(kind, config, (node.trainable[0] and own, own), place)


def _rnn_cells(node: Node) -> Iterator[CellSpec]:
    """Yield the cell of RNN(cell), or those of RNN([cell, cell, …]) from the bottom up."""
    document = config_of(node.config.get("cell"))
    stacked = config_of(document.get("config")).get("cells")
    if not isinstance(stacked, list):
        yield _cell(_cell_kind(document), node, config_of(document.get("config")), ("cell",))
        return
    components: Counter[str] = Counter()
    for cell in map(config_of, stacked):
        component = snake_case(str(cell.get("class_name")))
        repeat = f"_{components[component]}" if components[component] else ""
        components[component] += 1
        yield _cell(_cell_kind(cell), node, config_of(cell.get("config")), ("cell", "cells", component + repeat))


def _cell_kind(document: Mapping[str, Any]) -> str:
    class_name = str(document.get("class_name"))
    if EXTENDED in (class_name, document.get("registered_name")):
        return EXTENDED
    return own_class(document) or CELL_CLASSES.get(class_name, class_name)


def _options(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a recurrent layer's config says beyond its cell, by the names of the canonical fields."""
    names = ("go_backwards", "return_sequences", "return_state", "stateful", "zero_output_for_mask")
    return {name: bool(config.get(name, False)) for name in names}

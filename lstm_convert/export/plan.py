"""What is to be written for a model: which module each layer becomes, what it is called, and who hands what to whom."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from lstm_convert.canonical import SIGMOID, TANH, Cell, GRUCell, Model, Recurrent, RecurrentCell, SimpleRNNCell
from lstm_convert.errors import Unsupported
from lstm_convert.export.names import attributes

# What PyTorch calls the kinds of cells.
KIND_NAMES = {Cell.kind: "LSTM", GRUCell.kind: "GRU", SimpleRNNCell.kind: "RNN"}


@dataclass(frozen=True, eq=False)
class Part:
    """One layer as a submodule.

    Args:
        layer: the layer.
        name: the attribute's name.
    """

    layer: Recurrent
    name: str

    @property
    def masked(self) -> bool:
        """Whether a mask reaches the layer."""
        return self.layer.masked_by is not None

    @property
    def kind(self) -> str:
        """What PyTorch calls the kind of layer: LSTM, GRU, RNN."""
        return KIND_NAMES[self.layer.kind]

    @property
    def two_states(self) -> bool:
        """Whether the layer has a state c beside h."""
        return isinstance(self.layer.forward, Cell)

    @cached_property
    def together(self) -> bool:
        """Whether one module of PyTorch computes both directions."""
        cells = list(self.layer.cells.values())
        kinds = {(cell.units, cell.outputs, has_bias(cell), nonlinearity(cell)) for cell in cells}
        return len(cells) > 1 and all(map(self.torch_has, cells)) and len(kinds) == 1

    def torch_has(self, cell: RecurrentCell) -> bool:
        """Return whether nn.LSTM, nn.GRU or nn.RNN computes one direction of the layer."""
        return not self.masked and torch_has(cell)

    @property
    def apart(self) -> bool:
        """Whether the two directions are modules of their own."""
        return self.layer.backward is not None and not self.together

    @property
    def alike(self) -> bool:
        """Whether the states of all directions have one size."""
        return len({(cell.units, cell.outputs) for cell in self.layer.cells.values()}) == 1

    @property
    def bare(self) -> bool:
        """Whether the layer is PyTorch's module and nothing around it."""
        joined = self.layer.backward is None or (self.together and self.layer.merge == "concat")
        return joined and self.layer.return_sequences and not self.layer.go_backwards

    @property
    def torchs(self) -> bool:
        """Whether one module of PyTorch's computes the layer."""
        return self.bare and not self.apart and self.torch_has(self.layer.forward)

    @property
    def places(self) -> tuple[tuple[str, str], ...]:
        """For each direction, the path of the module that holds its weights, and what ends their names."""
        if self.apart:
            inner = self.kind.lower()
            return ((f"{self.name}.forward_{inner}", ""), (f"{self.name}.backward_{inner}", ""))
        path = self.name if self.bare else f"{self.name}.{self.kind.lower()}"
        return ((path, ""), (path, "_reverse"))[: len(self.layer.cells)]

    @property
    def width(self) -> int:
        """The number of features of the output, or of each of two that are not merged."""
        outputs = [cell.outputs for cell in self.layer.cells.values()]
        return sum(outputs) if self.layer.merge == "concat" else outputs[0]

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """The sizes of h and c in each direction."""
        return [(cell.outputs, cell.units) for cell in self.layer.cells.values()]

    @property
    def two_outputs(self) -> bool:
        """Whether the output is a pair, one of each direction."""
        return self.layer.backward is not None and self.layer.merge is None


@dataclass(frozen=True, eq=False)
class Plan:
    """The parts of a model, in the order in which they are called.

    Args:
        parts: each after those it needs something of.
        chains: the same parts, those in one list that hand their output from one to the next.
        starts: for each part's name, the name of the part whose last states it starts with.
    """

    parts: tuple[Part, ...]
    chains: tuple[tuple[Part, ...], ...]
    starts: dict[str, str]


def planned(model: Model) -> Plan:
    """Return the plan of a model.

    Raises:
        Unsupported: its layers wait for one another in a circle, or two have one name.
    """
    names = attributes(layer.name for layer in model.layers)
    if len({layer.name for layer in model.layers}) < len(names):
        raise Unsupported("two of its layers have one name", next_step="Rename one of them.")
    parts = {layer.name: Part(layer, name) for layer, name in zip(model.layers, names, strict=True)}
    below = {name: _below(part, parts) for name, part in parts.items()}
    starts = {name: _started(part, parts) for name, part in parts.items()}
    ordered = _ordered(parts, [below, starts])
    chains: dict[str, list[Part]] = {}
    ends: dict[str, list[Part]] = {}
    for part in ordered:
        before = below[part.layer.name]
        chain = ends.pop(before.name, None) if before else None
        if chain is None:
            chain = chains.setdefault(part.name, [])
        chain.append(part)
        ends[part.name] = chain
    return Plan(
        tuple(ordered),
        tuple(tuple(chain) for chain in chains.values()),
        {parts[name].name: source.name for name, source in starts.items() if source},
    )


def part_of(layer: Recurrent, name: str, *, masked: bool) -> Part:
    """Return the submodule of a recurrent layer of a network.

    Args:
        layer: the layer.
        name: the submodule's name.
        masked: whether a mask reaches it.
    """
    part = Part(replace(layer, masked_by="mask" if masked else None), name)
    if part.apart:
        return part
    return Part(replace(part.layer, return_sequences=True, go_backwards=False, merge="concat"), name)


def torch_has(cell: RecurrentCell) -> bool:
    """Return whether nn.LSTM, nn.GRU or nn.RNN computes a cell."""
    if isinstance(cell, GRUCell):
        return cell.reset_after and (cell.gate, cell.candidate) == (SIGMOID, TANH)
    if not isinstance(cell, Cell):
        return nonlinearity(cell) in ("tanh", "relu")
    usual = (cell.gate, cell.candidate, cell.output) == (SIGMOID, TANH, TANH)
    clips = (cell.gate_clip, cell.cell_clip, cell.projection_clip)
    narrower = cell.projection is None or cell.outputs < cell.units
    extras = cell.peephole is not None or cell.coupled or any(clip is not None for clip in clips)
    return usual and narrower and not extras


def nonlinearity(cell: RecurrentCell) -> str:
    """Return the activation of a simple RNN; nothing of another cell, whose activations no argument names."""
    return cell.candidate.name if isinstance(cell, SimpleRNNCell) else ""


def has_bias(cell: RecurrentCell) -> bool:
    """Return whether a cell has a bias on either side."""
    return cell.b is not None or cell.b_rec is not None


def _below(part: Part, parts: dict[str, Part]) -> Part | None:
    """Return the part whose output a part reads, where that is one whole sequence of the right width."""
    before = parts.get(part.layer.follows) if part.layer.follows else None
    if before is None or before is part or before.two_outputs or not before.layer.return_sequences:
        return None
    same_mask = not (before.masked and part.masked) or before.layer.masked_by == part.layer.masked_by
    return before if same_mask and before.width == part.layer.forward.inputs else None


def _started(part: Part, parts: dict[str, Part]) -> Part | None:
    source = parts.get(part.layer.starts_from) if part.layer.starts_from else None
    return source if source is not None and source is not part and source.sizes == part.sizes else None


def _ordered(parts: dict[str, Part], needs: Sequence[dict[str, Part | None]]) -> list[Part]:
    """Return the parts, each after those it needs, else in the model's order."""
    done: dict[str, Part] = {}
    waiting = dict(parts)
    while waiting:
        ready = (name for name in waiting if all(need.layer.name in done for need in _needed(name, needs)))
        name = next(ready, None)
        if name is None:
            raise Unsupported(
                "its layers wait for one another in a circle",
                [f"{part.name} needs {need.name}" for name, part in waiting.items() for need in _needed(name, needs)],
            )
        done[name] = waiting.pop(name)
    return list(done.values())


def _needed(name: str, needs: Sequence[dict[str, Part | None]]) -> Iterator[Part]:
    yield from (part for need in needs if (part := need[name]) is not None)

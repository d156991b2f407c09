"""Recurrent layers: their cells, and how they are called."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

from lstm_convert.canonical.cells import Cell, GRUCell, RecurrentCell, SimpleRNNCell


@dataclass(frozen=True)
class Origin:
    """Where a layer came from: the layout its arrays were in, and the key of each in the file.

    Args:
        layout: the name of the layout's row in the table.
        keys: for each direction, the framework's name of an array and its key in the file.
    """

    layout: str
    keys: tuple[Mapping[str, str], ...] = ()


@dataclass(frozen=True, eq=False)
class Recurrent:
    """One recurrent layer of some kind: one cell, or a forward and a backward one.

    Args:
        path: its place in the source model, names joined by dots: `inner.deep`; empty where the source is it alone.
        forward: the cell that reads the sequence from its first step.
        backward: the cell that reads it from its last step, or None.
        depth: which layer of a stack of several under one path this is, or None where it stands alone.
        follows: the layer whose whole output sequence is this one's only input and read by no other, or None.
        starts_from: the layer whose last states this one starts with, or None.
        merge: how the two directions are joined: concat, sum, mul, ave, or None for one output each.
        go_backwards: whether `forward` reads the sequence from its end, its output left in the order of reading.
        return_sequences: whether the output is every step, or the last one alone.
        return_state: whether the last states are returned too.
        stateful: whether the states live on from one batch to the next.
        batch_size: the number of sequences that a stateful layer was made for, or None.
        masked_by: the layer whose mask reaches this one, or None. A masked step leaves the states as they are.
        zero_output_for_mask: whether the output of a masked step is zero, or that of the step before again.
        origin: the layout and keys of its arrays in the source.
    """

    kind: ClassVar[str]

    path: str
    forward: RecurrentCell
    backward: RecurrentCell | None = None
    depth: int | None = None
    follows: str | None = None
    starts_from: str | None = None
    merge: str | None = "concat"
    go_backwards: bool = False
    return_sequences: bool = True
    return_state: bool = False
    stateful: bool = False
    batch_size: int | None = None
    masked_by: str | None = None
    zero_output_for_mask: bool = False
    origin: Origin | None = None

    @staticmethod
    def of(path: str, forward: RecurrentCell, backward: RecurrentCell | None = None, **options: Any) -> "Recurrent":
        """Return the layer that some cells make, of their kind.

        Args:
            path: its place in the source model.
            forward: the forward cell.
            backward: the backward cell, or None.
            **options: its other fields.
        """
        return _LAYER_OF[type(forward)](path, forward, backward, **options)

    @property
    def name(self) -> str:
        """Its path, and its place in the stack where it stands in one: `rnn.l1`."""
        path = self.path or self.kind.lower()
        return path if self.depth is None else f"{path}.l{self.depth}"

    @property
    def cells(self) -> dict[str, RecurrentCell]:
        """The cells by direction, forward first."""
        return {"forward": self.forward} | ({"backward": self.backward} if self.backward else {})

    @property
    def sequences(self) -> int:
        """How many outputs it has before its states: one, or one a direction where the two are not merged."""
        return len(self.cells) if self.merge is None else 1

    @property
    def states(self) -> int:
        """How many states it has: h of each direction, and the c that only an LSTM has."""
        return sum(len(cell.state_sizes) for cell in self.cells.values())

    def with_cells(self, cells: Mapping[str, RecurrentCell]) -> Self:
        """Return the same layer with other cells, by direction."""
        return replace(self, forward=cells["forward"], backward=cells.get("backward"))


@dataclass(frozen=True, eq=False)
class LSTM(Recurrent):
    """One LSTM layer."""

    kind: ClassVar[str] = Cell.kind

    forward: Cell
    backward: Cell | None = None


@dataclass(frozen=True, eq=False)
class GRU(Recurrent):
    """One GRU layer; its state is h alone."""

    kind: ClassVar[str] = GRUCell.kind

    forward: GRUCell
    backward: GRUCell | None = None


@dataclass(frozen=True, eq=False)
class SimpleRNN(Recurrent):
    """One layer of a simple RNN; its state is h alone."""

    kind: ClassVar[str] = SimpleRNNCell.kind

    forward: SimpleRNNCell
    backward: SimpleRNNCell | None = None


_LAYER_OF: Mapping[type[RecurrentCell], type[Recurrent]] = {Cell: LSTM, GRUCell: GRU, SimpleRNNCell: SimpleRNN}

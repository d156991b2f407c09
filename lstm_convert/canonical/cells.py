"""The canonical form: every recurrent cell with its gates apart, in one order, whatever file it came from.

`*` is element by element, with `gate` for sigmoid and `candidate`, `output` for tanh unless stated.

One step of an LSTM, gates in the order i, f, g, o:

    i = gate(W.i x + b.i + U.i h + b_rec.i)          input gate
    f = gate(W.f x + b.f + U.f h + b_rec.f)          forget gate
    g = candidate(W.g x + b.g + U.g h + b_rec.g)     candidate; Keras calls it c
    c = f * c + i * g
    o = gate(W.o x + b.o + U.o h + b_rec.o)          output gate
    h = o * output(c)

Where a cell has them: peepholes add p_i * c and p_f * c of the step before inside i and f, and p_o * c of this step
inside o; a coupled cell has f = 1 - i; `gate_clip` bounds what the activations of i, f, g and o are given, `cell_clip`
bounds c; a projection makes h = projection (o * output(c)), and `projection_clip` bounds that.

One step of a GRU, gates in the order z, r, g:

    z = gate(W.z x + b.z + U.z h + b_rec.z)                update gate
    r = gate(W.r x + b.r + U.r h + b_rec.r)                reset gate
    g = candidate(W.g x + b.g + r * (U.g h + b_rec.g))     candidate, reset after; Keras calls it h, PyTorch n
    g = candidate(W.g x + b.g + U.g (r * h) + b_rec.g)     the same, reset before
    h = z * h + (1 - z) * g

One step of a simple RNN:

    h = candidate(W.g x + b.g + U.g h + b_rec.g)
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from typing import Any, ClassVar, Self

import numpy as np

from lstm_convert.canonical.gates import GATES, Array, Gates
from lstm_convert.errors import LayoutMismatch

# The arrays that some cell has: those of gates, and those of some LSTMs alone.
_PER_GATE = ("W", "U", "b", "b_rec")
_ARRAYS = (*_PER_GATE, "projection", "peephole")
# The arrays whose shapes say what the sizes are; all others have to follow.
_SIZED_BY = {"W": ("gates", "units", "inputs"), "projection": ("outputs", "units")}


@dataclass(frozen=True)
class Activation:
    """An activation by name, with every number that its name alone would leave open.

    `hard_sigmoid` is clip(slope * x + offset, 0, 1): slope 0.2 before Keras 3, 1/6 from Keras 3 on.
    """

    name: str
    parameters: Mapping[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        numbers = ", ".join(f"{key}={value:.4g}" for key, value in self.parameters.items())
        return f"{self.name}({numbers})" if numbers else self.name


SIGMOID = Activation("sigmoid")
TANH = Activation("tanh")


@dataclass(frozen=True, eq=False)
class RecurrentCell:
    """One recurrent cell of some kind, one direction. G gates, H units, D inputs; R is the width of h.

    Args:
        W: input kernels, (G, H, D).
        U: recurrent kernels, (G, H, R).
        b: biases of the input side, (G, H), or None.
        b_rec: biases of the recurrent side, (G, H), or None. PyTorch stores both; but for a GRU's candidate that is
            reset after, their sum is what counts.

    Raises:
        LayoutMismatch: the shapes do not belong together; all that do not are listed.
    """

    kind: ClassVar[str]
    letters: ClassVar[str]

    W: Gates
    U: Gates
    b: Gates | None = None
    b_rec: Gates | None = None

    def __post_init__(self) -> None:
        arrays = self.held()
        self._raise_if(
            f"{name}: expected ({', '.join(axes).replace('gates', str(len(self.letters)))}), found {array.shape}"
            for name, array in arrays.items()
            if (axes := _SIZED_BY.get(name)) and len(array.shape) != len(axes)
        )
        expected = self._shapes()
        self._raise_if(
            f"{name}: expected {expected[name]}, found {array.shape}"
            for name, array in arrays.items()
            if array.shape != expected[name]
        )
        self._raise_if(
            f"{name}: expected the gates {self.letters}, found {gates.letters}"
            for name, gates in arrays.items()
            if isinstance(gates, Gates) and gates.letters != self.letters
        )

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape that each array must have."""
        of_gates = (len(self.letters), self.units)
        return {"W": (*of_gates, self.inputs), "U": (*of_gates, self.units), "b": of_gates, "b_rec": of_gates}

    def _raise_if(self, wrong: Iterable[str]) -> None:
        if details := list(wrong):
            raise LayoutMismatch("the arrays of this cell do not belong together", details)

    @classmethod
    def of(cls, arrays: Mapping[str, Array | Iterable[Array]], **options: Any) -> Self:
        """Return a cell from its arrays, by the names of its fields, gates together.

        Args:
            arrays: at least W and U; those of gates may come one after another.
            **options: its other fields: activations, clips, coupling.
        """
        return cls(**{name: cls._field(name, array) for name, array in arrays.items()}, **options)

    def with_arrays(self, arrays: Mapping[str, Array | Iterable[Array]]) -> Self:
        """Return the same cell with other arrays, by the names of its fields; those not named stay."""
        changed: dict[str, Any] = {name: self._field(name, array) for name, array in arrays.items()}
        return replace(self, **changed)

    @classmethod
    def _field(cls, name: str, array: Array | Iterable[Array]) -> Any:
        return Gates(array, cls.letters) if name in _PER_GATE else array

    def arrays(self) -> dict[str, Array]:
        """Return the arrays this cell has, by the names of its fields, gates together."""
        return {name: np.asarray(value) for name, value in self.held().items()}

    def held(self) -> dict[str, Gates | Array]:
        """Return the same arrays as they are held, gates apart: nothing is read or copied."""
        present = ((name, getattr(self, name, None)) for name in _ARRAYS)
        return {name: value for name, value in present if value is not None}

    def activations(self) -> dict[str, Activation]:
        """Return the activations by the names of their fields: gate, candidate, output, where there are such."""
        return {role: getattr(self, role) for role in self.roles()}

    @classmethod
    @cache
    def roles(cls) -> tuple[str, ...]:
        """Return the names of those fields."""
        return tuple(each.name for each in fields(cls) if each.type is Activation)

    def settings(self) -> dict[str, Any]:
        """Return what else there is to say of this kind of cell, by the names of the fields: flags, clips or None."""
        return {name: getattr(self, name) for name in self.setting_names()}

    @classmethod
    @cache
    def setting_names(cls) -> tuple[str, ...]:
        """Return the names of those fields."""
        return tuple(each.name for each in fields(cls) if each.name not in (*_ARRAYS, *cls.roles()))

    def with_activations(self, activations: Mapping[str, Activation]) -> Self:
        """Return the same cell with other activations, by the names of the fields; those it does not have are left."""
        changed: dict[str, Any] = {role: activations[role] for role in self.roles() if role in activations}
        return replace(self, **changed) if changed else self

    @property
    def units(self) -> int:
        """H, the number of units; Keras says units, PyTorch hidden_size."""
        return self.W.shape[1]

    @property
    def inputs(self) -> int:
        """D, the number of input features."""
        return self.W.shape[2]

    @property
    def outputs(self) -> int:
        """R, the width of h: the projection's where there is one, else H."""
        return self.U.shape[2]

    @property
    def state_sizes(self) -> tuple[int, ...]:
        """The sizes of its states: of h, and of c where it has one."""
        return (self.outputs,)


@dataclass(frozen=True, eq=False)
class Cell(RecurrentCell):
    """One LSTM cell, gates i, f, g, o; P projected units, where R is P.

    Args:
        projection: (P, H), or None.
        peephole: what i, f and o see of c, (3, H), or None.
        gate: activation of i, f and o.
        candidate: activation of g.
        output: activation of c on its way to h.
        gate_clip: the bound on what the activations of the gates and the candidate are given, or None.
        cell_clip: the bound on c, or None.
        projection_clip: the bound on the projected h, or None.
        coupled: whether f is 1 - i, and its own weights count for nothing.
    """

    kind: ClassVar[str] = "LSTM"
    letters: ClassVar[str] = GATES

    projection: Array | None = None
    peephole: Array | None = None
    gate: Activation = SIGMOID
    candidate: Activation = TANH
    output: Activation = TANH
    gate_clip: float | None = None
    cell_clip: float | None = None
    projection_clip: float | None = None
    coupled: bool = False

    @property
    def state_sizes(self) -> tuple[int, ...]:
        """The sizes of h and c."""
        return (self.outputs, self.units)

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        recurrent = self.units if self.projection is None else self.projection.shape[0]
        return super()._shapes() | {
            "U": (len(self.letters), self.units, recurrent),
            "projection": (recurrent, self.units),
            "peephole": (3, self.units),
        }


@dataclass(frozen=True, eq=False)
class GRUCell(RecurrentCell):
    """One GRU cell, gates z, r, g.

    Args:
        gate: activation of z and r.
        candidate: activation of g.
        reset_after: whether r multiplies what U makes of h, bias and all, or h before U does.
    """

    kind: ClassVar[str] = "GRU"
    letters: ClassVar[str] = "zrg"

    gate: Activation = SIGMOID
    candidate: Activation = TANH
    reset_after: bool = True


@dataclass(frozen=True, eq=False)
class SimpleRNNCell(RecurrentCell):
    """One cell of a simple RNN, the candidate g alone.

    Args:
        candidate: activation of g, which is h.
    """

    kind: ClassVar[str] = "SimpleRNN"
    letters: ClassVar[str] = "g"

    candidate: Activation = TANH

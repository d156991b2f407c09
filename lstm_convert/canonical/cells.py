"""The canonical form: every LSTM with its gates apart, in the order i, f, g, o, whatever file it came from.

One step of a cell, `*` element by element, with `gate` for sigmoid and `candidate`, `output` for tanh unless stated:

    i = gate(W.i x + b.i + U.i h + b_rec.i)          input gate
    f = gate(W.f x + b.f + U.f h + b_rec.f)          forget gate
    g = candidate(W.g x + b.g + U.g h + b_rec.g)     candidate; Keras calls it c
    c = f * c + i * g
    o = gate(W.o x + b.o + U.o h + b_rec.o)          output gate
    h = o * output(c)

Where a cell has them: peepholes add p_i * c and p_f * c of the step before inside i and f, and p_o * c of this step
inside o; a coupled cell has f = 1 - i; `gate_clip` bounds what the activations of i, f, g and o are given, `cell_clip`
bounds c; a projection makes h = projection (o * output(c)), and `projection_clip` bounds that.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_convert.errors import LayoutMismatch

Array = NDArray[Any]

GATES = "ifgo"

# The arrays whose shapes say what the sizes are; all others have to follow.
_SIZED_BY = {"W": ("4", "units", "inputs"), "projection": ("outputs", "units")}


@dataclass(frozen=True, eq=False)
class Gates:
    """Four arrays of one shape, one for each gate; `gates.f` and `gates["f"]` are the forget gate's.

    `numpy.asarray(gates)` gives all of them, (4, …) in the order i, f, g, o.
    """

    array: Array

    def __post_init__(self) -> None:
        frozen = self.array.view()
        frozen.setflags(write=False)
        object.__setattr__(self, "array", frozen)

    def __getitem__(self, gate: str) -> Array:
        if len(gate) != 1 or gate not in GATES:
            raise KeyError(f"{gate!r} is no gate; the gates are i, f, g (the candidate, elsewhere called c) and o")
        gate_array: Array = self.array[GATES.index(gate)]
        return gate_array

    def __iter__(self) -> Iterator[Array]:
        return iter(self.array)

    @property
    def i(self) -> Array:
        """The input gate's array."""
        return self["i"]

    @property
    def f(self) -> Array:
        """The forget gate's array."""
        return self["f"]

    @property
    def g(self) -> Array:
        """The candidate's array; Keras calls this gate c."""
        return self["g"]

    @property
    def o(self) -> Array:
        """The output gate's array."""
        return self["o"]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of all four together, (4, …)."""
        return self.array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The numbers' type, as the source stored them."""
        return self.array.dtype

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:  # noqa: FBT001 (numpy's own signature)
        return np.array(self.array, dtype=dtype, copy=bool(copy)) if copy else np.asarray(self.array, dtype=dtype)


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
class Cell:
    """One LSTM cell, one direction. H units, D inputs, P projected; R is P where there is a projection, else H.

    Args:
        W: input kernels, (4, H, D).
        U: recurrent kernels, (4, H, R).
        b: biases of the input side, (4, H), or None.
        b_rec: biases of the recurrent side, (4, H), or None. PyTorch stores both; their sum is what counts.
        projection: (P, H), or None.
        peephole: what i, f and o see of c, (3, H), or None.
        gate: activation of i, f and o.
        candidate: activation of g.
        output: activation of c on its way to h.
        gate_clip: the bound on what the activations of the gates and the candidate are given, or None.
        cell_clip: the bound on c, or None.
        projection_clip: the bound on the projected h, or None.
        coupled: whether f is 1 - i, and its own weights count for nothing.

    Raises:
        LayoutMismatch: the shapes do not belong together; all that do not are listed.
    """

    W: Gates
    U: Gates
    b: Gates | None = None
    b_rec: Gates | None = None
    projection: Array | None = None
    peephole: Array | None = None
    gate: Activation = SIGMOID
    candidate: Activation = TANH
    output: Activation = TANH
    gate_clip: float | None = None
    cell_clip: float | None = None
    projection_clip: float | None = None
    coupled: bool = False

    def __post_init__(self) -> None:
        self._raise_if(
            f"{name}: expected ({', '.join(axes)}), found {array.shape}"
            for name, array in self.arrays().items()
            if (axes := _SIZED_BY.get(name)) and array.ndim != len(axes)
        )
        recurrent = self.units if self.projection is None else self.projection.shape[0]
        expected = {
            "W": (4, self.units, self.inputs),
            "U": (4, self.units, recurrent),
            "b": (4, self.units),
            "b_rec": (4, self.units),
            "projection": (recurrent, self.units),
            "peephole": (3, self.units),
        }
        self._raise_if(
            f"{name}: expected {expected[name]}, found {array.shape}"
            for name, array in self.arrays().items()
            if array.shape != expected[name]
        )

    def _raise_if(self, wrong: Iterable[str]) -> None:
        if details := list(wrong):
            raise LayoutMismatch("the arrays of this cell do not belong together", details)

    @classmethod
    def of(cls, arrays: Mapping[str, Array], **options: Any) -> "Cell":
        """Return a cell from its arrays, by the names of its fields, gates together.

        Args:
            arrays: at least W and U.
            **options: its other fields: activations, clips, coupling.
        """
        return cls(**{name: _field(name, array) for name, array in arrays.items()}, **options)

    def with_arrays(self, arrays: Mapping[str, Array]) -> "Cell":
        """Return the same cell with other arrays, by the names of its fields; those not named stay."""
        fields: dict[str, Any] = {name: _field(name, array) for name, array in arrays.items()}
        return replace(self, **fields)

    def arrays(self) -> dict[str, Array]:
        """Return the arrays this cell has, by the names of its fields, gates together."""
        names = ("W", "U", "b", "b_rec", "projection", "peephole")
        return {name: np.asarray(getattr(self, name)) for name in names if getattr(self, name) is not None}

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


def _field(name: str, array: Array) -> Any:
    return array if name in ("projection", "peephole") else Gates(array)

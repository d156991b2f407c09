"""The arrays of a cell's gates, each by its letter, however they lie."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_convert.errors import LayoutMismatch

Array = NDArray[Any]

GATES = "ifgo"
_WORDS = {"g": "g (the candidate, elsewhere called c, h or n)"}


@dataclass(frozen=True, eq=False, init=False)
class Gates:
    """Arrays of one shape, one for each gate; `gates.f` and `gates["f"]` are the forget gate's.

    `numpy.asarray(gates)` gives all of them, (gates, …) in the order of `letters`.

    Args:
        array: the arrays together, or one after another.
        letters: the gates' letters in their order: those of the kind of cell.

    Raises:
        LayoutMismatch: the arrays have different shapes.
    """

    each: tuple[Array, ...]
    letters: str
    _together: Array | None = field(repr=False)

    def __init__(self, array: Array | Iterable[Array], letters: str = GATES) -> None:
        together = _frozen(array) if isinstance(array, np.ndarray) else None
        apart = array if together is None else (together if together.ndim else ())
        object.__setattr__(self, "each", tuple(map(_frozen, apart)))
        object.__setattr__(self, "letters", letters)
        object.__setattr__(self, "_together", together)
        if len({gate.shape for gate in self.each}) > 1:
            shapes = [f"{letter}: {gate.shape}" for letter, gate in zip(letters, self.each, strict=False)]
            raise LayoutMismatch("the gates' arrays have different shapes", shapes)

    def __getitem__(self, gate: str) -> Array:
        if len(gate) != 1 or gate not in self.letters:
            *most, last = [_WORDS.get(letter, letter) for letter in self.letters]
            gates = f"{', '.join(most)} and {last}" if most else last
            raise KeyError(f"{gate!r} is no gate; the gates are {gates}")
        return self.each[self.letters.index(gate)]

    def __iter__(self) -> Iterator[Array]:
        return iter(self.each)

    @property
    def array(self) -> Array:
        """All gates together, (gates, …)."""
        return _frozen(np.stack(self.each)) if self._together is None else self._together

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
        """The candidate's array; Keras calls this gate c, or h in a GRU."""
        return self["g"]

    @property
    def o(self) -> Array:
        """The output gate's array."""
        return self["o"]

    @property
    def z(self) -> Array:
        """The update gate's array."""
        return self["z"]

    @property
    def r(self) -> Array:
        """The reset gate's array."""
        return self["r"]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of all together, (gates, …)."""
        return (len(self.each), *self.each[0].shape) if self._together is None else self._together.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The numbers' type, as the source stored them."""
        return self.each[0].dtype if self._together is None else self._together.dtype

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:  # noqa: FBT001 (numpy's own signature)
        return np.array(self.array, dtype=dtype, copy=bool(copy)) if copy else np.asarray(self.array, dtype=dtype)


def _frozen(array: Array) -> Array:
    frozen = array.view()
    frozen.setflags(write=False)
    return frozen

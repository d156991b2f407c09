"""What one layer of Keras is as a layer of a network: its kind, its options, and the arrays it lists."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from lstm_convert.canonical import Array

# A shape as far as a layer's settings say it.
Shape = tuple[int | None, ...] | None


@dataclass(frozen=True)
class Form:
    """One form in which an array may be stored.

    Args:
        shape: its shape there; None where any will do.
        turned: what makes the canonical array of it.
    """

    shape: Shape
    turned: Callable[[Array], Array] = np.asarray

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Return whether an array of some shape may be in this form."""
        if self.shape is None:
            return True
        return len(shape) == len(self.shape) and all(
            expected in (None, found) for expected, found in zip(self.shape, shape, strict=True)
        )

    def __str__(self) -> str:
        sizes = ["?" if size is None else str(size) for size in self.shape or ()]
        return f"({', '.join(sizes)}{',' * (len(sizes) == 1)})"


@dataclass(frozen=True)
class Slot:
    """One array that a layer lists.

    Args:
        name: its canonical name.
        stored: how its name may end in the file.
        forms: the forms it may have, the first that fits counts.
        trained: whether it counts as trainable, by which old files sort.
    """

    name: str
    stored: tuple[str, ...]
    forms: tuple[Form, ...]
    trained: bool = True


@dataclass(frozen=True)
class Neighbour:
    """A layer that is not recurrent.

    Args:
        kind: its canonical kind.
        options: its canonical options.
        slots: the arrays it lists, in that order.
        before: what is made of its input, where it takes two canonical layers to say what one of Keras does.
        then: what is made of its output, likewise.
    """

    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)
    slots: tuple[Slot, ...] = ()
    before: "Neighbour | None" = None
    then: "Neighbour | None" = None

    def set_to(self, options: Mapping[str, Any]) -> "Neighbour":
        """Return the same layer with some options set otherwise."""
        return replace(self, options={**self.options, **options})

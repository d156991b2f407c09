"""What a diagnosis says."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mistake:
    """One mistake that makes a network another.

    Args:
        name: what kind of mistake: `gates_swapped`, `bias_doubled`, … or `unrelated` where none explains it.
        layer: the layer's name in the right network, or None where the whole network is meant.
        direction: forward or backward, or None where the whole layer is meant.
        detail: which gates, which arrays, whose order, in words.
        residual: the largest difference of any output or state left there once all that is named is undone; None where
            the sizes differ, so that nothing can be compared.
    """

    name: str
    layer: str | None
    direction: str | None
    detail: str
    residual: float | None


@dataclass(frozen=True)
class Diagnosis:
    """Whether two networks are the same, and what makes one the other.

    Args:
        same: whether they compute the same, up to rounding.
        mistakes: what was done to the right one; of each cell, what changes most comes first.
    """

    same: bool
    mistakes: tuple[Mistake, ...] = ()

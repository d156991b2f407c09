"""What the nodes of a traced graph stand for: tensors of the network, states of recurrent layers, known numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_convert.canonical import Feed


@dataclass(frozen=True)
class Tensor:
    """A tensor that the network makes, seen with its axes in some order.

    Args:
        feed: where it is made, the batch first.
        order: for each axis of the tensor, which axis it is there.
        sizes: of the tensor's axes; None for the batch.
        whole: whether its numbers are whole numbers.
    """

    feed: Feed
    order: tuple[int, ...]
    sizes: tuple[int | None, ...]
    whole: bool = False

    @property
    def in_order(self) -> bool:
        """Whether its axes are as they are made."""
        return self.order == tuple(range(len(self.order)))


@dataclass(frozen=True, eq=False)
class Stack:
    """Tensors of one size one behind the other, as h_n holds the last state of each layer and direction.

    Args:
        tensors: (…) of tensors (batch, features); these axes come before the batch.
        batch_first: whether the one axis of them comes after the batch.
    """

    tensors: NDArray[Any]
    batch_first: bool = False

    @classmethod
    def of(cls, tensors: Sequence[Tensor]) -> "Stack":
        """Return tensors along one axis."""
        held = np.empty(len(tensors), object)
        held[:] = tensors
        return cls(held)


@dataclass(frozen=True)
class Folded:
    """A tensor whose first two axes, the batch and the steps, are seen as one, as many do before a linear layer.

    Args:
        tensor: with its axes apart.
    """

    tensor: Tensor


@dataclass(frozen=True, eq=False)
class Known:
    """A tensor that does not depend on the input.

    Args:
        tensor: PyTorch's own.
        name: of the parameter or buffer in the module; empty for others.
    """

    tensor: Any
    name: str = ""


@dataclass(frozen=True)
class Zeros:
    """Zeros, as many as the batch asks for."""


@dataclass(frozen=True)
class Unknown:
    """What a node that is not understood would have made.

    Args:
        why: what to say of a node that reads it; empty where that is said already.
    """

    why: str = ""


Value = Tensor | Stack | Folded | Known | Zeros | Unknown | tuple[Any, ...]

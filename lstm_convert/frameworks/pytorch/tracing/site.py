"""One node of a traced graph at work: the layers it becomes, and the tensor that they make."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lstm_convert.canonical import Activation, Array, Feed
from lstm_convert.frameworks.pytorch.tracing.network import Building
from lstm_convert.frameworks.pytorch.tracing.values import Tensor

LINEAR = Activation("linear")


class NotUnderstood(Exception):
    """Why a node cannot be said in the terms of the canonical network; one line of the library's error says it."""


@dataclass
class Site:
    """A node of the graph.

    Args:
        building: the network so far.
        name: what a layer made for the node is called.
        path: the path of the module that it is in.
        sizes: the sizes of each tensor that the node makes; None for the batch, -1 where it is mixed with others.
        dtype: of the first of them.
    """

    building: Building
    name: str
    path: str
    sizes: tuple[tuple[int | None, ...], ...]
    dtype: str

    def layer(
        self,
        kind: str,
        inputs: Sequence[Tensor],
        options: Mapping[str, Any] | None = None,
        arrays: Mapping[str, Array] | None = None,
        part: str = "",
    ) -> Feed:
        """Return what a new layer makes.

        Args:
            kind: of the canonical network.
            inputs: what it reads, as they are made: their order is the caller's business.
            options: what it is set to.
            arrays: its arrays.
            part: what it is of the node, where the node becomes several layers.
        """
        name = ".".join([self.name, *[part] * bool(part)])
        return self.building.call(name, kind, options or {}, arrays or {}, [x.feed for x in inputs])

    def made(self, feed: Feed, order: Sequence[int] | None = None, output: int = 0) -> Tensor:
        """Return the tensor that this node makes.

        Args:
            feed: where it is made.
            order: of its axes there; None where it is the same.
            output: which of those that the node makes.
        """
        sizes = self.sizes[output]
        order = tuple(range(len(sizes)) if order is None else order)
        if sizes[order.index(0)] is not None:
            raise NotUnderstood("the batch does not stay an axis by itself")
        if "int" not in self.dtype and self.dtype != self.building.dtype:
            raise NotUnderstood(f"it makes the numbers {self.dtype}, and the model's are {self.building.dtype}")
        return self.building.see(Tensor(feed, order, sizes, whole="int" in self.dtype))

    def elementwise(self, kind: str, x: Tensor, options: Mapping[str, Any] | None = None) -> Tensor:
        """Return what a layer makes that treats every number alike, wherever the axes are."""
        return self.made(self.layer(kind, [x], options), x.order)

    def activation(self, x: Tensor, name: str, **numbers: float) -> Tensor:
        """Return an activation of a tensor."""
        return self.elementwise("activation", x, {"activation": Activation(name, numbers)})

    def ordered(self, x: Tensor, batch: int = 0) -> Tensor:
        """Return a tensor that is made with the batch first and its other axes in the order in which they are seen.

        Args:
            x: the tensor.
            batch: where the batch is among the axes that are seen.
        """
        if x.order[batch] != 0:
            raise NotUnderstood(f"the batch is not axis {batch} of what it reads")
        others = [axis for axis in range(len(x.order)) if axis != batch]
        order = [x.order[axis] for axis in others]
        feed = x.feed
        if order != sorted(order):
            feed = self.layer("permute", [x], {"order": tuple(order)}, part="axes")
        sizes = (x.sizes[batch], *(x.sizes[axis] for axis in others))
        return Tensor(feed, tuple(range(len(sizes))), sizes, x.whole)

    @staticmethod
    def axis(x: Tensor, dim: int) -> int:
        """Return the axis that a layer works along, the last as -1, which says it for any number of axes."""
        axis = x.order[dim]
        return -1 if axis == len(x.order) - 1 else axis

    def features_last(self, x: Tensor, count: int = 1) -> Tensor:
        """Return a tensor whose last axes are made last too."""
        rank = len(x.order)
        return x if x.order[rank - count :] == tuple(range(rank - count, rank)) else self.ordered(x)

    def windowed(self, x: Tensor, rank: int) -> tuple[Tensor, str]:
        """Return what a layer with a window reads, and where its channels are: last where they are made so.

        Args:
            x: (batch, channels, *axes).
            rank: the number of axes.
        """
        if len(x.order) != rank + 2:
            raise NotUnderstood(f"expected (batch, channels) and {rank} axes, found {len(x.order)} axes")
        if x.order == (0, rank + 1, *range(1, rank + 1)):
            return x, "last"
        return self.ordered(x), "first"

    def windows(self, x: Tensor, channels: str, feed: Feed, output: int = 0) -> Tensor:
        """Return the tensor that a layer with a window makes, its axes as `windowed` found them."""
        return self.made(feed, x.order if channels == "last" else None, output)

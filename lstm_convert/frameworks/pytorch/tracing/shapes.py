"""Operations that move, drop or repeat numbers and compute none."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from lstm_convert.frameworks.pytorch.tracing.constants import tensor
from lstm_convert.frameworks.pytorch.tracing.nodes import MIXED
from lstm_convert.frameworks.pytorch.tracing.site import NotUnderstood, Site
from lstm_convert.frameworks.pytorch.tracing.values import Folded, Stack, Tensor, Value
from lstm_convert.frameworks.pytorch.tracing.windowed import along_axes

_TO_THE_END = 1 << 62  # a slice without an end has a larger one than any axis


def permute(site: Site, a: Any) -> Value:  # noqa: ARG001 (every operation has both)
    """Return the axes in another order, of which only who needs it makes a layer."""
    x = tensor(a.self)
    order = a.dims if hasattr(a, "dims") else _swapped(len(x.order), a)
    return Tensor(x.feed, tuple(x.order[dim] for dim in order), tuple(x.sizes[dim] for dim in order), x.whole)


def _swapped(rank: int, a: Any) -> list[int]:
    names = vars(a)
    one, other = (names.get(old, names.get(new, at)) for old, new, at in (("dim0", "axis0", 0), ("dim1", "axis1", 1)))
    order = list(range(rank))
    order[one], order[other] = order[other], order[one]
    return order


def movedim(site: Site, a: Any) -> Value:  # noqa: ARG001 (every operation has both)
    """Return one axis at another place."""
    x = tensor(a.self)
    order = list(range(len(x.order)))
    order.insert(a.destination % len(order), order.pop(a.source % len(order)))
    return Tensor(x.feed, tuple(x.order[dim] for dim in order), tuple(x.sizes[dim] for dim in order), x.whole)


def reshape(site: Site, a: Any) -> Value:
    """Return the numbers of each sample in another shape, in the order in which the axes are seen."""
    x = tensor(a.self)
    sizes = site.sizes[0]
    if x.sizes == sizes:
        return x
    if sizes[:1] != (None,) and x.order[0] == 0 and _lead(x, sizes):
        return Stack.of([x])
    if sizes == (MIXED, *x.sizes[2:]):
        return Folded(x)
    if sizes[:1] != (None,) or MIXED in sizes:
        raise NotUnderstood("the batch does not stay an axis by itself")
    x = site.ordered(x)
    before = _before_reshape(site, x)
    if before.sizes == sizes:
        return before
    return site.made(site.layer("reshape", [before], {"shape": sizes[1:]}))


def _lead(x: Tensor, sizes: Sequence[int | None]) -> bool:
    """Return whether only an axis of one was put before the batch, as initial states have it."""
    return len(x.order) == 2 and tuple(sizes) == (1, *x.sizes)  # noqa: PLR2004 (batch, features)


def _before_reshape(site: Site, x: Tensor) -> Tensor:
    """Return what was reshaped where a tensor was only that: one reshaping is enough."""
    made = site.building.maker(x.feed)
    if made is None or made[0].kind != "reshape" or made[0].each_step:
        return x
    (feed,) = made[1].inputs
    return site.building.seen.get(feed, x)


def flatten(site: Site, a: Any) -> Value:
    """Return one row a sample, or some axes as one."""
    sizes = site.sizes[0]
    if len(sizes) != 2 or sizes[0] is not None:  # noqa: PLR2004 (batch, features)
        return reshape(site, a)
    x = tensor(a.self)
    if x.sizes == sizes:
        return x
    return site.made(site.layer("flatten", [site.ordered(x)], {"channels": "last"}))


def select(site: Site, a: Any) -> Value:
    """Return one step or feature along an axis."""
    x = tensor(a.self)
    axis = x.order[a.dim]
    if axis == 0 or not isinstance(a.index, int):
        raise NotUnderstood("it picks one of the batch" if axis == 0 else "which one it picks depends on the input")
    kept = [each for each in x.order if each != axis]
    order = [sorted(kept).index(each) for each in kept]
    return site.made(site.layer("take", [x], {"axis": axis, "index": a.index}), order)


def cut(site: Site, a: Any) -> Value:
    """Return a part of an axis."""
    x = tensor(a.self)
    size, axis = x.sizes[a.dim], x.order[a.dim]
    if x.sizes == site.sizes[0] and (a.start or 0) == 0 and a.step == 1:
        return x
    if size is None or a.step != 1:
        raise NotUnderstood("it takes a part of the batch" if size is None else f"it takes every {a.step}th")
    start, end, _ = slice(a.start, a.end if a.end is None or a.end < _TO_THE_END else None).indices(size)
    return _cropped(site, x, axis, (start, size - end))


def _cropped(site: Site, x: Tensor, axis: int, amounts: tuple[int, int]) -> Tensor:
    rank = len(x.order) - 2
    if axis != rank + 1 or rank > 1:
        return site.made(along_axes(site, x, "cropping", {axis: amounts}, rank), x.order)
    # Features are no axis of a window; with an axis of one feature behind them they are.
    sizes = site.building.seen[x.feed].sizes
    apart = (*sizes, 1)
    order = tuple(range(rank + 3))
    window = Tensor(site.layer("reshape", [x], {"shape": apart[1:]}, part="window"), order, apart)
    cropped = along_axes(site, window, "cropping", {axis: amounts}, rank + 1)
    kept = (*sizes[1:-1], (sizes[-1] or 0) - sum(amounts))
    window = Tensor(cropped, order, (None, *kept, 1))
    return site.made(site.layer("reshape", [window], {"shape": kept}, part="features"), x.order)


def chunk(site: Site, a: Any) -> Value:
    """Return an axis in parts, one behind the other."""
    x = tensor(a.self)
    dim, size = a.dim % len(x.order), x.sizes[a.dim]
    if size is None:
        raise NotUnderstood("it splits the batch")
    widths = [sizes[dim] or 0 for sizes in site.sizes]
    starts = np.cumsum([0, *widths]).tolist()
    parts = []
    for number, start in enumerate(starts[:-1]):
        part = Site(site.building, f"{site.name}.{number}", site.path, (site.sizes[number],), site.dtype)
        parts.append(_cropped(part, x, x.order[dim], (start, size - starts[number + 1])))
    return tuple(parts)


def unbind(site: Site, a: Any) -> Value:
    """Return each step along an axis."""
    x = tensor(a.self)
    axis = x.order[a.dim]
    if axis == 0:
        raise NotUnderstood("it takes the batch apart")
    kept = [each for each in x.order if each != axis]
    order = [sorted(kept).index(each) for each in kept]
    return tuple(
        site.made(site.layer("take", [x], {"axis": axis, "index": index}, part=str(index)), order)
        for index in range(x.sizes[a.dim] or 0)
    )


def flip(site: Site, a: Any) -> Value:
    """Return an axis from its end."""
    x = tensor(a.self)
    axes = [x.order[dim] for dim in a.dims]
    if len(axes) != 1 or axes == [0]:
        raise NotUnderstood("it turns the batch around, or several axes")
    return site.made(site.layer("flip", [x], {"axis": axes[0]}), x.order)


def repeat(site: Site, a: Any) -> Value:
    """Return a row of each sample as so many equal steps."""
    x = tensor(a.self)
    sizes = site.sizes[0]
    if x.sizes == sizes:
        return x
    if len(sizes) != 3 or (*x.sizes[:1], *x.sizes[2:]) != (*sizes[:1], *sizes[2:]) or x.sizes[1:2] != (1,):  # noqa: PLR2004
        raise NotUnderstood("it repeats another axis than a step")
    times = sizes[1]
    x = site.ordered(x)
    row = _before_reshape(site, x)
    if len(row.sizes) != 2 or not row.in_order:  # noqa: PLR2004 (batch, features)
        row = Tensor(site.layer("flatten", [x], {"channels": "last"}, part="row"), (0, 1), (x.sizes[0], x.sizes[2]))
    return site.made(site.layer("repeat", [row], {"times": times}))


def stack(site: Site, a: Any) -> Value:
    """Return tensors along a new axis; before the batch, as states lie."""
    xs = [tensor(x) for x in a.tensors]
    dim = a.dim % (len(xs[0].order) + 1)
    if dim == 0:
        return Stack.of([site.ordered(x) for x in xs])
    sizes = list(site.sizes[0])
    sizes[dim] = 1
    rows = []
    for number, x in enumerate(xs):
        feed = site.layer("reshape", [site.ordered(x)], {"shape": tuple(sizes[1:])}, part=f"row_{number}")
        rows.append(Tensor(feed, tuple(range(len(sizes))), tuple(sizes)))
    options = {"form": "concatenate", "axis": dim, "axes": None, "normalize": None}
    return site.made(site.layer("merge", rows, options))


def unfold(site: Site, a: Any) -> Value:
    """Return steps and samples as axes of their own again."""
    x: Tensor = a.self.tensor
    if site.sizes[0] != x.sizes:
        raise NotUnderstood("it does not put batch and steps back where they were")
    return x


OF_FOLDED: Mapping[str, Callable[[Site, Any], Value]] = {"reshape": unfold, "view": unfold, "unflatten.int": unfold}

OPERATIONS: Mapping[str, Callable[[Site, Any], Value]] = {
    "permute": permute, "transpose.int": permute, "swapaxes": permute, "swapdims": permute, "t": permute,
    "movedim.int": movedim, "reshape": reshape, "view": reshape,
    "_unsafe_view": reshape, "unflatten.int": reshape, "squeeze": reshape, "squeeze.dim": reshape,
    "squeeze.dims": reshape, "unsqueeze": reshape, "view_as": reshape, "reshape_as": reshape,
    "flatten.using_ints": flatten,
    "select.int": select, "slice.Tensor": cut, "chunk": chunk, "split.Tensor": chunk, "split_with_sizes": chunk,
    "unbind.int": unbind, "flip": flip, "repeat": repeat, "expand": repeat, "stack": stack,
}  # fmt: skip

"""Operations with a window, and what is around them: convolutions, pooling, padding."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lstm_convert.frameworks.pytorch.tracing.constants import arrays, known, tensor
from lstm_convert.frameworks.pytorch.tracing.site import LINEAR, NotUnderstood, Site
from lstm_convert.frameworks.pytorch.tracing.values import Tensor, Unknown, Value

_INDICES = Unknown("it reads the places of the largest numbers")


def conv(site: Site, a: Any) -> Value:
    """Return a convolution; what PyTorch pads both sides with alike is a layer of its own where it is not `same`."""
    size = known(a.weight).shape[2:]
    rank = len(size)
    strides, dilation = _each(a.stride, rank), _each(a.dilation, rank)
    x, channels = site.windowed(tensor(a.input), rank)
    padding = a.padding
    if not isinstance(padding, str):
        reach = tuple(spread * (window - 1) for spread, window in zip(dilation, size, strict=True))
        x, padding = _padded(site, x, channels, _each(padding, rank), (reach, strides))
    options = {
        "rank": rank, "strides": strides, "padding": padding, "dilation": dilation, "groups": a.groups,
        "channels": channels, "activation": LINEAR,
    }  # fmt: skip
    feed = site.layer("conv", [x], options, arrays(kernel=a.weight, bias=a.bias))
    return site.windows(x, channels, feed)


def _padded(
    site: Site, x: Tensor, channels: str, amounts: tuple[int, ...], window: tuple[tuple[int, ...], tuple[int, ...]]
) -> tuple[Tensor, str]:
    """Return what a convolution reads, and its padding in the network's terms."""
    reach, strides = window
    if not any(amounts):
        return x, "valid"
    if set(strides) == {1} and all(2 * amount == total for amount, total in zip(amounts, reach, strict=True)):
        return x, "same"
    options = {"rank": len(amounts), "amounts": tuple((amount, amount) for amount in amounts), "channels": channels}
    feed = site.layer("zero_padding", [x], options, part="padding")
    return Tensor(feed, x.order, x.sizes), "valid"


def _pooled(form: str, rank: int) -> Callable[[Site, Any], Value]:
    def pool(site: Site, a: Any) -> Value:
        size = _each(a.kernel_size, rank)
        strides = _each(a.stride, rank) if a.stride else size
        amounts = _each(a.padding, rank)
        if a.ceil_mode or getattr(a, "divisor_override", None) or set(_each(getattr(a, "dilation", 1), rank)) != {1}:
            raise NotUnderstood("ceil_mode, divisor_override or a dilation")
        centred = all(2 * amount + 1 == window for amount, window in zip(amounts, size, strict=True))
        if any(amounts) and (not centred or set(strides) != {1} or getattr(a, "count_include_pad", False)):
            raise NotUnderstood(f"padding={amounts}")
        x, channels = site.windowed(tensor(a.self), rank)
        options = {
            "rank": rank, "size": size, "strides": strides, "padding": "same" if any(amounts) else "valid",
            "channels": channels, "form": form,
        }  # fmt: skip
        return site.windows(x, channels, site.layer("pool", [x], options))

    return pool


def _global(form: str, rank: int) -> Callable[[Site, Any], Value]:
    def pool(site: Site, a: Any) -> Value:
        if set(_each(a.output_size, rank)) != {1}:
            raise NotUnderstood(f"output_size={a.output_size}; 1 alone is one window for all")
        x, channels = site.windowed(tensor(a.self), rank)
        options = {"rank": rank, "form": form, "keepdims": True, "masked": False, "channels": channels}
        made = site.windows(x, channels, site.layer("global_pool", [x], options))
        return (made, _INDICES) if form == "max" else made

    return pool


def _reduced(form: str, *, indices: bool = False) -> Callable[[Site, Any], Value]:
    def reduce(site: Site, a: Any) -> Value:
        """Return the mean or the largest number over all axes but the batch and one, the channels."""
        x = tensor(a.self)
        dims = a.dim if isinstance(a.dim, Sequence) else [a.dim]
        rank = len(x.order) - 2
        axes = sorted(x.order[dim] for dim in dims if dim is not None)
        places = {"last": list(range(1, rank + 1)), "first": list(range(2, rank + 2))}
        channels = next((where for where, expected in places.items() if expected == axes and axes), None)
        if channels is None:
            raise NotUnderstood("it works over other axes than all but the batch and the channels")
        options = {"rank": rank, "form": form, "keepdims": a.keepdim, "masked": False, "channels": channels}
        kept = [axis for axis in x.order if a.keepdim or axis not in axes]
        order = x.order if a.keepdim else tuple(sorted(kept).index(axis) for axis in kept)
        made = site.made(site.layer("global_pool", [x], options), order)
        return (made, _INDICES) if indices else made

    return reduce


def pad(site: Site, a: Any) -> Value:
    """Return a tensor with zeros around it along axes that are neither the batch nor all the others."""
    if (a.mode, a.value or 0) != ("constant", 0):
        raise NotUnderstood(f"mode={a.mode!r}, value={a.value}")
    x = tensor(a.self)
    rank = len(x.order) - 2
    pairs = list(zip(a.pad[::2], a.pad[1::2], strict=True))
    amounts = {x.order[-1 - number]: pair for number, pair in enumerate(pairs) if pair != (0, 0)}
    return site.made(along_axes(site, x, "zero_padding", amounts, rank), x.order)


def along_axes(site: Site, x: Tensor, kind: str, amounts: Mapping[int, tuple[int, int]], rank: int) -> Any:
    """Return what a layer makes that adds or takes away at the ends of axes.

    Args:
        site: the node.
        x: what it reads.
        kind: `zero_padding` or `cropping`.
        amounts: by the axis as it is made.
        rank: of the window.
    """
    for channels, axes in (("last", range(1, rank + 1)), ("first", range(2, rank + 2))):
        if rank > 0 and set(amounts) <= set(axes):
            pairs = tuple(amounts.get(axis, (0, 0)) for axis in axes)
            return site.layer(kind, [x], {"rank": rank, "amounts": pairs, "channels": channels})
    raise NotUnderstood("it works along the batch, or along all axes after it")


def _each(numbers: Any, rank: int) -> tuple[int, ...]:
    each: tuple[int, ...] = tuple(numbers) if isinstance(numbers, Sequence) else (numbers,)
    return each * rank if len(each) == 1 else each


OPERATIONS: Mapping[str, Callable[[Site, Any], Value]] = {
    "conv1d": conv, "conv1d.padding": conv, "conv2d": conv, "conv2d.padding": conv, "pad": pad, "constant_pad_nd": pad,
    **{f"max_pool{rank}d": _pooled("max", rank) for rank in (1, 2)},
    **{f"avg_pool{rank}d": _pooled("average", rank) for rank in (1, 2)},
    **{f"adaptive_max_pool{rank}d": _global("max", rank) for rank in (1, 2)},
    **{f"adaptive_avg_pool{rank}d": _global("average", rank) for rank in (1, 2)},
    "mean.dim": _reduced("average"), "amax": _reduced("max"), "max.dim": _reduced("max", indices=True),
}  # fmt: skip

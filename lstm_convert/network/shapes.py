"""The shape of what each step of a network makes, as far as the shapes of its inputs say it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import zip_longest
from math import prod

from lstm_convert.canonical import Feed, Layer, Network
from lstm_convert.canonical.kinds import RECURRENT

# The sizes of the axes of one sample, the batch left out; None where any size may be.
Shape = tuple[int | None, ...]


def shapes(network: Network) -> list[Shape]:
    """Return the shape of each step's first output, as `Feed.step` counts them.

    Args:
        network: the layers and their calls.
    """
    found = [entry.shape for entry in network.inputs]
    for call in network.calls:
        layer, given = network.layers[call.layer], [shape_of(network, feed, found) for feed in call.inputs]
        if layer.each_step:
            found.append((given[0][0], *_after(layer, [shape[1:] for shape in given])))
        else:
            found.append(_after(layer, given))
    return found


def shape_of(network: Network, feed: Feed, found: Sequence[Shape]) -> Shape:
    """Return the shape of an output.

    Args:
        network: the layers and their calls.
        feed: the output.
        found: what `shapes` says of the steps up to it.
    """
    maker = network.maker(feed.step)
    if maker is None or maker.recurrent is None or feed.output == 0:
        return found[feed.step]
    cells = list(maker.recurrent.cells.values())
    if not network.is_state(feed):
        return (*found[feed.step][:-1], cells[feed.output].outputs)
    sizes = [size for cell in cells for size in cell.state_sizes]
    entries = found[feed.step][: int(maker.each_step)]
    return (*entries, sizes[feed.output - maker.recurrent.sequences])


def _after(layer: Layer, given: Sequence[Shape]) -> Shape:
    """Return the shape of what a layer makes of inputs of some shapes; most leave that of their input."""
    if layer.kind == "merge":
        return _after_merge(layer, given)
    return _OF_ONE[layer.kind](layer, given[0]) if layer.kind in _OF_ONE else given[0]


def _after_recurrent(layer: Layer, shape: Shape) -> Shape:
    recurrent = layer.recurrent
    assert recurrent is not None  # noqa: S101 (the kind says so; Layer checks it)
    widths = [cell.outputs for cell in recurrent.cells.values()]
    width = sum(widths) if recurrent.merge == "concat" else widths[0]
    return (shape[0], width) if recurrent.return_sequences else (width,)


def _after_merge(layer: Layer, given: Sequence[Shape]) -> Shape:
    form, axis, axes = (layer.options[name] for name in ("form", "axis", "axes"))
    if form == "concatenate":
        place = _place(given[0], axis)
        return (*given[0][:place], _sum(shape[place] for shape in given), *given[0][place + 1 :])
    if form == "dot":
        pair = (axes, axes) if isinstance(axes, int) else axes
        return tuple(size for shape, axis in zip(given, pair, strict=True) for size in _without(shape, axis)) or (1,)
    # Axes are counted from the end, and one entry stands for all of another input.
    sizes = zip_longest(*(reversed(shape) for shape in given), fillvalue=1)
    return tuple(next((size for size in each if size != 1), 1) for each in sizes)[::-1]


def _after_window(layer: Layer, shape: Shape) -> Shape:
    """Return the shape of what a layer with a window, or with borders, makes."""
    options, first = layer.options, layer.options["channels"] == "first"
    channels, lengths = (shape[0], shape[1:]) if first else (shape[-1], shape[:-1])
    if layer.kind == "global_pool":
        made: Shape = (1,) * len(lengths) if options["keepdims"] else ()
    elif layer.kind == "upsampling":
        made = tuple(_product(pair) for pair in zip(lengths, options["size"], strict=True))
    elif layer.kind in ("cropping", "zero_padding"):
        sign = 1 if layer.kind == "zero_padding" else -1
        made = tuple(_sum((size, sign * sum(pair))) for size, pair in zip(lengths, options["amounts"], strict=True))
    else:
        made = _after_strides(layer, lengths)
        channels = len(layer.arrays["kernel"]) if layer.kind == "conv" else channels
    return (channels, *made) if first else (*made, channels)


def _after_strides(layer: Layer, lengths: Shape) -> Shape:
    """Return how often the window of a convolution or pooling fits along each axis."""
    options = layer.options
    sizes = layer.arrays["kernel"].shape[2:] if layer.kind == "conv" else options["size"]
    dilation = options.get("dilation", (1,) * options["rank"])
    reaches = [(size - 1) * step for size, step in zip(sizes, dilation, strict=True)]
    lost = reaches if options["padding"] == "valid" else [0] * len(reaches)
    axes = zip(lengths, lost, options["strides"], strict=True)
    return tuple(None if length is None else -(-(length - less) // stride) for length, less, stride in axes)


def _reshaped(layer: Layer, shape: Shape) -> Shape:
    wanted = layer.options["shape"]
    rest, whole = prod(size for size in wanted if size != -1), _product(shape)
    return tuple((None if whole is None else whole // rest) if size == -1 else size for size in wanted)


def _without(shape: Shape, axis: int) -> Shape:
    place = _place(shape, axis)
    return (*shape[:place], *shape[place + 1 :])


def _place(shape: Shape, axis: int) -> int:
    """Return where in the shape of one sample an axis is that is counted with the batch as 0, or from the end."""
    return axis - 1 if axis > 0 else len(shape) + axis


def _product(sizes: Sequence[int | None]) -> int | None:
    known = [size for size in sizes if size is not None]
    return prod(known) if len(known) == len(sizes) else None


def _sum(sizes: Iterable[int | None]) -> int | None:
    total = 0
    for size in sizes:
        if size is None:
            return None
        total += size
    return total


_OF_ONE: Mapping[str, Callable[[Layer, Shape], Shape]] = {
    "conv": _after_window,
    "cropping": _after_window,
    "dense": lambda layer, shape: (*shape[:-1], len(layer.arrays["kernel"])),
    "embedding": lambda layer, shape: (*shape, layer.arrays["kernel"].shape[1]),
    "flatten": lambda _, shape: (_product(shape),),
    "global_pool": _after_window,
    "permute": lambda layer, shape: tuple(shape[axis - 1] for axis in layer.options["order"]),
    "pool": _after_window,
    RECURRENT: _after_recurrent,
    "repeat": lambda layer, shape: (layer.options["times"], *shape),
    "reshape": _reshaped,
    "take": lambda layer, shape: _without(shape, layer.options["axis"]),
    "transpose": lambda layer, shape: tuple((None, *shape)[axis] for axis in layer.options["order"][1:]),
    "upsampling": _after_window,
    "zero_padding": _after_window,
}

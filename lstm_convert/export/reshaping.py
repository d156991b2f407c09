"""Layers that move, copy, drop or pad numbers, in PyTorch."""

import math

from lstm_convert.export.expressions import Call
from lstm_convert.export.forward import Size, Step, Value
from lstm_convert.export.windows import axes

_MODES = {1: "linear", 2: "bilinear", 3: "trilinear"}


def flatten(step: Step) -> Value:
    """Write one row a sample, channels last in each place as Keras has them."""
    x = step.x
    if x.rank == 1:
        return step.say(f"{x.text}.unsqueeze(-1)", (*x.shape, 1))
    first = step.layer.options["channels"] == "first" and x.rank > 1
    order = (0, *range(2, x.rank), 1) if first else ()
    moved = x.arranged(order)
    note = "" if moved == x.text else "with channels last"
    return step.say(f"{moved}.flatten(1)", (x.shape[0], _product(x.shape[1:])), (), note)


def reshape(step: Step) -> Value:
    """Write the numbers of each sample in another shape."""
    x, wanted = step.x, step.layer.options["shape"]
    known = math.prod(size for size in wanted if size != -1)
    total = _product(x.shape[1:])
    rest: Size = "rest" if isinstance(total, str) or not known else total // known
    arguments = [f"{x.text}.shape[0]", *map(str, wanted)]
    shape = (x.shape[0], *(rest if size == -1 else size for size in wanted))
    return step.say(Call(f"{x.arranged()}.reshape", arguments), shape)


def permute(step: Step) -> Value:
    """Write the axes after the batch in another order."""
    order = (0, *step.layer.options["order"])
    moved = step.x.arranged(order)
    return step.say(moved, [step.x.shape[axis] for axis in order])


def transpose(step: Step) -> Value:
    """Write all axes in another order, the batch among them."""
    x, order = step.x, step.layer.options["order"]
    moved = [axis for axis, other in enumerate(order) if axis != other]
    two = ", ".join(map(str, moved))
    text = f"{x.arranged()}.transpose({two})" if len(moved) == 2 else x.arranged(order)  # noqa: PLR2004 (a pair)
    return step.say(text, [x.shape[axis] for axis in order])


def repeat(step: Step) -> Value:
    """Write a row of each sample as so many equal steps."""
    x, times = step.x, step.layer.options["times"]
    return step.say(f"{x.text}.unsqueeze(1).repeat(1, {times}, 1)", (x.shape[0], times, *x.shape[1:]))


def take(step: Step) -> Value:
    """Write one step or feature along an axis."""
    x, index = step.x, step.layer.options["index"]
    gone = step.layer.options["axis"] % x.rank
    place = x.axis(gone)
    shape = [size for axis, size in enumerate(x.shape) if axis != gone]
    order = [axis - (axis > gone) for axis in x.order if axis != gone]
    one = {1: f"{x.text}[:, {index}]", x.rank - 1: f"{x.text}[..., {index}]"}
    return step.say(one.get(place, f"{x.text}.select({place}, {index})"), shape, order)


def flip(step: Step) -> Value:
    """Write an axis turned around."""
    x = step.x
    return step.say(f"{x.text}.flip({x.axis(step.layer.options['axis'])})", x.shape, x.order)


def zero_padding(step: Step) -> Value:
    """Write zeros around the axes of a window."""
    x = step.x
    over, _ = axes(step.layer)
    amounts = dict(zip(over, step.layer.options["amounts"], strict=True))
    shape = [_longer(size, sum(amounts.get(axis, (0, 0)))) for axis, size in enumerate(x.shape)]
    padded = [amounts.get(axis, (0, 0)) for axis in x.order]
    first = min((place for place, pair in enumerate(padded) if any(pair)), default=x.rank - 1)
    numbers = [str(number) for pair in padded[: first - 1 if first else None : -1] for number in pair]
    return step.say(Call("F.pad", [x.text, f"({', '.join(numbers)})"]), shape, x.order)


def cropping(step: Step) -> Value:
    """Write the input without its borders along the axes of a window."""
    x = step.x
    over, _ = axes(step.layer)
    amounts = dict(zip(over, step.layer.options["amounts"], strict=True))
    shape = [_longer(size, -sum(amounts.get(axis, (0, 0)))) for axis, size in enumerate(x.shape)]
    slices = [_slice(*amounts.get(axis, (0, 0))) for axis in x.order]
    while slices[2:] and slices[-1] == ":":
        slices.pop()
    return step.say(f"{x.text}[{', '.join(slices)}]", shape, x.order)


def upsampling(step: Step) -> Value:
    """Write more numbers along the axes of a window: copies, or what lies between two neighbours."""
    x, factors = step.x, step.layer.options["size"]
    over, channel = axes(step.layer)
    scale = dict(zip(over, factors, strict=True))
    shape = [
        size * scale.get(axis, 1) if isinstance(size, int) else _times(size, scale.get(axis, 1))
        for axis, size in enumerate(x.shape)
    ]
    if step.layer.options["interpolation"] == "nearest":
        value = step.say(x.text, x.shape, x.order) if not any(factor > 1 for factor in factors) else x
        for axis, factor in scale.items():
            if factor > 1:
                sizes = [
                    size if place > axis else made
                    for place, (size, made) in enumerate(zip(x.shape, shape, strict=True))
                ]
                value = step.say(f"{value.text}.repeat_interleave({factor}, {x.axis(axis)})", sizes, x.order)
        return value
    order = (0, channel, *over)
    factor = f"({', '.join(str(float(each)) for each in factors)}{',' * (len(factors) == 1)})"
    mode = f'mode="{_MODES[len(factors)]}"'
    between = Call("F.interpolate", [x.arranged(order), f"scale_factor={factor}", mode, "align_corners=False"])
    return step.say(between, shape, order)


def _slice(before: int, after: int) -> str:
    return f"{before or ''}:{-after if after else ''}"


def _product(sizes: tuple[Size, ...]) -> Size:
    known = [size for size in sizes if isinstance(size, int)]
    return math.prod(known) if len(known) == len(sizes) else "features"


def _longer(size: Size, more: int) -> Size:
    if isinstance(size, int):
        return size + more
    return f"{size} {'-' if more < 0 else '+'} {abs(more)}" if more else size


def _times(size: str, factor: int) -> str:
    return size if factor == 1 else f"{factor} * {size}"

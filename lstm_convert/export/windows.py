"""Layers with a window in PyTorch, which has channels second and pads both sides alike."""

from collections.abc import Sequence

from lstm_convert.canonical import Layer
from lstm_convert.export.expressions import Call, Expression, Operation
from lstm_convert.export.forward import OVER_UNITS, Size, Step, Value

# What an unknown size is called once a window went over it.
_AFTER = {"time": "steps", "height": "rows", "width": "columns"}
_UNEVEN = "'same' pads more behind than in front"


class Window:
    """Where a layer's window is: its axes, those of the source, and what it does to each of them.

    Args:
        layer: the layer.
        size: of the window.
        dilation: from one place of the window to the next.
    """

    def __init__(self, layer: Layer, size: Sequence[int], dilation: Sequence[int]) -> None:
        self.axes, self.channel = axes(layer)
        self.size, self.dilation = tuple(size), tuple(dilation)
        self.strides = tuple(layer.options["strides"])
        self.padding = layer.options["padding"]
        self.reaches = [(each - 1) * apart for each, apart in zip(self.size, self.dilation, strict=True)]

    @property
    def order(self) -> tuple[int, ...]:
        """The order of axes that torch's own layers read."""
        return (0, self.channel, *self.axes)

    @property
    def within(self) -> int | tuple[int, ...]:
        """The padding that torch's own layers can do: as much behind as in front, whatever the length."""
        even = all(reach % 2 == 0 for reach in self.reaches)
        alike = self.padding == "same" and even and set(self.strides) == {1}
        return one_or_all([reach // 2 for reach in self.reaches]) if alike else 0

    def amounts(self, x: Value) -> Expression:
        """Return what F.pad is given for an input, empty where it is not needed.

        The amounts of the last axis come first.
        """
        if self.padding == "valid" or self.within:
            return ""
        if self.padding == "same" and any(
            isinstance(x.shape[axis], str) and stride > 1 for axis, stride in zip(self.axes, self.strides, strict=True)
        ):
            settings = [*zip(self.axes, self.size, self.strides, self.dilation, strict=True)][::-1]
            found = [
                f"same_padding({_length(x, axis)}, {size}, {stride}, {apart})" for axis, size, stride, apart in settings
            ]
            return Operation("+", found) if found[1:] else found[0]
        pairs = [self._amount(x.shape[axis], place) for place, axis in enumerate(self.axes)]
        return f"({', '.join(f'{before}, {after}' for before, after in pairs[::-1])})" if any(map(any, pairs)) else ""

    def _amount(self, length: Size, place: int) -> tuple[int, int]:
        reach, stride = self.reaches[place], self.strides[place]
        if self.padding == "causal":
            return reach, 0
        covered = reach if isinstance(length, str) else (-(-length // stride) - 1) * stride + reach + 1 - length
        total = max(covered, 0)
        return total // 2, total - total // 2

    def shape(self, shape: Sequence[Size], channels: Size) -> tuple[Size, ...]:
        """Return the shape of what the layer makes."""
        made = list(shape)
        made[self.channel] = channels
        for axis, reach, stride in zip(self.axes, self.reaches, self.strides, strict=True):
            length, lost = shape[axis], reach if self.padding == "valid" else 0
            if isinstance(length, int):
                made[axis] = (length - lost - 1) // stride + 1
            elif lost or stride > 1:
                made[axis] = _AFTER.get(length, length)
        return tuple(made)


def axes(layer: Layer) -> tuple[tuple[int, ...], int]:
    """Return the axes of a layer's window, and that of the channels."""
    rank = layer.options["rank"]
    if layer.options["channels"] == "first":
        return tuple(range(2, rank + 2)), 1
    return tuple(range(1, rank + 1)), rank + 1


def one_or_all(numbers: Sequence[int]) -> int | tuple[int, ...]:
    """Return a number for each axis as torch takes it: one where all are equal."""
    return numbers[0] if len(set(numbers)) == 1 else tuple(numbers)


def conv(step: Step) -> Value:
    """Write a convolution."""
    options, kernel = step.layer.options, step.layer.arrays["kernel"]
    window = Window(step.layer, kernel.shape[2:], options["dilation"])
    step.module = Call(
        f"nn.Conv{options['rank']}d",
        [
            str(kernel.shape[1] * options["groups"]),
            str(kernel.shape[0]),
            str(one_or_all(window.size)),
            *_settings(
                stride=(one_or_all(window.strides), 1),
                padding=(window.within, 0),
                dilation=(one_or_all(window.dilation), 1),
                groups=(options["groups"], 1),
                bias=("bias" in step.layer.arrays, True),
            ),
        ],
    )
    shape = window.shape(step.x.shape, kernel.shape[0])
    called = step.called(_padded(step, window, step.x.arranged(window.order)))
    if options["activation"].name in OVER_UNITS:
        made = step.say(called, shape, window.order, _note(step, window))
        last = (0, *window.axes, window.channel)
        return step.say(step.activated(made.arranged(last), options["activation"]), shape, last)
    return step.say(step.activated(called, options["activation"]), shape, window.order, _note(step, window))


def pool(step: Step) -> Value:
    """Write the largest or the mean number under a window."""
    options, average = step.layer.options, step.layer.options["form"] == "average"
    window = Window(step.layer, options["size"], [1] * options["rank"])
    step.module = Call(
        f"nn.{'Avg' if average else 'Max'}Pool{options['rank']}d",
        [
            str(one_or_all(window.size)),
            *_settings(
                stride=(one_or_all(window.strides), one_or_all(window.size)),
                padding=(window.within, 0),
                count_include_pad=(not (average and window.within), True),
            ),
        ],
    )
    shape = window.shape(step.x.shape, step.x.shape[window.channel])
    x = step.x.arranged(window.order)
    if average and window.amounts(step.x):
        ones = step.called(_padded(step, window, f"torch.ones_like({x})"))
        step.say(ones, shape, window.order, "the share of a window that is no padding", "share")
        mean = step.say(step.called(_padded(step, window, x)), shape, window.order)
        return step.say(f"{mean.text} / share", shape, window.order)
    filler = () if average else ('value=float("-inf")',)
    return step.say(step.called(_padded(step, window, x, *filler)), shape, window.order, _note(step, window))


def global_pool(step: Step) -> Value:
    """Write the largest or the mean number of each channel; of masked steps where they do not count."""
    options = step.layer.options
    over, channel = axes(step.layer)
    keep = ["keepdim=True"] if options["keepdims"] else []
    shape = tuple(
        1 if axis in over else size for axis, size in enumerate(step.x.shape) if options["keepdims"] or axis not in over
    )
    if options["form"] == "average" and options["masked"] and step.mask:
        order = (0, *over, channel)
        kept = order if keep else ()
        step.say(f"{step.mask}.unsqueeze(-1)", (*step.x.shape[:2], 1), (), "what counts", "counts")
        step.say(Operation("*", [step.x.arranged(order), "counts"]), step.x.shape, order)
        last = ", ".join(["1", *keep])
        return step.say(f"{step.targets[0]}.sum({last}) / counts.sum({last})", shape, kept, "masked steps left out")
    places = sorted(step.x.axis(axis) for axis in over)
    function = "amax" if options["form"] == "max" else "mean"
    pooled = Call(
        f"{step.x.text}.{function}", [str(one_or_all(places)) if len(places) == 1 else str(tuple(places)), *keep]
    )
    return step.say(pooled, shape, step.x.order if keep else ())


def _padded(step: Step, window: Window, x: str, *filler: str) -> Expression:
    amounts = window.amounts(step.x)
    if "same_padding" in str(amounts):
        step.classes.helper("same_padding")
    return Call("F.pad", [x, amounts, *filler]) if amounts else x


def _note(step: Step, window: Window) -> str:
    if not window.amounts(step.x):
        return ""
    return _UNEVEN if window.padding == "same" else "padded in front alone"


def _length(x: Value, axis: int) -> str:
    size = x.shape[axis]
    return str(size) if isinstance(size, int) else f"{x.text}.shape[{x.axis(axis)}]"


def _settings(**settings: tuple[object, object]) -> list[str]:
    return [f"{name}={value}" for name, (value, default) in settings.items() if value != default]

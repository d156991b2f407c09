"""How many numbers a call makes, told before it makes them: a few words of a file may ask for any size."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from numpy.typing import NDArray

from lstm_convert.canonical import Layer
from lstm_convert.errors import Unsupported

Shapes = Sequence[tuple[int, ...]]

MOST_NUMBERS = 1 << 26
"""How many numbers all calls of a network may make together; in float64 they take half a gigabyte."""
MOST_STEPS = 1 << 17
"""How many steps its recurrent layers may take together."""


class Budget:
    """What the calls of a network may still make and take."""

    def __init__(self) -> None:
        self.numbers = MOST_NUMBERS
        self.steps = MOST_STEPS

    def spend(self, layer: Layer, inputs: Sequence[NDArray[Any]]) -> None:
        """Count one call of a layer, before it is made.

        Args:
            layer: the layer.
            inputs: what it reads.

        Raises:
            Unsupported: it would make or take more than is left.
        """
        shapes = [x.shape for x in inputs]
        self.numbers -= numbers_made(layer, shapes)
        self.steps -= math.prod(shapes[0][-2:-1]) if layer.recurrent is not None else 0
        if self.numbers < 0 or self.steps < 0:
            raise Unsupported(
                f"{layer.name}: the network is too large to be run",
                [f"it reads {shapes}; all layers may make {MOST_NUMBERS} numbers in {MOST_STEPS} steps"],
                "--lstm-only ports the recurrent layers alone.",
            )


def numbers_made(layer: Layer, shapes: Shapes) -> int:
    """Return how many numbers a call makes, or an upper bound.

    Args:
        layer: the layer.
        shapes: of what it reads.
    """
    return math.prod(shapes[0]) if layer.kind not in _MADE else _MADE[layer.kind](layer, shapes)


def _with_other_features(count: Callable[[Layer], int]) -> Callable[[Layer, Shapes], int]:
    return lambda layer, shapes: _product(shapes[0][:-1]) * count(layer)


def _times(factors: Callable[[Layer], Any]) -> Callable[[Layer, Shapes], int]:
    return lambda layer, shapes: _product((*shapes[0], *(max(1, factor) for factor in factors(layer))))


def _product(sizes: Iterable[int]) -> int:
    number: int = math.prod(sizes)
    return number


def _window(layer: Layer, shapes: Shapes) -> int:
    """Count what a window moves over, padded, and what it finds in each of its places."""
    options, axes = layer.options, _axes(layer, shapes[0])
    kernel = layer.arrays["kernel"].shape if layer.kind == "conv" else (1, 1, *options["size"])
    reach = [place * step for place, step in zip(kernel[2:], options.get("dilation", axes), strict=False)]
    grown = [axis + each for axis, each in zip(axes, reach, strict=False)]
    moved = [axis // max(1, stride) + 1 for axis, stride in zip(grown, options["strides"], strict=False)]
    filters = shapes[0][0] * kernel[0] if layer.kind == "conv" else _beside(layer, shapes[0]) * math.prod(kernel)
    return _beside(layer, shapes[0]) * _product(grown) + filters * _product(moved)


def _padded(layer: Layer, shapes: Shapes) -> int:
    grown = [axis + sum(ends) for axis, ends in zip(_axes(layer, shapes[0]), layer.options["amounts"], strict=False)]
    return _beside(layer, shapes[0]) * _product(grown)


def _axes(layer: Layer, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the axes that a window moves along."""
    return shape[2:] if layer.options["channels"] == "first" else shape[1:-1]


def _beside(layer: Layer, shape: tuple[int, ...]) -> int:
    """Return how many samples and channels there are beside them."""
    return math.prod(shape) // max(1, math.prod(_axes(layer, shape)))


def _merged(layer: Layer, shapes: Shapes) -> int:
    if layer.options["form"] == "concatenate":
        return sum(map(math.prod, shapes))
    if layer.options["form"] == "dot":
        axes = layer.options["axes"]
        first, second = (axes, axes) if isinstance(axes, int) else axes
        rows, columns = (
            math.prod(shape) // max(1, shape[axis]) for shape, axis in zip(shapes, (first, second), strict=True)
        )
        return rows * columns // max(1, shapes[0][0])
    rank = max(map(len, shapes))
    return math.prod(
        map(max, *((*shape[:1], *[1] * (rank - len(shape)), *shape[1:]) for shape in (*shapes, shapes[0])))
    )


def _recurrent(layer: Layer, shapes: Shapes) -> int:
    cells = layer.recurrent.cells.values() if layer.recurrent is not None else ()
    return math.prod(shapes[0][:-1]) * sum((len(cell.letters) + 1) * cell.units for cell in cells)


_MADE: Mapping[str, Callable[[Layer, Shapes], int]] = MappingProxyType({
    "conv": _window,
    "dense": _with_other_features(lambda layer: len(layer.arrays["kernel"])),
    "embedding": lambda layer, shapes: math.prod(shapes[0]) * layer.arrays["kernel"].shape[-1],
    "merge": _merged,
    "pool": _window,
    "recurrent": _recurrent,
    "repeat": _times(lambda layer: [layer.options["times"]]),
    "upsampling": _times(lambda layer: layer.options["size"]),
    "zero_padding": _padded,
})  # fmt: skip

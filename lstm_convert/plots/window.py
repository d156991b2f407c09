"""Which steps a picture shows: of a long sequence those that have something to show; what the others have at most."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lstm_convert.plots.picture import step_name

Float64 = NDArray[np.float64]

_ALWAYS = 24  # steps that are shown however little they have
_VISIBLE = 0.005  # a part of the largest size that still can be seen
_MARGIN = 1.25


class Window(NamedTuple):
    """The part of a picture's steps that is drawn.

    Args:
        first: the offset of the oldest.
        said: what the older ones have at most, as the last words of how to read the picture; nothing where none are.
    """

    first: int
    said: str


def window(steps: Sequence[int], values: Float64, unit: str = "") -> Window:
    """Return which steps are drawn: the last ones, and as many before as differ from zero to the eye.

    Args:
        steps: the offsets, from the oldest on.
        values: what is drawn, (series, steps); NaN is nothing.
        unit: what the values are parts of.
    """
    sizes = np.abs(np.nan_to_num(values)).max(axis=0)
    visible = np.flatnonzero(sizes > _VISIBLE * sizes.max())
    oldest = steps[visible[0]] if len(visible) else 0
    first = max(steps[0], min(-_ALWAYS, int(oldest * _MARGIN)))
    left_out = sizes[np.asarray(steps) < first]
    if not len(left_out):
        return Window(steps[0], "")
    return Window(first, f" Drawn from {step_name(first)} on: the {len(left_out)} steps before it have each at most "
                  f"{left_out.max():.2g}{unit}, and stand in the table's file.")  # fmt: skip

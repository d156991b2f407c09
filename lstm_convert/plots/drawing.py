"""How every picture is drawn: one look, no screen, no state that outlives it; and how it becomes a file."""

import textwrap
from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lstm_convert.plots.picture import Picture, step_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from matplotlib.text import Text

Float64 = NDArray[np.float64]

# Okabe and Ito's colours, which those who see no red or no green tell apart too.
BLUE, ORANGE, GREEN, PINK, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#666666"
GATE_COLOURS = {"i": BLUE, "f": ORANGE, "g": PINK, "o": GREEN, "z": ORANGE, "r": BLUE, "*": GREY}
SIGNED = "RdBu_r"  # zero is white, and both ends are told apart by everybody
MAGNITUDE = "viridis"

_LOOK: dict[str, Any] = {
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.fonttype": "none",  # words stay words: they can be searched, and the files stay small
    "svg.hashsalt": "lstm_convert",  # the same picture is the same file
}
WIDTH = 5.4  # inches: letters are large enough on a phone, and in a talk
_DPI = 190
_WRITTEN_COLUMNS, _WRITTEN_ROWS = 8, 12  # a larger map has no room for numbers
_STRIDES = [digit * 10**power for power in range(6) for digit in (1, 2, 5)]


class Drawn(NamedTuple):
    """A picture as the bytes of its files.

    Args:
        png: with its title.
        svg: the same.
        untitled: a png of what is below the title, for a page that has the title above it.
    """

    png: bytes
    svg: bytes
    untitled: bytes


def drawn(picture: Picture) -> Drawn:
    """Return a picture as files.

    Args:
        picture: the picture.
    """
    import matplotlib as mpl  # noqa: PLC0415 (drawing is what needs it)
    from matplotlib.figure import Figure  # noqa: PLC0415
    from matplotlib.transforms import Bbox  # noqa: PLC0415

    with mpl.rc_context({**mpl.rcParamsDefault, **_LOOK}):
        figure = Figure(figsize=picture.size, dpi=_DPI, layout="constrained")
        picture.draw(figure)
        title = _titled(figure, picture.full_title)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # laid out once, and not again for each file
        below = Bbox([[0.0, 0.0], [picture.size[0], title.get_window_extent().y0 / figure.dpi]])
        return Drawn(_saved(figure, "png"), _saved(figure, "svg"), _saved(figure, "png", bbox_inches=below))


def _titled(figure: "Figure", words: str) -> "Text":
    """Write the title, in as many lines as the figure's width asks for."""
    title = figure.suptitle(words, x=0.01, ha="left", fontsize=11, fontweight="bold")
    letters = len(words)
    while title.get_window_extent().x1 > 0.99 * figure.bbox.x1:
        letters -= 1
        title.set_text(textwrap.fill(words, letters))
    return title


def _saved(figure: "Figure", ending: str, **options: Any) -> bytes:
    file = BytesIO()
    metadata = {"Date": None, "Creator": "lstm_convert"} if ending == "svg" else {"Software": "lstm_convert"}
    figure.savefig(file, format=ending, metadata=metadata, **options)
    return file.getvalue()


def time_axis(axes: "Axes", offsets: Sequence[int], most: int = 8) -> None:
    """Name the steps below a picture, from the past on the left to t on the right.

    Args:
        axes: where the steps stand at their offsets.
        offsets: the steps.
        most: how many names there is room for.
    """
    low, high = min(offsets), max(offsets)
    stride = next(each for each in _STRIDES if (high - low) <= each * most)
    ticks = [offset for offset in range(high, low - 1, -1) if offset % stride == 0 or offset in {low, high}]
    crowded = {tick for tick in ticks if tick in {low, high} and tick and any(0 < abs(tick - other) < stride * 0.6
               for other in ticks if other not in {low, high})}  # fmt: skip
    axes.set_xticks([tick for tick in ticks if tick not in crowded])
    axes.set_xticklabels([step_name(tick) for tick in ticks if tick not in crowded])


def count_axis(axis: "Axis", count: int, most: int = 4) -> None:
    """Number what stands side by side on an axis: 0, and every so many.

    Args:
        axis: where the things stand at 0, 1, 2 …
        count: how many there are.
        most: how many numbers there is room for.
    """
    stride = next(each for each in _STRIDES if count <= each * most)
    axis.set_ticks(range(0, count, stride))


def signed_axis(axis: "Axis", end: float) -> None:
    """Number an axis that goes as far below zero as above: zero, and a round number on both sides.

    Args:
        axis: the axis.
        end: where it ends.
    """
    power = 10.0 ** np.floor(np.log10(end))
    round_number = max(digit for digit in (1, 2, 5) if digit * power <= end) * power
    axis.set_ticks([-round_number, 0.0, round_number], [f"{-round_number:g}", "0", f"{round_number:g}"])


def legend_below(figure: "Figure", columns: int) -> None:
    """Put a legend where it hides nothing.

    Args:
        figure: the figure, which has what is named in its only axes.
        columns: how many names stand beside each other.
    """
    figure.legend(loc="outside lower center", ncols=columns, frameon=False, handlelength=1.4, columnspacing=1.2)


def signed_map(figure: "Figure", axes: "Axes", values: Float64, label: str, **options: Any) -> None:
    """Draw numbers that have a sign: white is zero, and the largest in size is the end of the scale on both sides.

    Args:
        figure: the figure.
        axes: where.
        values: (rows, columns); NaN is left grey.
        label: what the colours are.
        **options: of `imshow`.
    """
    _map(figure, axes, values, label, SIGNED, bounds=(-largest(values), largest(values)), **options)


def magnitude_map(figure: "Figure", axes: "Axes", values: Float64, label: str, **options: Any) -> None:
    """Draw numbers that have no sign, from zero to the largest.

    Args:
        figure: the figure.
        axes: where.
        values: (rows, columns); NaN is left grey.
        label: what the colours are.
        **options: of `imshow`.
    """
    _map(figure, axes, values, label, MAGNITUDE, bounds=(min(0.0, _least(values)), largest(values)), **options)


def largest(values: Float64) -> float:
    """Return the largest size among numbers, 1 where all are zero: the end of a scale.

    Args:
        values: the numbers; what is not finite counts for nothing.
    """
    finite = np.abs(values[np.isfinite(values)])
    return float(finite.max()) or 1.0 if finite.size else 1.0


def _least(values: Float64) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.min()) if finite.size else 0.0


def _map(
    figure: "Figure", axes: "Axes", values: Float64, label: str, colours: str, *, bounds: tuple[float, float],
    **options: Any,
) -> None:  # fmt: skip
    axes.set_facecolor("#bbbbbb")
    image = axes.imshow(
        values, cmap=colours, vmin=bounds[0], vmax=bounds[1], aspect="auto", interpolation="nearest", **options
    )
    figure.colorbar(image, ax=axes, label=label, pad=0.01)


def write_values(axes: "Axes", values: Float64, extent: tuple[float, float, float, float]) -> None:
    """Write the numbers into the cells of a map that has room for them.

    Args:
        axes: where the map is.
        values: (rows, columns).
        extent: of the map: left, right, bottom, top.
    """
    rows, columns = values.shape
    if columns > _WRITTEN_COLUMNS or rows > _WRITTEN_ROWS:
        return
    (image,) = axes.get_images()
    for (row, column), value in np.ndenumerate(values):
        red, green, blue, _ = image.to_rgba(np.asarray(value))
        dark = 0.3 * red + 0.6 * green + 0.1 * blue < 0.5  # noqa: PLR2004 (half way between black and white)
        x = extent[0] + (column + 0.5) * (extent[1] - extent[0]) / columns
        y = extent[3] + (row + 0.5) * (extent[2] - extent[3]) / rows
        axes.text(x, y, f"{value:.2g}", ha="center", va="center", fontsize=8, color="white" if dark else "black")

"""How every picture is drawn: one look, no screen, no state that outlives it; and how it becomes a file."""

import textwrap
from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lstm_convert.errors import MissingFramework
from lstm_convert.plots.picture import Picture, step_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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
_DPI = 160
_WRITTEN_COLUMNS, _WRITTEN_ROWS = 8, 12  # a larger map has no room for numbers
_TITLE_WIDTH = 11  # letters an inch of the title


def require() -> None:
    """Raise where the library that draws is not installed.

    Raises:
        MissingFramework: it is not.
    """
    try:
        import matplotlib  # noqa: F401, ICN001, PLC0415 (optional; asking is what this is for)
    except ImportError as error:
        raise MissingFramework(
            "pictures need matplotlib, which is not installed", next_step='pip install "lstm_convert[analysis]"'
        ) from error


def drawn(picture: Picture) -> dict[str, bytes]:
    """Return a picture as files by their ending: png and svg.

    Args:
        picture: the picture.
    """
    import matplotlib as mpl  # noqa: PLC0415 (drawing is what needs it)
    from matplotlib.figure import Figure  # noqa: PLC0415

    with mpl.rc_context({**mpl.rcParamsDefault, **_LOOK}):
        figure = Figure(figsize=picture.size, layout="constrained")
        picture.draw(figure)
        width = int(picture.size[0] * _TITLE_WIDTH)
        figure.suptitle(textwrap.fill(picture.full_title, width), x=0.01, ha="left", fontsize=11, fontweight="bold")
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # laid out once, and not again for each file
        return {ending: _saved(figure, ending) for ending in ("png", "svg")}


def _saved(figure: "Figure", ending: str) -> bytes:
    file = BytesIO()
    metadata = {"Date": None, "Creator": "lstm_convert"} if ending == "svg" else {"Software": "lstm_convert"}
    figure.savefig(file, format=ending, dpi=_DPI, metadata=metadata)
    return file.getvalue()


def time_axis(axes: "Axes", offsets: Sequence[int]) -> None:
    """Name the steps below a picture, from the past on the left to t on the right.

    Args:
        axes: where the steps stand at their offsets.
        offsets: the steps.
    """
    low, high = min(offsets), max(offsets)
    stride = max(1, -(-(high - low) // 8))
    ticks = [offset for offset in range(high, low - 1, -1) if offset % stride == 0 or offset in {low, high}]
    crowded = {tick for tick in ticks if tick in {low, high} and tick and any(0 < abs(tick - other) < stride * 0.6
               for other in ticks if other not in {low, high})}  # fmt: skip
    axes.set_xticks([tick for tick in ticks if tick not in crowded])
    axes.set_xticklabels([step_name(tick) for tick in ticks if tick not in crowded])


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

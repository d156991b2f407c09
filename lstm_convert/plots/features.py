"""The picture of lags by features: what each feature of each step does to the output."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lstm_convert.analysis.engine import Analysis
from lstm_convert.analysis.tables import MEASURED
from lstm_convert.plots.drawing import WIDTH, largest, magnitude_map, signed_map, time_axis, write_values
from lstm_convert.plots.picture import Picture, graded, step_name
from lstm_convert.plots.window import window

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Float64 = NDArray[np.float64]
Row = dict[str, Any]

_STRONGEST = 8  # rows of the table below the picture
_NAMED = 16  # features that have room for their names


class _Map(NamedTuple):
    """One of the picture's maps.

    Args:
        rows: the numbers, each with its feature and its offset.
        is_signed: whether they go below zero.
        label: what they are.
        sentence: how the map is read.
    """

    rows: list[Row]
    is_signed: bool
    label: str
    sentence: str


def features(found: Analysis, whole: str) -> Picture | None:
    """Return the picture, or None where the tables hold nothing of single features.

    Args:
        found: the analysis.
        whole: the output that stands for all of them.
    """
    maps = [each for each in _maps(found, whole) if each.rows and all(row["value"] is not None for row in each.rows)]
    if not maps:
        return None
    names = sorted({row["feature"] for row in maps[0].rows}, key=int)
    steps = sorted({row["offset"] for row in maps[0].rows})
    grids = [_grid(each.rows, names, steps) for each in maps]
    seen = window(steps, np.concatenate([grid / largest(grid) for grid in grids]), " of the largest")
    steps = [step for step in steps if step >= seen.first]

    def draw(figure: "Figure") -> None:
        rows = np.ravel(figure.subplots(len(maps), 1, sharex=True, squeeze=False))
        for axes, each, grid in zip(rows, maps, grids, strict=True):
            extent = (steps[0] - 0.5, steps[-1] + 0.5, len(names) - 0.5, -0.5)
            values = grid[:, -len(steps) :]
            (signed_map if each.is_signed else magnitude_map)(figure, axes, values, each.label, extent=extent)
            write_values(axes, values, extent)
            named = range(0, len(names), -(-len(names) // _NAMED))
            axes.set_yticks(list(named), [names[at] for at in named])
            axes.set_ylabel("feature")
            time_axis(axes, steps)
            axes.tick_params(labelbottom=True)

    first = maps[0]
    strongest = sorted(first.rows, key=lambda row: -abs(float(row["value"])))[:_STRONGEST]
    band = {"95 % from": "ci_low", "to": "ci_high"} if strongest[0]["ci_low"] is not None else {}
    read = [f"{place}{each.sentence}" for place, each in zip(("Above: ", "Below: "), maps, strict=False)]
    return Picture(
        "lag_features", MEASURED, graded(MEASURED, n=strongest[0]["n"]), "how much each feature matters at each step",
        " ".join([*(read if len(maps) > 1 else [f"A cell says {first.sentence}"]),
                  f"A weak cell beside a strong one may say the same as it does.{seen.said}"]),
        ("step", "feature", first.label, *band),
        [(step_name(row["offset"]), row["feature"], row["value"], *(row[column] for column in band.values()))
         for row in strongest],
        "lags.csv, methods resample and jacobian", (WIDTH, 1.4 + len(maps) * min(4.0, 1.2 + 0.18 * len(names))), draw,
    )  # fmt: skip


def _maps(found: Analysis, whole: str) -> Iterator[_Map]:
    """Yield what resampling finds, and the slopes: with their sign where there is one output."""
    lags = found.tables["lags"]
    single = [row for row in lags.rows(method="resample", output=whole) if row["feature"] != "*"]
    how = "the share of the output's variance when that one feature of that one step is another sequence's."
    yield _Map(single, False, "share of variance", how)
    sd = {row["feature"]: row["sd"] for row in found.tables["features"].rows()}
    means = lags.rows(method="jacobian", stat="mean", output="0") if whole == "0" else []
    sizes = lags.rows(method="jacobian", stat="rms", output=whole)
    slopes = [row | {"value": row["value"] * sd[row["feature"]]} for row in means or sizes
              if row["feature"] != "*" and row["value"] is not None]  # fmt: skip
    if means:
        how = "how the output moves, and which way, when the feature does by a standard deviation; white is zero."
        yield _Map(slopes, True, "dy/dx · sd(x)", how)
    else:
        how = "how far the output moves when the feature does by a standard deviation."
        yield _Map(slopes, False, "|dy/dx| · sd(x)", how)


def _grid(rows: Sequence[Row], names: Sequence[str], steps: Sequence[int]) -> Float64:
    grid = np.full((len(names), len(steps)), np.nan)
    row_of, column_of = ({name: at for at, name in enumerate(each)} for each in (names, steps))
    for row in rows:
        grid[row_of[row["feature"]], column_of[row["offset"]]] = row["value"]
    return grid

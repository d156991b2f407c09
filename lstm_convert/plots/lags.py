"""Pictures of time: the lag curve, methods side by side, lags by features, the response at rest."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lstm_convert.analysis.agreement import FLAGGED_ABOVE
from lstm_convert.analysis.engine import Analysis
from lstm_convert.analysis.tables import AT_REST, MEASURED
from lstm_convert.plots.drawing import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PINK,
    magnitude_map,
    signed_map,
    time_axis,
    write_values,
)
from lstm_convert.plots.picture import Picture, graded, step_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Float64 = NDArray[np.float64]
Row = dict[str, Any]

_SHOWN = 12  # rows of a table below a picture
_LEFT = 0.01  # what the headline leaves out
_MARKED = 60  # of more steps single ones get no mark
_PANELS = 4
# Each method: its column `stat`, whether that is to be squared to be a share, its colour and how large its marks are,
# so that those which lie on each other are all seen.
_METHODS: Mapping[str, tuple[str, int, str, float]] = {
    "jacobian": ("rms", 2, BLUE, 9.0),
    "resample": ("total_effect", 1, ORANGE, 7.0),
    "occlusion": ("square_over_variance", 1, GREEN, 5.0),
    "integrated_gradients": ("square_over_variance", 1, PINK, 3.0),
}


def lag_pictures(found: Analysis) -> Iterator[Picture]:
    """Yield the pictures of what the lags matter, those for which there are numbers.

    Args:
        found: the analysis.
    """
    whole = "*" if "*" in {row["output"] for row in found.tables["lags"].rows(method="resample")} else "0"
    for picture in (_curve(found, whole), _methods(found, whole), _features(found, whole), _rest(found)):
        if picture is not None:
            yield picture


def _curve(found: Analysis, whole: str) -> Picture | None:
    rows = found.tables["lags"].rows(method="history_swap", output=whole)
    rows = sorted((row for row in rows if row["lag"] < found.metadata["steps"]), key=lambda row: int(row["offset"]))
    if not rows or rows[0]["value"] is None:
        return None
    within = max((row["lag"] for row in rows if row["value"] > _LEFT), default=0)
    steps = [row["offset"] for row in rows]
    value, low, high = (_numbers(rows, column) for column in ("value", "ci_low", "ci_high"))

    def draw(figure: "Figure") -> None:
        axes = figure.subplots()
        axes.fill_between(steps, low, high, color=BLUE, alpha=0.25, linewidth=0, label="95 % band")
        axes.plot(steps, value, color=BLUE, marker="o" if len(steps) <= _MARKED else None, markersize=4,
                  label="share of the effect from here and before")  # fmt: skip
        axes.axhline(_LEFT, color=GREY, linestyle=":", linewidth=1)
        axes.axvline(-within, color=ORANGE, linestyle="--", linewidth=1.5, label=f"99 % lies within k = {within}")
        axes.set_ylabel("share of the output's variance")
        axes.set_xlabel("step, the output's own is t")
        axes.set_ylim(0.0, 1.03 * max(1.0, float(np.max(high[np.isfinite(high)], initial=0.0))))
        time_axis(axes, steps)
        axes.legend(loc="upper left", framealpha=0.9, edgecolor="none")

    n = rows[0]["n"]
    return Picture(
        "lag_curve", MEASURED, graded(MEASURED, n=n), f"99 % of the effect lies within k = {within}",
        "At t-k stands which share of the effect on the output comes from step t-k and all before it: these were "
        "replaced by what another of your sequences had there. Read it from t to the left: where the curve has come "
        "down, what is still older had no more than that. The band is 95 % and holds for your data alone.",
        ("step", "share", "95 % from", "to"),
        _table(rows, within), "lags.csv, method history_swap", (6.6, 3.8), draw,
    )  # fmt: skip


def _table(rows: Sequence[Row], within: int) -> list[tuple[Any, ...]]:
    """Return rows for a table: all, or t and its neighbours, those about a lag, and the oldest."""
    lags = {row["lag"] for row in rows}
    kept = lags if len(lags) <= _SHOWN else {0, 1, 2, 3, within - 1, within, within + 1, within + 2, max(lags)} & lags
    return [
        (step_name(row["offset"]), row["value"], row["ci_low"], row["ci_high"]) for row in rows if row["lag"] in kept
    ]


def _methods(found: Analysis, whole: str) -> Picture | None:
    profiles: dict[str, Float64] = {}
    steps: list[int] = []
    counts: list[int] = []
    for method, (stat, power, *_) in _METHODS.items():
        rows = found.tables["lags"].rows(method=method, stat=stat, output=whole, feature="*")
        rows.sort(key=lambda row: int(row["offset"]))
        value = _numbers(rows, "value") ** power
        if len(value) and np.isfinite(value).all() and value.sum() > 0:
            profiles[method], steps = value / value.sum(), [row["offset"] for row in rows]
            counts.append(rows[0]["n"])
    if not profiles:
        return None
    apart = [row for row in found.tables["disagreement"].rows() if row["flagged"]]
    said = "; ".join(
        f"{row['method_a']} and {row['method_b']} disagree ({row['total_variation']:.2f} > {FLAGGED_ABOVE})"
        for row in apart
    )

    def draw(figure: "Figure") -> None:
        axes = figure.subplots()
        for method, profile in profiles.items():
            *_, colour, size = _METHODS[method]
            axes.plot(steps, profile, color=colour, marker="o" if len(steps) <= _MARKED else None, markersize=size,
                      linewidth=1.3, label=method.replace("_", " "))  # fmt: skip
        axes.set_ylim(bottom=0)
        axes.set_ylabel("share of the method's own sum")
        axes.set_xlabel("step, the output's own is t")
        time_axis(axes, steps)
        axes.legend(loc="upper left", framealpha=0.9, edgecolor="none")

    order = np.argsort(-np.max(list(profiles.values()), axis=0), kind="stable")[:_SHOWN]
    return Picture(
        "lag_methods", MEASURED, graded(MEASURED, n=min(counts), most=max(counts)),
        "what single steps matter, by several methods",
        "Each line adds up to 1 and says which single steps a method finds to matter: where lines meet, "
        "the methods agree. "
        + (f"Here {said}: trust neither alone." if said else "Here no two are more than 0.2 apart."),
        ("step", *profiles),
        [(step_name(steps[at]), *(float(profile[at]) for profile in profiles.values())) for at in sorted(order)],
        "lags.csv and disagreement.csv", (6.6, 3.8), draw,
    )  # fmt: skip


def _features(found: Analysis, whole: str) -> Picture | None:
    lags = found.tables["lags"]
    sd = {row["feature"]: row["sd"] for row in found.tables["features"].rows()}
    rows = [row for row in lags.rows(method="resample", output=whole) if row["feature"] != "*"]
    means = lags.rows(method="jacobian", stat="mean", output="0") if whole == "0" else []
    sizes = [] if means else lags.rows(method="jacobian", stat="rms", output=whole)
    slopes = [row | {"value": row["value"] * sd[row["feature"]]} for row in means or sizes
              if row["feature"] != "*" and row["value"] is not None]  # fmt: skip
    panels = [(each, is_signed, label) for each, is_signed, label in (
        (rows, False, "share of variance"),
        (slopes, bool(means), "dy/dx · sd(x)" if means else "|dy/dx| · sd(x)"),
    ) if each and all(row["value"] is not None for row in each)]  # fmt: skip
    if not panels:
        return None
    names = sorted({row["feature"] for row in slopes or rows}, key=int)
    steps = sorted({row["offset"] for row in slopes or rows})
    maps = [(_grid(each, names, steps), is_signed, label) for each, is_signed, label in panels]

    def draw(figure: "Figure") -> None:
        for axes, (values, is_signed, label) in zip(
            np.ravel(figure.subplots(len(maps), 1, sharex=True, squeeze=False)), maps, strict=True
        ):
            extent = (steps[0] - 0.5, steps[-1] + 0.5, len(names) - 0.5, -0.5)
            (signed_map if is_signed else magnitude_map)(figure, axes, values, label, extent=extent)
            write_values(axes, values, extent)
            shown = range(0, len(names), -(-len(names) // 16))
            axes.set_yticks(list(shown), [names[at] for at in shown])
            axes.set_ylabel("feature")
            time_axis(axes, steps)
            axes.tick_params(labelbottom=True)

    first = panels[0][0]
    strongest = sorted(first, key=lambda row: -abs(float(row["value"])))[:8]
    several = len(maps) > 1
    return Picture(
        "lag_features", MEASURED, graded(MEASURED, n=first[0]["n"]), "what each feature matters at each step",
        ("Above: the share of the output's variance when that one feature of that one step is another sequence's. "
         if rows else "")
        + ("Below: " if several else "")
        + ("how the output moves, and which way, when the feature does by a standard deviation; white is zero. "
           if means else "how far the output moves when the feature does by a standard deviation. " if slopes else "")
        + "A pale cell beside a strong one may say the same as it does.",
        ("step", "feature", first[0]["stat"], "95 % from", "to"),
        [(step_name(row["offset"]), row["feature"], row["value"], row["ci_low"], row["ci_high"]) for row in strongest],
        "lags.csv, methods resample and jacobian", (6.6, 1.4 + len(maps) * min(4.0, 1.2 + 0.18 * len(names))), draw,
    )  # fmt: skip


def _grid(rows: Sequence[Row], names: Sequence[str], steps: Sequence[int]) -> Float64:
    grid = np.full((len(names), len(steps)), np.nan)
    row_of, column_of = ({name: at for at, name in enumerate(each)} for each in (names, steps))
    for row in rows:
        grid[row_of[row["feature"]], column_of[row["offset"]]] = row["value"]
    return grid


def _rest(found: Analysis) -> Picture | None:
    rows = [row for row in found.tables["lags"].rows(method="rest_response") if row["value"] is not None]
    if not rows:
        return None
    sd = {row["feature"]: row["sd"] for row in found.tables["features"].rows()}
    rows = [row | {"scaled": row["value"] * sd[row["feature"]]} for row in rows]
    peak: dict[tuple[str, str], float] = {}
    for row in rows:
        key = (row["output"], row["feature"])
        peak[key] = max(peak.get(key, 0.0), abs(row["scaled"]))
    output = max(peak, key=lambda key: peak[key])[0]
    features = sorted((feature for of, feature in peak if of == output), key=lambda each: -peak[output, each])
    shown = sorted(features[:_PANELS], key=int)
    own = [row for row in rows if row["output"] == output]
    series = {
        feature: sorted((row["offset"], row["scaled"]) for row in own if row["feature"] == feature) for feature in shown
    }

    def draw(figure: "Figure") -> None:
        grid = np.ravel(figure.subplots(len(shown), 1, sharex=True, sharey=True, squeeze=False))
        for axes, feature in zip(grid, shown, strict=True):
            steps, values = zip(*series[feature], strict=True)
            marks, stems, _ = axes.stem(steps, values, basefmt=" ")
            marks.set(color=BLUE, markersize=4 if len(steps) <= _MARKED else 1.5)
            stems.set(color=BLUE, linewidth=1.2 if len(steps) <= _MARKED else 0.6)
            axes.axhline(0.0, color=GREY, linewidth=0.8)
            axes.set_ylabel(f"feature {feature}")
            time_axis(axes, steps)
        figure.supylabel("dy/dx · sd(x)", fontsize=10)
        grid[-1].set_xlabel("step of the impulse, the output's own is t")

    several = len({of for of, _ in peak}) > 1
    strongest = sorted(own, key=lambda row: -abs(row["scaled"]))[:8]
    return Picture(
        "rest_response", AT_REST, graded(AT_REST, point=str(rows[0]["operating_point"])),
        "what an impulse does to the output" + (f" {output}" if several else ""),
        "The network has come to rest at this constant input; a stem at t-k says how far the output moves when "
        "the input of t-k alone is lifted by a standard deviation. Exact there; gates that multiply may differ "
        f"elsewhere. Drawn: {len(shown)} of {len(features)} features"
        + (", of the output that moves most; the table has all." if several else "."),
        ("step", "feature", "dy/dx", "dy/dx · sd(x)"),
        [(step_name(row["offset"]), row["feature"], row["value"], row["scaled"]) for row in strongest],
        "lags.csv, method rest_response", (6.6, 1.2 + 1.25 * max(2, len(shown))), draw,
    )  # fmt: skip


def _numbers(rows: Sequence[Row], column: str) -> Float64:
    return np.array([np.nan if row[column] is None else row[column] for row in rows], np.float64)

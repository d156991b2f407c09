"""Pictures of time: the lag curve, methods side by side, the response at rest."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lstm_convert.analysis.agreement import FLAGGED_ABOVE
from lstm_convert.analysis.engine import Analysis
from lstm_convert.analysis.tables import AT_REST, MEASURED
from lstm_convert.plots.drawing import BLUE, GREEN, GREY, ORANGE, PINK, WIDTH, legend_below, time_axis
from lstm_convert.plots.features import features
from lstm_convert.plots.picture import Picture, graded, step_name
from lstm_convert.plots.window import window

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
    for picture in (_curve(found, whole), _methods(found, whole), features(found, whole), _rest(found)):
        if picture is not None:
            yield picture


def _curve(found: Analysis, whole: str) -> Picture | None:
    rows = found.tables["lags"].rows(method="history_swap", output=whole)
    rows = sorted((row for row in rows if row["lag"] < found.metadata["steps"]), key=lambda row: int(row["offset"]))
    if not rows or rows[0]["value"] is None:
        return None
    within = max((row["lag"] for row in rows if row["value"] > _LEFT), default=0)
    seen = window([row["offset"] for row in rows], _numbers(rows, "ci_high")[None])
    drawn = [row for row in rows if row["offset"] >= seen.first]
    steps = [row["offset"] for row in drawn]
    value, low, high = (_numbers(drawn, column) for column in ("value", "ci_low", "ci_high"))

    def draw(figure: "Figure") -> None:
        axes = figure.subplots()
        axes.fill_between(steps, low, high, color=BLUE, alpha=0.25, linewidth=0, label="95 % band")
        axes.plot(steps, value, color=BLUE, marker="o" if len(steps) <= _MARKED else None, markersize=4,
                  label="from here and before")  # fmt: skip
        axes.axhline(_LEFT, color=GREY, linestyle=":", linewidth=1)
        axes.axvline(-within, color=ORANGE, linestyle="--", linewidth=1.5, label=f"99 % lies within k = {within}")
        axes.set_ylabel("share of the output's variance")
        axes.set_xlabel("step; the output is read at t")
        axes.set_ylim(0.0, 1.03 * max(1.0, float(np.max(high[np.isfinite(high)], initial=0.0))))
        time_axis(axes, steps)
        legend_below(figure, 3)

    n = rows[0]["n"]
    return Picture(
        "lag_curve", MEASURED, graded(MEASURED, n=n), f"99 % of the effect lies within k = {within}",
        "At t-k stands which share of the effect on the output comes from step t-k and all before it: these were "
        "replaced by what another of your sequences had there. Read it from t to the left: where the curve has come "
        "down, what is still older had no more than that. The band is 95 % and holds for your data alone; at t, where "
        f"all is replaced, the share is 1 but for chance.{seen.said}",
        ("step", "share", "95 % from", "to"),
        _table(rows, within), "lags.csv, method history_swap", (WIDTH, 3.6), draw,
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
    seen = window(steps, np.stack(list(profiles.values())))
    first = steps.index(seen.first)
    apart = [row for row in found.tables["disagreement"].rows() if row["flagged"]]
    said = "; ".join(
        f"{row['method_a']} and {row['method_b']} disagree ({row['total_variation']:.2f} > {FLAGGED_ABOVE})"
        for row in apart
    )

    def draw(figure: "Figure") -> None:
        axes = figure.subplots()
        for method, profile in profiles.items():
            *_, colour, size = _METHODS[method]
            axes.plot(steps[first:], profile[first:], color=colour, linewidth=1.3, markersize=size,
                      marker="o" if len(steps) - first <= _MARKED else None, label=_words(method))  # fmt: skip
        axes.set_ylim(bottom=0)
        axes.set_ylabel("share of the method's own sum")
        axes.set_xlabel("step; the output is read at t")
        time_axis(axes, steps[first:])
        legend_below(figure, 4)

    order = np.argsort(-np.max(list(profiles.values()), axis=0), kind="stable")[:_SHOWN]
    return Picture(
        "lag_methods", MEASURED, graded(MEASURED, n=min(counts), most=max(counts)),
        "how much each single step matters, by several methods",
        "Each line adds up to 1 and says which single steps a method finds to matter: where lines meet, "
        "the methods agree. "
        + (f"Here {said}: trust neither alone." if said else f"Here no two are more than {FLAGGED_ABOVE} apart.")
        + seen.said,
        ("step", *map(_words, profiles)),
        [(step_name(steps[at]), *(float(profile[at]) for profile in profiles.values())) for at in sorted(order)],
        "lags.csv and disagreement.csv", (WIDTH, 3.6), draw,
    )  # fmt: skip


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
    offsets = [offset for offset, _ in series[shown[0]]]
    seen = window(offsets, np.array([[value for _, value in each] for each in series.values()]))
    steps = offsets[offsets.index(seen.first) :]

    def draw(figure: "Figure") -> None:
        grid = np.ravel(figure.subplots(len(shown), 1, sharex=True, sharey=True, squeeze=False))
        for axes, feature in zip(grid, shown, strict=True):
            values = [value for _, value in series[feature]][-len(steps) :]
            marks, stems, _ = axes.stem(steps, values, basefmt=" ")
            marks.set(color=BLUE, markersize=4 if len(steps) <= _MARKED else 1.5)
            stems.set(color=BLUE, linewidth=1.2 if len(steps) <= _MARKED else 0.6)
            axes.axhline(0.0, color=GREY, linewidth=0.8)
            axes.set_ylabel(f"feature {feature}")
            time_axis(axes, steps)
        figure.supylabel("dy/dx · sd(x)", fontsize=10)
        grid[-1].set_xlabel("step of the impulse; the output is read at t")

    several = len({of for of, _ in peak}) > 1
    strongest = sorted(own, key=lambda row: -abs(row["scaled"]))[:8]
    return Picture(
        "rest_response", AT_REST, graded(AT_REST, point=str(rows[0]["operating_point"])),
        f"what an impulse does to output {output}" if several else "what an impulse does to the output",
        "The network has come to rest at this constant input; a stem at t-k says how far the output moves when "
        "the input of t-k alone is lifted by a standard deviation. Exact there; gates that multiply may differ "
        f"elsewhere. Drawn: {len(shown)} of {len(features)} features"
        f"{', of the output that moves most' if several else ''}.{seen.said}",
        ("step", "feature", "dy/dx", "dy/dx · sd(x)"),
        [(step_name(row["offset"]), row["feature"], row["value"], row["scaled"]) for row in strongest],
        "lags.csv, method rest_response", (WIDTH, 1.2 + 1.25 * max(2, len(shown))), draw,
    )  # fmt: skip


def _words(name: str) -> str:
    return name.replace("_", " ")


def _numbers(rows: Sequence[Row], column: str) -> Float64:
    return np.array([np.nan if row[column] is None else row[column] for row in rows], np.float64)

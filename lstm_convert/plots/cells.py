"""Pictures of one cell: its weights gate by gate, how far its gates open, and what its units hold over time."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lstm_convert.analysis.engine import Analysis
from lstm_convert.analysis.inventory import DIRECTIONS, blocks_of
from lstm_convert.analysis.saturation import LEFT, RIGHT
from lstm_convert.analysis.stacks import cells as lstm_cells
from lstm_convert.analysis.tables import MEASURED, PROVEN
from lstm_convert.canonical import GATES, LSTM, Cell
from lstm_convert.plots.drawing import (
    GATE_COLOURS,
    GREY,
    SIGNED,
    WIDTH,
    count_axis,
    largest,
    signed_axis,
    signed_map,
    time_axis,
)
from lstm_convert.plots.picture import Picture, graded

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Float64 = NDArray[np.float64]

_KINDS = {"W": "W, of x", "U": "U, of h", "b": "bias"}
_NAMES = {"i": "input i", "f": "forget f", "g": "candidate g", "o": "output o"}
_SHOWN = 8
_LABELLED = 32
_WIDE = 30.0  # time constants that differ by more than this factor stand on a scale of powers


def cell_pictures(found: Analysis, layers: tuple[LSTM, ...]) -> Iterator[Picture]:
    """Yield the pictures of every cell.

    Args:
        found: the analysis.
        layers: the layers that were analyzed.
    """
    several = sum(len(layer.cells) for layer in layers) > 1
    number = 0
    for layer in layers:
        for place, (direction, cell) in enumerate(lstm_cells(layer).items()):
            number += 1
            suffix = f"_{number}" if several else ""
            name = f"{layer.name} {direction}"
            columns = {"layer": layer.name, "direction": DIRECTIONS[direction]}
            blocks = _blocks(cell)
            statistics = found.tables["gates"].rows(**columns)
            yield _histograms(f"gates{suffix}", name, blocks, statistics)
            yield _maps(f"gate_maps{suffix}", name, blocks, statistics)
            units = found.tables["units"].rows(basis=MEASURED, **columns)
            yield _saturation(f"saturation{suffix}", name, units)
            states = np.asarray(found.traces[layer.name]["data_vars"]["c"]["data"][place][0, :, : cell.units])
            yield _raster(f"units{suffix}", name, units, states)


def _blocks(cell: Cell) -> dict[str, dict[str, Float64]]:
    """Return W, U and the bias of each gate."""
    blocks: dict[str, dict[str, Float64]] = {kind: {} for kind in _KINDS}
    for gate, kind, block in blocks_of(cell):
        if kind in blocks:
            blocks[kind][gate] = block
    return blocks


def _histograms(
    file: str, name: str, blocks: Mapping[str, Mapping[str, Float64]], statistics: list[dict[str, Any]]
) -> Picture:
    def draw(figure: "Figure") -> None:
        grid = figure.subplots(len(blocks), len(GATES), sharex="row", sharey="row")
        _name_columns(grid[0])
        for row, (kind, gates) in zip(grid, blocks.items(), strict=True):
            end = max(largest(block) for block in gates.values())
            count = int(np.clip(np.sqrt(next(iter(gates.values())).size), 8, 40)) // 2 * 2 + 1
            for axes, (gate, block) in zip(row, gates.items(), strict=True):
                axes.hist(block[np.isfinite(block)], np.linspace(-end, end, count + 1), color=GATE_COLOURS[gate])
                axes.axvline(0.0, color=GREY, linewidth=0.8)
                axes.set_xlim(-1.05 * end, 1.05 * end)
                signed_axis(axes.xaxis, end)
                axes.yaxis.get_major_locator().set_params(nbins=4, integer=True)
            row[0].set_ylabel(_KINDS[kind])

    return Picture(
        file, PROVEN, graded(PROVEN), f"the weights of {name}, gate by gate",
        "Each column is a gate, each row what it adds up: W times the input, U times h, the bias. The height counts "
        "weights, and a row has one scale from the largest size below zero to the same above. It says what the weights "
        "are, not what the model does with them.",
        ("gate", "kind", "shape", "mean", "sd", "norm", "largest singular value"),
        [(row["gate"], row["kind"], f"{row['rows']}, {row['cols']}", row["mean"], row["std"], row["fro"],
          row["spectral"]) for row in statistics],
        "gates.csv", (WIDTH, 4.4), draw,
    )  # fmt: skip


def _maps(
    file: str, name: str, blocks: Mapping[str, Mapping[str, Float64]], statistics: list[dict[str, Any]]
) -> Picture:
    def draw(figure: "Figure") -> None:
        kinds = {kind: gates for kind, gates in blocks.items() if kind != "b"}
        grid = figure.subplots(len(kinds), len(GATES), sharey=True)
        _name_columns(grid[0])
        for row, (kind, gates) in zip(grid, kinds.items(), strict=True):
            end = max(largest(block) for block in gates.values())
            for axes, block in zip(row, gates.values(), strict=True):
                image = axes.imshow(block, cmap=SIGNED, vmin=-end, vmax=end, aspect="auto", interpolation="nearest")
                count_axis(axes.xaxis, block.shape[1])
                count_axis(axes.yaxis, block.shape[0])
                axes.set_xlabel("input" if kind == "W" else "h of unit")
            row[0].set_ylabel(f"{kind}: unit")
            figure.colorbar(image, ax=list(row), label="weight", pad=0.01)

    return Picture(
        file, PROVEN, graded(PROVEN), f"which weight lies where in {name}",
        "Rows are units, columns what they read: the inputs above, the other units' h below. White is zero, red above, "
        "blue below; one scale a row, and nothing lies beyond its ends. Stripes down are inputs that all units read.",
        ("gate", "kind", "least", "most", "part exactly zero"),
        [(row["gate"], row["kind"], row["min"], row["max"], row["zero_frac"]) for row in statistics
         if row["kind"] in ("W", "U")],
        "gates.csv", (WIDTH, 4.8), draw,
    )  # fmt: skip


def _name_columns(row: Iterable["Axes"]) -> None:
    for axes, gate in zip(row, GATES, strict=True):
        axes.set_title(_NAMES[gate])


def _saturation(file: str, name: str, units: list[dict[str, Any]]) -> Picture:
    shares = {gate: np.array([[row[f"sat_left_{gate}"], row[f"sat_right_{gate}"]] for row in units]) for gate in "ifo"}

    def draw(figure: "Figure") -> None:
        grid = figure.subplots(1, 3, sharex=True, sharey=True)
        for axes, (gate, points) in zip(grid, shares.items(), strict=True):
            axes.plot([0, 1], [1, 0], color=GREY, linewidth=0.8, linestyle=":")
            axes.scatter(points[:, 0], points[:, 1], s=26, color=GATE_COLOURS[gate], alpha=0.5, linewidths=0,
                         clip_on=False)  # fmt: skip
            axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xlabel=f"steps below {LEFT}")
            axes.set_title(_NAMES[gate])
            axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
            axes.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
        grid[0].set_ylabel(f"steps above {RIGHT}")

    return Picture(
        file, MEASURED, graded(MEASURED, n=units[0]["n"]), f"how often the gates of {name} are shut or open",
        "A point is a unit: to the right the part of all steps at which its gate is nearly shut, upwards the part at "
        "which it is nearly open. Points near the origin are gates that seldom do either; on the dotted line they do "
        "nothing else.",
        ("gate", "mean opening", "part of steps shut", "part of steps open"),
        [(_NAMES[gate], float(np.mean([row[f"mean_{gate}"] for row in units])), *map(float, points.mean(axis=0)))
         for gate, points in shares.items()],
        "units.csv", (WIDTH, 2.7), draw,
    )  # fmt: skip


def _raster(file: str, name: str, units: list[dict[str, Any]], states: Float64) -> Picture:
    kept = np.array([row["tau_life_data_geo"] for row in units], np.float64)
    order = np.argsort(kept, kind="stable")
    finite = kept[np.isfinite(kept)]
    most = float(finite.max()) * 1.3 if finite.size else 10.0
    steps = list(range(1 - len(states), 1))

    def draw(figure: "Figure") -> None:
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=[3, 1.2])
        extent = (steps[0] - 0.5, 0.5, len(order) - 0.5, -0.5)
        signed_map(figure, left, states[:, order].T, "c", extent=extent)
        time_axis(left, steps, 5)
        left.set(xlabel="step", ylabel="unit, fast ones above")
        if len(order) <= _LABELLED:
            left.set_yticks(range(len(order)), [str(unit) for unit in order], fontsize=7)
        right.plot(np.where(np.isfinite(kept), kept, most)[order], range(len(order)), "o", markersize=4,
                   color=GATE_COLOURS["f"])  # fmt: skip
        for at in np.flatnonzero(~np.isfinite(kept[order])):
            right.annotate("∞", (most, at), (4, 0), textcoords="offset points", va="center", fontsize=9)
        right.grid(axis="x", color="#dddddd", linewidth=0.8)
        if finite.size and finite.max() > _WIDE * finite.min():
            right.set_xscale("log")
        else:
            right.set_xlim(0, most * 1.1)
        right.set_xlabel("tau_life, steps")

    chosen = list(order) if len(order) <= _SHOWN else [*order[: _SHOWN // 2], *order[-_SHOWN // 2 :]]
    return Picture(
        file, MEASURED, f"{graded(MEASURED, n=units[0]['n'])} (the map: the first)",
        f"what the units of {name} hold",
        "On the left c of each unit over the first of your sequences, white is zero; on the right how long a unit "
        "keeps what it holds, by the geometric mean of its forget gate on all sequences. Slow units keep their colour. "
        "The forget gate alone: what goes round through U may last longer.",
        ("unit", "tau_life by the data", "mean f", "sd of h"),
        [(str(unit), units[unit]["tau_life_data_geo"], units[unit]["mean_f"], units[unit]["sd_h"]) for unit in chosen],
        "units.csv, trace.npz", (WIDTH, max(2.8, min(5.0, 1.4 + 0.14 * len(order)))), draw,
    )  # fmt: skip

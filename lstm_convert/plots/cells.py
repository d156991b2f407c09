"""Pictures of one cell: its weights gate by gate, how far its gates open, and what its units hold over time."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lstm_convert.analysis.engine import Analysis
from lstm_convert.analysis.inventory import DIRECTIONS, blocks_of
from lstm_convert.analysis.saturation import LEFT, RIGHT
from lstm_convert.analysis.stepping import keeping_gate, opening_gates
from lstm_convert.analysis.tables import MEASURED, PROVEN
from lstm_convert.canonical import Recurrent, RecurrentCell
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

_KINDS = {"W": "W, of x", "U": "U, of h", "b": "bias", "b_rec": "bias of U"}
_NAMES = {"i": "input i", "f": "forget f", "g": "candidate g", "o": "output o", "z": "update z", "r": "reset r"}
_KEEPERS = {"f": "forget gate", "z": "update gate"}
_SHOWN = 8
_LABELLED = 32
_WIDE = 30.0  # time constants that differ by more than this factor stand on a scale of powers


def cell_pictures(found: Analysis, layers: tuple[Recurrent, ...]) -> Iterator[Picture]:
    """Yield the pictures of every cell.

    Args:
        found: the analysis.
        layers: the layers that were analyzed.
    """
    several = sum(len(layer.cells) for layer in layers) > 1
    number = 0
    for layer in layers:
        for place, (direction, cell) in enumerate(layer.cells.items()):
            number += 1
            suffix = f"_{number}" if several else ""
            name = f"{layer.name} {direction}"
            columns = {"layer": layer.name, "direction": DIRECTIONS[direction]}
            blocks = _blocks(cell)
            statistics = found.tables["gates"].rows(**columns)
            yield _histograms(f"gates{suffix}", name, blocks, statistics)
            yield _maps(f"gate_maps{suffix}", name, blocks, statistics)
            units = found.tables["units"].rows(basis=MEASURED, **columns)
            if opening_gates(cell):
                yield _saturation(f"saturation{suffix}", name, units, opening_gates(cell))
            variables = found.traces[layer.name]["data_vars"]
            state = "c" if "c" in variables else "h"
            states = np.asarray(variables[state]["data"][place][0, :, : cell.units])
            yield _raster(f"units{suffix}", name, units, states, (state, keeping_gate(cell)))


def _blocks(cell: RecurrentCell) -> dict[str, dict[str, Float64]]:
    """Return W, U and the bias of each gate, or the two biases where they count apart."""
    blocks: dict[str, dict[str, Float64]] = {}
    for gate, kind, block in blocks_of(cell):
        if kind in _KINDS:
            blocks.setdefault(kind, {})[gate] = block
    return blocks


def _histograms(
    file: str, name: str, blocks: Mapping[str, Mapping[str, Float64]], statistics: list[dict[str, Any]]
) -> Picture:
    def draw(figure: "Figure") -> None:
        grid = figure.subplots(len(blocks), len(blocks["W"]), sharex="row", sharey="row", squeeze=False)
        _name_columns(grid[0], blocks["W"])
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
        kinds = {kind: gates for kind, gates in blocks.items() if kind in ("W", "U")}
        grid = figure.subplots(len(kinds), len(blocks["W"]), sharey=True, squeeze=False)
        _name_columns(grid[0], blocks["W"])
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


def _name_columns(row: Iterable["Axes"], gates: Iterable[str]) -> None:
    for axes, gate in zip(row, gates, strict=True):
        axes.set_title(_NAMES[gate])


def _saturation(file: str, name: str, units: list[dict[str, Any]], gates: str) -> Picture:
    shares = {gate: np.array([[row[f"sat_left_{gate}"], row[f"sat_right_{gate}"]] for row in units]) for gate in gates}

    def draw(figure: "Figure") -> None:
        grid = figure.subplots(1, len(shares), sharex=True, sharey=True)
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


def _raster(
    file: str, name: str, units: list[dict[str, Any]], states: Float64, state: tuple[str, str | None]
) -> Picture:
    what, keeps = state
    kept = np.array([row["tau_life_data_geo"] for row in units], np.float64) if keeps else np.zeros(len(units))
    order = np.argsort(kept, kind="stable")
    steps = list(range(1 - len(states), 1))

    def draw(figure: "Figure") -> None:
        panels = figure.subplots(1, 2 if keeps else 1, sharey=True, width_ratios=[3, 1.2] if keeps else None,
                                 squeeze=False)[0]  # fmt: skip
        extent = (steps[0] - 0.5, 0.5, len(order) - 0.5, -0.5)
        signed_map(figure, panels[0], states[:, order].T, what, extent=extent)
        time_axis(panels[0], steps, 5)
        panels[0].set(xlabel="step", ylabel="unit, fast ones above" if keeps else "unit")
        if len(order) <= _LABELLED:
            panels[0].set_yticks(range(len(order)), [str(unit) for unit in order], fontsize=7)
        if keeps:
            _time_constants(panels[1], kept[order], keeps)

    chosen = list(order) if len(order) <= _SHOWN else [*order[: _SHOWN // 2], *order[-_SHOWN // 2 :]]
    columns = {"tau_life by the data": "tau_life_data_geo", f"mean {keeps}": f"mean_{keeps}"} if keeps else {}
    columns |= {"sd of h": "sd_h"}
    return Picture(
        file, MEASURED, f"{graded(MEASURED, n=units[0]['n'])} (the map: the first)",
        f"what the units of {name} hold",
        (f"On the left {what} of each unit over the first of your sequences, white is zero; on the right how long a "
         f"unit keeps what it holds, by the geometric mean of its {_KEEPERS[keeps]} on all sequences. Slow units keep "
         f"their colour. The {_KEEPERS[keeps]} alone: what goes round through U may last longer."
         if keeps else
         f"{what} of each unit over the first of your sequences, white is zero. No gate keeps it: what lasts goes "
         "round through U."),
        ("unit", *columns),
        [(str(unit), *(units[unit][column] for column in columns.values())) for unit in chosen],
        "units.csv, trace.npz", (WIDTH, max(2.8, min(5.0, 1.4 + 0.14 * len(order)))), draw,
    )  # fmt: skip


def _time_constants(axes: "Axes", kept: Float64, keeps: str) -> None:
    """Draw how long units keep what they hold, one a row; what is kept for ever stands at the end."""
    finite = kept[np.isfinite(kept)]
    most = float(finite.max()) * 1.3 if finite.size else 10.0
    axes.plot(np.where(np.isfinite(kept), kept, most), range(len(kept)), "o", markersize=4, color=GATE_COLOURS[keeps])
    for at in np.flatnonzero(~np.isfinite(kept)):
        axes.annotate("∞", (most, at), (4, 0), textcoords="offset points", va="center", fontsize=9)
    axes.grid(axis="x", color="#dddddd", linewidth=0.8)
    if finite.size and finite.max() > _WIDE * finite.min():
        axes.set_xscale("log")
    else:
        axes.set_xlim(0, most * 1.1)
    axes.set_xlabel("tau_life, steps")

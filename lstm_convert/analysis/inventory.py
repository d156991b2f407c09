"""What the weights are, gate by gate: sizes, statistics of every block, and which gate listens to which feature.

These are facts about the weights and hold for every input; none says what the model does with them.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_convert.analysis.stepping import folded_bias
from lstm_convert.analysis.tables import PROVEN, Table
from lstm_convert.canonical import GRUCell, Recurrent, RecurrentCell

Float64 = NDArray[np.float64]

DIRECTIONS: Mapping[str, str] = {"forward": "fwd", "backward": "bwd"}


def inventory(layers: Sequence[Recurrent], model: str = "") -> Table:
    """Return a row a cell of any kind: its sizes, types, activations, and how many of its numbers are none.

    Args:
        layers: the layers.
        model: the model's name.
    """
    return Table.of("inventory", (place | _cell_row(cell) for place, cell in cells_of(layers, model)))


def cells_of(layers: Sequence[Recurrent], model: str) -> Iterator[tuple[dict[str, Any], RecurrentCell]]:
    """Return every cell with the columns that say which it is.

    Args:
        layers: the layers.
        model: the model's name.
    """
    for layer in layers:
        for direction, cell in layer.cells.items():
            yield {"model": model, "layer": layer.name, "direction": DIRECTIONS[direction]}, cell


def _cell_row(cell: RecurrentCell) -> dict[str, Any]:
    arrays = cell.arrays()
    numbers = [np.asarray(array, np.float64) for array in arrays.values()]
    biases = [name for name in ("b", "b_rec") if name in arrays]
    variants: list[str] = [name for name in ("peephole", "projection") if name in arrays]
    settings = {name: value for name, value in cell.settings().items() if value is not None and value is not False}
    variants += [name if value is True else f"{name}={value:g}" for name, value in settings.items()]
    return {
        "kind": cell.kind,
        "units": cell.units,
        "inputs": cell.inputs,
        "outputs": cell.outputs,
        "parameters": sum(array.size for array in numbers),
        "dtype": str(cell.W.dtype),
        **{f"{role}_activation": str(activation) for role, activation in cell.activations().items()},
        "biases": " + ".join(biases) or "none",
        "variants": ", ".join(variants) or "none",
        "nan": sum(int(np.isnan(array).sum()) for array in numbers),
        "inf": sum(int(np.isinf(array).sum()) for array in numbers),
        "basis": PROVEN,
    }


def blocks_of(cell: RecurrentCell) -> Iterator[tuple[str, str, Float64]]:
    """Return every block of a cell's weights: its gate, its kind, and the numbers, rows first.

    Kinds are W, U, b, p (peephole) and proj. The bias is both sides' sum where only that is what the cell sees; a GRU
    that resets after U sees the two apart, b and b_rec. A projection belongs to no gate, which is then `*`.

    Args:
        cell: the cell.
    """
    arrays = {name: np.asarray(array, np.float64) for name, array in cell.arrays().items()}
    kinds = {name: arrays[name] for name in ("W", "U")}
    if isinstance(cell, GRUCell) and cell.reset_after:
        kinds |= {name: arrays[name][..., None] for name in ("b", "b_rec") if name in arrays}
    else:
        kinds["b"] = folded_bias(cell)[..., None]
    for kind, array in kinds.items():
        yield from ((gate, kind, block) for gate, block in zip(cell.letters, array, strict=True))
    if "peephole" in arrays:
        yield from ((gate, "p", block[:, None]) for gate, block in zip("ifo", arrays["peephole"], strict=True))
    if "projection" in arrays:
        yield "*", "proj", arrays["projection"]


def gates(layers: Sequence[Recurrent], model: str = "") -> Table:
    """Return a row a block of weights of cells of any kind: its size, mean, spread, extremes and norms.

    Args:
        layers: the layers.
        model: the model's name.
    """
    return Table.of("gates", (
        place | {"gate": gate, "kind": kind} | _statistics(block) | {"basis": PROVEN}
        for place, cell in cells_of(layers, model)
        for gate, kind, block in blocks_of(cell)
    ))  # fmt: skip


def _statistics(block: Float64) -> dict[str, Any]:
    sound = bool(np.isfinite(block).all())
    fro = float(np.linalg.norm(block))
    spectral = float(np.linalg.norm(block, 2)) if sound else float("nan")
    with np.errstate(invalid="ignore"):  # infinities have no spread
        std = float(block.std())
    return {
        "rows": block.shape[0],
        "cols": block.shape[1],
        "mean": float(block.mean()),
        "std": std,
        "min": float(block.min()),
        "max": float(block.max()),
        "fro": fro,
        "spectral": spectral,
        "stable_rank": (fro / spectral) ** 2 if spectral else 0.0,
        "zero_frac": float((block == 0).mean()),
    }


def weights(layers: Sequence[Recurrent], model: str = "") -> Table:
    """Return a row a number: 4 units (inputs + outputs + 1) rows a cell, so only where they are asked for.

    Args:
        layers: the layers.
        model: the model's name.
    """
    return Table.of("weights", (
        place | {"gate": gate, "kind": kind, "unit": unit, "source": source, "value": float(value), "basis": PROVEN}
        for place, cell in cells_of(layers, model)
        for gate, kind, block in blocks_of(cell)
        for (unit, source), value in np.ndenumerate(block)
    ))  # fmt: skip


def features(layer: Recurrent, model: str = "", sd: Float64 | None = None) -> Table:
    """Return a row a gate and feature: how strongly the gate's kernel is wired to it.

    Args:
        layer: the layer that reads the data.
        model: the model's name.
        sd: the spread of each feature, (inputs,), without which kernels of features in other units do not compare.
    """
    return Table.of("features", (
        place
        | {"gate": gate, "feature": str(feature), "norm": float(norm), "basis": PROVEN}
        | ({} if sd is None else {"sd": float(sd[feature]), "strength": float(norm * sd[feature])})
        for place, cell in cells_of([layer], model)
        for gate, kernel in zip(cell.letters, np.asarray(cell.W, np.float64), strict=True)
        for feature, norm in enumerate(np.linalg.norm(kernel, axis=0))
    ))  # fmt: skip

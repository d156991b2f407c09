"""What can be said of each unit: by its biases alone, by a proven range, and by the data; dead ones and doubles."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_convert.activations import function
from lstm_convert.analysis.ranges import Ranges
from lstm_convert.analysis.saturation import Activity
from lstm_convert.analysis.stepping import biases, keeping_gate, opening_gates
from lstm_convert.analysis.tables import AT_REST, MEASURED, PROVEN
from lstm_convert.canonical import Cell, RecurrentCell

Float64 = NDArray[np.float64]

SHUT = 1e-6  # a gate that never opens wider is called shut
STILL = 1e-9  # an output that moves by less is called constant
SAME = 1e-6  # correlations nearer to 1 or -1 make two units one


def time_constants(forget: Float64) -> dict[str, Float64]:
    """Return three time constants of forget gates, in steps; each has its own definition, so each its own name.

    `tau_life` is 1 / (1 - f), `tau_e` is -1 / ln f, `half_life` ln(1/2) / ln f.

    Args:
        forget: what the gates keep; 1 keeps for ever, and its constants are infinite, as are those of a gate that is no
            sigmoid and goes beyond. Of one below 0 its size counts: what is kept changes its sign each step.
    """
    forget = np.minimum(np.abs(forget), 1.0)
    with np.errstate(divide="ignore"):
        logarithm = np.log(forget)
        return {
            "tau_life": 1.0 / (1.0 - forget),
            "tau_e": 1.0 / np.abs(logarithm),
            "half_life": np.log(2.0) / np.abs(logarithm),
        }


def static_rows(cell: RecurrentCell, reads: Float64 | None = None) -> list[dict[str, Any]]:
    """Return a row a unit of what its own weights and biases say: openings and time constants with no input at all.

    Args:
        cell: the cell.
        reads: how strongly what is above reads each output, (outputs,): column norms of the readout or the next kernel.
    """
    gates, keeps = opening_gates(cell), keeping_gate(cell)
    bias = dict(zip(cell.letters, biases(cell)[0], strict=True))
    opening = {gate: function(cell.activations()["gate"])(bias[gate]) for gate in gates}
    if isinstance(cell, Cell) and cell.coupled:
        opening["f"] = 1.0 - opening["i"]
    kernels = {"w": np.asarray(cell.W, np.float64), "u": np.asarray(cell.U, np.float64)}
    columns = {f"b_{gate}": bias[gate] for gate in gates} | {f"open_{gate}": opening[gate] for gate in gates}
    columns |= {f"{kind}_norm_{gate}": np.linalg.norm(kernel[row], axis=1)
                for kind, kernel in kernels.items() for row, gate in enumerate(cell.letters)}  # fmt: skip
    columns |= {} if keeps is None else time_constants(opening[keeps])
    if "projection" not in cell.arrays() and reads is not None:
        columns["out_norm"] = reads
    flags: list[list[str]] = [[] for _ in range(cell.units)]
    for unit in np.flatnonzero(_never_read(cell, reads)).tolist():
        flags[unit].append("never_read")
    for unit, other in _doubles(cell):
        flags[unit].append(f"same_weights_as_{other}")
    return _rows(columns, AT_REST, flags)


def _never_read(cell: RecurrentCell, reads: Float64 | None) -> NDArray[np.bool_]:
    """Return which units nothing reads: neither any gate through U, nor a peephole, nor what is above."""
    if reads is None:
        return np.zeros(cell.units, bool)
    read = np.abs(np.asarray(cell.U, np.float64)).sum(axis=(0, 1)) + reads
    if (projection := cell.arrays().get("projection")) is not None:
        read = (np.abs(np.asarray(projection, np.float64)) * read[:, None]).sum(axis=0)
    return np.asarray(read == 0)


def _doubles(cell: RecurrentCell) -> list[tuple[int, int]]:
    """Return the units that have exactly another's weights, with the first of those."""
    bias, inner = biases(cell)
    rows = [np.asarray(cell.W, np.float64), np.asarray(cell.U, np.float64), bias[..., None], inner[None, :, None]]
    own = np.concatenate([block.transpose(1, 0, 2).reshape(cell.units, -1) for block in rows], axis=1)
    if (peephole := cell.arrays().get("peephole")) is not None:
        own = np.concatenate([own, np.asarray(peephole, np.float64).T], axis=1)
    first: dict[bytes, int] = {}
    found = [(unit, first.setdefault(row.tobytes(), unit)) for unit, row in enumerate(own + 0.0)]
    return [(unit, other) for unit, other in found if unit != other]


def proven_rows(bounds: Ranges) -> list[dict[str, Any]]:
    """Return a row a unit of the bounds of its gates for every input of a box.

    Args:
        bounds: the proven ranges.
    """
    gates = {gate: bound for gate, bound in bounds.gates.items() if gate != "g"}
    columns = {f"{end}_{gate}": getattr(bound, end) for gate, bound in gates.items() for end in ("low", "high")}
    meaning = {}
    if "i" in gates:
        meaning = {"never_written": gates["i"].high, "never_read": gates["o"].high, "always_forgets": gates["f"].high,
                   "never_forgets": 1.0 - gates["f"].low}  # fmt: skip
    elif "z" in gates:
        meaning = {"never_written": 1.0 - gates["z"].low, "always_forgets": gates["z"].high,
                   "always_resets": gates["r"].high}  # fmt: skip
    units = len(bounds.gates["g"].low)
    flags = [[name for name, bound in meaning.items() if bound[unit] <= SHUT] for unit in range(units)]
    return _rows(columns, PROVEN, flags)


def measured_rows(activity: Activity) -> list[dict[str, Any]]:
    """Return a row a unit of what its gates did on the data.

    Args:
        activity: the statistics of a cell's trace.
    """
    columns: dict[str, Float64] = {}
    if (kept := activity.geometric_mean) is not None:
        columns["tau_life_data_geo"] = time_constants(kept)["tau_life"]
    for gate in activity.gates:
        columns[f"mean_{gate}"] = activity.mean[gate]
        columns[f"sat_left_{gate}"] = activity.left[gate]
        columns[f"sat_right_{gate}"] = activity.right[gate]
    flags: list[list[str]] = [[] for _ in range(activity.units)]
    if len(activity.sd_h) == len(flags):  # a projection's outputs are no units
        columns["sd_h"] = activity.sd_h
        for unit in np.flatnonzero(activity.sd_h < STILL).tolist():
            flags[unit].append("constant")
        for unit, other, sign in activity.doubles(SAME, STILL):
            flags[unit].append(f"{'same_as' if sign > 0 else 'minus'}_{other}")
    return [row | {"n": activity.sequences} for row in _rows(columns, MEASURED, flags)]


def _rows(columns: Mapping[str, Float64], basis: str, flags: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
    return [
        {"unit": unit, "basis": basis, "flags": " ".join(own)}
        | {name: float(each[unit]) for name, each in columns.items()}
        for unit, own in enumerate(flags)
    ]

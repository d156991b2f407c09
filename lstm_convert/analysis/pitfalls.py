"""What is often read wrongly from an LSTM, said with the numbers of the model at hand where it applies."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_convert.activations import function
from lstm_convert.analysis.bounds import at_most
from lstm_convert.analysis.decomposition import LABEL
from lstm_convert.analysis.facts import Facts, Sentence
from lstm_convert.analysis.inventory import DIRECTIONS
from lstm_convert.analysis.lag_rows import at_rest
from lstm_convert.analysis.stepping import keeping_gate
from lstm_convert.analysis.tables import AT_REST, MEASURED, PROVEN
from lstm_convert.analysis.units import time_constants
from lstm_convert.canonical import RecurrentCell

Float64 = NDArray[np.float64]

_APART = 2.0  # feature spreads or time constants that differ by more than this factor are worth a word
_CORRELATED = 0.3
_LEFT = 0.01  # what the headline leaves out


def sentences(facts: Facts) -> tuple[Sentence, ...]:
    """Return the sentence of every pitfall that applies.

    Args:
        facts: what is known of the model and the data.
    """
    return tuple(Sentence(topic, basis, text) for topic, (basis, speak) in PITFALLS.items() for text in speak(facts))


def _units(facts: Facts, basis: str) -> Iterator[tuple[str, RecurrentCell, list[dict[str, Any]]]]:
    """Yield the name of each cell that keeps its state by a gate, the cell, and its rows of the table `units`."""
    for layer in facts.stack.layers:
        for direction, cell in layer.cells.items():
            rows = facts.tables["units"].rows(basis=basis, layer=layer.name, direction=DIRECTIONS[direction])
            if rows and keeping_gate(cell) is not None:
                yield f"{layer.name} {direction}", cell, rows


def _shut_gate(facts: Facts) -> Iterator[str]:
    for (name, cell, proven), (*_, static) in zip(_units(facts, PROVEN), _units(facts, AT_REST), strict=False):
        if cell.kind != "LSTM":
            continue
        shut = [row["unit"] for row in proven if "never_written" in row["flags"]]
        if shut:
            largest = max(static[unit]["w_norm_g"] for unit in shut)
            bound = max(proven[unit]["high_i"] for unit in shut)
            yield (f"{name}: the size of W_g (up to {largest:.3g}) says nothing while the input gate is shut: "
                   f"for every "
                   f"input of the box i <= {at_most(bound)} in {len(shut)} of {len(proven)} units")  # fmt: skip


def _forget_bias(facts: Facts) -> Iterator[str]:
    for name, cell, rows in _units(facts, AT_REST):
        gate, keeps = function(cell.activations()["gate"]), keeping_gate(cell)
        middle = float(np.median([row["tau_life"] for row in rows]))
        zero, one = (float(time_constants(gate(np.array([bias])))["tau_life"][0]) for bias in (0.0, 1.0))
        known = (
            "" if facts.within[0] is None else f"; on your data 99 % of the effect lies within k = {facts.within[0]}"
        )
        yield (f"{name}: b_{keeps} alone gives a median tau_life of {middle:.3g} steps; an untrained b_{keeps} of 0 "
               f"gives {zero:.3g} and one of 1 gives {one:.3g}. It leaves out W_{keeps}, U_{keeps} and the loop "
               f"through U{known}")  # fmt: skip


def _cells(facts: Facts) -> list[RecurrentCell]:
    return [cell for layer in facts.stack.layers for cell in layer.cells.values()]


def _names_of_time(facts: Facts) -> Iterator[str]:
    for name, cell, rows in _units(facts, AT_REST):
        keeps = keeping_gate(cell)
        life, e, half = (float(np.median([row[key] for row in rows])) for key in ("tau_life", "tau_e", "half_life"))
        yield (f"{name}: three time constants of the same gates, in steps (medians): tau_life = 1/(1-{keeps}) = "
               f"{life:.3g}, tau_e = -1/ln {keeps} = {e:.3g}, half_life = {half:.3g}")  # fmt: skip


def _mean_of_f(facts: Facts) -> Iterator[str]:
    for name, cell, rows in _units(facts, MEASURED):
        keeps = keeping_gate(cell)
        mean = time_constants(np.array([row[f"mean_{keeps}"] for row in rows]))["tau_life"]
        kept = np.array([row["tau_life_data_geo"] for row in rows])
        with np.errstate(invalid="ignore"):
            ratio = np.where(np.isfinite(mean) & np.isfinite(kept), mean / kept, 1.0)
        if ratio.max() > _APART:
            unit = int(ratio.argmax())
            yield (f"{name}: the mean of {keeps} says tau_life = {mean[unit]:.3g} for unit {unit}, but what is kept "
                   f"is a product: "
                   f"by the geometric mean it is {kept[unit]:.3g}")  # fmt: skip


def _write_time(facts: Facts) -> Iterator[str]:
    for layer in facts.stack.layers:
        for direction in layer.cells:
            rows = facts.tables["decomposition"].rows(
                layer=layer.name, direction=DIRECTIONS[direction], unit=None, write_lag=0
            )
            for row in rows:
                yield (f"{layer.name} {direction}: the last step wrote {row['value']:.0%} of c, on average over "
                       f"its units: "
                       f"{LABEL}, so no importance of a lag")  # fmt: skip


def _feature_units(facts: Facts) -> Iterator[str]:
    moving = facts.seen.sd[facts.seen.sd > 0]
    if len(moving) > 1 and moving.max() > _APART * moving.min():
        yield (f"the features' standard deviations go from {moving.min():.3g} to {moving.max():.3g}: columns of "
               f"W do not "
               "compare before each is multiplied by its own")  # fmt: skip


def _loop_alone(facts: Facts) -> Iterator[str]:
    radii = facts.tables["rest"].rows()
    for row, cell in zip(radii, _cells(facts), strict=False):
        if row["spectral_radius"] is None or "projection" in cell.arrays():
            continue
        loop = np.asarray(cell.U.g, np.float64)
        rho, norm = float(np.abs(np.linalg.eigvals(loop)).max()), float(np.linalg.norm(loop, 2))
        state, alone = "h", ""
        if cell.kind == "LSTM":
            state, alone = "c and h", f"; that of h alone, c held fixed, {row['spectral_radius_h']:.3g}"
        yield (
            f"{row['layer']}: U_g has spectral radius {rho:.3g} and norm {norm:.3g}; neither says how long the cell "
            f"remembers. The full one-step Jacobian of {state} at rest has {row['spectral_radius']:.3g}{alone}"
        )


def _cut_off(facts: Facts) -> Iterator[str]:
    within, cut = facts.within[0], facts.cut
    if within is not None and cut is not None and cut > _LEFT:
        yield (
            f"older steps may be another sequence's, yet not be cut off: the last {within + 1} steps alone, from zero "
            f"states, change the output by a share of {cut:.2g} where the history swap leaves at most {_LEFT:g}"
        )


def _baseline(facts: Facts) -> Iterator[str]:
    shown = at_rest(facts.seen.mean).removeprefix("AT REST ")
    yield (f"occlusion and integrated gradients compare with the mean of your data, {shown}; another baseline "
           f"gives other "
           "numbers")  # fmt: skip


def _autocorrelated(facts: Facts) -> Iterator[str]:
    largest = float(facts.seen.autocorrelation.max())
    if facts.steps > 1 and largest > _CORRELATED:
        yield (f"neighbouring steps of a feature correlate by {largest:.2f}: a single step from another "
               f"sequence makes data "
               "that never occurs, and a small effect of one lag may mean that its neighbours say the same. The "
               "history "
               "swap replaces them together")  # fmt: skip


def _saturated(facts: Facts) -> Iterator[str]:
    """Name the step that has most of what resampling finds and the gradient does not, where the two disagree."""
    pairs = facts.tables["disagreement"].rows(method_a="jacobian", method_b="resample", flagged=True)
    lags = facts.tables["lags"]
    for _ in pairs:
        whole = {row["output"] for row in lags.rows(method="resample")} & {"*", "0"}
        output = "*" if "*" in whole else "0"
        slopes = lags.rows(method="jacobian", stat="rms", feature="*", output=output)
        gradient = _parts({row["offset"]: row["value"] ** 2 for row in slopes})
        effects = lags.rows(method="resample", feature="*", output=output)
        resampled = _parts({row["offset"]: row["value"] for row in effects})
        step = max(resampled, key=lambda offset: resampled[offset] - gradient[offset])
        yield (f"a step whose gradient has vanished may matter: {step:+d} steps from the output's own has "
               f"{resampled[step]:.1%} of what resampling finds and {gradient[step]:.2g} of the squared gradient; "
               "a gate or a state that is saturated has no slope")  # fmt: skip


def _parts(values: Mapping[int, float]) -> dict[int, float]:
    total = sum(values.values())
    return {key: value / total for key, value in values.items()}


def _disagree(facts: Facts) -> Iterator[str]:
    for row in facts.tables["disagreement"].rows(flagged=True):
        yield (f"{row['method_a']} and {row['method_b']} disagree on which lags matter (total variation "
               f"{row['total_variation']:.2f} > 0.2): trust neither alone")  # fmt: skip


def _operating_point(facts: Facts) -> Iterator[str]:
    """Compare the slopes at rest with those on the data, of the output and feature whose slope goes furthest there."""
    lags, sd = facts.tables["lags"], {row["feature"]: row["sd"] for row in facts.tables["features"].rows()}
    rest: dict[tuple[str, str], float] = {}
    for row in (row for row in lags.rows(method="rest_response") if row["value"] is not None):
        key = row["output"], row["feature"]
        rest[key] = max(rest.get(key, 0.0), abs(row["value"]))
    seen: dict[tuple[str, str], float] = {}
    for row in lags.rows(method="jacobian", stat="max_abs"):
        key = row["output"], row["feature"]
        seen[key] = max(seen.get(key, 0.0), row["value"])
    for point in sorted({row["operating_point"] for row in facts.tables["rest"].rows()}):
        numbers = ""
        if common := rest.keys() & seen.keys():
            output, feature = max(common, key=lambda key: (seen[key] * sd[key[1]], key))
            numbers = (f": there |dy/dx| of output {output} and feature {feature} is at most "
                       f"{rest[output, feature]:.3g}, on your data up to {seen[output, feature]:.3g}")  # fmt: skip
        yield (f"the impulse response is that of the network linearised {point}{numbers}; gates that multiply may "
               "differ elsewhere")  # fmt: skip


def _hard_gates(facts: Facts) -> Iterator[str]:
    for layer, cell in zip(facts.tables["inventory"]["layer"], _cells(facts), strict=True):
        gate = cell.activations().get("gate")
        if gate is not None and gate.name == "hard_sigmoid":
            yield (f"{layer}: the gates are {gate}, not the smooth sigmoid: a gate can be exactly 0 or 1, and tau "
                   "infinite; the time constants use this function")  # fmt: skip


def _no_cell_state(facts: Facts) -> Iterator[str]:
    for layer in facts.stack.layers:
        if layer.kind != "LSTM":
            gates = "" if keeping_gate(layer.forward) else ", nor any gate that opens and shuts"
            yield (f"{layer.name}: a {layer.kind} has no cell state c{gates}: no share of a cell path and no "
                   "write-time decomposition; its state is h")  # fmt: skip


def _layers(facts: Facts) -> Iterator[str]:
    if len(facts.stack.layers) > 1:
        names = " -> ".join(layer.name for layer in facts.stack.layers)
        yield f"lags count steps of the data, through all {len(facts.stack.layers)} layers ({names})"


def _directions(facts: Facts) -> Iterator[str]:
    both = [layer.name for layer in facts.stack.layers if layer.backward]
    if both:
        yield f"{', '.join(both)}: the backward half reads what comes later; a positive offset is the future"
    stateful = [layer.name for layer in facts.stack.layers if layer.stateful]
    if stateful:
        yield f"{', '.join(stateful)}: stateful in the model; here every sequence starts from zero states"


def _sample(facts: Facts) -> Iterator[str]:
    used = {row["method"]: row["n"] for row in facts.tables["lags"].rows(basis=MEASURED, feature="*")}
    shown = ", ".join(f"{method} {count}" for method, count in used.items())
    yield (f"measured on {facts.sequences} sequences of {facts.steps} steps, of which each method looked at: {shown}; "
           f"seed {facts.seed}; bands are 95 %, and of your data alone")  # fmt: skip


def _readout(facts: Facts) -> Iterator[str]:
    readout, reason = facts.found
    if reason:
        name = facts.stack.layers[-1].name
        yield f"effects are on h of {name} itself, all its units together, and on nothing behind it: {reason}"
    else:
        yield f"the outputs are those of: {readout.source}"


def _own_input(facts: Facts) -> Iterator[str]:
    yield from facts.data.said
    masked = ", ".join(layer.name for layer in facts.stack.layers if layer.masked_by)
    if facts.seen.masked:
        yield (f"{masked}: {facts.seen.masked:.0%} of the steps of your data are masked and leave the states as they "
               "are; a lag counts them too")  # fmt: skip
    elif masked and facts.data.network is None:
        yield f"{masked}: the model masks steps, here every step of the data counts, padding too"


# Each pitfall: the grade of its numbers, and what it has to say.
PITFALLS: Mapping[str, tuple[str, Callable[[Facts], Iterator[str]]]] = {
    "readout": (PROVEN, _readout),
    "data": (PROVEN, _own_input),
    "sample": (MEASURED, _sample),
    "disagreement": (MEASURED, _disagree),
    "saturation": (MEASURED, _saturated),
    "autocorrelation": (MEASURED, _autocorrelated),
    "cut_off": (MEASURED, _cut_off),
    "baseline": (MEASURED, _baseline),
    "shut_gate": (PROVEN, _shut_gate),
    "forget_bias": (AT_REST, _forget_bias),
    "time_constants": (AT_REST, _names_of_time),
    "mean_forget_gate": (MEASURED, _mean_of_f),
    "write_time": (MEASURED, _write_time),
    "feature_units": (MEASURED, _feature_units),
    "recurrent_norm": (AT_REST, _loop_alone),
    "operating_point": (AT_REST, _operating_point),
    "hard_sigmoid": (PROVEN, _hard_gates),
    "cell_state": (PROVEN, _no_cell_state),
    "layers": (PROVEN, _layers),
    "directions": (PROVEN, _directions),
}

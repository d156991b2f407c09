"""One call that gathers all that can be said of a model and some data: tables, traces and sentences."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_convert.analysis import inventory
from lstm_convert.analysis.agreement import disagreement
from lstm_convert.analysis.before import Data, DataIs, data_of
from lstm_convert.analysis.bounds import at_most
from lstm_convert.analysis.certificate import certificate
from lstm_convert.analysis.decomposition import LABEL
from lstm_convert.analysis.effects import OCCLUSION, RESAMPLE, Effects
from lstm_convert.analysis.facts import Facts, Sentence
from lstm_convert.analysis.gates import kernel_reads, proven_unit_rows, static_unit_rows
from lstm_convert.analysis.inventory import cells_of
from lstm_convert.analysis.jacobian import read_time
from lstm_convert.analysis.lag_rows import (
    Place,
    at_rest,
    cell_path_rows,
    certificate_rows,
    decomposition_rows,
    effect_rows,
    jacobian_rows,
    rest_rows,
    swap_rows,
)
from lstm_convert.analysis.measuring import (
    Overview,
    Progress,
    Sample,
    attributed,
    jacobians,
    overview,
    single_effects,
    swapped,
)
from lstm_convert.analysis.outputs import LookedAt, readout_of
from lstm_convert.analysis.pitfalls import sentences
from lstm_convert.analysis.readout import Output, Readout
from lstm_convert.analysis.rest import rest_response
from lstm_convert.analysis.stacks import Stack, stack_of
from lstm_convert.analysis.swap import SwapCurve
from lstm_convert.analysis.tables import AT_REST, MEASURED, PROVEN, Table
from lstm_convert.analysis.units import measured_rows
from lstm_convert.canonical import Model
from lstm_convert.errors import LayoutMismatch, Unsupported

Float64 = NDArray[np.float64]
Row = dict[str, Any]

_MOST_UNIT_ROWS = 50_000
_REST_OUTPUTS = 16  # of more outputs no response at rest is tabled
_BOX = "|x| within the least and the most of your data"


@dataclass(frozen=True, eq=False)
class Analysis:
    """All that was found.

    Args:
        headline: the answer in one sentence.
        sentences: how to read it, and what not to read from it; each with its grade.
        tables: the tables by name.
        traces: i, f, g, o, c and h of the first sequences, by layer, as `xarray.Dataset.from_dict` takes them.
        metadata: what was analyzed: the model's file and hash, the sizes, the seed.
    """

    headline: str
    sentences: tuple[Sentence, ...]
    tables: Mapping[str, Table]
    traces: Mapping[str, Mapping[str, Any]]
    metadata: Mapping[str, Any]


@dataclass(eq=False)
class _Found:
    """What is gathered on the way: rows of the tables, and what could not be found."""

    place: Place
    units: list[Row] = field(default_factory=list)
    lags: list[Row] = field(default_factory=list)
    rest: list[Row] = field(default_factory=list)
    certificates: list[Row] = field(default_factory=list)
    notes: list[Sentence] = field(default_factory=list)

    def attempt(self, topic: str, basis: str, find: Callable[[], None]) -> None:
        """Find something that not every model has, and note why it has it not, each reason once."""
        try:
            find()
        except Unsupported as error:
            reason = "; ".join([error.what, *error.details])
            if reason not in [note.text for note in self.notes]:
                self.notes.append(Sentence(topic, basis, reason))


def analyze(
    model: Model,
    data: NDArray[Any],
    *,
    readout: Readout | str | None = None,
    layer: str | None = None,
    data_is: DataIs | None = None,
    name: str = "",
    seed: int = 0,
    effort: float = 1.0,
    traced: int = 16,
    progress: Progress | None = None,
) -> Analysis:
    """Return all that can be said of a model: by its weights, at rest, and on some data.

    The output is what the model's network makes of the recurrent layers' output; at the last step, where it is a row a
    step. Every sequence starts from zero states. Of the model's own input the steps count that its masks say, of what
    the first recurrent layer reads all do.

    Args:
        model: the model.
        data: the model's own input where its network is known, or what its first recurrent layer reads, (sequences,
            steps, inputs); may be memory-mapped.
        readout: what is made of the last recurrent layer's output; where None, all that stands behind it in the
            model's network, or else that output itself. A name says which output of a network with several, by the
            layer that makes it or its number; `h` is the recurrent layer's output itself.
        layer: the recurrent layer whose output is read; where None, the one that no other follows.
        data_is: what the data is, the `model`'s input or what the `layer` reads, where its shape fits both.
        name: what the tables call the model.
        seed: where chance starts from; the same seed gives the same tables.
        effort: a factor on how many sequences the costly methods look at.
        traced: of how many sequences the traces are returned.
        progress: called with what is being done and which part of that is done.

    Raises:
        LayoutMismatch: the data or the readout is not of this model's shape, or holds what is no finite number.
        Unsupported: the layers are no plain stack, or an activation has no derivative of its own for each unit.
    """
    stack = stack_of(model, layer)
    last = stack.layers[-1]
    given = data_of(model, stack, data, data_is)
    steps = given.shape[1]
    looked_at = LookedAt(readout) if isinstance(readout, Readout) else readout_of(model, stack, steps, readout)
    _check(stack, looked_at.readout, given)
    sample = Sample(stack, looked_at.readout, given, seed, effort, progress)
    found = _Found(Place(name, last.name, read_time(stack, steps)))
    seen = overview(sample, traced)
    _units(found, sample, seen)
    curve, profiles = _lags(found, sample, seen)
    _without_data(found, sample, seen)
    tables = {
        "inventory": inventory.inventory(stack.layers, name),
        "gates": inventory.gates(stack.layers, name),
        "features": inventory.features(stack.layers[0], name, seen.sd),
        "units": Table.of("units", found.units),
        "lags": Table.of("lags", found.lags),
        "disagreement": Table.of("disagreement", _pairs(name, profiles)),
        "decomposition": Table.of("decomposition", _written(stack, name, seen, len(data))),
        "rest": Table.of("rest", found.rest),
        "certificate": Table.of("certificate", found.certificates),
    }
    within = (None, None) if curve is None else (curve.within(), curve.within(upper=True))
    cut = None if curve is None else curve.cut
    facts = Facts(stack, looked_at, given, tables, len(data), steps, seen, seed, within, cut)
    headline = _headline(curve, steps, seed)
    source = model.provenance
    return Analysis(
        headline,
        (Sentence("result", MEASURED, headline), *_bounds(curve), *found.notes, *sentences(facts)),
        tables,
        seen.traces,
        {"file": source.file, "sha256": source.sha256, "framework": source.framework, "dtype": "float64", "seed": seed,
         "sequences": len(data), "steps": steps, "readout": sample.readout.source},
    )  # fmt: skip


def _check(stack: Stack, readout: Output, data: Data) -> None:
    wrong = []
    if len(data) < 2:  # noqa: PLR2004 (a variance needs two)
        wrong.append("data: expected at least 2 sequences, found 1")
    elif not all(
        np.isfinite(np.asarray(data.array[start : start + 256], np.float64)).all() for start in range(0, len(data), 256)
    ):
        wrong.append("data: expected finite numbers, found others")
    if isinstance(readout, Readout) and readout.matrix.shape[1] != stack.outputs:
        wrong.append(f"readout: expected (outputs, {stack.outputs}), found {readout.matrix.shape}")
    wrong += [f"{layer.name} {direction}: weights that are no finite numbers" for layer in stack.layers
              for direction, cell in layer.cells.items()
              if not all(np.isfinite(array).all() for array in cell.arrays().values())]  # fmt: skip
    if wrong:
        raise LayoutMismatch("this cannot be analyzed", wrong, "hand in many sequences; cut a long one into windows")


def _units(found: _Found, sample: Sample, seen: Overview) -> None:
    layers, name = sample.stack.layers, found.place.model
    for depth, layer in enumerate(layers):
        kernel = sample.readout.kernel
        reads = None if kernel is None else np.abs(kernel).sum(axis=0)
        above = kernel_reads(layers[depth + 1]) if depth + 1 < len(layers) else reads
        found.units += static_unit_rows(layer, name, above)
        for direction, (place, _) in enumerate(cells_of([layer], name)):
            found.units += [place | row for row in measured_rows(seen.activities[depth][direction])]
    found.attempt(
        "proven_ranges", PROVEN, lambda: found.units.extend(proven_unit_rows(layers, name, seen.low, seen.high))
    )


def _lags(found: _Found, sample: Sample, seen: Overview) -> tuple[SwapCurve | None, dict[str, Float64]]:
    """Measure what each lag matters; return the headline's curve and each method's profile over the steps."""
    profiles: dict[str, Float64] = {}

    def jacobian() -> None:
        whole, inside = jacobians(sample)
        found.lags += jacobian_rows(found.place, whole, seen.sd)
        if inside is not None:
            found.lags += cell_path_rows(found.place, whole, inside, seen.sd)
        profiles["jacobian"] = ((whole * seen.sd) ** 2).sum(axis=(1, 3)).mean(axis=0)

    def integrated_gradients() -> None:
        integrated, residual = attributed(sample, seen.mean)
        baseline = f"the mean of the data; sums miss by at most {residual:.2g}"
        found.lags += effect_rows(found.place, integrated, "integrated_gradients", "square_over_variance", baseline)
        profiles["integrated_gradients"] = _profile(integrated)

    found.attempt("jacobian", MEASURED, jacobian)
    curve = None
    if found.place.read_time == sample.data.shape[1] - 1:
        curve = swapped(sample)
        found.lags += swap_rows(found.place, curve)
    else:
        found.notes.append(
            Sentence("history_swap", MEASURED, "no history swap: the model reads the sequence from its end")
        )
    methods = {
        RESAMPLE: ("resample", "total_effect", "another sequence's step"),
        OCCLUSION: ("occlusion", "square_over_variance", "the mean of the data"),
        "features": ("resample", "total_effect", "another sequence's feature"),
    }
    for method, effects in single_effects(sample, seen.mean).items():
        found.lags += effect_rows(found.place, effects, *methods[method])
        if method != "features":
            profiles[method] = _profile(effects)
    found.attempt("integrated_gradients", MEASURED, integrated_gradients)
    return curve, profiles


def _profile(found: Effects) -> Float64:
    return np.array([found.at(step)[0] for step in range(found.steps)])


def _pairs(name: str, profiles: Mapping[str, Float64]) -> Iterator[Row]:
    for method, other, apart, flagged in disagreement(profiles):
        yield {"model": name, "output": "*", "method_a": method, "method_b": other, "total_variation": apart,
               "flagged": flagged, "basis": MEASURED}  # fmt: skip


def _written(stack: Stack, name: str, seen: Overview, sequences: int) -> Iterator[Row]:
    shares = [each for row in seen.shares for each in row]
    for (columns, _), each in zip(cells_of(stack.layers, name), shares, strict=True):
        if each is not None:
            yield from decomposition_rows(columns, each, sequences, LABEL, _MOST_UNIT_ROWS)


def _without_data(found: _Found, sample: Sample, seen: Overview) -> None:
    """Add the response at rest and the certificate; of the data they take the mean and the box alone."""
    steps = sample.data.shape[1]

    def rest() -> None:
        response = rest_response(sample.stack, seen.mean, sample.readout, lags=steps)
        if sample.readout.outputs <= _REST_OUTPUTS:
            found.lags.extend(rest_rows(found.place, response))
        for cell, radius in response.spectral_radius.items():
            found.rest.append({
                "model": found.place.model, "layer": cell, "settle_residual": response.residual,
                "steps": response.steps, "spectral_radius": radius,
                "spectral_radius_h": response.spectral_radius_h[cell],
                "operating_point": at_rest(response.operating_point), "basis": AT_REST,
            })  # fmt: skip

    def certify() -> None:
        proven = certificate(sample.stack, seen.low, seen.high, sample.readout, lags=steps)
        if sample.readout.outputs <= _REST_OUTPUTS:
            found.lags.extend(certificate_rows(found.place, proven, _BOX))
        found.certificates.append({
            "model": found.place.model, "layer": found.place.layer, "rho": proven.rho, "certified": proven.certified,
            "text": proven.text, "basis": PROVEN,
        })  # fmt: skip
        found.notes.append(Sentence("certificate", PROVEN, proven.text))

    sample.tell("rest and certificate", 0.0)
    found.attempt("rest_response", AT_REST, rest)
    found.attempt("certificate", PROVEN, certify)
    sample.tell("rest and certificate", 1.0)


def _headline(curve: SwapCurve | None, steps: int, seed: int) -> str:
    if curve is None:
        return "MEASURED: how far back the model looks was not measured by swapping histories"
    within, upper = curve.within(), curve.within(upper=True)
    if within is None or upper is None:
        return f"MEASURED: the output does not vary on your data (n = {curve.sequences}), so no lag has a share in it"
    reach = f"k = {within}" if upper == within else f"k = {within} (at most {upper} with 95 % confidence)"
    longest = f"; sequences have {steps} steps, what lies further back was not seen" if upper >= steps - 1 else ""
    return (
        f"MEASURED: 99 % of the effect lies within {reach} on your data (n = {curve.sequences}, seed {seed}){longest}"
    )


def _bounds(curve: SwapCurve | None) -> Iterator[Sentence]:
    """Yield the upper bounds of what lies far back: never that it does not matter."""
    if curve is None or curve.within(upper=True) is None:
        return
    lag = (curve.within(upper=True) or 0) + 1
    if lag < len(curve.band.value) - 1:
        bound = curve.band.high[lag, -1]
        text = f"total effect of lag {lag} and beyond <= {at_most(bound)} (95 %, n = {curve.sequences}, on your data)"
        yield Sentence("result", MEASURED, text)

"""Two models side by side: what they compute first, how their weights relate second.

Weights mislead: a model and its fine-tuned successor are alike in their weights and remember differently, two trainings
of one task are not alike at all and compute the same. So the distances of functions come first.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_convert.analysis.before import DataIs, Sequences, data_of
from lstm_convert.analysis.facts import Sentence
from lstm_convert.analysis.inventory import DIRECTIONS
from lstm_convert.analysis.matching import Match, matched
from lstm_convert.analysis.measuring import Sample, swapped
from lstm_convert.analysis.moving import Units, output_units, unmoved
from lstm_convert.analysis.outputs import LookedAt, is_h, readout_of
from lstm_convert.analysis.readout import Output, Readout, identity, outputs_of
from lstm_convert.analysis.rest import rest_response
from lstm_convert.analysis.stacks import Stack, stack_of
from lstm_convert.analysis.tables import AT_REST, MEASURED, PROVEN, Table
from lstm_convert.analysis.traces import CellTrace, StackTrace, trace
from lstm_convert.canonical import Model, Recurrent, RecurrentCell
from lstm_convert.errors import LayoutMismatch, Unsupported

Float64 = NDArray[np.float64]
Row = dict[str, Any]

SAME = 1e-9  # outputs that differ by less, as a part of their size, are the same
_LOOKED_AT = 256
_PROBE = (32, 20)  # sequences and steps of the noise that stands in for data
_REST_LAGS = 50


@dataclass(frozen=True, eq=False)
class Comparison:
    """What two models have in common.

    Args:
        same: whether their outputs are the same on what they were given.
        headline: the answer in one sentence.
        sentences: how to read it, each with its grade.
        tables: `distances` and `matches`.
    """

    same: bool
    headline: str
    sentences: tuple[Sentence, ...]
    tables: dict[str, Table]


def compare(
    one: Model,
    other: Model,
    data: NDArray[Any] | None = None,
    *,
    readouts: tuple[Readout | str | None, Readout | str | None] = (None, None),
    layers: tuple[str | None, str | None] = (None, None),
    data_is: DataIs | None = None,
    names: tuple[str, str] = ("a", "b"),
    seed: int = 0,
) -> Comparison:
    """Compare two models: their outputs, their memory, and their weights with units matched.

    Args:
        one: the one model.
        other: the other, which reads as many features.
        data: what both read, their own input or what their first recurrent layers read, (sequences, steps, inputs);
            noise for those layers where None, which says so.
        readouts: what is made of each one's last recurrent output; see `analyze`.
        layers: the layer of each whose output is read; see `analyze`.
        data_is: what the data is, where its shape fits both; see `analyze`.
        names: what the tables call them.
        seed: where chance starts from.

    Raises:
        LayoutMismatch: they read or put out another number of features.
        Unsupported: one is no plain stack.
    """
    rng = np.random.default_rng(seed)
    stacks = stack_of(one, layers[0]), stack_of(other, layers[1])
    given = "your data" if data is not None else f"noise of mean 0 and spread 1 (seed {seed}), not your data"
    read = _read(stacks, (one, other), data, data_is, rng)
    found = [LookedAt(readout) if isinstance(readout, Readout) else readout_of(model, stack, each.shape[1], readout)
             for readout, model, stack, each in zip(readouts, (one, other), stacks, read, strict=True)]  # fmt: skip
    bare = any(is_h(each.readout) for each in found)
    # Of which one alone has its readout in its file: what both put out before it compares.
    reads = [identity(stack.outputs) if bare and not isinstance(readout, Readout) else each.readout
             for readout, each, stack in zip(readouts, found, stacks, strict=True)]  # fmt: skip
    _check(stacks, reads)
    matches = _matches(stacks, reads, rng) if _alike(*stacks) else {}
    traces = [trace(stack, each.x, mask=each.counts) for stack, each in zip(stacks, read, strict=True)]
    aligned = reads
    if bare and matches:
        units = _outputs_moved(stacks[1].layers[-1], matches)
        aligned = [reads[0], Readout(units.moved(np.eye(stacks[1].outputs)).T, source="h, its units matched")]
    base = {"model_a": names[0], "model_b": names[1]}
    distances = [base | row for row in (
        *_outputs(traces, reads, ""), *(_outputs(traces, aligned, "aligned_") if aligned is not reads else ()),
        *_memory(stacks, aligned, read, seed), *_weights(matches), *_states(traces, matches),
    )]  # fmt: skip
    largest = [row["value"] for row in distances if row["measure"].endswith("output_largest_difference_of_size")]
    same = min(largest) <= SAME
    which = "" if largest[0] <= SAME or not same else ", once units are put in the other's order and sign"
    headline = (
        f"MEASURED: {'the same outputs' if same else 'other outputs'}{which} on {given}: they differ by at most "
        f"{min(largest):.2g} of their size (n = {len(read[0])})"
    )
    tables = {"distances": Table.of("distances", distances), "matches": Table.of("matches", _pairs(base, matches))}
    said = (Sentence("result", MEASURED, headline), *_sentences(stacks, matches))
    return Comparison(same, headline, said, tables)


def _read(
    stacks: tuple[Stack, Stack],
    models: tuple[Model, Model],
    data: NDArray[Any] | None,
    data_is: DataIs | None,
    rng: np.random.Generator,
) -> tuple[Sequences, Sequences]:
    """Return what the first layer of each reads: of the data, which may be the models' own input, or noise."""
    if data is None:
        _check_alike("inputs", *(stack.inputs for stack in stacks))
        noise = Sequences(rng.normal(size=(*_PROBE, stacks[0].inputs)))
        return noise, noise
    if all(model.network is None for model in models):
        _check_alike("inputs", *(stack.inputs for stack in stacks))
    one, other = (data_of(model, stack, data, data_is).read(slice(_LOOKED_AT))
                  for model, stack in zip(models, stacks, strict=True))  # fmt: skip
    return one, other


def _check_alike(name: str, one: int, other: int) -> None:
    if one != other:
        raise LayoutMismatch("these models cannot be compared", [f"{name}: {one} and {other}"])


def _check(stacks: tuple[Stack, Stack], reads: list[Output]) -> None:
    outputs = [read.outputs for read in reads]
    wrong = [f"outputs: {outputs[0]} and {outputs[1]}"] if outputs[0] != outputs[1] else []
    wrong += [f"readout: expected (outputs, {stack.outputs}), found {read.matrix.shape}"
              for stack, read in zip(stacks, reads, strict=True)
              if isinstance(read, Readout) and read.matrix.shape[1] != stack.outputs]  # fmt: skip
    if wrong:
        raise LayoutMismatch(
            "these models cannot be compared", wrong, "hand in a readout with as many outputs for both"
        )


def _alike(one: Stack, other: Stack) -> bool:
    """Return whether the units of two stacks can be matched: cells of the same kinds, as many of everything."""
    return all(
        a is not None and b is not None and [*map(_sizes, a.cells.values())] == [*map(_sizes, b.cells.values())]
        and a.merge == b.merge
        for a, b in zip_longest(one.layers, other.layers)
    )  # fmt: skip


def _sizes(cell: RecurrentCell) -> tuple[str, int, int, int]:
    return cell.kind, cell.units, cell.inputs, cell.outputs


def _matches(
    stacks: tuple[Stack, Stack], reads: list[Output], rng: np.random.Generator
) -> dict[tuple[str, str], Match]:
    """Return the match of each cell, lower layers first, whose units' new places the upper ones read."""
    found: dict[tuple[str, str], Match] = {}
    inputs: Units | None = None
    for one, other in zip(stacks[0].layers, stacks[1].layers, strict=True):
        last = one is stacks[0].layers[-1]
        start = 0
        for (direction, cell), two in zip(one.cells.items(), other.cells.values(), strict=True):
            columns = slice(start, start + cell.outputs) if one.merge == "concat" else slice(None)
            start += cell.outputs
            readouts = _kernels(reads, columns) if last else (None, None)
            found[other.name, direction] = matched(cell, two, rng, inputs=inputs, readouts=readouts)
        inputs = _outputs_moved(other, found)
    return found


def _kernels(reads: list[Output], columns: slice) -> tuple[Float64 | None, Float64 | None]:
    """Return what reads a direction's units in either model, or None for both where it is not known, or not alike."""
    one, other = (read.kernel for read in reads)
    if all(map(is_h, reads)) or one is None or other is None or len(one) != len(other):
        return None, None
    return one[:, columns], other[:, columns]


def _outputs_moved(layer: Recurrent, matches: dict[tuple[str, str], Match]) -> Units:
    """Return how a layer's output moves; not at all where its directions are added up and move apart."""
    try:
        return output_units(layer, tuple(matches[layer.name, direction].units for direction in layer.cells))
    except LayoutMismatch:
        return unmoved(layer.forward.outputs)


def _outputs(traces: list[StackTrace], reads: list[Output], prefix: str) -> Iterator[Row]:
    a, b = (outputs_of(read, traced) for read, traced in zip(reads, traces, strict=True))
    common = {"layer": "*", "direction": "*", "n": len(a), "basis": MEASURED}
    size = float(np.abs(a).max()) or 1.0
    spread = float(np.sqrt(((a - a.mean(axis=0)) ** 2).mean())) or 1.0
    largest = float(np.abs(a - b).max())
    yield common | {"measure": f"{prefix}output_largest_difference", "value": largest}
    yield common | {"measure": f"{prefix}output_largest_difference_of_size", "value": largest / size}
    rms = float(np.sqrt(((a - b) ** 2).mean()))
    yield common | {"measure": f"{prefix}output_rms_difference_of_spread", "value": rms / spread}


def _memory(
    stacks: tuple[Stack, Stack], reads: list[Output], data: tuple[Sequences, Sequences], seed: int
) -> Iterator[Row]:
    """Yield how far the memories are apart: the responses at rest, and the history-swap curves."""
    common = {"layer": "*", "direction": "*"}
    apart_at_rest = _rest_difference(stacks, reads, data)
    yield common | {"measure": "rest_response_difference", "value": apart_at_rest, "basis": AT_REST}
    if len(data[0]) > 1 and all(stack.causal for stack in stacks) and data[0].shape[1] == data[1].shape[1]:
        curves = [swapped(Sample(stack, read, each, seed))
                  for stack, read, each in zip(stacks, reads, data, strict=True)]  # fmt: skip
        apart = float(np.abs(curves[0].band.value - curves[1].band.value).max())
        seen = {"n": min(curve.sequences for curve in curves), "basis": MEASURED}
        yield (
            common
            | seen
            | {"measure": "history_swap_largest_difference", "value": apart if np.isfinite(apart) else None}
        )


def _rest_difference(
    stacks: tuple[Stack, Stack], reads: list[Output], data: tuple[Sequences, Sequences]
) -> float | None:
    """Return how far the responses at rest are apart, or None where there is none, or they are to other features."""
    steps = [each.shape[1] for each in data]
    lags = max(steps) if any(read.every for read in reads) else min(_REST_LAGS, *steps)
    try:
        a, b = (rest_response(stack, each.x.mean(axis=(0, 1)), read, lags=lags).values
                for stack, read, each in zip(stacks, reads, data, strict=True))  # fmt: skip
    except Unsupported:
        return None
    size = float(np.linalg.norm(a))
    return float(np.linalg.norm(a - b)) / size if a.shape == b.shape and size else None


def _weights(matches: dict[tuple[str, str], Match]) -> Iterator[Row]:
    for (layer, direction), match in matches.items():
        common = {"layer": layer, "direction": DIRECTIONS[direction], "basis": PROVEN}
        yield common | {"measure": "weights_cosine", "value": match.raw}
        yield common | {"measure": "weights_aligned_cosine", "value": match.aligned}
        yield common | {"measure": "weights_shuffled_null", "value": match.null}


def _states(traces: list[StackTrace], matches: dict[tuple[str, str], Match]) -> Iterator[Row]:
    """Yield how alike matched units move, and whole layers (CKA), on the data."""
    for one, other in zip(traces[0].layers, traces[1].layers, strict=False):
        for direction, cell_a, cell_b in zip(other.layer.cells, one.cells, other.cells, strict=False):
            match = matches.get((other.layer.name, direction))
            if match is None:
                continue
            a, b = (_state(each) for each in (cell_a, cell_b))
            b = match.units.moved(b)
            common = {"layer": other.layer.name, "direction": DIRECTIONS[direction], "basis": MEASURED,
                      "n": cell_a.h.shape[1]}  # fmt: skip
            yield common | {"measure": "state_largest_difference", "value": float(np.abs(a - b).max())}
            a, b = a - a.mean(axis=0), b - b.mean(axis=0)
            lengths = np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))
            alike = np.divide((a * b).sum(axis=0), lengths, out=np.zeros_like(lengths), where=lengths > 0)
            yield common | {"measure": "state_mean_correlation", "value": float(alike.mean())}
            scale = float(np.linalg.norm(a.T @ a) * np.linalg.norm(b.T @ b))
            yield common | {
                "measure": "state_cka",
                "value": float(np.linalg.norm(a.T @ b) ** 2) / scale if scale else None,
            }


def _state(traced: CellTrace) -> Float64:
    """Return c of every step, h where the cell has no c, (steps, units)."""
    state = traced.c if traced.c.shape[-1] else traced.h
    return state.reshape(-1, state.shape[-1])


def _pairs(base: Row, matches: dict[tuple[str, str], Match]) -> Iterator[Row]:
    for (layer, direction), match in matches.items():
        for unit, (other, sign) in enumerate(zip(match.units.order, match.units.signs, strict=True)):
            yield base | {
                "layer": layer, "direction": DIRECTIONS[direction], "unit_a": unit, "unit_b": int(other),
                "sign": int(sign), "score": float(match.scores[unit]), "margin": float(match.margins[unit]),
                "basis": PROVEN,
            }  # fmt: skip


def _sentences(stacks: tuple[Stack, Stack], matches: dict[tuple[str, str], Match]) -> Iterator[Sentence]:
    for one, other in zip(stacks[0].layers, stacks[1].layers, strict=False):
        a, b = ([*map(str, each.forward.activations().values())] for each in (one, other))
        if a != b:
            text = f"{one.name} and {other.name}: other activations, {', '.join(a)} and {', '.join(b)}"
            yield Sentence("activations", PROVEN, f"{text}; weights that are alike compute another thing")
    for (layer, direction), match in matches.items():
        moved = int((match.units.order != np.arange(len(match.units.order))).sum())
        flipped = int((match.units.signs < 0).sum())
        text = (
            f"{layer} {direction}: weights as they are have a cosine of {match.raw:.3f}; with {moved} units moved and "
            f"{flipped} signs flipped {match.aligned:.3f}; shuffled weights reach {match.null:.3f}. Alike weights are "
            "no alike function"
        )
        yield Sentence("weights", PROVEN, text)
    if not matches:
        text = "the models have cells of other sizes or kinds: no unit of one is a unit of the other"
        yield Sentence("weights", PROVEN, text)

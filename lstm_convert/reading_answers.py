"""How the answers of reading an LSTM are said: lines and tables for people, plain values for JSON."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

from lstm_convert.analysis.bounds import at_least, at_most
from lstm_convert.analysis.comparing import Comparison
from lstm_convert.analysis.facts import Sentence
from lstm_convert.analysis.tables import Table
from lstm_convert.reading import Normalization, Reading
from lstm_convert.report.page import grade_of, number
from lstm_convert.report.tables import plain

_GATE_COLUMNS = (
    "layer", "direction", "gate", "kind", "rows", "cols", "mean", "std", "min", "max", "fro", "spectral", "stable_rank",
    "zero_frac", "basis",
)  # fmt: skip
_DISTANCES = ("layer", "direction", "measure", "value", "n", "basis")


def gate_rows(tables: Mapping[str, Table]) -> tuple[Sequence[str], list[list[str]]]:
    """Return the columns and rows of the gates' statistics as they are printed.

    Args:
        tables: what `read_gates` returned.
    """
    rows = tables["gates"].rows()
    return _GATE_COLUMNS, [[number(row[column]) for column in _GATE_COLUMNS] for row in rows]


def gate_lines(tables: Mapping[str, Table], box: str = "") -> Iterator[str]:
    """Yield what the units' biases and weights say, a few lines a cell.

    Args:
        tables: what `read_gates` returned.
        box: the inputs for which ranges are proven, in words; nothing where none are.
    """
    units = tables["units"].rows(basis="at_rest")
    for layer, direction in dict.fromkeys((row["layer"], row["direction"]) for row in units):
        own = [row for row in units if (row["layer"], row["direction"]) == (layer, direction)]
        gates = [gate for gate in "ifozr" if own[0][f"open_{gate}"] is not None]
        opened = ", ".join(f"{gate} {_spread([row[f'open_{gate}'] for row in own])}" for gate in gates)
        if gates:
            yield f"{layer} {direction}: AT REST, by the biases alone: gates open {opened} (median, least to most)"
            kept, keeps = _spread([row["tau_life"] for row in own]), "f" if "f" in gates else "z"
            left_out = f"W_{keeps}, U_{keeps} and the loop left out"
            yield f"{layer} {direction}: AT REST, by b_{keeps} alone: tau_life {kept} steps; {left_out}"
        flagged = [f"unit {row['unit']} {row['flags']}" for row in own if row["flags"]]
        if flagged:
            yield f"{layer} {direction}: PROVEN: {'; '.join(flagged)}"
    if box:
        yield from _proven_lines(tables, box)
    yield "the size of a block says nothing of what the model does with it: `analyze` measures that on your data"


def _proven_lines(tables: Mapping[str, Table], box: str) -> Iterator[str]:
    for cell in tables["inventory"].rows():
        place = {column: cell[column] for column in ("layer", "direction")}
        own, name = tables["units"].rows(basis="proven", **place), " ".join(place.values())
        gates = [gate for gate in "ifozr" if own and own[0][f"low_{gate}"] is not None]
        if not gates:
            yield f"{name}: no range is proven: it has no gates, or no box is known of what it reads"
            continue
        low, high = ({gate: [row[f"{end}_{gate}"] for row in own] for gate in gates} for end in ("low", "high"))
        ranges = ", ".join(f"{at_least(min(low[gate]))} <= {gate} <= {at_most(max(high[gate]))}" for gate in gates)
        yield f"{name}: PROVEN, {box}, sequences of any length from zero states: {ranges} in all units"
        flagged = [f"unit {row['unit']} {row['flags']}" for row in own if row["flags"]]
        if flagged:
            yield f"{name}: PROVEN, {box}: {'; '.join(flagged)}"


def _spread(values: Sequence[float]) -> str:
    return f"{number(median(values))} ({number(min(values))} to {number(max(values))})"


def of_reading(done: Reading) -> Iterator[str]:
    """Yield what an analysis found and where its files are.

    Args:
        done: the analysis.
    """
    yield from _said(done.found.sentences)
    yield f"{done.out}: {len(done.files)} files; open {done.out / done.files[-1]}"


def reading_facts(source: str, done: Reading) -> dict[str, Any]:
    """Return an analysis as plain values; its tables are in its files.

    Args:
        source: the model's file.
        done: the analysis.
    """
    found = done.found
    return {
        "file": source, "headline": found.headline, "sentences": [asdict(each) for each in found.sentences],
        "metadata": dict(found.metadata), "out": str(done.out), "files": list(done.files),
    }  # fmt: skip


def distance_rows(found: Comparison) -> tuple[Sequence[str], list[list[str]]]:
    """Return the columns and rows of a comparison as they are printed.

    Args:
        found: the comparison.
    """
    rows = found.tables["distances"].rows()
    return _DISTANCES, [[number(row[column]) for column in _DISTANCES] for row in rows]


def of_comparison(found: Comparison) -> Iterator[str]:
    """Yield how a comparison is to be read.

    Args:
        found: the comparison.
    """
    yield from _said(found.sentences)


def comparison_facts(found: Comparison) -> dict[str, Any]:
    """Return a comparison as plain values.

    Args:
        found: the comparison.
    """
    return {
        "same": found.same, "headline": found.headline, "sentences": [asdict(each) for each in found.sentences],
        **table_facts(found.tables),
    }  # fmt: skip


def of_normalization(source: str, done: Normalization) -> Iterator[str]:
    """Yield what was moved, and how to get back.

    Args:
        source: the model's file.
        done: what was written.
    """
    yield f"{source} -> {done.target}"
    for name, (places, signs) in done.moved.items():
        yield f"  {name}: {places} units {'back in their places' if done.undone else 'moved'}, {signs} signs flipped"
    for reason in done.stayed:
        yield f"  left as it was: {reason}"
    yield f"run in float64, units put back: outputs differ by at most {done.difference:.1e} of their size"
    if done.readers_left_out and not done.undone:
        yield f"{done.target} has the recurrent layers alone: what reads them elsewhere still expects the old order"
    if not done.undone:
        yield f"{done.moves} says how they were moved: lstm-convert normalize {done.target} ORIGINAL --undo"


def normalization_facts(source: str, done: Normalization) -> dict[str, Any]:
    """Return what `normalize` did as plain values.

    Args:
        source: the model's file.
        done: what was written.
    """
    return {
        "source": source, "target": str(done.target), "moves": str(done.moves), "undone": done.undone,
        "moved": {name: {"places": places, "signs": signs} for name, (places, signs) in done.moved.items()},
        "stayed": list(done.stayed), "difference": done.difference,
    }  # fmt: skip


def table_facts(tables: Mapping[str, Table]) -> dict[str, Any]:
    """Return tables as lists of rows; what is infinite or no number is None.

    Args:
        tables: the tables, by name.
    """
    return {name: plain(table.rows()) for name, table in tables.items()}


def _said(sentences: Sequence[Sentence]) -> Iterator[str]:
    for each in sentences:
        grade, text = grade_of(each.basis, each.text)
        yield f"{grade}: {text}" if grade else text

"""Whether two models compute the same: both run on the same sequences, in float64 and in the frameworks that own them.

Layers are paired by their names, or by their order where the names differ. Each pair is run alone, on seeded sequences
of several lengths and batch sizes, with initial states that are not zero, and with masks where a mask reaches the
layer. Both sides return every step, unless a masked layer returns its last alone. What is compared is every output and
every last state. Where both sides are whole networks, these are run too.

A difference counts as rounding up to `rounding.tolerance`. The numbers' type there is the finest of what the two models
store, or the coarsest of what a framework computed in, whichever rounds more: to store a model in a coarser type is a
loss and no rounding.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_convert import network_verification, proofs, sequences
from lstm_convert.canonical import Model, Recurrent
from lstm_convert.comparison import Row, Runs, joined, of_trials
from lstm_convert.errors import Unsupported, naming
from lstm_convert.rounding import RULE
from lstm_convert.sequences import Trial
from lstm_convert.sides import REFERENCE, Side

PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class Verification:
    """What was found.

    Args:
        rows: the comparisons.
        differences: what tells the two apart before any number is compared: other layers, other sizes.
        notes: who ran what, and why a framework did not.
        seed: of the sequences.
        tolerance_rule: how the tolerance of each row follows from the numbers' type and the length.
    """

    rows: tuple[Row, ...]
    differences: tuple[str, ...]
    notes: tuple[str, ...]
    seed: int
    tolerance_rule: str = RULE

    @property
    def same(self) -> bool:
        """Whether both compute the same."""
        return not self.differences and all(row.verdict == "same" for row in self.rows)

    @property
    def verdict(self) -> str:
        """The answer in a word: same or differs."""
        return "same" if self.same else "differs"

    @property
    def max_abs_error(self) -> float | None:
        """The largest difference of any row; None where nothing could be compared."""
        return max((row.max_abs_error for row in self.rows), default=None)

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Return the rows as texts, under their header."""
        header = [
            "layer",
            "compared",
            "steps",
            "max abs error",
            "ulp",
            "A's framework to float64",
            "tolerance",
            "verdict",
        ]
        return header, [
            [
                row.layer,
                row.compared,
                str(row.steps),
                f"{row.max_abs_error:.1e}",
                f"{row.ulp:.1f}",
                "" if row.framework_error is None else f"{row.framework_error:.1e}",
                f"{row.tolerance:.1e}",
                row.verdict,
            ]
            for row in self.rows
        ]

    def facts(self) -> dict[str, Any]:
        """Return all of it as plain values, infinities as None."""
        rows = [{name: _finite(value) for name, value in asdict(row).items()} for row in self.rows]
        return {
            "verdict": self.verdict,
            "max_abs_error": _finite(self.max_abs_error),
            "rows": rows,
            "differences": list(self.differences),
            "notes": list(self.notes),
            "seed": self.seed,
            "tolerance_rule": self.tolerance_rule,
        }


def verify(
    a: PathLike | Model,
    b: PathLike | Model | None = None,
    *,
    data: PathLike | NDArray[Any] | None = None,
    seed: int = 0,
    config: PathLike | None = None,
    recurrent_activation: str | None = None,
) -> Verification:
    """Return whether two models compute the same, each run in float64 and in its own framework where that is installed.

    Nothing in a file is executed: a framework that would have to is not asked.

    Args:
        a: a file or a model.
        b: another; where None, the proof that `convert --proof` left beside `a`.
        data: sequences, (batch, time, features), as an array or a .npy file, for the layers that take so many features.
        seed: of the sequences where there are no such data.
        config: as in `load`, for whichever file does not say it all.
        recurrent_activation: as in `load`, for whichever file does not say it all.

    Raises:
        LstmConvertError: a file cannot be read; the data or the proof are not what they should be.
    """
    told = {"config": config, "recurrent_activation": recurrent_activation}
    with ExitStack() as stack:
        if b is None:
            if data is not None:
                raise Unsupported(
                    "data are for two models; a proof has its own", next_step="Give two files, or no data."
                )
            return _replayed(Side("result", a, told, stack), Path(_file(a)))
        xs = _data(data)
        return _compared(Side("A", a, told, stack), Side("B", b, told, stack), xs, seed)


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _file(source: PathLike | Model) -> PathLike:
    if isinstance(source, Model):
        raise TypeError("one model alone is verified by the proof beside its file; give the file")
    return source


def _data(data: PathLike | NDArray[Any] | None) -> NDArray[Any] | None:
    if data is None:
        return None
    return sequences.checked_data(data) if isinstance(data, np.ndarray) else sequences.read_data(data)


def _compared(a: Side, b: Side, data: NDArray[Any] | None, seed: int) -> Verification:
    differences = list(_different_layers(a, b))
    if data is not None and not any(layer.forward.inputs == data.shape[2] for layer in a.layers):
        inputs = ", ".join(f"{layer.name} {layer.forward.inputs}" for layer in a.layers)
        raise Unsupported(
            f"no layer takes sequences of {data.shape[2]} features",
            [f"expected the inputs of a layer: {inputs}"],
            "Give what goes into one of the LSTMs.",
        )
    rows: list[Row] = []
    if len(a.layers) == len(b.layers):
        for numbers in _paired([layer.name for layer in a.layers], [layer.name for layer in b.layers]):
            one, other = a.layers[numbers[0]], b.layers[numbers[1]]
            if reasons := list(_different_sizes(one, other)):
                differences += reasons
                continue
            rows += _rows(_Pair(a, b, numbers), data, np.random.default_rng([seed, numbers[0]]))
    if reasons := list(network_verification.differences(a, b)):
        differences += reasons
    else:
        rows += network_verification.rows(a, b, seed)
    return Verification(tuple(rows), tuple(differences), tuple(a.notes + b.notes), seed)


def _paired(ones: Sequence[str], others: Sequence[str]) -> list[tuple[int, int]]:
    """Return which layers belong together: those of one name where all names are the same, else those of one place."""
    if len(set(ones)) == len(ones) and set(ones) == set(others):
        return [(number, others.index(name)) for number, name in enumerate(ones)]
    return [(number, number) for number in range(len(ones))]


def _different_layers(a: Side, b: Side) -> Iterator[str]:
    if len(a.layers) != len(b.layers):
        names = [", ".join(layer.name for layer in side.layers) for side in (a, b)]
        yield f"A has {len(a.layers)} LSTM layers ({names[0]}), B has {len(b.layers)} ({names[1]})"


def _different_sizes(one: Recurrent, other: Recurrent) -> Iterator[str]:
    if list(one.cells) != list(other.cells):
        yield f"{one.name}: A has {len(one.cells)} direction(s), B {len(other.cells)}"
        return
    for direction, cell in one.cells.items():
        theirs = other.cells[direction]
        for name in ("inputs", "units", "outputs"):
            if getattr(cell, name) != getattr(theirs, name):
                yield f"{one.name} ({direction}): A has {getattr(cell, name)} {name}, B {getattr(theirs, name)}"
    if len(one.cells) > 1 and one.merge != other.merge:
        yield f"{one.name}: A joins its directions by {one.merge}, B by {other.merge}"


class _Pair:
    """Two layers that should compute the same."""

    def __init__(self, a: Side, b: Side, numbers: tuple[int, int]) -> None:
        layers = a.layers[numbers[0]], b.layers[numbers[1]]
        self.masked = any(layer.masked_by for layer in layers)
        # What a masked layer returns at masked steps may follow from whether it returns all of them.
        whole = not self.masked or all(layer.return_sequences for layer in layers)
        self.name = _joint_name(*(layer.name for layer in layers))
        self.layers = tuple(replace(layer, return_sequences=whole) for layer in layers)
        self._sides = a, b
        self._engines = tuple(
            side.engine(number, return_sequences=whole) for side, number in zip((a, b), numbers, strict=True)
        )
        for side, layer in zip((a, b), layers, strict=True):
            if self.masked and not layer.masked_by:
                side.note(f"{layer.name} has no mask, the other has")

    def runs(self, trial: Trial) -> Runs:
        """Return what each side computed, by who did: the reference, and the framework where it ran."""
        one, other = (
            side.runs(layer, engine, trial)
            for side, layer, engine in zip(self._sides, self.layers, self._engines, strict=True)
        )
        return one, other


def _joint_name(*names: str) -> str:
    return " / ".join(dict.fromkeys(names))


def _by_length(trials: Sequence[Trial]) -> Iterator[list[Trial]]:
    for _, group in groupby(trials, key=lambda trial: trial.steps):
        yield list(group)


def _rows(pair: _Pair, data: NDArray[Any] | None, random: np.random.Generator) -> Iterator[Row]:
    """Yield the rows of a pair of layers: the references, then the frameworks, at each length."""
    for trials in _by_length(list(sequences.trials(pair.layers[0], random, data, masked=pair.masked))):
        yield from joined(pair.name, of_trials(trials), [pair.runs(trial) for trial in trials])


def _replayed(side: Side, path: Path) -> Verification:
    """Return whether a result still computes what the proof beside it says."""
    proof = proofs.read(proofs.beside(path))
    rows: list[Row] = []
    differences: list[str] = []
    if len(proof.layers) != len(side.layers):
        differences.append(f"the proof has {len(proof.layers)} LSTM layers, the result {len(side.layers)}")
    else:
        names = [recorded.name for recorded in proof.layers], [layer.name for layer in side.layers]
        for place, number in _paired(*names):
            recorded = proof.layers[place]
            if reasons := list(_other_sizes(recorded, side.layers[number])):
                differences += reasons
            else:
                with naming(path):
                    rows += _proof_rows(side, number, recorded)
    return Verification(tuple(rows), tuple(differences), tuple(side.notes), proof.seed)


def _proof_rows(side: Side, number: int, recorded: proofs.Recorded) -> Iterator[Row]:
    """Yield the rows of one layer of a result against what was recorded of its source."""
    layer = replace(side.layers[number], return_sequences=recorded.return_sequences)
    engine = side.engine(number, return_sequences=recorded.return_sequences)
    results = {id(trial): ran for trial, ran in recorded.trials}
    for trials in _by_length([trial for trial, _ in recorded.trials]):
        runs = [({REFERENCE: results[id(trial)]}, side.runs(layer, engine, trial)) for trial in trials]
        for row in joined(_joint_name(recorded.name, layer.name), of_trials(trials), runs):
            compared = row.compared.removeprefix(f"{REFERENCE} A, ").removesuffix(" B")
            yield replace(row, compared=f"proof, {compared}")


def _other_sizes(recorded: proofs.Recorded, layer: Recurrent) -> Iterator[str]:
    trial, _ = recorded.trials[0]
    found = [layer.forward.inputs, *(size for cell in layer.cells.values() for size in (cell.outputs, cell.units))]
    wanted = [trial.x.shape[2]]
    wanted += [size for h, c in zip(trial.h0, trial.c0, strict=True) for size in (h.shape[1], c.shape[1])]
    if found != wanted:
        yield f"{layer.name}: the proof has inputs, outputs and units {wanted}, the result {found}"

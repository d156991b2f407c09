"""Proofs: what a source computed in float64, written beside what it was converted to.

`<result>.proof.npz` holds plain arrays, and under `__metadata__` one JSON document:

    {"format": "lstm_convert proof", "version": 1, "seed": 0,
     "source": {"file": "model.h5", "sha256": "…", "framework": "keras", "version": "2.2.0"},
     "layers": [{"name": "lstm_1", "directions": 1, "outputs": 1, "trials": 6, "return_sequences": true,
                 "dtype": "float32"}, …]}

Trial T of layer L has the arrays `L.T.x` (batch, time, inputs), `L.T.h0.D` and `L.T.c0.D` for each direction D (batch,
outputs or units), `L.T.mask` (batch, time) where the layer is masked; and of what the source computed `L.T.output.K`,
(batch, time, outputs) or (batch, outputs), `L.T.h.D` and `L.T.c.D`. Inputs and results are float64.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lstm_convert import json_text, reference, sequences
from lstm_convert.canonical import Model
from lstm_convert.containers import Contents, Stored, npz
from lstm_convert.errors import InvalidFile, LstmConvertError
from lstm_convert.frameworks.running import Ran
from lstm_convert.placing import PROOF, place_of
from lstm_convert.rounding import EPSILONS
from lstm_convert.sequences import Trial

FORMAT = "lstm_convert proof"
VERSION = 1
_MOST = 10_000


@dataclass(frozen=True, eq=False)
class Recorded:
    """One layer of a proof: what went in and what came out.

    Args:
        name: its name in the source.
        return_sequences: whether the outputs are every step, or the last.
        trials: inputs and results.
    """

    name: str
    return_sequences: bool
    trials: tuple[tuple[Trial, Ran], ...]


@dataclass(frozen=True, eq=False)
class ProofFile:
    """A proof as it was read.

    Args:
        layers: the layers, in the source's order.
        seed: of its sequences.
    """

    layers: tuple[Recorded, ...]
    seed: int


def beside(path: Path) -> Path:
    """Return where the proof of a result lies."""
    place = place_of(path)
    return place.with_name(place.name + PROOF)


def write(source: Model, path: Path, *, dtype: str | None = None, seed: int = 0) -> None:
    """Write what a model computes.

    Args:
        source: the model before its conversion.
        path: where to.
        dtype: the type that the user lets the result be rounded to, which loosens the tolerance; None for the source's.
        seed: of the sequences.

    Raises:
        Unsupported: a layer computes what the reference does not know.
    """
    arrays: dict[str, Any] = {}
    layers = []
    for number, layer in enumerate(source.layers):
        masked = layer.masked_by is not None
        whole = replace(layer, return_sequences=not masked or layer.return_sequences)
        trials = list(sequences.trials(layer, np.random.default_rng([seed, number]), masked=masked))
        runs = [reference.run(whole, trial.x, trial.h0, trial.c0, trial.mask) for trial in trials]
        for count, (trial, run) in enumerate(zip(trials, runs, strict=True)):
            arrays |= {f"{number}.{count}.{name}": array for name, array in _named(trial, run)}
        layers.append(
            {
                "name": layer.name,
                "directions": len(layer.cells),
                "outputs": len(runs[0].outputs),
                "cell_states": len(runs[0].c),
                "trials": len(trials),
                "return_sequences": whole.return_sequences,
                "dtype": dtype or layer.forward.W.dtype.name,
            }
        )
    origin = source.provenance
    about = {name: getattr(origin, name) for name in ("file", "sha256", "framework", "version")}
    document = {"format": FORMAT, "version": VERSION, "seed": seed, "source": about, "layers": layers}
    stored = {name: Stored.of(np.asarray(array)) for name, array in arrays.items()}
    npz.write(path, Contents(stored, {"": {npz.METADATA: json.dumps(document)}}))


def read(path: Path) -> ProofFile:
    """Return a proof.

    Args:
        path: the file.

    Raises:
        InvalidFile: there is none, it is no proof, or it is damaged.
    """
    try:
        with path.open("rb") as file:
            head = file.read(4)
        if not npz.sniff(head, path):
            raise InvalidFile("is no .npz file")
        with npz.opened(path) as contents:
            return _proof(contents)
    except OSError as error:
        raise InvalidFile(
            f"{path}: cannot be read: {error.strerror or error}",
            next_step="`lstm-convert convert --proof` writes it beside the result; or give two files to compare.",
        ) from error
    except (LstmConvertError, ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        what = error.what if isinstance(error, LstmConvertError) else f"{type(error).__name__}: {error}"
        raise InvalidFile(
            f"{path}: is no proof of lstm_convert, or a damaged one: {what}",
            next_step="Convert again with --proof.",
        ) from error


def _named(trial: Trial, run: reference.Run) -> Iterator[tuple[str, Any]]:
    yield "x", trial.x
    if trial.mask is not None:
        yield "mask", trial.mask
    groups = {"h0": trial.h0, "c0": trial.c0, "output": run.outputs, "h": run.h, "c": run.c}
    for name, arrays in groups.items():
        yield from ((f"{name}.{number}", array) for number, array in enumerate(arrays))


def _proof(contents: Contents) -> ProofFile:
    document = json_text.parsed(contents.document(npz.METADATA) or "null", "its document")
    if not isinstance(document, Mapping) or document.get("format") != FORMAT:
        raise InvalidFile("its document does not say so")
    if document.get("version") != VERSION:
        raise InvalidFile(f"its version is {document.get('version')}, version {VERSION} is read")
    layers = [_recorded(contents, number, described) for number, described in enumerate(document["layers"])]
    return ProofFile(tuple(layers), int(document["seed"]))


def _recorded(contents: Contents, number: int, described: Mapping[str, Any]) -> Recorded:
    directions, outputs, count = (int(described[name]) for name in ("directions", "outputs", "trials"))
    cell_states = int(described.get("cell_states", directions))  # not stated when LSTMs were all there was
    dtype = str(described["dtype"])
    if (
        dtype not in EPSILONS
        or not (0 < directions <= _MOST and 0 < outputs <= _MOST and 0 < count <= _MOST)
        or (cell_states not in (0, directions))
    ):
        raise InvalidFile(f"layer {number} is described as {dict(described)}")

    def array(trial: int, name: str) -> Any:
        found: Any = contents.arrays[f"{number}.{trial}.{name}"].read()
        if found.dtype.kind not in "fb" or not np.isfinite(found).all():
            raise InvalidFile(f"{number}.{trial}.{name} holds {found.dtype}, or no numbers")
        return found

    def several(trial: int, name: str, how_many: int) -> tuple[Any, ...]:
        return tuple(array(trial, f"{name}.{place}") for place in range(how_many))

    trials = []
    for trial in range(count):
        mask = array(trial, "mask") if f"{number}.{trial}.mask" in contents.arrays else None
        given = Trial(array(trial, "x"), several(trial, "h0", directions), several(trial, "c0", directions), mask)
        if given.x.ndim != 3 or any(state.shape[:1] != given.x.shape[:1] for state in (*given.h0, *given.c0)):  # noqa: PLR2004 (batch, time, inputs)
            raise InvalidFile(f"{number}.{trial}: the shapes of its inputs do not belong together")
        if mask is not None and mask.shape != given.x.shape[:2]:
            raise InvalidFile(f"{number}.{trial}.mask has the shape {mask.shape}")
        returned = [
            several(trial, name, size) for name, size in (("output", outputs), ("h", directions), ("c", cell_states))
        ]
        trials.append((given, Ran(returned[0], returned[1], returned[2], dtype)))
    return Recorded(str(described["name"]), bool(described["return_sequences"]), tuple(trials))

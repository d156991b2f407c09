"""Files in, answers out: what `analyze`, `compare` and `normalize` do with files."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lstm_convert import __version__
from lstm_convert.analysis.before import DataIs
from lstm_convert.analysis.comparing import Comparison, compare
from lstm_convert.analysis.engine import Analysis, analyze
from lstm_convert.analysis.measuring import Progress
from lstm_convert.analysis.moving import Moves
from lstm_convert.analysis.normal import Normalized, moves_of, normalize
from lstm_convert.analysis.readout import Readout, from_file
from lstm_convert.analysis.stacks import stack_of
from lstm_convert.analysis.traces import last_output, trace
from lstm_convert.canonical import Model, Recurrent
from lstm_convert.containers import npz
from lstm_convert.conversion import load
from lstm_convert.errors import InvalidFile, LayoutMismatch, Unsupported, naming
from lstm_convert.formats import for_writing
from lstm_convert.frameworks import WriteOptions
from lstm_convert.placing import MOVES, place_of, said_of
from lstm_convert.portion import portion
from lstm_convert.report import folder
from lstm_convert.sequences import read_numbers
from lstm_convert.sources import check_apart, told, watched
from lstm_convert.writing import check_free, files_of, write

PathLike = str | os.PathLike[str]

_PROBE = (4, 20)  # sequences and steps on which a model and its normal form run
_EQUAL = 1e-12


@dataclass(frozen=True, eq=False)
class Reading:
    """An analysis and the files it was written to.

    Args:
        found: the analysis.
        out: the folder.
        files: the files' names in it.
    """

    found: Analysis
    out: Path
    files: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Normalization:
    """What `normalize` wrote.

    Args:
        target: the model's file.
        moves: the file of the moves.
        moved: by layer and direction, how many units have another place and how many another sign.
        stayed: why a layer was left as it was, a line a layer.
        difference: by how much the outputs differ, as a part of their size, in float64.
        undone: whether the model was brought back.
        readers_left_out: whether the source has layers that read the moved units, and the target does not.
    """

    target: Path
    moves: Path
    moved: Mapping[str, tuple[int, int]]
    stayed: tuple[str, ...]
    difference: float
    undone: bool
    readers_left_out: bool


def read_file(  # noqa: PLR0913 (an option of the command is a parameter here)
    source: PathLike,
    data: PathLike,
    out: PathLike,
    *,
    config: PathLike | None = None,
    recurrent_activation: str | None = None,
    graph: str | None = None,
    readout: PathLike | None = None,
    data_is: DataIs | None = None,
    layer: str | None = None,
    seed: int = 0,
    effort: float = 1.0,
    force: bool = False,
    progress: Progress | None = None,
) -> Reading:
    """Analyze a model's file on sequences, and write tables, traces, pictures and a page into a folder.

    Args:
        source: the model.
        data: an .npy file of the model's own input, or of what its first recurrent layer reads, (sequences, steps,
            features).
        out: the folder; written whole, or not at all.
        config: as in `load`.
        recurrent_activation: as in `load`.
        graph: as in `load`.
        readout: an .npy file with the matrix, (outputs, width of the last layer), that makes the output; or the name of
            one of the model's outputs, `h` for the last layer's output itself. Where None, the rest of the model behind
            that layer, where the file has it, or else that output itself.
        data_is: `model` or `layer`, where the shape of the data fits both.
        layer: the recurrent layer whose output is read; where None, the one that no other follows.
        seed: where chance starts from.
        effort: a factor on how many sequences the costly methods look at.
        force: whether files in a folder that is not empty are replaced.
        progress: called with what is being done and which part of that is done.

    Raises:
        LstmConvertError: as `load` and `analyze` raise, a library is missing, or the folder cannot be written.
    """
    source, out = Path(source), Path(out)
    folder.require()
    with naming(out):
        folder.check_free(out, force=force)
    model = load(source, config=config, recurrent_activation=recurrent_activation, graph=graph)
    sequences = read_numbers(data)
    given = None if readout is None else _readout(readout)
    with naming(source):
        layers = _stack_layers(model, layer)
        found = analyze(
            model, sequences, readout=given, layer=layer, data_is=data_is, name=told(source.stem), seed=seed,
            effort=effort, progress=progress,
        )  # fmt: skip
    provenance = {
        "file": told(source.name), "sha256": found.metadata["sha256"], "written by": _framework(model),
        "data": f"{told(Path(data).name)}: {len(sequences)} sequences of {found.metadata['steps']} steps",
        "output": found.metadata["readout"], "computed in": found.metadata["dtype"], "seed": seed, "effort": effort,
        "lstm_convert": __version__, "numpy": np.__version__,
    }  # fmt: skip
    written = []
    with naming(out), folder.replacing(out, force=force) as temporary:
        for name, content in folder.files(told(source.name), found, layers, provenance):
            (temporary / name).write_bytes(content)
            written.append(name)
            if progress is not None:
                progress("tables and pictures", 1.0 if name == folder.PAGE else 0.5)
    return Reading(found, out, tuple(written))


def compare_files(
    one: PathLike,
    other: PathLike,
    data: PathLike | None = None,
    *,
    config: PathLike | None = None,
    recurrent_activation: str | None = None,
    graphs: tuple[str | None, str | None] = (None, None),
    readouts: tuple[PathLike | None, PathLike | None] = (None, None),
    layers: tuple[str | None, str | None] = (None, None),
    data_is: DataIs | None = None,
    seed: int = 0,
) -> Comparison:
    """Compare the models of two files: what they compute first, how their weights relate second.

    Args:
        one: the one file.
        other: the other.
        data: an .npy file of what both read: their own input, or what their first recurrent layers read, (sequences,
            steps, features); noise where None.
        config: as in `load`, for both.
        recurrent_activation: as in `load`, for both.
        graphs: as in `load`, for each.
        readouts: of each, as in `read_file`.
        layers: of each, as in `read_file`.
        data_is: as in `read_file`.
        seed: where chance starts from.

    Raises:
        LstmConvertError: as `load` raises, or the two cannot be compared.
    """
    models = []
    for path, graph, layer in zip((one, other), graphs, layers, strict=True):
        model = load(path, config=config, recurrent_activation=recurrent_activation, graph=graph)
        with naming(path):
            _stack_layers(model, layer)
        models.append(model)
    sequences = None if data is None else read_numbers(data)
    given = [None if path is None else _readout(path) for path in readouts]
    return compare(
        models[0],
        models[1],
        sequences,
        readouts=(given[0], given[1]),
        layers=layers,
        data_is=data_is,
        names=(str(one), str(other)),
        seed=seed,
    )


def normalize_file(
    source: PathLike,
    target: PathLike,
    *,
    config: PathLike | None = None,
    recurrent_activation: str | None = None,
    undo: bool = False,
    force: bool = False,
) -> Normalization:
    """Write a model with its units in canonical order and sign, and how to get back; or bring one back.

    Args:
        source: the model; with `undo`, one that this function wrote, the file of its moves beside it.
        target: where to, in the kind that its ending asks for.
        config: as in `load`.
        recurrent_activation: as in `load`.
        undo: whether to bring back.
        force: whether existing files are replaced.

    Raises:
        LstmConvertError: as `load` and `save` raise, or the moves are not this model's.
    """
    source, target = Path(source), Path(target)
    with naming(target):
        place = place_of(target)
        check_apart(source, [*files_of(place), *said_of(place)])
    check_free(place, force=force)
    changed = watched(source)
    model = load(source, config=config, recurrent_activation=recurrent_activation)
    moves = moves_beside(source if undo else target)
    found = Normalized(model, _moves(model, source), ()) if undo else None
    with naming(source):
        found = found or normalize(model)
        result = found.original() if undo else found.model
        difference = _difference(*((result, model) if undo else (model, result)), found)
    entry, extension = for_writing(target)
    with naming(target):
        written, options = portion(replace(result, provenance=model.provenance), entry.adapter, WriteOptions(extension))
    arrays: dict[str, Any] = dict(found.arrays())
    said = {} if undo else {MOVES: lambda path: np.savez(path, **arrays)}
    write(written, target, options, force=force, said=said, changed=changed)
    alone = model.network is not None and not model.network.is_stack and written.network is None
    return Normalization(target, moves, _counts(found), found.stayed, difference, undo, alone)


def moves_beside(path: Path) -> Path:
    """Return where the moves of a normalized model lie.

    Args:
        path: the model's file.
    """
    place = place_of(path)
    return place.with_name(place.name + MOVES)


def _moves(model: Model, source: Path) -> Moves:
    """Return the moves that lie beside a model's file."""
    path = moves_beside(source)
    if not path.exists():
        raise InvalidFile(
            f"{source}: has no {path.name} beside it, which says how its units were moved",
            next_step="Put it beside the model.",
        )
    with naming(path):
        try:
            with npz.opened(path) as contents:
                arrays = {name: stored.read() for name, stored in contents.arrays.items()}
        except (OSError, InvalidFile) as error:
            raise InvalidFile("is no file of moves", [str(error)]) from error
        return moves_of(model, arrays)


def _difference(model: Model, normal: Model, found: Normalized) -> float:
    """Return by how much outputs differ, as a part of their size, once units are where they were."""
    random = np.random.default_rng(0)
    followed = {layer.follows for layer in model.layers}
    largest = 0.0
    for name in (layer.name for layer in model.layers if layer.name not in followed):
        stacks = stack_of(model, name), stack_of(normal, name)
        x = random.normal(size=(*_PROBE, stacks[0].inputs))
        ours, moved = (last_output(trace(stack, x)) for stack in stacks)
        back = found.original_output(name, moved)
        largest = max(largest, float(np.abs(ours - back).max()) / (float(np.abs(ours).max()) or 1.0))
    if not largest <= _EQUAL:
        raise Unsupported(
            "this model does not compute the same with its units moved",
            [f"outputs differ by {largest:.2g} of their size"],
        )
    return largest


def _counts(found: Normalized) -> dict[str, tuple[int, int]]:
    return {
        f"{layer} {direction}": (int((each.order != np.arange(len(each.order))).sum()), int((each.signs < 0).sum()))
        for layer, units in found.moves.items()
        for direction, each in zip(found.model[layer].cells, units, strict=True)
    }


def _readout(named: PathLike) -> Readout | str:
    """Return the matrix of a file, or the name of an output where there is no such file."""
    path = Path(named)
    return from_file(path) if path.suffix == ".npy" or path.exists() else str(named)


def _stack_layers(model: Model, layer: str | None) -> tuple[Recurrent, ...]:
    try:
        return stack_of(model, layer).layers
    except KeyError as error:
        names = [each.name for each in model.layers]
        raise LayoutMismatch(f"has no recurrent layer {layer!r}", names, "Name one of these with --layer.") from error


def _framework(model: Model) -> str:
    source = model.provenance
    return " ".join(filter(None, (source.framework, source.version)))

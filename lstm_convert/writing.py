"""Write a model whole or not at all: where nobody looks first, and under its name once it is read back and proved."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType

from lstm_convert import placing
from lstm_convert.canonical import Model
from lstm_convert.errors import InvalidFile, Unsupported, naming
from lstm_convert.formats import Format, for_writing
from lstm_convert.frameworks import ReadOptions, WriteOptions
from lstm_convert.mapped import map_of
from lstm_convert.portion import refusals
from lstm_convert.precision import cast
from lstm_convert.proof import Proof, prove
from lstm_convert.sources import AGAIN, CHANGED, noted


def files_of(path: Path) -> list[Path]:
    """Return the files that writing to a path makes, in the order in which they get their names.

    Args:
        path: the file.

    Raises:
        UnknownFormat: nothing is written under its ending.
    """
    beside = for_writing(path)[0].beside
    return [path.with_suffix(beside), path] if beside else [path]


def check_free(place: Path, *, force: bool) -> None:
    """Raise where a file that writing to a place makes or removes may not be replaced.

    Args:
        place: the file.
        force: whether existing ones are replaced.

    Raises:
        InvalidFile: one is a folder, exists already, or lies in no folder.
    """
    for path in (*files_of(place), *placing.said_of(place)):
        with naming(path):
            placing.check_free(path, force=force)


def write(
    model: Model,
    path: Path,
    options: WriteOptions,
    *,
    force: bool,
    said: Mapping[str, Callable[[Path], None]] = MappingProxyType({}),
    changed: Callable[[], bool] = lambda: False,
) -> tuple[Callable[[], Model], Proof]:
    """Write a model where nobody looks, read it back, prove it, and only then give it its name.

    Args:
        model: the model; what of it is written, `portion` says.
        path: the file; that it may be written, `check_free` says.
        options: how it is written.
        force: whether existing files are replaced.
        said: what writes a file about this one, by the ending that it adds to its name.
        changed: whether the source is no longer what was read.

    Returns:
        What returns the model as it is read back, and its proof.

    Raises:
        LstmConvertError: as `save` raises.
    """
    with naming(path):
        place = placing.place_of(path)
        entry, _ = for_writing(path)
        if reasons := refusals(model, entry.adapter, options):
            raise Unsupported(
                f"cannot hold this model exactly as {entry.name}",
                reasons,
                "The canonical form (.npz, .lstm.safetensors) holds more, and so does source code (model.py).",
            )
        texts = entry.adapter.companions(model, options) if hasattr(entry.adapter, "companions") else {}
        companions = placing.not_yet_beside(place, texts, force=force)
        contents = entry.adapter.write(cast(model, options.dtype) if options.dtype else model, options)
        about = {place.with_name(place.name + ending): writer for ending, writer in said.items()}
        paths = [*companions, *files_of(place), *about]
        with placing.replacing(paths, force=force, obsolete=placing.said_of(place)) as folder:
            for companion, text in companions.items():
                (folder / companion.name).write_text(text, "utf-8")
            made = folder / place.name
            entry.opener.write(made, contents)
            with placing.on_their_way([folder / path.name for path in files_of(place)]):
                result = _reread(made, entry, model, own=True)
                proof = _proven(model, result, options)
            written = noted(made)
            for other, writer in about.items():
                writer(folder / other.name)
            if changed():
                raise InvalidFile(f"its source {CHANGED}", next_step=AGAIN)
    if any(map_of(array) is not None for _, arrays in result.arrays() for array in arrays):
        return partial(_read_again, place, entry, model, written), proof
    return lambda: result, proof


def write_proof(model: Model, dtype: str | None, path: Path) -> None:
    """Write what a model computes, for a file that it is converted to.

    Args:
        model: the source.
        dtype: the type of number that the user lets the result be rounded to, or None.
        path: where to.
    """
    from lstm_convert import proofs  # noqa: PLC0415 (few conversions need it)

    proofs.write(model, path, dtype=dtype)


def _reread(path: Path, entry: Format, model: Model, *, own: bool) -> Model:
    """Return a model as it is read back."""
    with entry.opener.opened(path, own=own) as contents:
        if model.network is not None and hasattr(entry.adapter, "reread"):
            result: Model = entry.adapter.reread(contents, model)
        else:
            result = entry.adapter.read(contents, ReadOptions(keepsakes=False))
        return result


def _read_again(place: Path, entry: Format, model: Model, written: Mapping[str, tuple[int, ...]]) -> Model:
    """Return a model as it is read back from where anybody may change it."""
    with naming(place):
        try:
            return _reread(place, entry, model, own=False)
        finally:
            if noted(place) != written:
                raise InvalidFile("changed since it was written", next_step="Load it as it is now.")


def _proven(model: Model, result: Model, options: WriteOptions) -> Proof:
    """Return how far what was written is from its source: each recurrent layer, and the network where there is one."""
    proof = prove(model, result, options.allow)
    if model.network is None:
        return proof
    if result.network is None:
        raise InvalidFile("what was written is not read back as a whole network", result.not_understood)
    from lstm_convert.network.proof import prove_network  # noqa: PLC0415 (layers alone need none of it)

    whole = prove_network(model.network, result.network)
    run = whole if whole.tolerance else proof  # where all numbers were compared instead, the layers alone were run
    return replace(
        whole,
        max_abs_difference=run.max_abs_difference,
        tolerance=run.tolerance,
        sampled=proof.sampled,
        compared=whole.compared + proof.compared,
        same=whole.same + proof.same,
    )

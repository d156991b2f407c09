"""Load, save and convert: find who knows a file, read it whole or not at all, write it whole or not at all."""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from lstm_convert import json_text, precision
from lstm_convert.blocks import not_finite
from lstm_convert.canonical import Model
from lstm_convert.errors import InvalidFile, Unsupported, naming
from lstm_convert.formats import ALLOWABLE, Format, candidates, for_writing
from lstm_convert.frameworks import ReadOptions, WriteOptions
from lstm_convert.placing import PROOF, place_of, said_of
from lstm_convert.portion import portion
from lstm_convert.proof import Proof
from lstm_convert.sources import AGAIN, CHANGED, check_apart, told, watched
from lstm_convert.writing import check_free, files_of, write, write_proof

PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class Conversion:
    """What a conversion did.

    Args:
        source: the model as it was read; without its network where that was not written.
        target: the file written.
        format: what kind of file that is.
        usage: how to use what was written, a line a layer or module.
        proof: how far the two are apart.
        read_back: returns `result`.
    """

    source: Model
    target: Path
    format: str
    usage: tuple[str, ...]
    proof: Proof
    read_back: Callable[[], Model] = field(repr=False)

    @cached_property
    def result(self) -> Model:
        """The model as the written file has it; one with large arrays is read when it is first asked for.

        Raises:
            InvalidFile: the file is no longer what was written.
        """
        return self.read_back()


def load(
    path: PathLike,
    *,
    config: PathLike | None = None,
    recurrent_activation: str | None = None,
    graph: str | None = None,
) -> Model:
    """Return the LSTM layers of a file, gates apart, whatever wrote it. No framework is needed and nothing is executed.

    Args:
        path: the file; what it is, its first bytes say.
        config: the architecture, JSON or YAML, that belongs to a weights-only file.
        recurrent_activation: the gates' activation, where neither the file nor `config` states it.
        graph: the modules of a PyTorch state dict in the order in which they are called: `emb,rnn,last,head`.

    Returns:
        The model, its arrays in the numbers' type of the file.

    Raises:
        UnknownFormat: it is no file of a known kind.
        InvalidFile: it is damaged, contradicts itself, or has no LSTM.
        LayoutMismatch: arrays are missing or mis-shaped; all of them are listed.
        Unsupported: it does not say what it computes, or holds what is not read.
    """
    path = Path(path)
    with naming(path):
        options = ReadOptions(_architecture(config), recurrent_activation, graph=graph)
        changed = watched(path)
        try:
            model, entry, sha256 = _read(path, options)
            _check(model)
            file = replace(
                model.provenance, format=model.provenance.format or entry.name,
                file=model.provenance.file or told(path.name), sha256=model.provenance.sha256 or sha256(),
            )  # fmt: skip
        finally:
            if changed():
                raise InvalidFile(CHANGED, next_step=AGAIN)
        return replace(model, provenance=file)


def save(
    model: Model,
    path: PathLike,
    *,
    stack: bool = False,
    rename: Mapping[str, str] | None = None,
    allow: Iterable[str] = (),
    dtype: str | None = None,
    custom_layer: bool = False,
    lstm_only: bool = False,
    force: bool = False,
) -> None:
    """Write a model to a file, in the kind that the file's ending asks for; whole, or not at all.

    Args:
        model: the layers.
        path: where to; the ending says what: `.keras`, `.weights.h5`, `.h5`, `.pt`, `.safetensors`, `.npz` …
        stack: whether consecutive layers of one size become one multi-layer module where the target has such.
        rename: old path to new path, for layers or whole prefixes of paths.
        allow: what the target cannot state and the caller's own code takes over: `hard_sigmoid`, `mask`,
            `go_backwards`, `merge`, `relu`.
        dtype: the type of number to round the weights to: float16, bfloat16, float32, float64; None leaves them as is.
        custom_layer: whether a layer that Keras does not have is written as one of our own, whose source code,
            `lstm_layer.py`, is put beside the file; it is imported before the file is loaded.
        lstm_only: whether only the recurrent layers are written though the source tells the whole network.
        force: whether existing files are replaced.

    Raises:
        UnknownFormat: nothing is written under this ending.
        Unsupported: the target cannot hold some layer exactly; each reason is listed.
        InvalidFile: the file exists, or cannot be written.
    """
    path = Path(path)
    with naming(path):
        options = _write_options(
            path, stack=stack, rename=rename, allow=allow, dtype=dtype, custom_layer=custom_layer, lstm_only=lstm_only
        )
        precision.check(model)
        model, options = portion(model, for_writing(path)[0].adapter, options)
        place = place_of(path)
    check_free(place, force=force)
    write(model, path, options, force=force)


def convert(  # noqa: PLR0913 (an option of the command is a parameter here)
    source: PathLike,
    target: PathLike,
    *,
    config: PathLike | None = None,
    recurrent_activation: str | None = None,
    graph: str | None = None,
    stack: bool = False,
    rename: Mapping[str, str] | None = None,
    allow: Iterable[str] = (),
    dtype: str | None = None,
    custom_layer: bool = False,
    lstm_only: bool = False,
    proof: bool = False,
    force: bool = False,
) -> Conversion:
    """Convert a file to another, read the result back, and prove that it computes the same.

    Args:
        source: the file to read, as in `load`.
        target: the file to write, as in `save`.
        config: as in `load`.
        recurrent_activation: as in `load`.
        graph: as in `load`.
        stack: as in `save`.
        rename: as in `save`.
        allow: as in `save`.
        dtype: as in `save`.
        custom_layer: as in `save`.
        lstm_only: as in `save`.
        proof: whether what the source computes is written beside the target, `<target>.proof.npz`, which `verify` of
            the target alone runs again.
        force: as in `save`.

    Returns:
        What was read, what was written, and how far the two are apart.

    Raises:
        LstmConvertError: as `load` and `save` raise; the target is then as it was.
    """
    source, target = Path(source), Path(target)
    with naming(target):
        place = place_of(target)
        check_apart(source, [*files_of(place), *said_of(place)])
        options = _write_options(
            target, stack=stack, rename=rename, allow=allow, dtype=dtype, custom_layer=custom_layer, lstm_only=lstm_only
        )
    check_free(place, force=force)
    changed = watched(source)
    model = load(source, config=config, recurrent_activation=recurrent_activation, graph=graph)
    entry, _ = for_writing(target)
    with naming(target):
        model, options = portion(model, entry.adapter, options)
    said = {PROOF: partial(write_proof, model, dtype)} if proof else {}
    read_back, found = write(model, target, options, force=force, said=said, changed=changed)
    return Conversion(model, target, entry.name, tuple(entry.adapter.usage(model, options)), found, read_back)


def _read(path: Path, options: ReadOptions) -> tuple[Model, Format, Callable[[], str]]:
    kinds = candidates(path)
    with kinds[0].opener.opened(path) as contents:
        for entry in kinds:
            if entry.adapter.recognises(contents):
                return entry.adapter.read(contents, options), entry, contents.sha256
        raise _no_lstm(kinds[-1].name, {key: stored.shape for key, stored in contents.arrays.items()})


def _no_lstm(kind: str, shapes: Mapping[str, tuple[int, ...]]) -> InvalidFile:
    arrays = [f"{key} {shape}" for key, shape in shapes.items()]
    found = ", ".join(arrays[:10]) + (", …" if arrays[10:] else "") if arrays else "no arrays"
    return InvalidFile(
        f"has no LSTM, GRU or simple RNN ({kind})",
        [f"expected the weights of an LSTM, GRU or simple RNN, found {found}"],
        "Give a file that holds one; `lstm-convert formats` shows what is read.",
    )


def _check(model: Model) -> None:
    """Refuse a model with nothing to port, or with numbers that are none."""
    precision.check(model)
    if not model.layers and model.not_understood:
        raise Unsupported("has no recurrent layer, and others that are not ported", model.not_understood)
    if not model.layers and model.network is None:
        raise _no_lstm(model.provenance.framework, {entry.key: entry.shape for entry in model.left_out})
    broken = [
        f"{place}: {count} of {sum(array.size for array in arrays)} numbers are NaN or infinite"
        for place, arrays in model.arrays()
        if (count := not_finite(*arrays))
    ]
    if broken:
        raise InvalidFile(
            "has weights that are not numbers", broken, "The training diverged; take an earlier checkpoint."
        )


def _architecture(config: PathLike | None) -> Any:
    if config is None:
        return None
    path = Path(config)
    with naming(path):
        try:
            if path.stat().st_size > json_text.LARGEST:
                raise InvalidFile(f"is larger than {json_text.LARGEST} bytes, too large for an architecture")
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidFile(
                f"cannot be read: {getattr(error, 'strerror', None) or error}", next_step="Name a readable text file."
            ) from error
        try:
            document = json_text.parsed(text, "this architecture")
        except InvalidFile:
            from lstm_convert import yaml_text  # noqa: PLC0415 (a JSON architecture needs no YAML)

            document = yaml_text.parsed(text)
        if not document:
            raise InvalidFile("says nothing", next_step="Give what model.to_json() or model.to_yaml() returned.")
        return document


def _write_options(
    path: Path,
    *,
    stack: bool,
    rename: Mapping[str, str] | None,
    allow: Iterable[str],
    dtype: str | None,
    custom_layer: bool,
    lstm_only: bool,
) -> WriteOptions:
    allowed = frozenset(allow)
    if unknown := allowed - set(ALLOWABLE):
        raise Unsupported(
            f"cannot be allowed: {', '.join(sorted(unknown))}",
            [f"expected one of {', '.join(ALLOWABLE)}"],
            "Leave it out, or allow one of these.",
        )
    entry, extension = for_writing(path)
    if custom_layer and not hasattr(entry.adapter, "companions"):
        raise Unsupported(
            f"is written as {entry.name}", ["--custom-layer: no such file has a layer of its own"], "Leave it out."
        )
    return WriteOptions(extension, stack, dict(rename or {}), allowed, dtype, custom_layer, lstm_only)

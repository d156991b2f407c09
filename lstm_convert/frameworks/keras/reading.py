"""A Keras file to canonical layers: what it states, what the user adds, and what must be taken for granted."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from lstm_convert.bundle import Bundle
from lstm_convert.canonical import LSTM, SIGMOID, TANH, Cell, LeftOut, Model, Origin, Provenance
from lstm_convert.containers import Contents
from lstm_convert.errors import InvalidFile, LayoutMismatch, Unsupported
from lstm_convert.frameworks import ReadOptions
from lstm_convert.frameworks.keras import keepsake, legacy, saved_state
from lstm_convert.frameworks.keras.architecture import CellSpec, Node, activation_name, parse
from lstm_convert.frameworks.keras.graph import Graph
from lstm_convert.frameworks.keras.located import LocatedCell, LocatedLayer, array_of
from lstm_convert.layout import Layout, unpack
from lstm_convert.table import KERAS_2, KERAS_3

# From this version on every Keras makes an LSTM with sigmoid gates unless told otherwise; before, hard_sigmoid, and the
# tf.keras that calls itself 2.2.4-tf does either, as TensorFlow 1 or 2.
_SIGMOID_SINCE = (2, 3)


@dataclass(frozen=True)
class _Source:
    """What a file says of itself: its architecture, the version that wrote it, and the row its arrays are in."""

    contents: Contents
    root: Node | None
    version: str
    modern_layout: Layout | None
    options: ReadOptions


def recognises(contents: Contents) -> bool:
    """Return whether an HDF5 file or Keras zip holds Keras weights."""
    return legacy.recognises(contents) or saved_state.recognises(contents)


def read(contents: Contents, options: ReadOptions) -> Model:
    """Return the LSTM layers of a Keras file.

    Args:
        contents: an HDF5 file, a `.keras` archive or split weights.
        options: the architecture or the gates' activation, where the file has none.

    Returns:
        The model: its layers in the model's order, what was left out, what was assumed.

    Raises:
        InvalidFile: the file or its architecture contradicts itself.
        LayoutMismatch: arrays are missing or mis-shaped; all of them are listed.
        Unsupported: the file does not say what it computes, or holds layers that are not read.
    """
    source = _source(contents, options)
    reader = legacy if legacy.recognises(contents) else saved_state
    found = reader.located(contents, source.root)
    lstms = [layer for layer in found if layer.spec.cells[0].kind not in ("GRU", "SimpleRNN", "CuDNNGRU", "")]
    _refuse_foreign(lstms)
    assumed = tuple(_assumptions(source, lstms))
    layers: list[LSTM] = []
    problems: list[str] = []
    for layer in lstms:
        try:
            layers += _layers(source, layer)
        except LayoutMismatch as error:
            problems += error.details
    if problems:
        raise LayoutMismatch(
            "its LSTM weights are not complete or do not fit together",
            problems,
            "Copy the file again, or give the architecture that belongs to it.",
        )
    in_order = keepsake.in_order(contents, layers)
    used = {key for layer in lstms for cell in layer.cells for key in cell.keys.values()}
    return Model(
        layers=keepsake.restored(contents, in_order) if options.keepsakes else in_order,
        left_out=tuple(_left_out(contents, used)),
        assumed=assumed,
        provenance=Provenance(framework="keras", version=source.version),
    )


def _source(contents: Contents, options: ReadOptions) -> _Source:
    document = options.architecture or _own_architecture(contents)
    root = parse(document) if document else None
    version = _version(contents, document)
    by_version = KERAS_3 if version.startswith("3") else KERAS_2
    modern = by_version if version else _layout_by_storage(contents)
    return _Source(contents, root, version, modern, options)


def _own_architecture(contents: Contents) -> Any:
    text = contents.document("config.json") or contents.document("model_config")
    if text is None:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidFile(f"its architecture is no JSON: {error}") from error


def _version(contents: Contents, document: Any) -> str:
    """Return the version of Keras that wrote a file, or "" where nothing says it."""
    stated = contents.document("keras_version") or contents.attributes.get("model_weights", {}).get("keras_version")
    if metadata := contents.document("metadata.json"):
        try:
            stated = json.loads(metadata).get("keras_version")
        except (ValueError, AttributeError) as error:
            raise InvalidFile(f"its metadata.json is no JSON object: {error}") from error
    if not stated and isinstance(document, Mapping):
        stated = document.get("keras_version") or ("3" if "compile_config" in document else "")
    return str(stated or "")


def _layout_by_storage(contents: Contents) -> Layout | None:
    """Return which Keras wrote weights without a version, as far as their storage tells."""
    if legacy.recognises(contents):
        return KERAS_2
    if any(path.startswith(saved_state.LAYER_CONTAINERS[1]) for path in contents.attributes):
        return KERAS_2
    named = any("name" in values for path, values in contents.attributes.items() if path.endswith("vars"))
    return KERAS_3 if named else None


def _refuse_foreign(layers: list[LocatedLayer]) -> None:
    reasons = [
        f"{layer.spec.node.path}: {cell.kind} ({layer.spec.node.class_name})"
        for layer in layers
        for cell in layer.spec.cells
        if cell.kind != "LSTM"
    ]
    reasons += [
        f"{layer.spec.node.path}: time_major=True, sequences with time before batch"
        for layer in layers
        if any(cell.config.get("time_major") for cell in layer.spec.cells)
    ]
    if reasons:
        raise Unsupported("holds recurrent layers that are not read yet", reasons, "Leave them out of the model.")


def _assumptions(source: _Source, layers: list[LocatedLayer]) -> Iterator[str]:
    """Yield what the file does not say of its LSTMs and is taken for granted; raise where the versions differ."""
    silent = [layer.spec.node.path for layer in layers if any(_stated_gate(cell) is None for cell in layer.spec.cells)]
    if not silent:
        return
    if source.options.recurrent_activation is None:
        if not _only_sigmoid(source):
            raise Unsupported(
                "holds weights only: nothing in it says what the gates' activation is, and versions of Keras differ",
                [f"{path}: sigmoid or hard_sigmoid?" for path in silent],
                "Give the model's architecture (model.to_json() or to_yaml()) with --config FILE, or say "
                "--recurrent-activation sigmoid or hard_sigmoid. Keras before 2.3 and tf.keras of TensorFlow 1 use "
                "hard_sigmoid unless told otherwise, later ones sigmoid; the wrong one computes something else.",
            )
        yield "the gates are sigmoid, the default of each Keras that writes such a file (--recurrent-activation)"
    yield "candidate and output are tanh, the default of every Keras; the weights do not say, --config does"
    yield "return_sequences, go_backwards, masks and merge_mode are plain; the weights do not say, --config does"


def _stated_gate(cell: CellSpec) -> Any:
    return cell.config.get("recurrent_activation", cell.config.get("inner_activation"))


def _only_sigmoid(source: _Source) -> bool:
    numbers = re.match(r"(\d+)\.(\d+)", source.version)
    if numbers:
        return (int(numbers[1]), int(numbers[2])) >= _SIGMOID_SINCE
    return saved_state.recognises(source.contents) and not legacy.recognises(source.contents)


def _cells(source: _Source, layer: LocatedLayer) -> list[tuple[Cell, Bundle]]:
    """Return a layer's cells; raise one error for all that is wrong with any of them."""
    cells: list[tuple[Cell, Bundle]] = []
    problems: list[str] = []
    for spec, located in zip(layer.spec.cells, layer.cells, strict=True):
        try:
            cells.append(_cell(source, spec, located))
        except LayoutMismatch as error:
            problems += error.details
    if problems:
        raise LayoutMismatch(f"the cells of {layer.spec.node.path} do not fit", problems)
    return cells


def _layers(source: _Source, found: LocatedLayer) -> Iterator[LSTM]:
    """Yield a recurrent layer's LSTMs: one, or one a cell of a stack."""
    spec, path = found.spec, found.spec.node.path
    graph = Graph(source.root) if source.root else None
    feeder = graph.followed(spec.node) if graph else None
    mask = graph.mask_source(spec.node) if graph else None
    cells = _cells(source, found)
    origin = Origin(cells[0][1].layout, tuple(bundle.keys for _, bundle in cells))
    options = {**spec.options, "masked_by": mask.path if mask else None}
    follows = _last_name(feeder) if feeder else None
    if spec.bidirectional:
        yield LSTM(path, cells[0][0], cells[1][0], follows=follows, origin=origin, **options)
        return
    for position, (cell, bundle) in enumerate(cells):
        name = path if len(cells) == 1 else f"{path}.{position}"
        inner = position < len(cells) - 1
        yield LSTM(
            name,
            cell,
            follows=follows,
            origin=replace(origin, keys=(bundle.keys,)),
            **{**options, "return_sequences": inner or options.get("return_sequences", True)},
        )
        follows = name


def _last_name(node: Node) -> str:
    """Return the name of the LSTM that makes a recurrent node's output: the topmost of a stack."""
    config = node.config.get("cell", {})
    stacked = config.get("config", {}).get("cells") if isinstance(config, Mapping) else None
    return f"{node.path}.{len(stacked) - 1}" if isinstance(stacked, list) and len(stacked) > 1 else node.path


def _cell(source: _Source, spec: CellSpec, located: LocatedCell) -> tuple[Cell, Bundle]:
    arrays = {
        name: array_of(source.contents.arrays[key])
        for name, key in located.keys.items()
        if key in source.contents.arrays
    }
    stated = _stated_gate(spec)
    gate = activation_name(stated) if stated is not None else source.options.recurrent_activation or SIGMOID.name
    row = located.layout or source.modern_layout
    if row is None:
        if gate == "hard_sigmoid":
            raise Unsupported(
                "does not say which Keras wrote it; hard_sigmoid is 0.2 x + 0.5 before Keras 3 and x / 6 + 0.5 since",
                next_step="Give the model's architecture (model.to_json()) with --config FILE.",
            )
        row = KERAS_3
    candidate = activation_name(spec.config.get("activation", TANH.name))
    bundle = Bundle(row.name, arrays, {row.gate_option: gate, row.candidate_option: candidate}, located.keys)
    cell = unpack(row, bundle)
    units = spec.config.get("units", spec.config.get("output_dim", cell.units))
    if units != cell.units:
        difference = f"{next(iter(located.keys.values()))}: expected {units} units, found {cell.units}"
        raise LayoutMismatch("the architecture and the arrays differ", [difference])
    return cell, bundle


def _left_out(contents: Contents, used: set[str]) -> Iterator[LeftOut]:
    for key, stored in contents.arrays.items():
        if key in used or keepsake.owns(key):
            continue
        top, _, _ = key.partition("/")
        purpose = "weight"
        if top in ("optimizer_weights", "optimizer"):
            purpose = "optimizer state"
        elif "seed_generator" in key:
            purpose = "random seed"
        yield LeftOut(key, stored.shape, str(stored.dtype), purpose)

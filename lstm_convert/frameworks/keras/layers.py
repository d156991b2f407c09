"""The recurrent layers of a Keras file as canonical ones: what each is set to, and what must be taken for granted."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lstm_convert.bundle import Bundle
from lstm_convert.canonical import SIGMOID, TANH, Cell, GRUCell, Origin, Recurrent, RecurrentCell, SimpleRNNCell
from lstm_convert.containers import Contents
from lstm_convert.errors import InvalidFile, LayoutMismatch, Unsupported
from lstm_convert.frameworks import ReadOptions
from lstm_convert.frameworks.keras import extended, legacy, saved_state
from lstm_convert.frameworks.keras.architecture import Node, activation_name
from lstm_convert.frameworks.keras.graph import Graph
from lstm_convert.frameworks.keras.located import LocatedCell, LocatedLayer, array_of
from lstm_convert.frameworks.keras.recurrent_specs import EXTENDED, CellSpec, recurrent_layers
from lstm_convert.layout import Layout
from lstm_convert.packing import unpack
from lstm_convert.table import KERAS_3, KERAS_CUDNN, KERAS_EXTENDED, counterpart

CELLS: Mapping[str, type[RecurrentCell]] = {
    "LSTM": Cell,
    "CuDNNLSTM": Cell,
    EXTENDED: Cell,
    "GRU": GRUCell,
    "CuDNNGRU": GRUCell,
    "SimpleRNN": SimpleRNNCell,
}
_CUDNN = ("CuDNNLSTM", "CuDNNGRU")

# From this version on every Keras makes an LSTM with sigmoid gates unless told otherwise; before, hard_sigmoid, and the
# tf.keras that calls itself 2.2.4-tf does either, as TensorFlow 1 or 2.
_SIGMOID_SINCE = (2, 3)
# From this version on there is no Keras but tf.keras, and later Keras 3.
_TF_KERAS_ALONE = (2, 4)


@dataclass(frozen=True)
class Source:
    """What a file says of itself: its architecture, the version that wrote it, and the row its arrays are in."""

    contents: Contents
    graph: Graph | None
    version: str
    modern_layout: Layout | None
    options: ReadOptions


def canonical_layers(source: Source, found: Iterable[LocatedLayer]) -> list[Recurrent]:
    """Return the recurrent layers of a file, in the model's order.

    Args:
        source: what the file says of itself.
        found: its recurrent layers, and where their arrays are.

    Raises:
        LayoutMismatch: arrays are missing or mis-shaped; all of them are listed.
    """
    layers: list[Recurrent] = []
    problems: list[str] = []
    for layer in found:
        try:
            layers += _layers(source, layer)
        except LayoutMismatch as error:
            problems += error.details
    if problems:
        raise LayoutMismatch(
            "its recurrent weights are not complete or do not fit together",
            problems,
            "Copy the file again, or give the architecture that belongs to it.",
        )
    return layers


def refuse_foreign(layers: Iterable[LocatedLayer]) -> None:
    """Raise where a file holds recurrent layers whose arithmetic is none that is read, naming all of them."""
    reasons = []
    for layer in layers:
        path, class_name = layer.spec.node.path, layer.spec.node.class_name
        kinds = {cell.kind for cell in layer.spec.cells} - set(CELLS)
        reasons += [f"{path}: {kind}" + (f" in {class_name}" if kind != class_name else "") for kind in sorted(kinds)]
        two = layer.spec.bidirectional and not layer.spec.stacked
        if two and not kinds and len({CELLS[cell.kind] for cell in layer.spec.cells}) > 1:
            both = " and ".join(cell.kind for cell in layer.spec.cells)
            reasons.append(f"{path}: {both} in its two directions")
    if reasons:
        raise Unsupported("holds recurrent layers that are not read", reasons, "Leave them out of the model.")


def assumptions(source: Source, layers: Sequence[LocatedLayer]) -> Iterator[str]:
    """Yield what the file does not say of its layers and is taken for granted; raise where the versions differ."""
    silent = [layer.spec.node.path for layer in layers if _is_silent(source, layer)]
    if silent and source.options.recurrent_activation is None:
        if not _only_sigmoid(source):
            raise Unsupported(
                "holds weights only: nothing in it says what the gates' activation is, and versions of Keras differ",
                [f"{path}: sigmoid or hard_sigmoid?" for path in silent],
                "Give the model's architecture (model.to_json() or to_yaml()) with --config FILE, or say "
                "--recurrent-activation sigmoid or hard_sigmoid. Keras before 2.3 and tf.keras of TensorFlow 1 use "
                "hard_sigmoid unless told otherwise, later ones sigmoid; the wrong one computes something else.",
            )
        yield "the gates are sigmoid, the default of each Keras that writes such a file (--recurrent-activation)"
    if silent or any(
        CELLS[cell.kind] is SimpleRNNCell and not cell.config for layer in layers for cell in layer.spec.cells
    ):
        yield "candidate and output are tanh, the default of every Keras; the weights do not say, --config does"
    if silent or any(not layer.spec.options for layer in layers):
        yield "return_sequences, go_backwards, masks and merge_mode are plain; the weights do not say, --config does"


def _is_silent(source: Source, layer: LocatedLayer) -> bool:
    """Return whether neither the architecture nor the arrays say what the gates' activation of some cell is."""
    cells = zip(layer.spec.cells, layer.cells, strict=True)
    return any(
        CELLS[spec.kind] is not SimpleRNNCell and _stated_gate(spec) is None and not _is_cudnn(source, located)
        for spec, located in cells
    )


def _gate(source: Source, spec: CellSpec, located: LocatedCell) -> str:
    """Return the name of the gates' activation: as stated, else as the user says, else the default."""
    said = source.options.recurrent_activation
    stated = _stated_gate(spec)
    if _is_cudnn(source, located):
        if activation_name(stated or SIGMOID.name) != SIGMOID.name:
            raise InvalidFile(
                "its arrays are cuDNN's, whose gates are sigmoid, and its architecture says otherwise",
                [f"{next(iter(located.keys.values()))}: expected sigmoid, found {activation_name(stated)}"],
                "Say recurrent_activation='sigmoid' in the architecture, as cuDNN computes.",
            )
        stated = SIGMOID.name
    if stated is None:
        return said or SIGMOID.name
    name = activation_name(stated)
    if said not in (None, name):
        key = next(iter(located.keys.values()))
        raise Unsupported(
            "says itself what its gates' activation is",
            [f"{key}: expected {said}, as --recurrent-activation says, found {name}"],
            "Leave --recurrent-activation out.",
        )
    return name


def _stated_gate(cell: CellSpec) -> Any:
    """Return what an architecture says of the gates' activation; cuDNN has no choice."""
    if cell.kind in _CUDNN:
        return SIGMOID.name
    return cell.config.get("recurrent_activation", cell.config.get("inner_activation"))


def _is_cudnn(source: Source, located: LocatedCell) -> bool:
    """Return whether a cell's arrays are as cuDNN wants them, by their bias, which is two in one."""
    shapes = [source.contents.arrays[key].shape for key in located.keys.values() if key in source.contents.arrays]
    *_, recurrent, bias = shapes if len(shapes) == len(KERAS_CUDNN.names()) else [(), (), ()]
    return len(recurrent) == 2 and bias == (2 * recurrent[1],)  # noqa: PLR2004 (a matrix)


def _only_sigmoid(source: Source) -> bool:
    if source.version:
        return version_numbers(source.version) >= _SIGMOID_SINCE
    return saved_state.recognises(source.contents) and not legacy.recognises(source.contents)


def version_numbers(version: str) -> tuple[int, int]:
    """Return a version's first two numbers, (0, 0) where it has none."""
    numbers = re.match(r"(\d+)\.(\d+)", version)
    return (int(numbers[1]), int(numbers[2])) if numbers else (0, 0)


def _cells(source: Source, layer: LocatedLayer) -> list[tuple[RecurrentCell, Bundle]]:
    """Return a layer's cells; raise one error for all that is wrong with any of them."""
    cells: list[tuple[RecurrentCell, Bundle]] = []
    problems: list[str] = []
    for spec, located in zip(layer.spec.cells, layer.cells, strict=True):
        try:
            cells.append(_cell(source, spec, located))
        except LayoutMismatch as error:
            problems += error.details
    if problems:
        raise LayoutMismatch(f"the cells of {layer.spec.node.path} do not fit", problems)
    return cells


def _layers(source: Source, found: LocatedLayer) -> Iterator[Recurrent]:
    """Yield a recurrent layer's layers: one, or one a cell of a stack."""
    spec, path = found.spec, found.spec.node.path
    cells = _cells(source, found)
    origin = Origin(cells[0][1].layout, tuple(bundle.keys for _, bundle in cells))
    options = {**spec.options, **_joints(source, spec.node), **_masking(source, found)}
    if not spec.stacked:
        yield Recurrent.of(path, *(cell for cell, _ in cells), origin=origin, **options)
        return
    waiting = iter(cells)
    for backward, names in enumerate(spec.names):
        for place, (name, (cell, bundle)) in enumerate(zip(names, waiting, strict=False)):
            own = {
                **{option: value for option, value in options.items() if option != "merge"},
                "return_sequences": name != names[-1] or spec.options.get("return_sequences", True),
                "go_backwards": place == 0 and spec.options.get("go_backwards", False) != bool(backward),
                **({"follows": names[place - 1]} if place else {}),
            }
            yield Recurrent.of(name, cell, origin=Origin(bundle.layout, (bundle.keys,)), **own)


def _joints(source: Source, node: Node) -> dict[str, Any]:
    """Return how a layer is joined to others: what it reads, what it starts from, and for how many sequences."""
    if source.graph is None:
        return {}
    followed, started = source.graph.followed(node), source.graph.states_from(node)
    return {
        "follows": _last_name(followed) if followed else None,
        "starts_from": _last_name(started) if started else None,
        "batch_size": source.graph.batch_size,
    }


def _masking(source: Source, found: LocatedLayer) -> dict[str, Any]:
    """Return which mask reaches a layer, and what it returns at a masked step.

    A Bidirectional that returns sequences returns zeros there in tf.keras and Keras 3, whatever its layers say; in
    keras-team's Keras before, it repeats the step before. Source: keras 2.15.0, keras/src/layers/rnn/bidirectional.py.
    """
    node = source.graph.mask_source(found.spec.node) if source.graph else None
    zero = bool(found.spec.options.get("zero_output_for_mask"))
    if found.spec.bidirectional and (
        source.version.endswith("-tf") or version_numbers(source.version) >= _TF_KERAS_ALONE
    ):
        zero = bool(found.spec.options.get("return_sequences"))
    return {"masked_by": node.path if node else None, "zero_output_for_mask": zero}


def _last_name(node: Node) -> str:
    """Return the name of the layer that makes a recurrent node's output: the topmost of a stack."""
    return recurrent_layers(node)[0].names[0][-1]


def _row(source: Source, spec: CellSpec, located: LocatedCell) -> Layout:
    """Return the row that a cell's arrays are in."""
    kind = CELLS[spec.kind]
    row = located.layout or source.modern_layout
    if _is_cudnn(source, located):
        _gate(source, spec, located)
        row = KERAS_CUDNN
    elif row is None and kind is not SimpleRNNCell and _gate(source, spec, located) == "hard_sigmoid":
        raise Unsupported(
            "does not say which Keras wrote it; hard_sigmoid is 0.2 x + 0.5 before Keras 3 and x / 6 + 0.5 since",
            next_step="Give the model's architecture (model.to_json()) with --config FILE.",
        )
    return counterpart(row or KERAS_3, kind, reset_after=kind is GRUCell and _reset_after(source, spec, located))


def _reset_after(source: Source, spec: CellSpec, located: LocatedCell) -> bool:
    """Return whether a GRU is reset after its recurrent product: as stated, else as its bias tells.

    Source: keras 2.2.0, keras/layers/recurrent.py, GRU; 2.15.0, keras/src/layers/rnn/gru.py, GRUCell.build
    """
    if spec.kind in _CUDNN or _is_cudnn(source, located):
        return True
    if spec.config:
        return bool(spec.config.get("reset_after", False))  # which came between Keras 2.1.4 and 2.2.0
    bias = source.contents.arrays.get(located.keys.get("bias", ""))
    if bias is None and located.layout is None:
        raise Unsupported(
            "holds a GRU without bias: nothing in it says whether its reset gate comes before the recurrent kernel",
            [f"{next(iter(located.keys.values()))}: reset_after=True or False?"],
            "Give the model's architecture (model.to_json() or to_yaml()) with --config FILE.",
        )
    return bias is not None and len(bias.shape) == 2  # noqa: PLR2004 (a row for each side)


def _cell(source: Source, spec: CellSpec, located: LocatedCell) -> tuple[RecurrentCell, Bundle]:
    arrays = {
        name: array_of(source.contents.arrays[key])
        for name, key in located.keys.items()
        if key in source.contents.arrays
    }
    row = _row(source, spec, located)
    options: dict[str, Any] = {row.candidate_option: activation_name(spec.config.get("activation", TANH.name))}
    if row.gate_option:
        options[row.gate_option] = _gate(source, spec, located)
    if spec.kind == EXTENDED:
        row, options = KERAS_EXTENDED, extended.stated_options(spec.config)
    bundle = Bundle(row.name, arrays, options, located.keys)
    cell = unpack(row, bundle)
    units = spec.config.get("units", spec.config.get("output_dim", cell.units))
    if units != cell.units:
        difference = f"{next(iter(located.keys.values()))}: expected {units} units, found {cell.units}"
        raise LayoutMismatch("the architecture and the arrays differ", [difference])
    return cell, bundle

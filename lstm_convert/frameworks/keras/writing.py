"""Canonical layers to a Keras 3 file: an architecture, and the weights in one of Keras's two forms.

Source: keras 3.15.1, keras/src/saving/saving_lib.py, keras/src/legacy/saving/legacy_h5_format.py
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from lstm_convert.canonical import GRUCell, Model, Recurrent, RecurrentCell
from lstm_convert.containers import Contents, Stored
from lstm_convert.errors import Unsupported
from lstm_convert.frameworks import WriteOptions, renamed
from lstm_convert.frameworks.keras import extended, keepsake
from lstm_convert.frameworks.keras.functional import architecture, as_listed, class_name, class_of_cell, direction_class
from lstm_convert.frameworks.keras.storing import BFLOAT16, OLDER, Held, Located, contents_of
from lstm_convert.packing import pack_arrays
from lstm_convert.table import KERAS_EXTENDED

# Where the two directions of a Bidirectional are kept.
_DIRECTIONS = {"forward": "forward_layer", "backward": "backward_layer"}


def refusals(layer: Recurrent, options: WriteOptions) -> Iterator[str]:
    """Yield why a Keras 3 file cannot hold a layer exactly; nothing where it can."""
    yield from _cell_refusals(layer, options)
    if options.extension in OLDER and layer.forward.W.dtype.name == BFLOAT16:
        yield f"{layer.name}: bfloat16, which Keras does not load from an older {options.extension}; .keras holds it"
    if layer.stateful and layer.batch_size is None:
        yield f"{layer.name}: stateful=True, which in Keras needs the batch size that its states were kept for"
    forced_to_zero = layer.backward is not None and layer.return_sequences
    if layer.masked_by and forced_to_zero != layer.zero_output_for_mask and layer.backward is not None:
        returned = "zeros" if layer.zero_output_for_mask else "the step before"
        yield f"{layer.name}: returns {returned} at masked steps, which Keras 3's Bidirectional does not"


def _cell_refusals(layer: Recurrent, options: WriteOptions) -> Iterator[str]:
    """Yield why neither Keras's own layer holds a layer's cells nor, where it may be used, the cell of our own."""
    fitted = extended.fitted(layer)
    reasons, ours = (
        [f"{layer.name} ({name}): {reason}" for name, cell in fitted.cells.items() for reason in row.refusals(cell)]
        for row in (extended.keras_row(layer), KERAS_EXTENDED)
    )
    if options.custom_layer:
        yield from ours if reasons else ()
    elif reasons and not ours:
        yield from reasons[:-1]
        yield f"{reasons[-1]}; --custom-layer writes a Keras layer of its own for it"
    else:
        yield from reasons


def manner(layer: Recurrent) -> str:
    """Return how exact a layer is in Keras 3, where it is not refused."""
    return "exact" if extended.fitted(layer) is layer else "exact by scaling"


def notes(layer: Recurrent) -> Iterator[str]:
    """Yield what is done to a layer so that Keras 3 computes the same."""
    if manner(layer) == "exact by scaling":
        yield (
            f"{layer.name}: {_gates_scaled(layer)} are scaled by 6/5, so that Keras 3's hard_sigmoid, "
            "clip(x / 6 + 0.5, 0, 1), computes what clip(0.2 x + 0.5, 0, 1) did"
        )
    if layer.masked_by:
        yield f"{layer.name}: its mask came from {layer.masked_by}; it is an input of the model now"


def _gates_scaled(layer: Recurrent) -> str:
    """Return in words the gates that are no candidate: i, f and o of an LSTM."""
    gates = list(layer.forward.letters.replace("g", ""))
    return f"{', '.join(gates[:-1])} and {gates[-1]}"


def write(model: Model, options: WriteOptions) -> Contents:
    """Return the contents of a Keras 3 file.

    Args:
        model: the layers, all of which Keras 3 can hold.
        options: `extension` chooses among `.keras`, `.weights.h5` and the older `.h5`.

    Returns:
        Arrays and documents for the container of that extension.
    """
    named = renamed(model.layers, options.rename)
    layers = as_listed(prepared(model.layers, options.rename))
    kept = keepsake.kept(named, names_of(named))
    return contents_of(architecture(layers), map(held, layers), kept, options.extension)


def companions(model: Model, options: WriteOptions) -> dict[str, str]:  # noqa: ARG001 (as every writer's functions)
    """Return what is to lie beside a file, by name: the source code of the layer of our own, where some layer needs it.

    Args:
        model: the layers.
        options: nothing in them concerns these files.
    """
    ours = any(extended.row_of(extended.fitted(layer)) is KERAS_EXTENDED for layer in model.layers)
    return {extended.SOURCE_FILE: extended.source_code()} if ours else {}


def prepared(layers: tuple[Recurrent, ...], rename: Mapping[str, str]) -> tuple[Recurrent, ...]:
    """Return layers under Keras's names, their gates scaled to Keras 3's hard_sigmoid.

    Raises:
        Unsupported: Keras does not take a name.
    """
    named = renamed(layers, rename)
    names = names_of(named)
    return tuple(
        replace(
            extended.fitted(layer),
            path=names[layer.name],
            depth=None,
            follows=names.get(layer.follows or ""),
            starts_from=names.get(layer.starts_from or "", layer.starts_from),
        )
        for layer in named
    )


def names_of(layers: Iterable[Recurrent]) -> dict[str, str]:
    """Return Keras's name of each layer: its own, with _ where a dot was, which Keras on PyTorch does not take.

    Raises:
        Unsupported: a name has a slash, which Keras takes nowhere.
    """
    names: dict[str, str] = {}
    for layer in layers:
        if "/" in layer.name:
            raise Unsupported(
                "Keras 3 has no layer with / in its name",
                [f"{layer.name}: expected a name without /"],
                "Give it another name: --rename old=new.",
            )
        name = layer.name.replace(".", "_")
        while name in names.values():
            name += "_"
        names[layer.name] = name
    return names


def usage(model: Model, options: WriteOptions) -> list[str]:
    """Return what was written, a line a layer, and what was done to it."""
    lines = []
    named = renamed(model.layers, options.rename)
    names = names_of(named)
    for layer in named:
        lines.append(f"{names[layer.name]}: {described(layer)}")
        lines += notes(layer)
    return lines + import_notes(model, options)


def import_notes(model: Model, options: WriteOptions) -> list[str]:
    """Return what is to be imported before Keras loads a file, a line each."""
    needed = companions(model, options)
    return [f"import {name}, which lies beside it, before Keras loads it" for name in needed]


def described(layer: Recurrent) -> str:
    """Return in Keras's words what a layer becomes."""
    ours = direction_class(extended.fitted(layer)) == "RNN"
    cell = f"RNN({extended.CLASS_NAME}({layer.forward.units}, …), " if ours else f"{_constructor(layer)}, "
    inner = f"{cell}return_sequences={layer.return_sequences})"
    merge = f", merge_mode={layer.merge!r}" if layer.merge != "concat" else ""
    return f"Bidirectional({inner}{merge})" if layer.backward else inner


def held(layer: Recurrent) -> Held:
    """Return a layer and its arrays as a Keras file holds them.

    Args:
        layer: what Keras can hold, under the name it is to have.
    """
    arrays = tuple(_located(layer)) if layer.backward is None else tuple(_located_twice(layer))
    return Held(layer.name, class_name(layer), arrays)


def _located(layer: Recurrent) -> Iterator[Located]:
    for number, (name, stored) in enumerate(_arrays(layer, layer.forward).items()):
        yield Located(f"cell/vars/{number}", f"{class_of_cell(layer)}/{name}", stored)


def _located_twice(layer: Recurrent) -> Iterator[Located]:
    for direction, cell in layer.cells.items():
        for number, (name, stored) in enumerate(_arrays(layer, cell).items()):
            place = f"{_DIRECTIONS[direction]}/cell/vars/{number}"
            inner = class_of_cell(layer)
            yield Located(place, f"{direction}_{inner.removesuffix('_cell')}/{inner}/{name}", stored)


def _constructor(layer: Recurrent) -> str:
    """Return how the call of a layer's own class begins."""
    before = isinstance(layer.forward, GRUCell) and not layer.forward.reset_after
    return f"{layer.kind}({layer.forward.units}" + ", reset_after=False" * before


def _arrays(layer: Recurrent, cell: RecurrentCell) -> dict[str, Stored]:
    return {name: Stored.of(array) for name, array in pack_arrays(extended.row_of(layer), cell).items()}

"""How a bundle becomes a cell by its layout's row, and back: one row, both ways, so that the two cannot drift apart."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_convert.blocks import Rows, blocks_of, changed, copied, kept, room
from lstm_convert.bundle import Bundle
from lstm_convert.canonical import SIGMOID, TANH, Activation, Cell, Gates, GRUCell, RecurrentCell
from lstm_convert.errors import LayoutMismatch, Unsupported
from lstm_convert.layout import Layout, Slot, canonical_letter

Array = NDArray[Any]
Sizes = dict[str, int]


def whereabouts(row: Layout, stored: str, units: int) -> str:
    """Return in words which gates lie where in one stored array.

    Args:
        row: the layout.
        stored: the framework's name of the array within one cell.
        units: H.

    Returns:
        `columns 0:16 i, 16:32 f, …` where gates lie side by side, `gate g (c)` where an array is one gate's, else "".
    """
    for slot in row.slots.values():
        names = _stored_names(row, slot)
        if stored not in names:
            continue
        if len(names) > 1:
            letter = row.gates[names.index(stored)]
            canonical = canonical_letter(letter)
            return f"gate {canonical}" + (f" ({letter})" if letter != canonical else "")
        axis = next((axis for axis, group in enumerate(slot.groups) if "gate" in group), None)
        if axis is not None:
            sides = ("", "") if "side" not in slot.groups[axis] else (" (input side)", " (recurrent side)")
            letters = [letter + side for side in dict.fromkeys(sides) for letter in row.gates]
            places = [f"{number * units}:{(number + 1) * units} {letter}" for number, letter in enumerate(letters)]
            along = ("rows", "columns")[axis] if len(slot.groups) > 1 else "numbers"
            turned = ", each block byte-transposed" if slot.byte_transposed else ""
            return f"{along} {', '.join(places)}{turned}"
    return ""


def unpack(row: Layout, bundle: Bundle) -> RecurrentCell:
    """Return the canonical cell that a bundle holds, its gates apart and in canonical order.

    Args:
        row: the layout the bundle is in.
        bundle: one cell's arrays and options.

    Returns:
        The cell; its arrays are views of the bundle's.

    Raises:
        LayoutMismatch: an array is missing, has another shape than the others imply, or is not in the layout.
    """
    sizes, present = _sizes(row, bundle.arrays), dict(_present(row, bundle.arrays))
    _check(row, bundle, sizes, present.values())
    arrays = {name: _take(row, slot, bundle.arrays, sizes) for name, slot in present.items()}
    if "b" in arrays and "side" in row.bias.factors:
        arrays["b"], arrays["b_rec"] = zip(*arrays["b"], strict=True)
    settings = {name: bundle.options[name] for name in row.settings if name in bundle.options}
    return row.cell.of(arrays, **_activations(row, bundle), **row.fixed, **settings)


def pack(row: Layout, cell: RecurrentCell) -> Bundle:
    """Return a cell's arrays and options as a layout has them.

    Two biases become one by their sum where the layout has one; one bias goes to the input side where it has two.

    Args:
        row: the layout to write.
        cell: the canonical cell.

    Returns:
        The bundle; its arrays are new where the stored order differs.

    Raises:
        Unsupported: the layout cannot hold this cell exactly.
    """
    if reasons := row.refusals(cell):
        raise Unsupported(f"this cell cannot be written as {row.name}", reasons)
    return Bundle(row.name, {name: np.asarray(array) for name, array in pack_arrays(row, cell).items()})


def pack_arrays(row: Layout, cell: RecurrentCell) -> dict[str, Array | Rows]:
    """Return a cell's arrays as a layout has them, whatever its activations are.

    Args:
        row: the layout to write.
        cell: the canonical cell.

    Returns:
        The arrays by the framework's names; one that joins gates is put together when its rows are asked for.
    """
    sizes = {**_fixed_sizes(row), "unit": cell.units, "input": cell.inputs}
    sizes |= {"state": cell.outputs, "projection": cell.outputs}
    contents: dict[str, Gates | Array] = {**cell.held(), **_biases(row, cell)}
    if "b" in contents and "side" in row.bias.factors:
        contents["b"] = np.stack([contents["b"], contents["b_rec"]], axis=1)
    arrays: dict[str, Array | Rows] = {}
    for name, slot in row.slots.items():
        if name in contents:
            arrays |= _put(row, slot, contents[name], sizes)
    has_bias = row.bias.name.format(gate=row.gates[0]) in arrays
    names = row.names(bias=has_bias, projection="projection" in contents, peephole="peephole" in contents)
    return {name: arrays[name] for name in names}


def options(row: Layout, cell: RecurrentCell) -> dict[str, Any]:
    """Return a cell's activations under the layout's own option names, by its own names for them, and its settings.

    Raises:
        Unsupported: the layout has no name for one of them.
    """
    stated = {option: activation for role, activation in cell.activations().items() if (option := row.option_of(role))}
    named = {option: row.name_of(activation) for option, activation in stated.items()}
    return named | {name: getattr(cell, name) for name in row.settings}


def _fixed_sizes(row: Layout) -> Sizes:
    return {"gate": len(row.gates), "side": 2, "peephole": 3}  # peepholes are those of i, f and o


def _stored_names(row: Layout, slot: Slot) -> list[str]:
    return [slot.name.format(gate=letter) for letter in row.gates] if "{gate}" in slot.name else [slot.name]


def _present(row: Layout, arrays: Mapping[str, Array]) -> Iterator[tuple[str, Slot]]:
    required = ("W", "U")
    biases = [slot for slot in (row.bias, row.recurrent_bias) if slot]
    for name, slot in row.slots.items():
        together = biases if slot in biases else [slot]
        if name in required or any(stored in arrays for each in together for stored in _stored_names(row, each)):
            yield name, slot


def _sizes(row: Layout, arrays: Mapping[str, Array]) -> Sizes:
    """Return the sizes of the axes as kernel (gate, unit, input) and projection (state) state them."""
    kernel = arrays.get(_stored_names(row, row.kernel)[0])
    if kernel is None or kernel.ndim != len(row.kernel.groups):
        return {}
    stated = dict(zip(map(tuple, row.kernel.groups), kernel.shape, strict=True))
    joined = next(size for group, size in stated.items() if "unit" in group)
    units = joined // (len(row.gates) if ("gate", "unit") in stated or ("unit", "gate") in stated else 1)
    sizes = {**_fixed_sizes(row), "unit": units, "input": stated[("input",)], "state": units, "projection": units}
    projection = arrays.get(row.projection.name) if row.projection else None
    if row.projection and projection is not None and projection.ndim == len(row.projection.groups):
        narrowed = projection.shape[row.projection.factors.index("projection")]
        sizes |= {"state": narrowed, "projection": narrowed}
    return sizes


def _check(row: Layout, bundle: Bundle, sizes: Sizes, present: Iterable[Slot]) -> None:
    """Raise one error that lists every missing, extra and mis-shaped array."""
    problems = []
    expected = {stored: slot for slot in present for stored in _stored_names(row, slot)}
    for stored, slot in expected.items():
        found = bundle.arrays.get(stored)
        if found is None or (found.shape != slot.shape(sizes) if sizes else found.ndim != len(slot.groups)):
            wanted = f"({', '.join(' x '.join(group) for group in slot.groups)})"
            wanted = f"{slot.shape(sizes)} = {wanted}" if sizes else wanted
            there = "nothing" if found is None else found.shape
            problems.append(f"{bundle.keys.get(stored, stored)}: expected {wanted}, found {there}")
    problems += [
        f"{bundle.keys.get(name, name)}: {array.shape} has no place in {row.name}"
        for name, array in bundle.arrays.items()
        if name not in expected
    ]
    if problems or not sizes:
        raise LayoutMismatch(
            f"the arrays are not those of {row.name}",
            problems,
            f"{row.name} lists {', '.join(row.names(projection=True, peephole=True))}.",
        )


def _take(row: Layout, slot: Slot, arrays: Mapping[str, Array], sizes: Sizes) -> Any:
    """Return what a slot holds: an array for each gate, in canonical order, or the one that is no gate's."""
    apart = [arrays[stored].reshape([sizes[axis] for axis in slot.factors]) for stored in _stored_names(row, slot)]
    turned = [array.transpose(slot.to_canonical) for array in apart]
    if "gate" in slot.factors:
        turned = list(turned[0])
    if slot in (row.projection, row.peephole):
        return turned[0]
    if slot.byte_transposed:
        turned = [_in_order(array.T).reshape(array.shape) for array in turned]
    return [turned[place] for place in row.permutation]


def _put(row: Layout, slot: Slot, held: Gates | Array, sizes: Sizes) -> dict[str, Array | Rows]:
    """Return a slot's arrays under their stored names; the inverse of `_take`."""
    if slot in (row.projection, row.peephole):
        return {slot.name: np.asarray(held).transpose(slot.to_stored)}
    gates = list(held)
    in_order = [gates[row.permutation.index(place)] for place in range(len(gates))]
    if slot.byte_transposed:
        in_order = [_in_order(gate).reshape(gate.shape[::-1]).T for gate in in_order]
    turned = [gate.transpose(slot.to_stored) for gate in in_order]
    if "gate" not in slot.factors:
        return dict(zip(_stored_names(row, slot), turned, strict=True))
    return {slot.name: _joined(slot, turned, slot.shape(sizes))}


def _in_order(array: Array) -> Array:
    """Return an array whose numbers lie in the order of its axes."""
    return kept(array.shape, array.dtype, blocks_of(array))


def _joined(slot: Slot, gates: list[Array], shape: tuple[int, ...]) -> Array | Rows:
    """Return the array that a slot's gates make.

    Args:
        slot: where the gates lie.
        gates: in stored order; each has the slot's axes but that of the gates.
        shape: of the array.
    """
    place = slot.factors.index("gate")
    if place and "gate" in slot.groups[0]:
        return np.stack(gates, axis=place).reshape(shape)
    if place == 0:
        blocks = [gate.reshape(shape[0] // len(gates), *shape[1:]) for gate in gates]
        return Rows(shape, gates[0].dtype, partial(_rows_below, blocks))
    return Rows(shape, gates[0].dtype, partial(_rows_across, gates, place, shape))


def _rows_below(blocks: list[Array], start: int, stop: int) -> Array:
    """Return some rows of blocks that lie one below the other."""
    rows = room((stop - start, *blocks[0].shape[1:]), blocks[0].dtype)
    for number, block in enumerate(blocks):
        top = number * len(block)
        first, last = max(start, top), min(stop, top + len(block))
        if first < last:
            copied(block[first - top : last - top], rows[first - start : last - start])
    return rows


def _rows_across(gates: list[Array], place: int, shape: tuple[int, ...], start: int, stop: int) -> Array:
    """Return some rows of gates that lie side by side within each row.

    Args:
        gates: in stored order.
        place: which axis of the array, its joined axes taken apart, counts the gates.
        shape: of the array.
        start: the first of the rows.
        stop: the row after the last.
    """
    parts = [gate[start:stop] for gate in gates]
    rows = room((*parts[0].shape[:place], len(gates), *parts[0].shape[place:]), gates[0].dtype)
    for number, part in enumerate(parts):
        copied(part, rows[(slice(None),) * place + (number,)])
    return rows.reshape(stop - start, *shape[1:])


def rescaled(row: Layout, cell: RecurrentCell) -> RecurrentCell | None:
    """Return a cell whose gates compute the same by another hard_sigmoid, the one that a layout has, or None.

    clip(a x + d) equals clip(b (a / b) x + d), so the input, recurrent and bias terms of all gates but the candidate,
    and peepholes, are multiplied by a / b. Two biases that will be one are summed first, so that each number is
    rounded once.

    Args:
        row: the layout, whose `hard_sigmoid` may have another slope than the cell's.
        cell: a cell.
    """
    theirs = row.activations.get("hard_sigmoid")
    if theirs is None or not isinstance(cell, Cell | GRUCell) or cell.settings().get("gate_clip") is not None:
        return None
    ours = cell.gate
    if ours.name != "hard_sigmoid" or ours == theirs or ours.parameters["offset"] != theirs.parameters["offset"]:
        return None
    factor = ours.parameters["slope"] / theirs.parameters["slope"]
    contents = cell.held()
    if "b_rec" in contents and not row.has_two_biases:
        contents["b"] = Gates(np.asarray(contents.pop("b_rec"), np.float64) + contents.get("b", 0.0), cell.letters)
    factors = [1.0 if gate == "g" else factor for gate in cell.letters]
    scaled: dict[str, Any] = {
        name: [_scaled(gate, each, cell.W.dtype) for gate, each in zip(array, factors, strict=True)]
        for name, array in contents.items()
        if isinstance(array, Gates)
    }
    if "peephole" in contents:
        scaled["peephole"] = _scaled(np.asarray(contents["peephole"]), factor, cell.W.dtype)
    return replace(cell, b=None, b_rec=None, gate=theirs).with_arrays(scaled)


def _scaled(array: Array, factor: float, dtype: np.dtype[Any]) -> Array:
    return changed(array, dtype, lambda numbers: (numbers.astype(np.float64) * factor).astype(dtype))


def _biases(row: Layout, cell: RecurrentCell) -> dict[str, Array]:
    """Return the biases as the layout stores them: two, one that is their sum, or none."""
    if cell.b is None and cell.b_rec is None:
        return {}
    zeros = np.zeros((len(cell.letters), cell.units), cell.W.dtype)
    b = zeros if cell.b is None else np.asarray(cell.b)
    b_rec = zeros if cell.b_rec is None else np.asarray(cell.b_rec)
    if row.has_two_biases:
        return {"b": b, "b_rec": b_rec}
    # b + 0 would turn -0.0 into 0.0, and a bias that is alone must come through bit for bit.
    return {"b": b + b_rec if b_rec.any() and b.any() else (b if b.any() or not b_rec.any() else b_rec)}


def _activations(row: Layout, bundle: Bundle) -> dict[str, Activation]:
    """Return the activations of a bundle's cell: as an option names them, else the fixed ones; output as candidate."""
    candidate = _stated(row, bundle, row.candidate_option, TANH)
    activations = {
        "gate": _stated(row, bundle, row.gate_option, SIGMOID),
        "candidate": candidate,
        "output": _stated(row, bundle, row.output_option, candidate),
    }
    return {role: activation for role, activation in activations.items() if role in row.cell.roles()}


def _stated(row: Layout, bundle: Bundle, option: str, fixed: Activation) -> Activation:
    """Return the activation that an option names or is, or the one that is fixed where there is no such option."""
    name = bundle.options.get(option) if option else None
    if isinstance(name, Activation):
        return name
    return fixed if name is None else row.activations.get(name, Activation(name))

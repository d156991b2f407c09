"""How a layout's row becomes a cell and back: one row, both ways, so reader and writer cannot drift apart.

Axes are written as in einops: `input (gate unit)` is a matrix whose rows are inputs and whose columns are the units of
the first gate, then those of the second, … A slot whose axes name no gate is stored as one array a gate.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_convert.bundle import Bundle
from lstm_convert.canonical import GATES, SIGMOID, TANH, Activation, Cell, Gates
from lstm_convert.errors import LayoutMismatch, Unsupported

Array = NDArray[Any]
Sizes = dict[str, int]

# What else the gates' letters are called: Keras and cuDNN say c(ell), TensorFlow 1 says j.
_CANDIDATE_LETTERS = "cj"


@dataclass(frozen=True)
class Slot:
    """One array of a layout, or four where `name` holds `{gate}`.

    Args:
        name: the framework's name of it within one cell.
        axes: its axes, of gate, unit, input, state (what the recurrent kernel reads) and projection.
    """

    name: str
    axes: str

    @property
    def groups(self) -> list[list[str]]:
        """The axes as stored, each a list of those it joins, slowest first."""
        return [group.strip("()").split() for group in _split_outside_parentheses(self.axes)]

    @property
    def factors(self) -> list[str]:
        """All axes, joined ones taken apart."""
        return [axis for group in self.groups for axis in group]

    def shape(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """Return the shape this array has for given sizes of the axes."""
        return tuple(math.prod(sizes[axis] for axis in group) for group in self.groups)


@dataclass(frozen=True)
class Layout:
    """One row of the table: where a framework keeps each gate of one LSTM cell.

    Args:
        name: the row's name, which bundles and provenance refer to.
        framework: the module under `frameworks/` that reads and writes it.
        gates: the gates in stored order, in the framework's own letters.
        kernel: the slot of W.
        recurrent: the slot of U.
        bias: the slot of the input side's bias, or of the only one.
        recurrent_bias: the slot of the recurrent side's bias where the framework stores two.
        projection: the slot of the projection where the framework has one.
        gate_option: the option that names the gates' activation; empty where it is fixed.
        candidate_option: the option that names the activation of the candidate and of the output.
        hard_sigmoid: the parameters that this framework gives to `hard_sigmoid`; empty where it has none.
        key: how an array's key is made from the layer's path, where the row alone can say so.
        directions: what `{direction}` in `key` stands for, forward and backward.
        source: where the framework's own code says so: framework, version, file.
        checked: the versions whose files and outputs the tests compare with.
    """

    name: str
    framework: str
    gates: str
    kernel: Slot
    recurrent: Slot
    bias: Slot
    source: str
    checked: tuple[str, ...]
    recurrent_bias: Slot | None = None
    projection: Slot | None = None
    gate_option: str = ""
    candidate_option: str = ""
    hard_sigmoid: Mapping[str, float] = field(default_factory=dict)
    key: str = ""
    directions: tuple[str, str] = ("", "")

    def __post_init__(self) -> None:
        if sorted(map(_canonical_letter, self.gates)) != sorted(GATES):
            raise ValueError(
                f"layout {self.name}: {self.gates!r} does not name the gates i, f, g (or c) and o once each"
            )

    @property
    def slots(self) -> dict[str, Slot]:
        """The slots this layout has, under the canonical names of what they hold."""
        slots = {
            "W": self.kernel,
            "U": self.recurrent,
            "b": self.bias,
            "b_rec": self.recurrent_bias,
            "projection": self.projection,
        }
        return {name: slot for name, slot in slots.items() if slot is not None}

    @property
    def permutation(self) -> list[int]:
        """For each canonical gate, its place in the stored order."""
        stored = [_canonical_letter(letter) for letter in self.gates]
        return [stored.index(gate) for gate in GATES]

    def names(self, *, bias: bool = True, projection: bool = False) -> list[str]:
        """Return the arrays of one cell in the order in which the framework lists them.

        Args:
            bias: whether the cell has biases.
            projection: whether the cell has a projection.
        """
        absent = set() if bias else {"b", "b_rec"}
        absent |= set() if projection else {"projection"}
        slots = [slot for name, slot in self.slots.items() if name not in absent]
        if "{gate}" in self.kernel.name:
            return [slot.name.format(gate=letter) for letter in self.gates for slot in slots]
        return [slot.name for slot in slots]

    def refusals(self, cell: Cell) -> list[str]:
        """Return why this layout cannot hold a cell exactly, one reason a line; nothing where it can."""
        reasons = []
        for role, activation in (("gate", cell.gate), ("candidate", cell.candidate), ("output", cell.output)):
            if not self._can_name(role, activation):
                only = " and ".join(map(str, self._known(role)))
                reasons.append(f"{role} activation {activation}: {self.name} computes only {only}")
        if self.candidate_option and cell.candidate != cell.output:
            reasons.append(
                f"{self.name} has one activation for candidate and output, not {cell.candidate} and {cell.output}"
            )
        if cell.projection is not None and self.projection is None:
            reasons.append(f"a projection of {cell.units} units to {cell.outputs}: {self.name} has none")
        return reasons

    def _known(self, role: str) -> list[Activation]:
        if role == "gate":
            hard = [Activation("hard_sigmoid", self.hard_sigmoid)] if self.gate_option and self.hard_sigmoid else []
            return [SIGMOID, *hard]
        return [TANH]

    def _can_name(self, role: str, activation: Activation) -> bool:
        return activation in self._known(role)


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
            canonical = _canonical_letter(letter)
            return f"gate {canonical}" + (f" ({letter})" if letter != canonical else "")
        axis = next((axis for axis, group in enumerate(slot.groups) if "gate" in group), None)
        if axis is not None:
            places = [f"{number * units}:{(number + 1) * units} {letter}" for number, letter in enumerate(row.gates)]
            return f"{('rows', 'columns')[axis] if len(slot.groups) > 1 else 'numbers'} {', '.join(places)}"
    return ""


def unpack(row: Layout, bundle: Bundle) -> Cell:
    """Return the canonical cell that a bundle holds, its gates apart and in the order i, f, g, o.

    Args:
        row: the layout the bundle is in.
        bundle: one cell's arrays and options.

    Returns:
        The cell; its arrays are views of the bundle's where the stored order allows.

    Raises:
        LayoutMismatch: an array is missing, has another shape than the others imply, or is not in the layout.
    """
    sizes = _sizes(row, bundle.arrays)
    _check(row, bundle, sizes)
    arrays = {name: _take(row, slot, bundle.arrays, sizes) for name, slot in _present(row, bundle.arrays)}
    gates = {name: Gates(array) for name, array in arrays.items() if name != "projection"}
    candidate = _named_activation(row, bundle.options.get(row.candidate_option, TANH.name))
    return Cell(
        W=gates["W"],
        U=gates["U"],
        b=gates.get("b"),
        b_rec=gates.get("b_rec"),
        projection=arrays.get("projection"),
        gate=_named_activation(row, bundle.options.get(row.gate_option, SIGMOID.name)),
        candidate=candidate,
        output=candidate,
    )


def pack(row: Layout, cell: Cell) -> Bundle:
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
    return pack_arrays(row, cell)


def pack_arrays(row: Layout, cell: Cell) -> Bundle:
    """Return a cell's arrays as a layout has them, whatever its activations are; `pack` is this with its check."""
    sizes = {"gate": 4, "unit": cell.units, "input": cell.inputs, "state": cell.outputs, "projection": cell.outputs}
    contents = cell.arrays() | _biases(row, cell)
    arrays: dict[str, Array] = {}
    for name, slot in row.slots.items():
        if name in contents:
            arrays |= _put(row, slot, contents[name], sizes)
    has_bias = row.bias.name.format(gate=row.gates[0]) in arrays
    ordered = {name: arrays[name] for name in row.names(bias=has_bias, projection=cell.projection is not None)}
    options = {row.gate_option: cell.gate.name, row.candidate_option: cell.candidate.name}
    return Bundle(row.name, ordered, {option: name for option, name in options.items() if option})


def _split_outside_parentheses(axes: str) -> list[str]:
    groups: list[str] = []
    for word in axes.split():
        if groups and groups[-1].count("(") > groups[-1].count(")"):
            groups[-1] += f" {word}"
        else:
            groups.append(word)
    return groups


def _canonical_letter(letter: str) -> str:
    return "g" if letter in _CANDIDATE_LETTERS else letter


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
    units = joined // (4 if ("gate", "unit") in stated or ("unit", "gate") in stated else 1)
    sizes = {"gate": 4, "unit": units, "input": stated[("input",)], "state": units, "projection": units}
    projection = arrays.get(row.projection.name) if row.projection else None
    if row.projection and projection is not None and projection.ndim == len(row.projection.groups):
        narrowed = projection.shape[row.projection.factors.index("projection")]
        sizes |= {"state": narrowed, "projection": narrowed}
    return sizes


def _check(row: Layout, bundle: Bundle, sizes: Sizes) -> None:
    """Raise one error that lists every missing, extra and mis-shaped array."""
    problems = []
    expected = {stored: slot for _, slot in _present(row, bundle.arrays) for stored in _stored_names(row, slot)}
    for stored, slot in expected.items():
        label = bundle.keys.get(stored, stored)
        wanted = f"({', '.join(' x '.join(group) for group in slot.groups)})"
        wanted = f"{slot.shape(sizes)} = {wanted}" if sizes else wanted
        if stored not in bundle.arrays:
            problems.append(f"{label}: expected {wanted}, found nothing")
            continue
        shape = bundle.arrays[stored].shape
        if shape != slot.shape(sizes) if sizes else len(shape) != len(slot.groups):
            problems.append(f"{label}: expected {wanted}, found {shape}")
    problems += [
        f"{bundle.keys.get(name, name)}: {array.shape} has no place in {row.name}"
        for name, array in bundle.arrays.items()
        if name not in expected
    ]
    if problems or not sizes:
        raise LayoutMismatch(
            f"the arrays are not those of {row.name}",
            problems,
            f"{row.name} lists {', '.join(row.names(projection=True))}.",
        )


def _canonical_axes(slot: Slot) -> list[str]:
    order = ["gate", "projection", "unit", "input", "state"]
    return sorted(slot.factors, key=order.index)


def _take(row: Layout, slot: Slot, arrays: Mapping[str, Array], sizes: Sizes) -> Array:
    """Return what a slot holds, gates first and in canonical order."""
    to_canonical = [slot.factors.index(axis) for axis in _canonical_axes(slot)]
    apart = [
        arrays[stored].reshape([sizes[axis] for axis in slot.factors]).transpose(to_canonical)
        for stored in _stored_names(row, slot)
    ]
    if slot is row.projection:
        return apart[0]
    together = np.stack(apart) if len(apart) > 1 else apart[0]
    in_order: Array = together if row.permutation == [0, 1, 2, 3] else together[row.permutation]
    return in_order


def _put(row: Layout, slot: Slot, array: Array, sizes: Sizes) -> dict[str, Array]:
    """Return a slot's arrays under their stored names; the inverse of `_take`."""
    canonical = _canonical_axes(slot)
    to_stored = [canonical.index(axis) for axis in slot.factors]
    if slot is row.projection:
        return {slot.name: array.transpose(to_stored)}
    stored_order = np.argsort(row.permutation)
    in_order = array if row.permutation == [0, 1, 2, 3] else array[stored_order]
    if "{gate}" in slot.name:
        return {
            stored: gate.transpose(to_stored) for stored, gate in zip(_stored_names(row, slot), in_order, strict=True)
        }
    return {slot.name: in_order.transpose(to_stored).reshape(slot.shape(sizes))}


def _biases(row: Layout, cell: Cell) -> dict[str, Array]:
    """Return the biases as the layout stores them: two, one that is their sum, or none."""
    if cell.b is None and cell.b_rec is None:
        return {}
    zeros = np.zeros((4, cell.units), cell.W.dtype)
    b = zeros if cell.b is None else np.asarray(cell.b)
    b_rec = zeros if cell.b_rec is None else np.asarray(cell.b_rec)
    if row.recurrent_bias:
        return {"b": b, "b_rec": b_rec}
    # b + 0 would turn -0.0 into 0.0, and a bias that is alone must come through bit for bit.
    return {"b": b + b_rec if b_rec.any() and b.any() else (b if b.any() or not b_rec.any() else b_rec)}


def _named_activation(row: Layout, name: str) -> Activation:
    return Activation(name, row.hard_sigmoid) if name == "hard_sigmoid" else Activation(name)

"""The type of a layout's row: where a framework keeps each gate of one recurrent cell.

Axes are written as in einops: `input (gate unit)` is a matrix whose rows are inputs and whose columns are the units of
the first gate, then those of the second, … A slot whose axes name no gate is stored as one array a gate.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from lstm_convert.canonical import SIGMOID, TANH, Activation, Cell, RecurrentCell
from lstm_convert.errors import Unsupported

# What else the gates' letters are called: Keras and cuDNN say c(ell), TensorFlow 1 says j; of a GRU, Keras says h and
# PyTorch n(ew).
_CANDIDATE_LETTERS = "cjhn"

# The order in which canonical cells have them.
_CANONICAL_AXES = ("gate", "side", "peephole", "projection", "unit", "input", "state")

# What a cell may have that not every layout has a place for.
_EXTRAS = {
    "projection": "a projection of {cell.units} units to {cell.outputs}",
    "peephole": "peepholes",
    "gate_clip": "gates clipped at {cell.gate_clip}",
    "cell_clip": "cell states clipped at {cell.cell_clip}",
    "projection_clip": "projected outputs clipped at {cell.projection_clip}",
    "coupled": "a forget gate coupled to the input gate",
}


@dataclass(frozen=True)
class Slot:
    """One array of a layout, or one a gate where `name` holds `{gate}`.

    Args:
        name: the framework's name of it within one cell.
        axes: its axes, of gate, unit, input, state (what the recurrent kernel reads), projection, peephole (those of i,
            f and o), and side, where one array holds the input side's biases and then the recurrent side's.
        byte_transposed: whether each gate's block, its numbers taken in the order in which they are stored, is in truth
            a matrix of the other orientation.
    """

    name: str
    axes: str
    byte_transposed: bool = False

    @cached_property
    def groups(self) -> list[list[str]]:
        """The axes as stored, each a list of those it joins, slowest first."""
        return [group.strip("()").split() for group in _split_outside_parentheses(self.axes)]

    @cached_property
    def factors(self) -> list[str]:
        """All axes, joined ones taken apart."""
        return [axis for group in self.groups for axis in group]

    @cached_property
    def to_canonical(self) -> list[int]:
        """Where canonical cells' axes are among the factors, that of the gates first where there is one."""
        return [self.factors.index(axis) for axis in _CANONICAL_AXES if axis in self.factors]

    @cached_property
    def to_stored(self) -> list[int]:
        """Where the factors are among canonical cells' axes, but for that of the gates."""
        stored = [axis for axis in self.factors if axis != "gate"]
        canonical = sorted(stored, key=_CANONICAL_AXES.index)
        return [canonical.index(axis) for axis in stored]

    def shape(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """Return the shape this array has for given sizes of the axes."""
        return tuple(math.prod(sizes[axis] for axis in group) for group in self.groups)


@dataclass(frozen=True)
class Layout:
    """One row of the table: where a framework keeps each gate of one recurrent cell.

    Args:
        name: the row's name, which bundles and provenance refer to.
        framework: the module under `frameworks/` that reads and writes it.
        gates: the gates in stored order, in the framework's own letters.
        kernel: the slot of W.
        recurrent: the slot of U.
        bias: the slot of the input side's bias, or of the only one.
        recurrent_bias: the slot of the recurrent side's bias where the framework stores two.
        projection: the slot of the projection where the framework has one.
        peephole: the slot of the peepholes where the framework has them.
        gate_option: the option that names the gates' activation; empty where it is fixed.
        candidate_option: the option that names the activation of the candidate, and of the output.
        output_option: the option that names the activation of the output where it may be another.
        settings: what else of a cell is an option, under its canonical name: clips, and whether it is coupled.
        activations: what each name means that the framework has for an activation; empty where all are fixed.
        states_numbers: whether an activation's numbers are stated with its name, and may be any.
        key: how an array's key is made from the layer's path, where the row alone can say so.
        directions: what `{direction}` in `key` stands for, forward and backward.
        source: where the framework's own code says so: framework, version, file.
        checked: the versions whose files and outputs the tests compare with.
        cell: the kind of cell.
        fixed: what else of a cell is always so, under its canonical name: whether it is reset after.
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
    peephole: Slot | None = None
    gate_option: str = ""
    candidate_option: str = ""
    output_option: str = ""
    settings: tuple[str, ...] = ()
    activations: Mapping[str, Activation] = field(default_factory=dict)
    states_numbers: bool = False
    key: str = ""
    directions: tuple[str, str] = ("", "")
    cell: type[RecurrentCell] = Cell
    fixed: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if sorted(map(canonical_letter, self.gates)) != sorted(self.cell.letters):
            wanted = ", ".join(self.cell.letters)
            raise ValueError(f"layout {self.name}: {self.gates!r} does not name the gates {wanted} once each")

    @cached_property
    def slots(self) -> dict[str, Slot]:
        """The slots this layout has, under the canonical names of what they hold."""
        slots = {
            "W": self.kernel,
            "U": self.recurrent,
            "b": self.bias,
            "b_rec": self.recurrent_bias,
            "peephole": self.peephole,
            "projection": self.projection,
        }
        return {name: slot for name, slot in slots.items() if slot is not None}

    @cached_property
    def has_two_biases(self) -> bool:
        """Whether the layout keeps the biases of the input side and of the recurrent side apart."""
        return self.recurrent_bias is not None or "side" in self.bias.factors

    @cached_property
    def permutation(self) -> list[int]:
        """For each canonical gate, its place in the stored order."""
        stored = [canonical_letter(letter) for letter in self.gates]
        return [stored.index(gate) for gate in self.cell.letters]

    def names(self, *, bias: bool = True, projection: bool = False, peephole: bool = False) -> list[str]:
        """Return the arrays of one cell in the order in which the framework lists them.

        Args:
            bias: whether the cell has biases.
            projection: whether the cell has a projection.
            peephole: whether the cell has peepholes.
        """
        absent = set() if bias else {"b", "b_rec"}
        absent |= set() if projection else {"projection"}
        absent |= set() if peephole else {"peephole"}
        slots = [slot for name, slot in self.slots.items() if name not in absent]
        if "{gate}" in self.kernel.name:
            return [slot.name.format(gate=letter) for letter in self.gates for slot in slots]
        return [slot.name for slot in slots]

    def refusals(self, cell: RecurrentCell) -> list[str]:
        """Return why this layout cannot hold a cell exactly, one reason a line; nothing where it can."""
        if not isinstance(cell, self.cell):
            return [f"a cell of the kind {cell.kind}: {self.name} holds the kind {self.cell.kind}"]
        roles = cell.activations()
        if "output" in roles and roles["candidate"] == roles["output"]:
            roles = {"gate": roles["gate"], "candidate and output": roles["candidate"]}
        reasons = [
            f"{role} activation {activation}: {self.name} {self._offers(role)}"
            for role, activation in roles.items()
            if not self._can_name(role, activation)
        ]
        if self.candidate_option and not self.output_option and "output" in roles:
            different = f"{roles['candidate']} and {roles['output']}"
            reasons.append(f"{self.name} has one activation for candidate and output, not {different}")
        held = {*self.settings, *self.slots}
        has: dict[str, Any] = {**cell.held(), **cell.settings()}
        used = (name for name in _EXTRAS if has.get(name) is not None and has[name] is not False)
        reasons += [f"{_EXTRAS[name].format(cell=cell)}: {self.name} has none" for name in used if name not in held]
        if self.fixed.get("reset_after", has.get("reset_after")) != has.get("reset_after"):
            one, other = ("after", "before") if has["reset_after"] else ("before", "after")
            reasons.append(f"a reset {one} the recurrent kernel: {self.name} resets {other} it")
        return reasons

    def name_of(self, activation: Activation) -> str | Activation:
        """Return the framework's own name of an activation, or the activation where its numbers are stated too.

        Raises:
            Unsupported: it has none.
        """
        if self.states_numbers and self._can_name("", activation):
            return activation
        for name, meant in self.activations.items():
            if meant == activation:
                return name
        raise Unsupported(f"{self.name} has no name for the activation {activation}")

    def option_of(self, role: str) -> str:
        """Return the option that names the activation of a role; empty where it is fixed, or no cell of it has one.

        Args:
            role: gate, candidate or output.
        """
        return {"gate": self.gate_option, "output": self.output_option}.get(role) or (
            "" if role == "gate" else self.candidate_option
        )

    def _can_name(self, role: str, activation: Activation) -> bool:
        if self.states_numbers:
            known = self.activations.get(activation.name)
            return known is not None and set(known.parameters) == set(activation.parameters)
        if self.option_of(role):
            return activation in self.activations.values()
        return activation == (SIGMOID if role == "gate" else TANH)

    def _offers(self, role: str) -> str:
        if self.option_of(role):
            return "has no such activation"
        return f"computes only {SIGMOID if role == 'gate' else TANH}"


def _split_outside_parentheses(axes: str) -> list[str]:
    groups: list[str] = []
    for word in axes.split():
        if groups and groups[-1].count("(") > groups[-1].count(")"):
            groups[-1] += f" {word}"
        else:
            groups.append(word)
    return groups


def canonical_letter(letter: str) -> str:
    """Return the canonical letter of a gate that a framework may call otherwise."""
    return "g" if letter in _CANDIDATE_LETTERS else letter

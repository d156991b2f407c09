"""What was done to one layer: to each of its cells, or to its directions."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from lstm_convert.canonical import Cell, Recurrent
from lstm_convert.diagnosis import cells
from lstm_convert.diagnosis.cells import Explained
from lstm_convert.diagnosis.hypotheses import Units, reading
from lstm_convert.diagnosis.report import Mistake

FORWARD, BACKWARD = "forward", "backward"


@dataclass(frozen=True)
class Layer:
    """What was done to a layer.

    Args:
        right: the layer as it should be.
        other: the layer as it is.
        cells: for each direction of the right one, what was done to its cell; None where nothing known explains it.
        taken: for each direction of the right one, where its cell is in the other; a direction that is nowhere is not
            named.
    """

    right: Recurrent
    other: Recurrent
    cells: Mapping[str, Explained | None]
    taken: Mapping[str, str] = field(default_factory=dict)

    @property
    def explained(self) -> bool:
        """Whether known mistakes, or none, explain all that there is of it."""
        return bool(self.taken) and all(self.cells[direction] is not None for direction in self.taken)

    @property
    def residual(self) -> float | None:
        """The largest error left in any of its cells."""
        return _worst([self.cells[direction] for direction in self.taken])

    @property
    def outputs(self) -> Units | None:
        """Where each output of the other layer is in the right one, or None where nothing moved, or not by places."""
        concatenated = self.right.merge == self.other.merge == "concat"
        if not self.explained or (len(self.right.cells) > 1 and not concatenated):
            return None
        starts, start = {}, 0
        for direction, cell in self.right.cells.items():
            starts[direction], start = start, start + cell.outputs
        source = {taken: direction for direction, taken in self.taken.items()}
        blocks = [self._block(source[direction], starts[source[direction]]) for direction in self.other.cells]
        order, signs = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
        moved = (order != np.arange(len(order))).any() or (signs < 0).any()
        return Units(order, signs) if moved and len(order) == start else None

    def mistakes(self) -> list[Mistake]:
        """Return the mistakes made with this layer: those of the layer as a whole, then those of its cells."""
        return [*self._of_directions(), *self._of_wiring(), *self._of_cells()]

    def _block(self, direction: str, start: int) -> tuple[np.ndarray, np.ndarray]:
        found, outputs = self.cells[direction], self.right.cells[direction].outputs
        if found is None or found.units is None or "projection" in self.right.cells[direction].arrays():
            return np.arange(start, start + outputs), np.ones(outputs)
        return start + found.units.order, found.units.signs

    def _of_directions(self) -> list[Mistake]:
        name, found = self.right.name, []
        if missing := [direction for direction in self.right.cells if direction not in self.taken]:
            detail = f"the {missing[0]} direction is missing"
            found.append(Mistake("layer_missing", name, missing[0], detail, self.residual))
        elif len(self.other.cells) > len(self.right.cells):
            found.append(Mistake("layer_missing", name, BACKWARD, "a backward direction is added", self.residual))
        if self.taken and all(taken != direction for direction, taken in self.taken.items()) and not missing:
            detail = "the forward cell stands in the backward direction, and the backward one in the forward"
            found.append(Mistake("directions_exchanged", name, None, detail, self.residual))
        if self.right.go_backwards != self.other.go_backwards:
            ends = ("its end", "its start") if self.right.go_backwards else ("its start", "its end")
            detail = f"the sequence is to be read from {ends[0]} and is read from {ends[1]}"
            found.append(Mistake("directions_exchanged", name, None, detail, self.residual))
        return found

    def _of_wiring(self) -> list[Mistake]:
        merges = self.right.merge, self.other.merge
        if min(len(self.right.cells), len(self.other.cells)) == 1 or merges[0] == merges[1]:
            return []
        detail = f"the directions are merged by {merges[0]} in the right one, by {merges[1]} in the other"
        return [Mistake("unrelated", self.right.name, None, detail, None)]

    def _of_cells(self) -> list[Mistake]:
        found = []
        for direction, taken in self.taken.items():
            done, cell, other = self.cells[direction], self.right.cells[direction], self.other.cells[taken]
            if done is None:
                left = cells.distance(cell, other) if cells.comparable(cell, other) else None
                found.append(Mistake("unrelated", self.right.name, direction, cells.difference(cell, other), left))
                continue
            found += [
                Mistake(step.name, self.right.name, direction, step.detail, done.residual) for step in done.mistakes
            ]
        return found


def explained(right: Recurrent, other: Recurrent, inputs: Units | None = None) -> Layer:
    """Return what was done to a layer, as far as known mistakes explain it.

    Args:
        right: the layer as it should be.
        other: the layer as it is.
        inputs: how the outputs of the layer below were moved, which is no mistake of this one if it reads them so.
    """
    attempts = []
    for taken in _pairings(right, other):
        found = {
            direction: _explained(right.cells[direction], other.cells[place], inputs)
            for direction, place in taken.items()
        }
        layer = Layer(right, other, found, taken)
        if layer.explained:
            return layer
        attempts.append(layer)
    return max(attempts, key=lambda layer: sum(found is not None for found in layer.cells.values()))


def _pairings(right: Recurrent, other: Recurrent) -> list[dict[str, str]]:
    """Return where the cells of a layer may be in the other, each in its place first."""
    if right.backward and other.backward:
        return [{FORWARD: FORWARD, BACKWARD: BACKWARD}, {FORWARD: BACKWARD, BACKWARD: FORWARD}]
    if right.backward:
        return [{FORWARD: FORWARD}, {BACKWARD: FORWARD}]
    return [{FORWARD: FORWARD}]


def _explained(cell: Cell, other: Cell, inputs: Units | None) -> Explained | None:
    if inputs is not None and len(inputs.order) == cell.inputs:
        follows = reading(cell, inputs)
        if found := cells.explained(follows, other):
            return found
    return cells.explained(cell, other)


def _worst(found: list[Explained | None]) -> float | None:
    residuals = [done.residual for done in found if done is not None]
    return max(residuals) if residuals else None

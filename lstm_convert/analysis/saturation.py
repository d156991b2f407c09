"""What the gates did on the data: their means, how often they were shut or wide open, and units that move as one.

Sums are added up batch by batch, so that memory does not grow with the number of sequences.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lstm_convert.analysis.stepping import keeping_gate, opening_gates
from lstm_convert.analysis.traces import CellTrace

Float64 = NDArray[np.float64]

LEFT, RIGHT = 0.1, 0.9  # below the one a gate counts as shut, above the other as open


@dataclass(eq=False)
class Activity:
    """Running sums over the steps that count of one cell's traces.

    Args:
        units: the number of units.
        outputs: the width of h.
        gates: the gates that open and shut, once a batch was added.
        keeps: the one of them that keeps the state, if any.
    """

    units: int
    outputs: int
    sequences: int = 0
    steps: int = 0
    gates: str = ""
    keeps: str | None = None
    _sums: dict[str, Float64] = field(default_factory=dict)

    def add(self, traced: CellTrace) -> None:
        """Add a batch.

        Args:
            traced: the cell's trace.
        """
        counting = np.ones(traced.h.shape[:2], bool) if traced.counts is None else traced.counts
        self.gates, self.keeps = opening_gates(traced.stepper.cell), keeping_gate(traced.stepper.cell)
        self.sequences += traced.h.shape[1]
        self.steps += int(counting.sum())
        h = traced.h[counting]
        for gate in self.gates:
            opening = getattr(traced.steps, gate)[counting]
            self._add(f"mean_{gate}", opening.sum(axis=0))
            self._add(f"left_{gate}", (opening < LEFT).sum(axis=0))
            self._add(f"right_{gate}", (opening > RIGHT).sum(axis=0))
        if self.keeps is not None:
            kept = getattr(traced.steps, self.keeps)[counting]
            with np.errstate(divide="ignore"):  # a hard gate may be wholly shut, and then has kept nothing
                self._add("log_kept", np.log(np.abs(kept)).sum(axis=0))
        if not self._sums.get("shift", np.empty(0)).size:
            self._sums["shift"] = h.mean(axis=0)  # near the mean of all, so that squares of differences lose nothing
        h = h - self._sums["shift"]
        self._add("h", h.sum(axis=0))
        self._add("hh", h.T @ h)

    def _add(self, name: str, values: Float64) -> None:
        self._sums[name] = self._sums.get(name, 0.0) + values

    @property
    def mean(self) -> dict[str, Float64]:
        """The mean opening of each gate."""
        return {gate: self._sums[f"mean_{gate}"] / self.steps for gate in self.gates}

    @property
    def left(self) -> dict[str, Float64]:
        """How often each gate was nearly shut."""
        return {gate: self._sums[f"left_{gate}"] / self.steps for gate in self.gates}

    @property
    def right(self) -> dict[str, Float64]:
        """How often they were nearly wide open."""
        return {gate: self._sums[f"right_{gate}"] / self.steps for gate in self.gates}

    @property
    def geometric_mean(self) -> Float64 | None:
        """The geometric mean of the gate that keeps the state: what is kept over many steps is a product, not a sum."""
        return None if self.keeps is None else np.asarray(np.exp(self._sums["log_kept"] / self.steps))

    @property
    def covariance(self) -> Float64:
        """The covariance of h, (outputs, outputs)."""
        mean = self._sums["h"] / self.steps
        return np.asarray(self._sums["hh"] / self.steps - np.outer(mean, mean))

    @property
    def sd_h(self) -> Float64:
        """The standard deviation of each output."""
        return np.sqrt(np.maximum(np.diag(self.covariance), 0.0))

    def doubles(self, same: float, still: float) -> list[tuple[int, int, int]]:
        """Return the outputs that move as an earlier one does or against it: which, which other, and the sign.

        Args:
            same: how near to 1 a correlation has to be.
            still: outputs that move by less have no correlation.
        """
        sd = self.sd_h
        moving = sd >= still
        scale = np.where(moving, sd, 1.0)
        correlation = np.where(np.outer(moving, moving), self.covariance / np.outer(scale, scale), 0.0)
        close = np.tril(np.abs(correlation) > 1.0 - same, -1)
        return [(int(unit), int(close[unit].argmax()), int(np.sign(correlation[unit, close[unit].argmax()])))
                for unit in np.flatnonzero(close.any(axis=1))]  # fmt: skip

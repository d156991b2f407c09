"""Which unit of one cell is which of another's, up to sign: the assignment that makes their weights most alike.

The score of a pair is E + |O|, E from all that a flip of sign leaves as it is (what goes into every gate but the
candidate), O from what it flips (the candidate's input, the columns of U, what reads the unit). What U adds depends on
where other units go, so the assignment is repeated until it stands still, from several starts, and to move nothing is
always a candidate.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lstm_convert.analysis.assignment import assigned
from lstm_convert.analysis.moving import Units, flippable, moved_cell, unmoved
from lstm_convert.analysis.stepping import biases
from lstm_convert.canonical import RecurrentCell

Float64 = NDArray[np.float64]

_ROUNDS = 50
_STARTS = 3
_NULLS = 3


@dataclass(frozen=True, eq=False)
class Match:
    """Units of one cell found in another.

    Args:
        units: how the other's units move to stand where the one's do.
        scores: how alike each pair is, -1 to 1, (units,).
        margins: by how much each is more alike than the next best, (units,).
        raw: the cosine of all weights as they are.
        aligned: the same after the move.
        null: the same for a cell of the other's numbers, shuffled: what matching gives by chance.
    """

    units: Units
    scores: Float64
    margins: Float64
    raw: float
    aligned: float
    null: float


@dataclass(frozen=True, eq=False)
class _Flat:
    """A cell's weights in float64: kernels and biases as columns, (gates, units, inputs + 2), and what reads the units.

    `candidate` is the place of the candidate among the gates; `square` whether U reads the units themselves.
    """

    into: Float64
    recurrent: Float64
    reads: Float64
    square: bool
    candidate: int

    @classmethod
    def of(cls, cell: RecurrentCell, readout: Float64 | None) -> "_Flat":
        arrays, candidate = cell.arrays(), cell.letters.index("g")
        reads = [np.asarray(arrays[name], np.float64) for name in ("projection", "peephole") if name in arrays]
        square = "projection" not in arrays
        if readout is not None and square:
            reads.append(readout)
        outer, inner = biases(cell)
        both = np.zeros((*outer.shape, 2))
        both[..., 0], both[candidate, :, 1] = outer, inner
        into = np.concatenate([np.asarray(cell.W, np.float64), both], axis=2)
        stacked = np.concatenate(reads) if reads else np.zeros((0, cell.units))
        return cls(into, np.asarray(cell.U, np.float64), stacked, square, candidate)

    def moved(self, units: Units) -> "_Flat":
        into, recurrent = self.into[:, units.order].copy(), self.recurrent[:, units.order].copy()
        into[self.candidate] *= units.signs[:, None]
        recurrent[self.candidate] *= units.signs[:, None]
        columns = units.moved(recurrent) if self.square else recurrent
        return replace(self, into=into, recurrent=columns, reads=units.moved(self.reads))

    @property
    def vector(self) -> Float64:
        return np.concatenate([self.into.ravel(), self.recurrent.ravel(), self.reads.ravel()])

    @property
    def lengths(self) -> Float64:
        """The length of each unit's own weights, in and out."""
        squares = (self.into**2).sum(axis=(0, 2)) + (self.recurrent**2).sum(axis=(0, 2)) + (self.reads**2).sum(axis=0)
        return np.asarray(np.sqrt(squares + ((self.recurrent**2).sum(axis=(0, 1)) if self.square else 0.0)))

    def shuffled(self, rng: np.random.Generator) -> "_Flat":
        into, recurrent = (np.stack([rng.permutation(gate.ravel()).reshape(gate.shape) for gate in each])
                           for each in (self.into, self.recurrent))  # fmt: skip
        reads = rng.permutation(self.reads.ravel()).reshape(self.reads.shape)
        return replace(self, into=into, recurrent=recurrent, reads=reads)


def matched(
    cell: RecurrentCell,
    other: RecurrentCell,
    rng: np.random.Generator,
    *,
    inputs: Units | None = None,
    readouts: tuple[Float64 | None, Float64 | None] = (None, None),
) -> Match:
    """Return which units of another cell are which of one.

    Args:
        cell: the one, of the other's kind, with as many units, inputs and outputs.
        other: the other.
        rng: where the shuffles and the random starts come from.
        inputs: how what the other reads was moved; not at all where None.
        readouts: what reads the units of each, (readers, units), the same readers of both.
    """
    if inputs is not None:
        other = moved_cell(other, unmoved(other.units), inputs)
    if any(readout is None for readout in readouts):
        readouts = (None, None)
    one, two = (_Flat.of(each, readout) for each, readout in zip((cell, other), readouts, strict=True))
    signed = flippable(cell) and flippable(other)
    units = _best(one, two, rng, signed=signed)
    scores = np.asarray(_scores(one, two, units, signed=signed)[0])
    scale = np.outer(one.lengths, two.lengths)
    alike = np.divide(scores, scale, out=np.zeros_like(scores), where=scale > 0)
    chosen = alike[np.arange(len(alike)), units.order]
    rest = alike.copy()
    rest[np.arange(len(alike)), units.order] = -np.inf
    nulls = []
    for _ in range(_NULLS):
        chance = two.shuffled(rng)
        nulls.append(cosine(one.vector, chance.moved(_best(one, chance, rng, signed=signed, more=0)).vector))
    return Match(
        units,
        chosen,
        chosen - rest.max(axis=1) if len(alike) > 1 else np.full(1, np.inf),
        cosine(one.vector, two.vector),
        cosine(one.vector, two.moved(units).vector),
        float(np.mean(nulls)),
    )


def cosine(a: Float64, b: Float64) -> float:
    """Return the cosine of two vectors, 0 where one has no length."""
    scale = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / scale if scale else 0.0


def _best(one: _Flat, two: _Flat, rng: np.random.Generator, *, signed: bool, more: int = _STARTS) -> Units:
    count = one.into.shape[1]
    still = unmoved(count)
    starts: list[Units | None] = [still, None, *(Units(rng.permutation(count), np.ones(count)) for _ in range(more))]
    candidates = [still, *(_standing(one, two, start, signed=signed) for start in starts)]
    return max(candidates, key=lambda units: cosine(one.vector, two.moved(units).vector))


def _standing(one: _Flat, two: _Flat, units: Units | None, *, signed: bool) -> Units:
    for _ in range(_ROUNDS):
        scores, signs = _scores(one, two, units, signed=signed)
        order = assigned(scores)
        new = Units(order, signs[np.arange(len(order)), order])
        if units is not None and (new.order == units.order).all() and (new.signs == units.signs).all():
            break
        units = new
    return units if units is not None else unmoved(one.into.shape[1])


def _scores(one: _Flat, two: _Flat, units: Units | None, *, signed: bool) -> tuple[Float64, Float64]:
    """Return how well each pair of units fits, and with which sign, given where the others go (or without U)."""
    rows = one.into @ two.into.transpose(0, 2, 1)
    odd = one.reads.T @ two.reads
    if units is not None:
        columns = units.moved(two.recurrent) if two.square else two.recurrent
        rows = rows + one.recurrent @ columns.transpose(0, 2, 1)
        if two.square:
            across = two.recurrent[:, units.order].copy()
            across[two.candidate] *= units.signs[:, None]
            odd = odd + (one.recurrent.transpose(0, 2, 1) @ across).sum(axis=0)
    even, odd = np.delete(rows, one.candidate, axis=0).sum(axis=0), odd + rows[one.candidate]
    if not signed:
        return even + odd, np.ones_like(odd)
    return even + np.abs(odd), np.where(odd < 0, -1.0, 1.0)

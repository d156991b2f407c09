"""The history-swap curve: how much of what an output varies by comes from k steps back and beyond.

Everything of lag k and more is replaced by what another sequence had there, real and warm; what is nearer stays. With
y the output and y' that with the other history,

    share(k) = E (y - y')^2 / (2 Var y)

which is 1 at k = 0 and falls to 0 where nothing older matters (Jansen's estimate of a group's total effect).
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lstm_convert.analysis.bands import Band, shares
from lstm_convert.analysis.replay import Replay, output_names, partners

Float64 = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SwapCurve:
    """The curve and its band.

    Args:
        band: a row for each lag 0 … steps, a column for each of `outputs`.
        outputs: the names of the outputs; `*` is all of them together.
        sequences: how many sequences it was measured on.
        cut: the share by which outputs move when only the steps of `within()` are read, from zero states; None where
            that is every step, or the readout needs every one.
    """

    band: Band
    outputs: list[str]
    sequences: int
    cut: float | None = None

    def within(self, fraction: float = 0.99, output: int = -1, *, upper: bool = False) -> int | None:
        """Return the lag k so that this part of the effect lies within lags 0 … k, or None where nothing varies.

        Args:
            fraction: which part.
            output: which of the outputs.
            upper: whether the band's upper end has to be below, and not the value alone.
        """
        curve = (self.band.high if upper else self.band.value)[:, output]
        if np.isnan(curve).any():
            return None
        above = np.flatnonzero(curve > 1.0 - fraction)
        return int(above[-1]) if len(above) else 0


def history_swap(replay: Replay, rng: np.random.Generator) -> SwapCurve:
    """Measure the curve.

    Args:
        replay: the sequences, at least 2.
        rng: where chance comes from.
    """
    steps, count = replay.steps, replay.sequences
    squares = np.zeros((count, steps + 1, replay.y.shape[1]))
    order = rng.permutation(count)
    others = partners(order)
    for lag in range(steps):  # with all of its own history, at lag = steps, nothing is replaced
        counts = None if replay.counts is None else replay.counts[steps - lag :]
        mixed = replay.resumed(steps - lag, others, replay.x[steps - lag :], counts)
        squares[:, lag] = (replay.y - mixed) ** 2 / 2.0
    curve = SwapCurve(shares(squares, replay.y, rng, order), output_names(replay.readout), count)
    return replace(curve, cut=_cut(replay, curve.within()))


def _cut(replay: Replay, within: int | None) -> float | None:
    if within is None or within + 1 >= replay.steps or replay.readout.every:
        return None
    squares = (replay.y - replay.cut_off(within + 1)) ** 2 / 2.0
    return float(squares.mean(axis=0).sum() / replay.y.var(axis=0, ddof=1).sum())

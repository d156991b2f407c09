"""Shares of an output's variance with confidence bands, by drawing the sequences again and again (bootstrap)."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lstm_convert.analysis.replay import Indices, by_output

Float64 = NDArray[np.float64]

DRAWS = 1000
CONFIDENCE = 0.95
_CHUNK = 1 << 22  # numbers that are drawn at once


class Band(NamedTuple):
    """A value and its band, each (rows, columns of `output_names`)."""

    value: Float64
    low: Float64
    high: Float64


def shares(squares: Float64, y: Float64, rng: np.random.Generator, order: Indices | None = None) -> Band:
    """Return the mean of some squares as a share of the outputs' variance, with its band.

    The band is the middle 95 % of what other draws of as many sequences give, variance and all. Where sequences lend
    each other their past, neighbours in `order` share one, so whole blocks of neighbours are drawn: single ones would
    make the band too narrow. An output that does not vary has no shares: they are NaN.

    Args:
        squares: of each sequence, (batch, rows, outputs).
        y: the outputs, (batch, outputs).
        rng: where chance comes from.
        order: the sequences in the order in which neighbours share something; None where none do.
    """
    count = len(y)
    squares = by_output(squares)
    centred = y - y.mean(axis=0)
    weights = np.concatenate([np.full((1, count), 1 / count), _weights(count, rng, order)])
    variances = by_output(weights @ centred**2 - (weights @ centred) ** 2) * (count / (count - 1))
    rows, columns = squares.shape[1:]
    parts = []
    size = max(1, _CHUNK // (columns * len(weights)))
    for start in range(0, rows, size):
        part = squares[:, start : start + size]
        means = (weights @ part.reshape(count, -1)).reshape(len(weights), -1, columns)
        with np.errstate(invalid="ignore", divide="ignore"):
            ratios = np.where(variances[:, None] > 0, means / variances[:, None], np.nan)
        tail = 50.0 * (1.0 - CONFIDENCE)
        low, high = _percentiles(ratios[1:], [tail, 100.0 - tail])
        parts.append(np.stack([ratios[0], low, high]))
    return Band(*np.concatenate(parts, axis=1))


def _weights(count: int, rng: np.random.Generator, order: Indices | None) -> Float64:
    """Return how much each sequence counts in each draw, (draws, sequences); each draw sums to 1."""
    if order is None:
        return rng.multinomial(count, np.full(count, 1 / count), DRAWS) / count
    block = max(1, round(count**0.4))
    starts = rng.multinomial(-(-count // block), np.full(count, 1 / count), DRAWS)
    covered = np.sum([np.roll(starts, shift, axis=1) for shift in range(block)], axis=0)
    weights = np.empty((DRAWS, count))
    weights[:, order] = covered / covered.sum(axis=1, keepdims=True)
    return weights


def _percentiles(values: Float64, wanted: list[float]) -> Float64:
    """Return percentiles over the first axis, NaN where all are."""
    if np.isnan(values).all():
        return np.full((len(wanted), *values.shape[1:]), np.nan)
    filled = np.where(np.isnan(values), np.inf, values)  # a draw without variance says nothing against a large share
    return np.asarray(np.percentile(filled, wanted, axis=0, method="nearest"))

"""Whether several methods tell the same story: their lag profiles side by side."""

from collections.abc import Mapping
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]

FLAGGED_ABOVE = 0.2


def total_variation(a: Float64, b: Float64) -> float | None:
    """Return how far two profiles are apart: 0 the same shares, 1 nothing in common, None where one is all zero.

    Args:
        a: what each lag matters, never negative, in any unit.
        b: the same by another method.
    """
    sums = a.sum(), b.sum()
    if not all(np.isfinite(total) and total > 0 for total in sums):
        return None
    return float(0.5 * np.abs(a / sums[0] - b / sums[1]).sum())


def disagreement(profiles: Mapping[str, Float64]) -> list[tuple[str, str, float, bool]]:
    """Return every pair of methods, how far they are apart, and whether that is too far to trust one alone.

    Args:
        profiles: what each lag matters, by method.
    """
    found = []
    for (name, a), (other, b) in combinations(profiles.items(), 2):
        apart = total_variation(a, b)
        if apart is not None:
            found.append((name, other, apart, apart > FLAGGED_ABOVE))
    return found

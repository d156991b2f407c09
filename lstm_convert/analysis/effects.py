"""What one lag matters by itself: its input replaced by another sequence's, or by the mean, and all else left.

The sequences are run on from the states they had before that step, so that nothing before it is computed twice.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lstm_convert.analysis.bands import Band, shares
from lstm_convert.analysis.replay import Replay, output_names, partners

Float64 = NDArray[np.float64]

Method = Literal["resample", "occlusion"]
RESAMPLE: Method = "resample"
OCCLUSION: Method = "occlusion"


@dataclass(frozen=True, eq=False)
class Effects:
    """The effect of each step, or of each step and feature.

    Args:
        band: shares of the variance: a row for each step and feature, a column for each of `outputs`.
        steps: the number of steps, in the order of the sequence.
        features: the features of the rows, the same for each step; None stands for all of them together.
        outputs: the names of the outputs; `*` is all of them together.
        sequences: how many sequences it was measured on.
    """

    band: Band
    steps: int
    features: tuple[int | None, ...]
    outputs: list[str]
    sequences: int

    def at(self, step: int, feature: int | None = None, output: int = -1) -> tuple[float, float, float]:
        """Return a share and the ends of its band.

        Args:
            step: which step.
            feature: which feature; all together where None.
            output: which of the outputs.
        """
        row = (step % self.steps) * len(self.features) + self.features.index(feature)
        value, low, high = (float(part[row, output]) for part in self.band)
        return value, low, high


def effects(
    replay: Replay,
    rng: np.random.Generator,
    method: Method = RESAMPLE,
    *,
    features: tuple[int | None, ...] = (None,),
    baseline: Float64 | None = None,
) -> Effects:
    """Measure what each step matters.

    `resample` gives E (y - y')^2 / (2 Var y), the total effect of a step that is as any other sequence has it;
    `occlusion` gives E (y - y')^2 / Var y with the step at its baseline.

    Args:
        replay: the sequences, at least 2.
        rng: where chance comes from.
        method: what a step is replaced by.
        features: which features are replaced, one by one; None stands for all of them together.
        baseline: what occlusion puts in, (inputs,); the mean of these sequences where None.
    """
    baseline = replay.x.mean(axis=(0, 1)) if baseline is None else baseline
    scale = 2.0 if method == RESAMPLE else 1.0
    squares = np.empty((replay.sequences, replay.steps * len(features), replay.y.shape[1]))
    order = rng.permutation(replay.sequences)
    for step, x in enumerate(replay.x):
        other = x[partners(order)] if method == RESAMPLE else np.broadcast_to(baseline, x.shape)
        counts = None if replay.counts is None or method == OCCLUSION else replay.counts[step][partners(order)]
        for place, feature in enumerate(features):
            mixed = other if feature is None else x.copy()
            if feature is not None:
                mixed[:, feature] = other[:, feature]
            row = step * len(features) + place
            replaced = replay.replaced(step, mixed, counts if feature is None else None)
            squares[:, row] = (replay.y - replaced) ** 2 / scale
    lent = order if method == RESAMPLE else None
    return Effects(
        shares(squares, replay.y, rng, lent), replay.steps, features, output_names(replay.readout), replay.sequences
    )

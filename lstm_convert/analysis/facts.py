"""What is known of a model and its data, and the sentences that are made from it."""

from collections.abc import Mapping
from dataclasses import dataclass

from lstm_convert.analysis.before import Data
from lstm_convert.analysis.measuring import Overview
from lstm_convert.analysis.outputs import LookedAt
from lstm_convert.analysis.stacks import Stack
from lstm_convert.analysis.tables import Table


@dataclass(frozen=True)
class Sentence:
    """One sentence about a model.

    Args:
        topic: what it is about: the name of the pitfall, or `result`.
        basis: the grade of its numbers.
        text: the sentence.
    """

    topic: str
    basis: str
    text: str


@dataclass(frozen=True, eq=False)
class Facts:
    """What the sentences are made from.

    Args:
        stack: the layers.
        found: what the outputs are.
        data: what the layers read.
        tables: the tables of the analysis, by name.
        sequences: how many sequences the data has.
        steps: how many steps each has.
        seen: the features' statistics.
        seed: where chance started.
        within: the lag within which 99 % of the effect lies, by value and by the band's upper end; None if unknown.
        cut: the share by which outputs move when only the steps within that lag are read, from zero states, or None.
    """

    stack: Stack
    found: LookedAt
    data: Data
    tables: Mapping[str, Table]
    sequences: int
    steps: int
    seen: Overview
    seed: int
    within: tuple[int | None, int | None]
    cut: float | None

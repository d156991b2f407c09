"""A picture: what it shows, how it is read, the numbers behind it, and how it is drawn."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lstm_convert.analysis.tables import AT_REST, MEASURED, PROVEN

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Draw = Callable[["Figure"], None]

_GRADES = {PROVEN: "PROVEN", AT_REST: "AT REST", MEASURED: "MEASURED"}


@dataclass(frozen=True, eq=False)
class Picture:
    """One picture and all that belongs to it.

    Args:
        name: what its files are called, without an ending.
        basis: the grade of what it shows.
        grade: the grade in words, with its operating point or number of sequences.
        title: what it shows, without the grade.
        sentence: how to read it.
        header: the columns of its table.
        rows: the rows of its table; a number that is not there is None.
        source: the table that has every number.
        size: width and height in inches.
        draw: draws it into an empty figure.
    """

    name: str
    basis: str
    grade: str
    title: str
    sentence: str
    header: Sequence[str]
    rows: Sequence[Sequence[Any]]
    source: str
    size: tuple[float, float]
    draw: Draw

    @property
    def full_title(self) -> str:
        """The title as it stands above the picture: the grade first."""
        return f"{self.grade}: {self.title}"


def graded(basis: str, *, n: int | None = None, most: int | None = None, point: str = "") -> str:
    """Return a grade in words: `PROVEN`, `AT REST x = (…)`, `MEASURED n = …`.

    Args:
        basis: the grade.
        n: on how many sequences it was measured, at least.
        most: on how many at most, where methods looked at different numbers of them.
        point: the operating point, which names its grade itself.
    """
    if point:
        return point
    if n is None:
        return _GRADES[basis]
    return f"{_GRADES[basis]} n = {n}" + (f" to {most}" if most not in (None, n) else "")


def step_name(offset: int) -> str:
    """Return how a step is called: t-5, t, t+1.

    Args:
        offset: its time less that of the step which is read.
    """
    return f"t{offset:+d}" if offset else "t"

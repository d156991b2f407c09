"""How far a file may unfold: compressed, repeated or linked to under many names, its arrays are larger than itself."""

from lstm_convert.errors import InvalidFile

ALWAYS_ALLOWED = 1 << 26
"""So many bytes any file may unfold to."""
MOST_TIMES = 10
"""A larger one may be so many times as large as what is stored; trained weights hardly shrink at all."""


def refuse_bomb(claimed: int, held: int) -> None:
    """Raise where what a file would unfold to is out of all proportion.

    Args:
        claimed: how many bytes all of it would take.
        held: how many bytes there are of it.

    Raises:
        InvalidFile: it is a bomb, or compressed beyond what is read.
    """
    if claimed > max(ALWAYS_ALLOWED, MOST_TIMES * held):
        raise InvalidFile(
            f"it would grow from {held} to {claimed} bytes",
            [f"expected at most {MOST_TIMES} times as many, or {ALWAYS_ALLOWED}"],
            "If the file is what it should be, save it again without compression.",
        )

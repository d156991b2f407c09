"""Attacks on the reader, each built here by a few lines: what it is, and what the refusal must say."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Attack:
    """One hostile file.

    Args:
        name: what it tries.
        file: what it is called.
        build: writes it, and what lies beside it, to a folder.
        said: what the refusal's text must have in it.
        config: the name of the file that is given as the architecture, if one is.
        use: what reads it: `convert`, or the function of another command.
    """

    name: str
    file: str
    build: Callable[[Path], None]
    said: str
    config: str | None = None
    use: str = "convert"

    def __str__(self) -> str:
        return self.name

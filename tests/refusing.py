"""What the tests of bad input share: what they refuse, and that nothing has changed afterwards."""

from collections.abc import Callable
from pathlib import Path

from helpers import FIXTURES

KERAS_1, KERAS_2, KERAS_3, TORCH = (
    FIXTURES / folder for folder in ("keras-1.2.2", "keras-2.2.0", "keras-3.15.1", "torch-2.13")
)
KNOWN_BYTES = b"what the target held before"
Refused = Callable[..., list[str]]


def folder_of(path: Path) -> str:
    """Return the fixtures' folder that a path is, or lies in; it names a test."""
    return path.parent.name if path.suffix in (".h5", ".keras") else path.name


def everything_below(folder: Path) -> dict[Path, bytes | None]:
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}

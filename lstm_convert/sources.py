"""The files that a source consists of: none of them is written over, and none may change while it is read."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from glob import escape
from pathlib import Path

from lstm_convert.errors import InvalidFile
from lstm_convert.formats import FORMATS

CHANGED = "changed while it was read"
AGAIN = "Wait until whoever writes it is done, and try again."

# The endings of files that have others beside them.
_OF_SEVERAL = [(ending, entry) for entry in FORMATS if entry.beside or entry.parts for ending in entry.read_as]


def told(name: str) -> str:
    """Return a file's name as files and tables can tell it: with `?` for each byte that is no text."""
    return name.encode(errors="replace").decode()


def files_of(source: Path) -> Iterator[Path]:
    """Yield the files that a source may consist of.

    Args:
        source: the file that is given.
    """
    yield source
    for ending, entry in _OF_SEVERAL:
        if source.name.endswith(ending):
            if entry.beside:
                yield source.with_suffix(entry.beside)
            if entry.parts:
                yield from source.parent.glob(escape(source.name.removesuffix(ending)) + entry.parts)


def check_apart(source: Path, written: Iterable[Path]) -> None:
    """Raise where what is to be written is the source.

    Args:
        source: the file that is given.
        written: the files that are to be written, or to go.

    Raises:
        InvalidFile: one of them is, by whatever name.
    """
    there = list(_found(written))
    if any(os.path.samestat(read, other) for read in _found(files_of(source)) for other in there):
        raise InvalidFile("is the source itself", next_step="Use another name; the source is never replaced.")


def _found(paths: Iterable[Path]) -> Iterator[os.stat_result]:
    """Yield what the system notes of files; one that is not there, or cannot be looked at, is reported by who opens it.

    Args:
        paths: the files.
    """
    for path in paths:
        with suppress(OSError):
            yield path.stat()


def watched(source: Path) -> Callable[[], bool]:
    """Return what tells whether a source has changed since this was called, as far as the system notes it.

    Args:
        source: the file that is given.
    """
    before = noted(source)
    return lambda: noted(source) != before


def noted(source: Path) -> dict[str, tuple[int, ...]]:
    """Return which files a source's are, by name, how large they are and when they were last written.

    Args:
        source: the file that is given.
    """
    found: dict[str, tuple[int, ...]] = {}
    for path in files_of(source):
        with suppress(OSError):
            said = path.stat()
            found[path.name] = (said.st_dev, said.st_ino, said.st_size, said.st_mtime_ns)
    return found

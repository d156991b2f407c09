"""Which files a collection has, and where each is converted to; all that can be refused before anything is written."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from lstm_convert.collection.archive import check
from lstm_convert.collection.places import Found, is_url, matches, unchained, within
from lstm_convert.errors import InvalidFile, UnknownFormat, naming
from lstm_convert.formats import FORMATS, for_writing

_MOST_LISTED = 20


@dataclass(frozen=True, slots=True)
class Task:
    """One file of a collection.

    Args:
        source: its path or URL.
        target: what it is converted to.
        size: how many bytes the source has.
    """

    source: str
    target: str
    size: int


def find(patterns: Sequence[str], to: str, out: str) -> list[Task]:
    """Return the files of a collection, in the order of the patterns and of their names.

    Of each, the folders below the pattern's fixed part are kept. A file that several patterns find counts once. What
    lies in the folder for the results is no source where that is inside of a pattern's fixed part.

    Args:
        patterns: paths and URLs, with `*` and `**` or without.
        to: the ending of all results.
        out: the folder for the results.

    Raises:
        UnknownFormat: nothing is written under this ending.
        InvalidFile: a pattern finds nothing, a name leads out of the folder, two files would become one, or one would
            replace a source.
        MissingFramework: what reaches such a URL is not installed.
    """
    ending = _ending(to)
    check(out)
    found: dict[str, Task] = {}
    results = _real(out)
    for pattern in patterns:
        with naming(pattern):
            folder, files = matches(pattern)
            inside = results.startswith(f"{_real(folder)}/")
            files = [file for file in files if not (inside and _real(file.place).startswith(f"{results}/"))]
            if not files:
                raise InvalidFile("finds no file", next_step="Name files, or a pattern such as 'models/**/*.h5'.")
            for file in files:
                found.setdefault(file.place, Task(file.place, _target(file, ending, out), file.size))
    tasks = list(found.values())
    _check_apart(tasks, ending)
    return tasks


def _ending(to: str) -> str:
    ending = f".{to.removeprefix('.')}"
    with naming(f"--to {to}"):
        _, known = for_writing(Path(f"model{ending}"))
        if known != ending:
            raise UnknownFormat("is no ending alone", next_step=f"Write --to {known.removeprefix('.')}.")
    return ending


def _target(file: Found, ending: str, out: str) -> str:
    """Return where a file is converted to; its name may come out of an archive, so that it may be any text."""
    below = PurePath(file.below)
    if below.anchor or ".." in below.parts:
        raise InvalidFile(f"{file.below!r} leads out of its folder", next_step="Leave this file out of the pattern.")
    return within(out, below.with_name(_stem(below.name) + ending).as_posix())


def _stem(name: str) -> str:
    """Return a name without the longest ending that a file of a known kind may have."""
    endings = [ending for entry in FORMATS for ending in entry.read_as if name.endswith(ending)]
    return name.removesuffix(max(endings, key=len, default="")) or name


def _real(place: str) -> str:
    """Return the one name of a file that links may give others."""
    if not is_url(place):
        return os.path.realpath(place)
    before, archive = unchained(place)
    protocol, _, path = before.partition("://")
    return f"{_real(archive[2:])}/{path}".rstrip("/") if archive else f"{protocol}://{path.strip('/')}"


def _check_apart(tasks: Sequence[Task], ending: str) -> None:
    """Refuse a collection of which two files would become one, or one would replace a source."""
    entry, _ = for_writing(Path(f"model{ending}"))
    endings = [ending, entry.beside] if entry.beside else [ending]
    sources = {_real(task.source): task.source for task in tasks}
    becomes: dict[str, Task] = {}
    clashes, replaced = [], []
    for task in tasks:
        before, archive = unchained(task.target)
        for each in endings:
            written = before.removesuffix(ending) + each + archive
            name = _real(written)
            first = becomes.setdefault(name, task)
            if first is not task:
                clashes.append(f"{written}: {first.source} and {task.source}")
            if name in sources:
                replaced.append(f"{sources[name]}, by the result of {task.source}")
    if clashes:
        raise InvalidFile(
            "several files would become one",
            _listed(clashes),
            "Name fewer files, or run once for each kind; a pattern in quotes, 'models/**/*.h5', keeps folders.",
        )
    if replaced:
        raise InvalidFile("sources would be replaced", _listed(replaced), "Choose another folder for the results.")


def _listed(lines: list[str]) -> list[str]:
    more = len(lines) - _MOST_LISTED
    return lines[:_MOST_LISTED] + ([f"and {more} more"] if more > 0 else [])

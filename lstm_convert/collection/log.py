"""The log of a collection, `batch.jsonl` among its results: a line a file, by which a later run skips what is done."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import IO, Any

from lstm_convert.collection import places
from lstm_convert.collection.work import CONVERTED, SKIPPED, Finished, Outcome
from lstm_convert.errors import naming, not_written

NAME = "batch.jsonl"


class Log:
    """A log that is open.

    Args:
        file: the log.
        key: of the options that are in force.
    """

    def __init__(self, file: IO[str], key: str) -> None:
        self._file = file
        self._key = key

    def finished(self) -> dict[str, Finished]:
        """Return what was converted with these options, by source; a line that a kill cut off says nothing."""
        self._file.seek(0)
        found, line = {}, "\n"
        for line in self._file:
            known = _converted(line)
            if known and known["options"] == self._key:
                found[known["source"]] = Finished(known["sha256"], known["written"])
        if not line.endswith("\n"):
            self._file.write("\n")
        return found

    def add(self, outcome: Outcome) -> None:
        """Write the line of a file, unless it is there from an earlier run.

        Args:
            outcome: what became of the file.

        Raises:
            InvalidFile: it cannot be written.
        """
        if outcome.status == SKIPPED:
            return
        try:
            self._file.write(json.dumps({**outcome.line(), "options": self._key}) + "\n")
            self._file.flush()
        except OSError as error:
            raise not_written(error).about(self._file.name) from error


@contextmanager
def opened(out: str, key: str) -> Iterator[Log]:
    """Open the log among the results, and make their folder; one under a URL is uploaded at the end, be it an error.

    Args:
        out: the folder of the results.
        key: of the options that are in force.

    Raises:
        InvalidFile: it cannot be written.
        MissingFramework: what reaches such a URL is not installed.
    """
    place = places.within(out, NAME)
    if not places.is_url(out):
        with _appended(Path(place)) as file:
            yield Log(file, key)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, NAME)
        with naming(place):
            _fetch(place, path)
        before = path.stat().st_size
        try:
            with _appended(path) as file:
                yield Log(file, key)
        finally:
            if path.stat().st_size != before:
                with naming(place):
                    places.put(path, place)


def _fetch(place: str, path: Path) -> None:
    """Bring the log here; where there is none, put an empty one there, which shows before any work whether one may."""
    if places.exists(place):
        places.fetched(place, path.parent)
    else:
        path.touch()
        places.put(path, place)


def _appended(path: Path) -> IO[str]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("a+", encoding="utf-8")
    except OSError as error:
        raise not_written(error).about(path) from error


def _converted(line: str) -> dict[str, Any] | None:
    """Return a line of the log that says how a file was converted; a name in it is never taken for a path."""
    try:
        known = json.loads(line)
        if known["status"] == CONVERTED and all(map(_is_name, known["written"])):
            return {name: known[name] for name in ("source", "sha256", "options", "written")}
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return None


def _is_name(text: str) -> bool:
    return PurePath(text).name == text and text not in ("", "..")

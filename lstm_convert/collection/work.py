"""What is done with each file of a collection, wherever the process that does it runs."""

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lstm_convert.collection import places
from lstm_convert.collection.archive import inside
from lstm_convert.collection.finding import Task
from lstm_convert.errors import InvalidFile, LstmConvertError
from lstm_convert.sources import AGAIN, CHANGED, told, watched

CONVERTED, SKIPPED, FAILED = "converted", "skipped", "failed"


@dataclass(frozen=True)
class Finished:
    """What the log says of a file that an earlier run converted.

    Args:
        sha256: of the source.
        written: the SHA-256 of each file that was written, by its name.
    """

    sha256: str
    written: Mapping[str, str]


@dataclass(frozen=True)
class Job:
    """What is asked for every file of a collection.

    Args:
        options: as `convert` takes them.
        folder: the one that relative paths start from.
        scratch: a folder of the results' filesystem to make them in; None where they go to a URL.
        unpacked: the folder that stands for the archive that the results go into, if they do.
        proof: whether each result gets its proof beside it.
        force: whether existing targets are replaced.
        gates: whether the statistics of the gates are asked for.
    """

    options: Mapping[str, Any]
    folder: str
    scratch: str | None
    unpacked: str | None
    proof: bool
    force: bool
    gates: bool


@dataclass(frozen=True)
class Outcome:
    """What became of one file of a collection.

    Args:
        source: its path or URL.
        target: what it was to be converted to.
        status: converted; skipped, since an earlier run did it; or failed.
        sha256: of the source, where it was read.
        facts: what is known of the conversion, or of the error, as plain values.
        gates: the columns of the gates' table, where it was asked for.
    """

    source: str
    target: str
    status: str
    sha256: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    gates: Mapping[str, list[Any]] | None = None

    def line(self) -> dict[str, Any]:
        """Return the outcome as a line of the log has it."""
        known = {"source": self.source, "target": self.target, "status": self.status, "sha256": self.sha256}
        return {**known, **self.facts}


def work_on(job: Job, tasks: Sequence[tuple[Task, Finished | None]]) -> list[Outcome]:
    """Convert files one after another; what is wrong with one is its outcome, and the next one's turn.

    Args:
        job: what is asked for each.
        tasks: the files, and what an earlier run did.
    """
    try:
        with _folder(job.scratch) as fetched, _folder(job.scratch) as made:
            return [_outcome(job, task, finished, Path(fetched), Path(made)) for task, finished in tasks]
    except OSError as error:  # no folder can be made
        what = InvalidFile(f"cannot be worked on: {error}", next_step="Free some space, or choose another folder.")
        return [Outcome(task.source, task.target, FAILED, facts=_failure(what)) for task, _ in tasks]


def _folder(inside: str | None) -> "tempfile.TemporaryDirectory[str]":
    return tempfile.TemporaryDirectory(dir=inside, ignore_cleanup_errors=True)


def lost(task: Task, error: Exception) -> Outcome:
    """Return the outcome of a file whose worker was lost.

    Args:
        task: the file.
        error: what the executor said.
    """
    what = LstmConvertError(
        "the process that worked on it was lost",
        [f"{type(error).__name__}: {error}"],
        "Convert it alone to see why; where memory ran out, use fewer workers.",
    )
    return Outcome(task.source, task.target, FAILED, facts=_failure(what))


def _outcome(job: Job, task: Task, finished: Finished | None, fetched: Path, made: Path) -> Outcome:
    start = time.perf_counter()
    sha256, gates, facts = None, None, dict[str, Any]()
    try:
        source = places.absolute(task.source, job.folder)
        target = (
            str(Path(job.unpacked, inside(task.target))) if job.unpacked else places.absolute(task.target, job.folder)
        )
        files = places.fetched(source, fetched)
        has_changed, sha256 = watched(files[0]), _sha256(files)
        if job.gates:
            gates = _gates(files[0], job.options)
        with _naming_target(target):
            is_done = finished is not None and _is_whole(target, finished, sha256)
        if is_done:
            status = SKIPPED
        else:
            facts = _convert(job, target, files[0], made)
            _check_unchanged(has_changed)
            with _naming_target(target):
                facts["written"] = _place(made, target, task.target, force=job.force)
            status = CONVERTED
    except LstmConvertError as error:
        status, facts = FAILED, _failure(error)
    except Exception as error:  # noqa: BLE001 (whatever one file does, it is the next one's turn)
        mistake = LstmConvertError(
            f"unexpected {type(error).__name__}",
            str(error).splitlines(),
            "This is a mistake of lstm-convert: please report it.",
        )
        status, facts = FAILED, _failure(mistake)
    finally:
        for folder in [made, fetched] if places.is_url(task.source) else [made]:
            _empty(folder)
    facts = {**facts, "seconds": round(time.perf_counter() - start, 4)}
    return Outcome(task.source, task.target, status, sha256, facts, gates)


@contextmanager
def _naming_target(target: str) -> Iterator[None]:
    """Name a target under a URL in what is said of it: the outcome of a file names its source."""
    try:
        yield
    except LstmConvertError as error:
        if not places.is_url(target):
            raise
        raise type(error)(error.reason, [f"to {target}", *error.details], error.next_step) from error


def _empty(folder: Path) -> None:
    with os.scandir(folder) as left:
        for entry in left:
            shutil.rmtree(entry) if entry.is_dir(follow_symlinks=False) else Path(entry).unlink()


def _sha256(files: Sequence[Path]) -> str:
    """Return the SHA-256 of a source; of one that consists of several files, that of theirs."""
    digests = [places.digest(str(file)) or "" for file in files]
    if "" in digests:
        raise InvalidFile("is not there", next_step="Name a file that exists.")
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


def _check_unchanged(has_changed: Callable[[], bool]) -> None:
    if has_changed():
        raise InvalidFile(CHANGED, next_step=AGAIN)


def _gates(path: Path, options: Mapping[str, Any]) -> Mapping[str, list[Any]]:
    """Return the columns of the gates' table of a file, whatever becomes of its conversion."""
    from lstm_convert.analysis.inventory import gates  # noqa: PLC0415 (only for a table)
    from lstm_convert.conversion import load  # noqa: PLC0415 (who only hands out work needs no NumPy)

    reading = {name: options[name] for name in ("config", "recurrent_activation", "graph") if name in options}
    return gates(load(path, **reading).layers, told(path.stem)).columns


def _is_whole(target: str, finished: Finished, sha256: str) -> bool:
    """Return whether all that an earlier run wrote for a source is still as it wrote it."""
    return finished.sha256 == sha256 and all(
        places.digest(places.next_to(target, name)) == digest for name, digest in finished.written.items()
    )


def _convert(job: Job, target: str, source: Path, made: Path) -> dict[str, Any]:
    """Convert a source into a folder, under its target's name, and return what is known of it."""
    from lstm_convert.conversion import convert  # noqa: PLC0415 (who only hands out work needs no NumPy)

    result = made / Path(target).name
    done = convert(source, result, proof=job.proof, **job.options)
    return {
        "format": done.format,
        "proof": asdict(done.proof),
        "left_out": [
            entry.key for entry in done.source.left_out if entry.purpose == "weight" and not done.source.network
        ],
        "assumed": list(done.source.assumed),
        "notes": list(done.source.notes),
    }


def _place(made: Path, target: str, shown: str, *, force: bool) -> dict[str, str]:
    """Put all files of a folder beside a target, which errors show otherwise, itself last; return their SHA-256.

    Where just this is there already, as after a run that was killed before it could say so, nothing is to do.

    Raises:
        InvalidFile: something else is there, or it cannot be written.
    """
    files = sorted(made.iterdir(), key=lambda file: file.name == Path(target).name)
    new = {file.name: str(places.digest(str(file))) for file in files}
    old = {name: places.digest(places.next_to(target, name)) for name in new}
    for name, digest in old.items():
        if digest not in (None, new[name]) and not force:
            raise InvalidFile(
                "exists already, and is not what would be written",
                [f"found {places.next_to(shown, name)}"],
                "Use another folder, or --force to replace it.",
            )
    for file in files:
        if old[file.name] != new[file.name]:
            places.put(file, places.next_to(target, file.name))
    return new


def _failure(error: LstmConvertError) -> dict[str, Any]:
    """Return an error as plain values; its reason names no file, so that reasons can be counted."""
    return {
        "error": type(error).__name__,
        "reason": error.reason,
        "details": list(error.details),
        "next_step": error.next_step,
    }

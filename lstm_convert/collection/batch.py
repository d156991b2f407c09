"""Convert a collection of files: find them, hand them out, log what becomes of each, and count."""

import hashlib
import json
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict, Unpack

from lstm_convert import __version__
from lstm_convert.collection import archive, gate_table, log, places, stopping
from lstm_convert.collection.finding import find
from lstm_convert.collection.running import Crew, Here, Processes, outcomes
from lstm_convert.collection.work import CONVERTED, FAILED, SKIPPED, Job, Outcome
from lstm_convert.errors import InvalidFile, naming

PathLike = str | os.PathLike[str]

_AT_ONCE = 32  # that an executor is taken to do where nobody says how much it does


class Options(TypedDict, total=False):
    """The options of `convert` that hold for every file of a collection."""

    config: PathLike | None
    recurrent_activation: str | None
    graph: str | None
    stack: bool
    rename: Mapping[str, str] | None
    allow: Iterable[str]
    dtype: str | None
    custom_layer: bool
    lstm_only: bool


@dataclass(frozen=True)
class Collection:
    """What became of a collection.

    Args:
        converted: how many files were converted.
        skipped: how many an earlier run had converted, and are still as it left them.
        failed: how many were not converted.
        reasons: how many of these failed for each reason.
        log: the file with a JSON line for each file of the collection.
    """

    converted: int
    skipped: int
    failed: int
    reasons: Mapping[str, int]
    log: str


def batch(
    sources: PathLike | Iterable[PathLike],
    to: str,
    out: PathLike,
    *,
    executor: Executor | None = None,
    workers: int | None = None,
    table: PathLike | None = None,
    proof: bool = False,
    force: bool = False,
    each: Callable[[Outcome], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
    **options: Unpack[Options],
) -> Collection:
    """Convert many files, each as `convert` does; what is wrong with one holds up no other.

    What an earlier run with the same options converted is skipped, where neither source nor result has changed since. A
    KeyboardInterrupt is raised once the files are finished and logged that are being worked on; a second one at once.

    Args:
        sources: paths, URLs and patterns such as `models/**/*.h5`; the folders below a pattern's fixed part are kept.
        to: the ending of the results, which says what they are to be: `safetensors`, `keras`, `py` …
        out: the folder for the results and the log, `batch.jsonl`: a path, URL, or `zip://::results.zip`.
        executor: who does the work: of threads, processes or machines. One that breaks is replaced by processes of this
            machine. None for `workers`.
        workers: how many processes to start; with an executor, how much it does at once; None to work in this process.
        table: a `.parquet` or `.csv` file for the statistics of all gates, by file.
        proof: whether each result gets its proof beside it, as with `convert --proof`.
        force: whether other files that are in the way are replaced.
        each: called with what became of each file, in the order of the files.
        progress: called with how many files are done, and how many there are.
        **options: as `convert` takes them.

    Returns:
        How many files were converted, skipped, and failed, with the reasons.

    Raises:
        LstmConvertError: nothing was begun: a pattern finds nothing, two files would become one, or the like.
    """
    asked = _checked(options)
    out = places.named(out)
    patterns = [sources] if isinstance(sources, str | os.PathLike) else sources
    tasks = find([places.named(pattern) for pattern in patterns], to, out)
    if table is not None:
        table = places.named(table)
        gate_table.check(table, force=force)
    statuses, reasons = Counter[str](), Counter[str]()
    with ExitStack() as stack:
        unpacked = str(stack.enter_context(archive.unpacked(out))) if "::" in out else None
        folder = out if unpacked is None else places.within(unpacked, archive.inside(out))
        journal = stack.enter_context(log.opened(folder, _key(to, asked, proof=proof)))
        finished = journal.finished()
        told: list[Callable[[Outcome], None]] = [journal.add]
        if table is not None:
            told.append(stack.enter_context(gate_table.opened(table)))
        if each is not None:
            told.append(each)
        scratch = None if places.is_url(folder) else stack.enter_context(_scratch(folder))
        job = Job(asked, str(Path.cwd()), scratch, unpacked, proof=proof, force=force, gates=table is not None)
        at_once = workers or (1 if executor is None else _AT_ONCE)
        if executor is None:
            executor = Here() if workers is None else stack.enter_context(Processes(min(workers, len(tasks))))
        crew = stack.enter_context(Crew(job, executor, at_once))
        stopped = stack.enter_context(stopping.put_off())
        done = outcomes(
            crew,
            [(task, finished.get(task.source)) for task in tasks],
            at_once,
            lambda number: None if progress is None else progress(number, len(tasks)),
            stopped,
        )
        for outcome in done:
            for tell in told:
                tell(outcome)
            statuses[outcome.status] += 1
            if outcome.status == FAILED:
                reasons[outcome.facts["reason"]] += 1
    return Collection(
        statuses[CONVERTED],
        statuses[SKIPPED],
        statuses[FAILED],
        dict(reasons.most_common()),
        places.within(out, log.NAME),
    )


def _checked(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options as they hold anywhere, those that ask for nothing left out."""
    if unknown := options.keys() - Options.__annotations__.keys():
        raise TypeError(f"batch() takes no {', '.join(sorted(unknown))}")
    asked = {name: value for name, value in options.items() if value}
    if "allow" in asked:
        asked["allow"] = sorted(asked["allow"])
    if "config" in asked:
        asked["config"] = str(Path(asked["config"]).absolute())
    return asked


def _key(to: str, asked: Mapping[str, Any], *, proof: bool) -> str:
    """Return what stands for the options, and for this version of lstm_convert, in the log."""
    said = {**asked, "to": to.removeprefix("."), "proof": proof, "lstm_convert": __version__}
    if "config" in asked:
        with naming(asked["config"]):
            said["config"] = places.digest(asked["config"])
            if said["config"] is None:
                raise InvalidFile("is not there", next_step="Name a file that exists.")
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]


def _scratch(out: str) -> "tempfile.TemporaryDirectory[str]":
    """Return a folder to make results in; with it goes what a worker that was killed left."""
    return tempfile.TemporaryDirectory(dir=Path(out).absolute(), prefix=".lstm-convert-", ignore_cleanup_errors=True)

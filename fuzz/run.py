"""Hostile files by the thousand: mutations of every fixture, loaded and converted under a watch.

    python fuzz/run.py --files 100000 --seed 1 [--workers 2] [--log FILE]
    python fuzz/run.py --seed 1 --only 4711 --keep FOLDER

Each file must load and convert, or be refused with an error of lstm_convert's own that names it, within 5 s of
processor time and 1 GB of memory. No process may die of it, nothing may be printed, and no output may stay behind a
refusal. Exit 0 if that is so, 1 if not. The second form writes one file of a run to a folder and says what becomes of
it.

Needs Linux (it reads /proc) and no more than lstm_convert itself needs.
"""

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before NumPy: a process that is forked must have no threads

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from mutations import mutant
from seeds import Seed, seeds_by_kind
from watched import LARGEST_MEMORY, Outcome, warm_up, watched

_MOST_SHOWN = 20


def main() -> int:
    """Run and print the summary; return the exit code."""
    parser = argparse.ArgumentParser(description="Load and convert hostile files under a watch.")
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="the number of the first file")
    parser.add_argument("--only", type=int, help="the number of one file")
    parser.add_argument("--keep", type=Path, help="where to write that one file")
    parser.add_argument("--log", type=Path, help="where to write a JSON line a file")
    arguments = parser.parse_args()
    kinds = seeds_by_kind()
    warm_up(kinds)
    if arguments.only is not None:
        return one(kinds, arguments.seed, arguments.only, arguments.keep)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        log = arguments.log or Path(folder, "log.jsonl")
        log.write_bytes(b"")
        numbers = range(arguments.first, arguments.first + arguments.files)
        share(kinds, arguments.seed, numbers, arguments.workers, log)
        outcomes = [Outcome(**json.loads(line)) for line in log.read_text("utf-8").splitlines()]
    print(summary(kinds, outcomes, time.monotonic() - started, arguments.seed))
    return 1 if any(outcome.failed for outcome in outcomes) or len(outcomes) < arguments.files else 0


def one(kinds: dict[str, list[Seed]], seed: int, number: int, keep: Path | None) -> int:
    """Say what becomes of one file; write it where it is wanted."""
    file = mutant(kinds, seed, number)
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        for name, content in file.files.items():
            (keep / name).write_bytes(content)
    (outcome,) = watched(kinds, seed, [number])
    print(f"{file.origin}, as {', '.join(file.files)}\n{outcome}")
    return int(outcome.failed)


def share(kinds: dict[str, list[Seed]], seed: int, numbers: range, workers: int, log: Path) -> None:
    """Let each of some processes watch its part of the files, and write what it sees to the log, a line a file."""
    processes = []
    for worker in range(workers):
        process = os.fork()
        if process == 0:
            with log.open("a", encoding="utf-8", buffering=1) as lines:
                for outcome in watched(kinds, seed, list(numbers[worker::workers])):
                    lines.write(json.dumps(asdict(outcome)) + "\n")
                    if outcome.failed:
                        print(outcome, file=sys.stderr, flush=True)
            os._exit(0)
        processes.append(process)
    for process in processes:
        os.waitpid(process, 0)


def summary(kinds: dict[str, list[Seed]], outcomes: list[Outcome], seconds: float, seed: int) -> str:
    """Return the run in lines: how many files of which kind, what became of them, the slowest and the largest."""
    counts = Counter((outcome.kind, _column(outcome)) for outcome in outcomes)
    columns = ["converted", "read", "refused", "failed"]
    width = max(map(len, kinds))
    lines = [
        f"{len(outcomes)} files, seed {seed}, {seconds:.0f} s",
        f"{'kind':{width}}" + "".join(f"{name:>11}" for name in columns),
    ]
    lines += [f"{kind:{width}}" + "".join(f"{counts[kind, name]:11}" for name in columns) for kind in kinds]
    lines.append(f"{'all':{width}}" + "".join(f"{sum(counts[kind, name] for kind in kinds):11}" for name in columns))
    lines += [f"{count:7} {name}" for name, count in Counter(outcome.outcome for outcome in outcomes).most_common()]
    slowest, largest = max(outcomes, key=lambda each: each.seconds), max(outcomes, key=lambda each: each.memory)
    lines.append(f"slowest: {slowest.seconds:.2f} s, file {slowest.number}, {slowest.kind}")
    lines.append(
        f"largest: {largest.memory / 1e6:.0f} MB of {LARGEST_MEMORY / 1e6:.0f}, file {largest.number}, {largest.kind}"
    )
    failures = Counter((each.outcome, each.detail.partition(": ")[0]) for each in outcomes if each.failed)
    lines += [f"{count:7} {outcome} {where}" for (outcome, where), count in failures.most_common(_MOST_SHOWN)]
    return "\n".join(lines)


def _column(outcome: Outcome) -> str:
    return "failed" if outcome.failed else outcome.outcome.partition(":")[0]


if __name__ == "__main__":
    sys.exit(main())

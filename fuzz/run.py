"""Hostile files by the thousand: mutations of every fixture, converted under a watch, and of what commands read beside.

    python fuzz/run.py --files 100000 --seed 1 [--workers 2] [--log FILE]
    python fuzz/run.py --seed 1 --only 4711 --keep FOLDER

Each file must be converted, or be refused with an error of lstm_convert's own that names it, within 5 s of processor
time and 1 GB of memory; so must data and readouts be read, proofs be verified and moves be undone. No process may die
of it, nothing may be printed, and no output may stay behind a refusal. Exit 0 if that is so, 1 if not. Prints what
SECURITY.md tells of a run. The second form writes one file of a run to a folder and says what becomes of it.

Needs Linux (it reads /proc) and no more than lstm_convert itself needs.
"""

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before NumPy: a process that is forked must have no threads

import argparse
import json
import platform
import sys
import tempfile
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import h5py
from mutations import mutant
from seeds import Seed, seeds_by_kind
from watched import Outcome, warm_up, watched

_MOST_SHOWN = 20
_COLUMNS = {"converted": "converted, or read", "read": "read, target refused", "refused": "refused", "failed": "failed"}


def main() -> int:
    """Run and print the summary; return the exit code."""
    parser = argparse.ArgumentParser(description="Read and convert hostile files under a watch.")
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
    with tempfile.TemporaryDirectory() as folder:
        log = arguments.log or Path(folder, "log.jsonl")
        log.write_bytes(b"")
        numbers = range(arguments.first, arguments.first + arguments.files)
        share(kinds, arguments.seed, numbers, arguments.workers, log)
        outcomes = [Outcome(**json.loads(line)) for line in log.read_text("utf-8").splitlines()]
    print(summary(kinds, outcomes, arguments.seed))
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


def summary(kinds: dict[str, list[Seed]], outcomes: list[Outcome], seed: int) -> str:
    """Return the run as SECURITY.md tells it: how many files of which kind, what became of them, and what failed."""
    counts = Counter((outcome.kind, _column(outcome)) for outcome in outcomes)
    counts += Counter(("all", _column(outcome)) for outcome in outcomes)
    with_what = f"h5py {h5py.__version__} (HDF5 {h5py.version.hdf5_version}) and Python {platform.python_version()}"
    seconds = sum(outcome.seconds for outcome in outcomes)
    lines = [
        f"{len(outcomes):,} files, seed {seed}, with {with_what}; {seconds:.0f} s of processor time.",
        "",
        f"| kind of file | {' | '.join(_COLUMNS.values())} |",
        f"|{'---|' * (1 + len(_COLUMNS))}",
        *(f"| {kind} | {' | '.join(f'{counts[kind, name]:,}' for name in _COLUMNS)} |" for kind in (*kinds, "all")),
        "",
        f"{_refusals(outcomes)} {_extremes(outcomes)}",
    ]
    failures = Counter((each.outcome, each.detail.partition(": ")[0]) for each in outcomes if each.failed)
    lines += [f"* {count} {outcome} {where}" for (outcome, where), count in failures.most_common(_MOST_SHOWN)]
    return "\n".join(lines)


def _refusals(outcomes: list[Outcome]) -> str:
    refused = Counter(each.outcome.partition(": ")[2] for each in outcomes if _column(each) == "refused")
    of_each = ", ".join(f"{count:,} `{name}`" for name, count in refused.most_common())
    return f"Of the refusals {of_each}."


def _extremes(outcomes: list[Outcome]) -> str:
    slowest, largest = max(outcomes, key=lambda each: each.seconds), max(outcomes, key=lambda each: each.memory)
    largest_of_all = f"{largest.memory / 1e6:.0f} MB (file {largest.number})"
    said = [f"Slowest: {slowest.seconds:.1f} s (file {slowest.number}). Largest: {largest_of_all}."]
    if not_made := [str(each.number) for each in outcomes if _column(each) == "not made"]:
        said.append(f"The HDF5 library could not make {', '.join(not_made)}.")
    return " ".join(said)


def _column(outcome: Outcome) -> str:
    return "failed" if outcome.failed else outcome.outcome.partition(":")[0]


if __name__ == "__main__":
    sys.exit(main())

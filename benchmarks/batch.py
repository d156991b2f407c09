"""What a collection costs beside its conversions: files a second and core, as `batch` does them and one by one.

    python benchmarks/batch.py [--files 400] [--runs 5]

Copies one small file many times, and converts the copies with a loop of `convert` in this process, with `batch` in this
process, with `lstm-convert batch` in processes of its own, and runs that once more, when all is done. Processor time of
all processes together is what counts, start included; they take turns, and the median of the runs is printed.
"""

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import lstm_convert

SMALL = Path(__file__).parents[1] / "fixtures/torch-2.13/plain.pt"
TOOL = str(Path(sys.executable).with_name("lstm-convert"))


def main() -> None:
    """Convert the same files in each way in turn, and print the table."""
    parser = argparse.ArgumentParser(description="What a collection costs beside its conversions.")
    parser.add_argument("--files", type=int, default=400, help="how many files (default 400)")
    parser.add_argument("--runs", type=int, default=5, help="how often each way runs (default 5)")
    asked = parser.parse_args()
    rates: dict[str, list[float]] = {name: [] for name in rows()}
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        Path("models").mkdir()
        for number in range(asked.files):
            shutil.copyfile(SMALL, f"models/{number}.pt")
        for _ in range(asked.runs):
            for name, run in ways().items():
                if name != "the same, all of it done":
                    shutil.rmtree("results", ignore_errors=True)
                before = processor_seconds()
                run()
                rates[name].append(asked.files / (processor_seconds() - before))
    print(f"{f'{asked.files} small files, median of {asked.runs}':<40} {'files a second and core':>24}")
    for name, found in rates.items():
        print(f"{name:<40} {statistics.median(found):>24.0f}")


def ways() -> dict[str, Callable[[], None]]:
    """Return what runs, by what it is called."""
    return {
        "convert, one by one": one_by_one,
        "batch() in this process": here,
        "lstm-convert batch --workers 2": processes,
        "the same, all of it done": processes,
    }


def rows() -> list[str]:
    """Return what the lines of the table begin with."""
    return list(ways())


def one_by_one() -> None:
    """Convert all files with a loop, as a script does."""
    Path("results").mkdir()
    for source in Path("models").iterdir():
        lstm_convert.convert(source, Path("results", f"{source.stem}.safetensors"))


def here() -> None:
    """Convert all files as a collection, in this process."""
    lstm_convert.batch("models/*.pt", "safetensors", "results")


def processes() -> None:
    """Convert all files as a collection, in processes of their own."""
    command = [TOOL, "batch", "models/*.pt", "--to", "safetensors", "--out", "results", "--workers", "2"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def processor_seconds() -> float:
    """Return the processor time of this process, and of those it started that have ended."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


if __name__ == "__main__":
    main()

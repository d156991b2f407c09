"""What converting a large model costs, as whole processes, against copying its file and the script a user would write.

    python benchmarks/large.py [--runs 5] [--units 2048] [--layers 4] [--folder FOLDER]

Needs lstm_convert with its test extra, and eight times the model's size on disk. Keras and PyTorch write the files.
Every conversion runs in turn, a copy of its source right before it, so that whatever else the machine does falls on
both; a copy ends, as a conversion does, once the file is on the disk. The usual script runs after all of them: the 2 GB
that it gives back take a virtual machine seconds to get again, which would be those of whatever comes next. Prints the
median wall time of each, its ratio to that of copying the source, and the largest peak of memory. With --folder the
files stay there and are not made again.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from conversion import USUAL_SCRIPT, measured

KERAS_FILES = """
import os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras
layers, units, inputs, *paths = sys.argv[1:]
model = keras.Sequential([keras.Input((None, int(inputs)))])
for number in range(int(layers)):
    model.add(keras.layers.LSTM(int(units), return_sequences=True, name=f"lstm_{number}"))
for path in paths:
    model.save(path)
"""

PYTORCH_FILES = """
import sys
import safetensors.torch, torch
layers, units, inputs, *paths = sys.argv[1:]
model = torch.nn.ModuleDict({
    f"lstm_{number}": torch.nn.LSTM(int(units) if number else int(inputs), int(units)) for number in range(int(layers))
})
torch.save(model.state_dict(), paths[0])
safetensors.torch.save_file(model.state_dict(), paths[1])
"""

CONVERSIONS = [
    ("large.h5", ".safetensors"),
    ("large.h5", ".pt"),
    ("large.h5", ".lstm.safetensors"),
    ("large.h5", ".npz"),
    ("large.keras", ".safetensors"),
    ("large.keras", ".pt"),
    ("large.safetensors", ".keras"),
    ("large.safetensors", ".h5"),
    ("large.pt", ".keras"),
    ("large.pt", ".h5"),
    ("canonical.npz", ".keras"),
    ("canonical.npz", ".pt"),
    ("canonical.lstm.safetensors", ".h5"),
    ("canonical.lstm.safetensors", ".safetensors"),
]
KERAS_SOURCES, BY_HAND = ("large.h5", "large.keras"), "keras + torch"
USUAL = [sys.executable, "-c", USUAL_SCRIPT]
CONVERT = [sys.executable, "-P", "-m", "lstm_convert", "convert", "--force"]


def main() -> None:
    """Make the files, run every command in turn and print the table."""
    parser = argparse.ArgumentParser(description="What converting a large model costs, as whole processes.")
    parser.add_argument("--runs", type=int, default=5, help="how often each conversion runs (default 5)")
    parser.add_argument("--usual-runs", type=int, default=3, help="how often the usual script runs (default 3)")
    parser.add_argument("--units", type=int, default=2048, help="the units of each layer (default 2048)")
    parser.add_argument("--inputs", type=int, default=1776, help="the inputs of the first layer (default 1776)")
    parser.add_argument("--layers", type=int, default=4, help="how many layers (default 4)")
    parser.add_argument("--folder", type=Path, help="where the files are kept")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        make_files(folder, [str(options.layers), str(options.units), str(options.inputs)])
        seconds, megabytes = run_all(folder, options.runs, options.usual_runs)
        print_table(folder, seconds, megabytes)


def rows() -> list[str]:
    """Return what the lines of the table begin with, sizes aside."""
    copies = {(source, "copy") for source, _ in CONVERSIONS}
    return [" ".join(row) for row in sorted({*CONVERSIONS, *copies, *((source, BY_HAND) for source in KERAS_SOURCES)})]


def make_files(folder: Path, sizes: list[str]) -> None:
    """Make the sources that are not there yet.

    Args:
        folder: where.
        sizes: layers, units and inputs.
    """
    recipes = [
        ([sys.executable, "-c", KERAS_FILES, *sizes], ["large.h5", "large.keras"]),
        ([sys.executable, "-c", PYTORCH_FILES, *sizes], ["large.pt", "large.safetensors"]),
        ([*CONVERT, str(folder / "large.h5")], ["canonical.npz"]),
        ([*CONVERT, str(folder / "large.h5")], ["canonical.lstm.safetensors"]),
    ]
    folder.mkdir(exist_ok=True)
    for command, names in recipes:
        paths = [folder / name for name in names]
        if not all(path.exists() for path in paths):
            subprocess.run([*command, *map(str, paths)], check=True, capture_output=True)


def run_all(
    folder: Path, runs: int, usual_runs: int
) -> tuple[dict[tuple[str, str], list[float]], dict[tuple[str, str], list[float]]]:
    """Return the seconds and the peak megabytes of every run, by source and what was made of it.

    Args:
        folder: where the sources are.
        runs: how often each conversion and copy runs.
        usual_runs: how often the usual script runs.
    """
    seconds: dict[tuple[str, str], list[float]] = {}
    megabytes: dict[tuple[str, str], list[float]] = {}

    def run(source: str, what: str, extension: str, act: Callable[[Path, Path], tuple[float, float]]) -> None:
        target = folder / f"result{extension}"
        wall, peak = act(folder / source, target)
        target.unlink()
        seconds.setdefault((source, what), []).append(wall)
        megabytes.setdefault((source, what), []).append(peak)

    for _ in range(runs):
        for source, extension in CONVERSIONS:
            run(source, "copy", ".copy", copied)
            run(source, extension, extension, lambda path, target: measured([*CONVERT, str(path), str(target)]))
    for _ in range(usual_runs):
        for source in KERAS_SOURCES:
            run(source, BY_HAND, ".pt", lambda path, target: measured([*USUAL, str(path), str(target)]))
    return seconds, megabytes


def copied(source: Path, target: Path) -> tuple[float, float]:
    """Copy a file, to the disk, and return the seconds; what it takes of memory counts for nothing.

    It is read once before, so that neither the copy nor what comes after it waits for a disk to read.

    Args:
        source: the file.
        target: the new one.
    """
    with source.open("rb", buffering=0) as file:
        while file.read(1 << 20):
            pass
    start = time.perf_counter()
    shutil.copyfile(source, target)
    with target.open("rb+") as file:
        os.fsync(file.fileno())
    return time.perf_counter() - start, 0.0


def print_table(
    folder: Path, seconds: dict[tuple[str, str], list[float]], megabytes: dict[tuple[str, str], list[float]]
) -> None:
    """Print a line for each thing that was done to each source.

    Args:
        folder: where the sources are.
        seconds: of every run.
        megabytes: of every run.
    """
    print(f"{'source':<28} {'MB':>5}   {'to':<20} {'time':>9} {'copies':>7} {'memory':>9} {'runs':>5}")
    for (source, what), times in sorted(seconds.items()):
        median = statistics.median(times)
        ratio = median / statistics.median(seconds[source, "copy"])
        memory = f"{max(megabytes[source, what]):>6.0f} MB" if what != "copy" else ""
        size = (folder / source).stat().st_size / 1e6
        print(f"{source:<28} {size:>5.0f}   {what:<20} {median:>7.2f} s {ratio:>6.1f}x {memory:>9} {len(times):>5}")


if __name__ == "__main__":
    main()

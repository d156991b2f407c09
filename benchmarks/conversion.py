"""What a conversion costs, as whole processes, against the script a user would write instead.

    python benchmarks/conversion.py [--runs 9]

Needs lstm_convert with its test extra. Prints the median wall time and the peak memory of each command, and the ratio
to `python -c "import numpy, h5py"`, which no reader of HDF5 files can beat. Commands take turns, so that whatever else
the machine does falls on all of them.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

FIXTURES = Path(__file__).parents[1] / "fixtures"
SMALL = FIXTURES / "keras-3.15.1" / "plain.h5"
CHECKPOINT = FIXTURES / "torch-2.13" / "plain.pt"

BASELINE = "import numpy, h5py"

USUAL_SCRIPT = """
import os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras, numpy as np, torch
model = keras.models.load_model(sys.argv[1], compile=False)
state = {}
for layer in model.layers:
    if isinstance(layer, keras.layers.LSTM):
        kernel, recurrent_kernel, bias = layer.get_weights()
        state[f"{layer.name}.weight_ih_l0"] = torch.from_numpy(kernel.T.copy())
        state[f"{layer.name}.weight_hh_l0"] = torch.from_numpy(recurrent_kernel.T.copy())
        state[f"{layer.name}.bias_ih_l0"] = torch.from_numpy(bias)
        state[f"{layer.name}.bias_hh_l0"] = torch.zeros(len(bias))
torch.save(state, sys.argv[2])
"""


def main() -> None:
    """Run every command in turn and print the table."""
    parser = argparse.ArgumentParser(description="What a conversion costs, as whole processes.")
    parser.add_argument("--runs", type=int, default=9, help="how often each command runs (default 9)")
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder:
        ways = commands(str(Path(folder) / "result"))
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        megabytes: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(runs):
            for name, command in ways.items():
                wall, peak = measured(command)
                seconds[name].append(wall)
                megabytes[name].append(peak)
    base = statistics.median(next(iter(seconds.values())))
    print(f"{'median of ' + str(runs):<46} {'time':>8} {'ratio':>7} {'memory':>9}")
    for name, times in seconds.items():
        median = statistics.median(times)
        print(f"{name:<46} {median:>6.2f} s {median / base:>6.1f}x {statistics.median(megabytes[name]):>6.0f} MB")


def commands(target: str) -> dict[str, list[str]]:
    """Return what runs, by what it is called.

    Args:
        target: where to, without its ending.
    """
    tool = str(Path(sys.executable).with_name("lstm-convert"))
    convert = [tool, "convert", "--force"]
    return {
        f'python -c "{BASELINE}"': [sys.executable, "-c", BASELINE],
        "lstm-convert --help": [tool, "--help"],
        "lstm-convert convert small.h5 x.pt": [*convert, str(SMALL), f"{target}.pt"],
        "lstm-convert convert small.h5 x.safetensors": [*convert, str(SMALL), f"{target}.safetensors"],
        "lstm-convert convert small.pt x.keras": [*convert, str(CHECKPOINT), f"{target}.keras"],
        "keras.load_model + torch.save": [sys.executable, "-c", USUAL_SCRIPT, str(SMALL), f"{target}.pt"],
    }


def rows() -> list[str]:
    """Return what the lines of the table begin with."""
    return list(commands(""))


def measured(command: Sequence[str]) -> tuple[float, float]:
    """Return the wall seconds and the peak megabytes of one process.

    Args:
        command: the program and its arguments; its output is thrown away.
    """
    start = time.perf_counter()
    compiled = {
        name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"
    }  # as pip installs
    process = subprocess.Popen(command, env=compiled, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command)[:200]} failed with exit code {process.returncode}")
    return seconds, usage.ru_maxrss / 1024


if __name__ == "__main__":
    main()

"""What reading an LSTM costs: the lag Jacobian against torch's autograd in one process, and a whole analysis.

    python benchmarks/analysis.py [--runs 9]

Needs lstm_convert and torch. Both compute in float64; forward and backward are counted on both sides, and the two take
turns, so that whatever else the machine does falls on both. The products are small: where OpenBLAS spreads them over
cores that are busy, it mostly waits, and `OPENBLAS_NUM_THREADS=1` is faster.
"""

import argparse
import resource
import statistics
import time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lstm_convert.analysis.engine import analyze
from lstm_convert.analysis.jacobian import lag_jacobian
from lstm_convert.analysis.readout import Readout
from lstm_convert.analysis.stacks import Stack
from lstm_convert.canonical import LSTM, Cell, Model

Float64 = NDArray[np.float64]


def main() -> None:
    """Run both benchmarks and print them."""
    parser = argparse.ArgumentParser(description="What reading an LSTM costs.")
    parser.add_argument("--runs", type=int, default=9, help="how often each way runs (default 9)")
    runs = parser.parse_args().runs
    for units, steps in ((32, 50), (128, 100), (256, 200)):
        ours, theirs, difference = against_autograd(units, steps, runs)
        print(
            f"lag Jacobian H={units:<4} T={steps:<4} ours {ours * 1e3:7.1f} ms  torch {theirs * 1e3:7.1f} ms  "
            f"{theirs / ours:4.1f}x  largest difference {difference:.1e}"
        )
    for readout in (True, False):
        seconds, growth = whole_analysis(readout=readout)
        what = "one output" if readout else "h itself"
        print(f"analyze H=128, 1,000 sequences of 50 steps, {what}: {seconds:.1f} s, peak memory {growth:.0f} MB more")


def against_autograd(units: int, steps: int, runs: int) -> tuple[float, float, float]:
    """Return our median seconds, torch's, and the largest difference, for one sequence and one output.

    Args:
        units: H.
        steps: T.
        runs: how often each way runs.
    """
    rng = np.random.default_rng(0)
    cell, x = made(rng, units, 16), rng.normal(size=(1, steps, 16))
    stack, readout = Stack((LSTM("lstm", cell),)), Readout(rng.normal(size=(1, units)))
    module = torch.nn.LSTM(16, units, batch_first=True, dtype=torch.float64)
    flat = {"ih": np.asarray(cell.W), "hh": np.asarray(cell.U)}
    state: dict[str, Any] = {f"weight_{name}_l0": array.reshape(4 * units, -1) for name, array in flat.items()}
    state |= {"bias_ih_l0": np.asarray(cell.b).reshape(-1), "bias_hh_l0": np.zeros(4 * units)}
    module.load_state_dict({name: torch.tensor(array) for name, array in state.items()})
    module.requires_grad_(requires_grad=False)  # only the input's gradient is asked for
    matrix = torch.tensor(readout.matrix)

    def ours() -> Float64:
        return lag_jacobian(stack, x, readout).values[:, 0]

    def theirs() -> Float64:
        inputs = torch.tensor(x, requires_grad=True)
        output = module(inputs)[0][:, -1] @ matrix.T
        gradient: Float64 = torch.autograd.grad(output.sum(), inputs)[0].numpy()
        return gradient

    seconds: dict[Any, list[float]] = {ours: [], theirs: []}
    for _ in range(runs + 1):  # the first warms up
        for way, taken in seconds.items():
            start = time.perf_counter()
            way()
            taken.append(time.perf_counter() - start)
    medians = [statistics.median(taken[1:]) for taken in seconds.values()]
    return medians[0], medians[1], float(np.abs(ours() - theirs()).max())


def whole_analysis(*, readout: bool) -> tuple[float, float]:
    """Return the seconds and by how many megabytes the peak memory grew.

    Args:
        readout: whether one output is read, or h itself.
    """
    rng = np.random.default_rng(0)
    model, data = Model((LSTM("lstm", made(rng, 128, 8)),)), rng.normal(size=(1000, 50, 8))
    before, start = peak(), time.perf_counter()
    analyze(model, data, readout=Readout(rng.normal(size=(1, 128))) if readout else None)
    return time.perf_counter() - start, peak() - before


def peak() -> float:
    """Return this process's peak memory in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def made(rng: np.random.Generator, units: int, inputs: int) -> Cell:
    """Return a cell whose numbers are drawn as PyTorch draws them.

    Args:
        rng: where they come from.
        units: H.
        inputs: D.
    """
    bound = units**-0.5
    shapes = {"W": (4, units, inputs), "U": (4, units, units), "b": (4, units)}
    return Cell.of({name: rng.uniform(-bound, bound, shape) for name, shape in shapes.items()})


if __name__ == "__main__":
    main()

"""What the written-out PyTorch module costs, against nn.LSTM and against the loop a user would write by hand.

    python benchmarks/export.py [--runs 15]

Needs lstm_convert with its torch extra. Prints the median time of one call in inference and of one training step, and
the ratio to the naive loop. The modules take turns, so that whatever else the machine does falls on all of them.
"""

import argparse
import importlib.util
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from lstm_convert.canonical import LSTM, Activation, Gates, LSTMCell, Model
from lstm_convert.containers import source_pair
from lstm_convert.frameworks import WriteOptions
from lstm_convert.frameworks.pytorch import source

HARD = Activation("hard_sigmoid", {"slope": 0.2, "offset": 0.5})
SIZES = ((32, 50, 16, 32), (8, 100, 64, 256))  # batch, time, inputs, units


class Naive(nn.Module):  # type: ignore[misc]  # torch is not followed
    """The loop of a tutorial: two products a step."""

    def __init__(self, inputs: int, units: int, *, hard: bool, masked: bool = False) -> None:
        super().__init__()
        self.from_x = nn.Linear(inputs, 4 * units)
        self.from_h = nn.Linear(units, 4 * units)
        self.hard = hard
        self.masked = masked

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return every step's output."""
        h = c = x.new_zeros(len(x), self.from_h.in_features)
        outputs = []
        mask = torch.ones(x.shape[:2], dtype=torch.bool)
        for step in range(x.shape[1]):
            i, f, g, o = (self.from_x(x[:, step]) + self.from_h(h)).chunk(4, -1)
            if self.hard:
                i, f, o = (torch.clamp(0.2 * gate + 0.5, 0, 1) for gate in (i, f, o))
            else:
                i, f, o = torch.sigmoid(i), torch.sigmoid(f), torch.sigmoid(o)
            new_c = f * c + i * torch.tanh(g)
            new_h = o * torch.tanh(new_c)
            counts = mask[:, step, None]
            c, h = (torch.where(counts, new_c, c), torch.where(counts, new_h, h)) if self.masked else (new_c, new_h)
            outputs.append(h)
        return torch.stack(outputs, 1)


def main() -> None:
    """Time every module in turn and print the table."""
    parser = argparse.ArgumentParser(description="What the written-out PyTorch module costs.")
    parser.add_argument("--runs", type=int, default=15, help="how often each module runs (default 15)")
    runs = parser.parse_args().runs
    torch.manual_seed(0)
    for batch, steps, inputs, units in SIZES:
        x = torch.randn(batch, steps, inputs)
        modules: dict[str, Callable[..., Any]] = {
            "naive loop, sigmoid": Naive(inputs, units, hard=False),
            "naive loop, hard_sigmoid": Naive(inputs, units, hard=True),
            "naive loop, hard_sigmoid, masked": Naive(inputs, units, hard=True, masked=True),
            "nn.LSTM": nn.LSTM(inputs, units, batch_first=True),
            "written out, sigmoid": written_out(inputs, units),
            "written out, hard_sigmoid": written_out(inputs, units, gate=HARD),
            "written out, hard_sigmoid, masked": written_out(inputs, units, masked=True, gate=HARD),
            "written out, cell clip 3": written_out(inputs, units, cell_clip=3.0),
        }
        print(f"\nbatch {batch}, time {steps}, inputs {inputs}, units {units}; median of {runs}")
        for task, act in {"inference": infer, "training step": train}.items():
            medians = measured(modules, act, x, runs)
            print(f"{task:<36} {'time':>9} {'to naive':>9}")
            for name, median in medians.items():
                kind = ", ".join(["naive loop", *[word for word in ("hard_sigmoid", "masked") if word in name]])
                naive = medians.get(kind, medians["naive loop, sigmoid"])
                print(f"  {name:<34} {median * 1e3:>6.2f} ms {median / naive:>8.2f}x")


def written_out(inputs: int, units: int, *, masked: bool = False, **options: Any) -> Callable[..., Any]:
    """Return the module that lstm_convert writes out for a layer of these sizes.

    Args:
        inputs: the number of input features.
        units: the number of units.
        masked: whether a mask reaches it.
        options: of the cell.
    """
    random = np.random.default_rng(0)
    shapes = {"W": (4, units, inputs), "U": (4, units, units), "b": (4, units)}
    arrays: dict[str, Any] = {
        name: Gates(random.normal(scale=0.1, size=shape).astype(np.float32)) for name, shape in shapes.items()
    }
    layer = LSTM("lstm", LSTMCell(**arrays, **options), masked_by="masking" if masked else None)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "written_out.py"
        source_pair.write(path, source.write(Model((layer,)), WriteOptions(".py")))
        spec = importlib.util.spec_from_file_location("written_out", path)
        if spec is None or spec.loader is None:
            sys.exit(f"cannot import {path}")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        model: Callable[..., Any] = module.load()
    return model


def infer(module: Callable[..., Any], x: torch.Tensor) -> None:
    """Run a module once without gradients."""
    with torch.no_grad():
        module(x)


def train(module: Callable[..., Any], x: torch.Tensor) -> None:
    """Run a module once forwards and backwards."""
    result = module(x)
    (result[0] if isinstance(result, tuple) else result).sum().backward()


def measured(
    modules: dict[str, Callable[..., Any]], act: Callable[..., None], x: torch.Tensor, runs: int
) -> dict[str, float]:
    """Return the median seconds of each module.

    Args:
        modules: by name.
        act: what is done with each.
        x: its input.
        runs: how often; two more are not counted.
    """
    seconds: dict[str, list[float]] = {name: [] for name in modules}
    for number in range(runs + 2):
        for name, module in modules.items():
            start = time.perf_counter()
            act(module, x)
            if number > 1:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in seconds.items()}


if __name__ == "__main__":
    main()

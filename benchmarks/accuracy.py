"""How far each way of finding the lags that matter is from the truth, on trained networks whose truth is known.

    python benchmarks/accuracy.py [--seeds 3]

Needs lstm_convert and torch. Networks of 24 units are trained on tasks that are sums of past inputs; those are drawn
independently, so that the share of each lag in the output's variance is its weight squared. Each method's profile is
made to add up to 1, and the table has its distance from the truth in total variation: 0 is right, 1 is wholly wrong.
Several minutes.
"""

import argparse
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

import lstm_convert
from lstm_convert.analysis.decomposition import decomposed, to_outputs
from lstm_convert.analysis.engine import Analysis, analyze
from lstm_convert.analysis.readout import Readout
from lstm_convert.analysis.stacks import stack_of
from lstm_convert.analysis.traces import trace

Float64 = NDArray[np.float64]

STEPS = 20
UNITS = 24
UPDATES = 1500
BATCH = 128
SEQUENCES = 500

# What the output is made of: the weight of each lag.
LAGS = np.arange(STEPS)
TASKS = {
    "delay 5": np.eye(STEPS)[5],
    "delay 3": np.eye(STEPS)[3],
    "AR(1, 2)": 0.8 * np.eye(STEPS)[1] + 0.4 * np.eye(STEPS)[2],
    "EMA 0.8": 0.2 * 0.8**LAGS,
    "EMA 0.5": 0.5 * 0.5**LAGS,
}


def by_lag(method: str, stat: str, feature: str) -> Callable[[Analysis], Float64]:
    """Return what reads a profile from the table of lags.

    Args:
        method: the method.
        stat: which of its numbers.
        feature: of which feature, or of all together.
    """

    def profile(found: Analysis) -> Float64:
        rows = found.tables["lags"].rows(method=method, stat=stat, feature=feature, output="0")
        return np.array([row["value"] for row in sorted(rows, key=lambda row: int(row["lag"]))])

    return profile


def squared(profile: Callable[[Analysis], Float64]) -> Callable[[Analysis], Float64]:
    """Return what reads a profile of slopes as one of shares.

    Args:
        profile: what reads the slopes.
    """
    return lambda found: profile(found) ** 2


def write_time(found: Analysis) -> Float64:
    """Return when what the cell holds was written."""
    rows = found.tables["decomposition"].rows(unit=None)
    return np.array([row["value"] for row in sorted(rows, key=lambda row: int(row["write_lag"]))])


def forget_bias(found: Analysis) -> Float64:
    """Return what the biases of the forget gates alone would keep."""
    kept = np.array([row["open_f"] for row in found.tables["units"].rows(basis="at_rest")])
    return np.asarray((kept[:, None] ** (2 * LAGS)).mean(axis=0))


METHODS: dict[str, Callable[[Analysis], Float64]] = {
    "lag Jacobian, mean square": squared(by_lag("jacobian", "rms", "0")),
    "occlusion by the mean": by_lag("occlusion", "square_over_variance", "*"),
    "a step resampled": by_lag("resample", "total_effect", "*"),
    "integrated gradients": by_lag("integrated_gradients", "square_over_variance", "*"),
    "response at rest (weights alone)": squared(by_lag("rest_response", "derivative", "0")),
    "write time of the cell": write_time,
    "bias of the forget gate (weights alone)": forget_bias,
}


CARRIED = "write time, carried to the output"  # reads the network itself, not the tables


def main() -> None:
    """Train the networks, read them and print the table."""
    parser = argparse.ArgumentParser(description="How far each method is from the truth.")
    parser.add_argument("--seeds", type=int, default=3, help="how many networks a task (default 3)")
    seeds = parser.parse_args().seeds
    torch.set_num_threads(1)
    distances = {task: [measured(weights, seed) for seed in range(seeds)] for task, weights in TASKS.items()}
    print(f"| method | {' | '.join(TASKS)} | mean |")
    print(f"|---|{'---|' * (len(TASKS) + 1)}")
    for method in (*METHODS, CARRIED):
        cells = [np.mean([found[method] for found in of_task]) for of_task in distances.values()]
        print(f"| {method} | {' | '.join(f'{cell:.3f}' for cell in [*cells, np.mean(cells)])} |")


def measured(weights: Float64, seed: int) -> dict[str, float]:
    """Return the distance of each method from the truth, on one trained network.

    Args:
        weights: of each lag.
        seed: of the network and its data.
    """
    lstm, head = trained(weights, seed)
    data = np.random.default_rng(seed).uniform(-1, 1, (SEQUENCES, STEPS, 1))
    readout = Readout(head.weight.detach().numpy().astype(np.float64), source="linear layer")
    model = lstm_convert.from_torch(lstm)
    found = analyze(model, data, readout=readout, seed=seed)
    profiles = {method: profile(found) for method, profile in METHODS.items()}
    cell = trace(stack_of(model), data).layers[0].cells[0]
    moved = (to_outputs(cell, decomposed(cell), readout) ** 2).mean(axis=(1, 2))
    profiles[CARRIED] = moved[-STEPS:][::-1]
    truth = weights**2 / (weights**2).sum()
    return {method: apart(profile, truth) for method, profile in profiles.items()}


def trained(weights: Float64, seed: int) -> tuple[torch.nn.LSTM, torch.nn.Linear]:
    """Return a network that puts out the weighted sum of its last inputs.

    Args:
        weights: of each lag, from 0.
        seed: where chance starts from.
    """
    torch.manual_seed(seed)
    lstm, head = torch.nn.LSTM(1, UNITS, batch_first=True), torch.nn.Linear(UNITS, 1)
    optimizer = torch.optim.Adam([*lstm.parameters(), *head.parameters()], lr=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, UPDATES)
    by_step = torch.tensor(weights[::-1].copy(), dtype=torch.float32)
    for _ in range(UPDATES):
        x = torch.rand(BATCH, STEPS, 1) * 2 - 1
        loss = ((head(lstm(x)[0][:, -1])[:, 0] - x[..., 0] @ by_step) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    print(f"# seed {seed}: mean squared error {loss.item():.1e} of {float((weights**2).sum()) / 3:.2g}", flush=True)
    return lstm, head


def apart(profile: Float64, truth: Float64) -> float:
    """Return the total variation between a profile and the truth.

    Args:
        profile: not negative, in the order of lags.
        truth: which adds up to 1.
    """
    return float(np.abs(profile / profile.sum() - truth).sum()) / 2


if __name__ == "__main__":
    main()

"""What is measured on the data: passes over all of it in batches, and costly methods on as many sequences as fit.

How many sequences a method gets follows from the model's size alone, so that the same call gives the same tables on
every machine. Memory grows with the batch and with those samples, never with the number of sequences.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_convert.analysis.bands import Band, shares
from lstm_convert.analysis.before import Data, Sequences
from lstm_convert.analysis.decomposition import decomposed, has_decomposition
from lstm_convert.analysis.effects import OCCLUSION, RESAMPLE, Effects, effects
from lstm_convert.analysis.integrated import NODES, integrated_gradients
from lstm_convert.analysis.jacobian import swept
from lstm_convert.analysis.readout import Output, outputs_of
from lstm_convert.analysis.replay import NAMED_OUTPUTS, Replay, output_names
from lstm_convert.analysis.saturation import Activity
from lstm_convert.analysis.stacks import Stack
from lstm_convert.analysis.swap import SwapCurve, history_swap
from lstm_convert.analysis.traces import trace
from lstm_convert.canonical import LSTM

Float64 = NDArray[np.float64]
Progress = Callable[[str, float], None]

_BATCH_BYTES = 1 << 27
_STEP_NUMBERS = 24  # float64 numbers that a trace and its sweep keep of one unit and step
_MACS = 1.2e10  # what one method may multiply
_FEWEST = 32
_FEWEST_NODES = 8
_JACOBIAN_NUMBERS = 1 << 24
_COMBINATIONS = 4
_FEATURES = 64  # of more features single effects are not measured


@dataclass(frozen=True, eq=False)
class Sample:
    """Data, the layers that read it, and how much work may be spent on it.

    Args:
        stack: the layers.
        readout: what the outputs are.
        data: what the first of them reads.
        seed: where chance starts from.
        effort: a factor on how many sequences the costly methods get.
        progress: told what is being done and which part of all is done, or None.
    """

    stack: Stack
    readout: Output
    data: Data | Sequences
    seed: int = 0
    effort: float = 1.0
    progress: Progress | None = None

    def tell(self, what: str, part: float) -> None:
        """Report progress."""
        if self.progress is not None:
            self.progress(what, part)

    def rng(self, method: int) -> np.random.Generator:
        """Return a method's own source of chance, so that none depends on what ran before it."""
        return np.random.default_rng([self.seed, method])

    def drawn(self, runs: float, fewest: int, rng: np.random.Generator) -> Sequences:
        """Return as many sequences as a method may look at.

        Args:
            runs: how many steps the method computes of one sequence.
            fewest: how many it gets however large the model is.
            rng: which ones.
        """
        affordable = int(self.effort * _MACS / (runs * self.stack.macs))
        count = min(len(self.data), max(fewest, affordable))
        chosen = np.sort(rng.choice(len(self.data), count, replace=False))
        return self.data.read(chosen)

    def batches(self, data: Data | Sequences, copies: int = 1) -> Iterator[Sequences]:
        """Return the data in batches of bounded size.

        Args:
            data: the data.
            copies: how many times a trace's memory is needed.
        """
        widest = sum(
            cell.units + cell.outputs + cell.inputs for layer in self.stack.layers for cell in layer.cells.values()
        )
        each = data.shape[1] * widest * _STEP_NUMBERS * 8 * copies
        size = max(1, _BATCH_BYTES // each)
        for start in range(0, len(data), size):
            yield data.read(slice(start, start + size))


@dataclass(eq=False)
class Overview:
    """What a pass over all sequences gives.

    Args:
        activities: the statistics of each layer's cells.
        shares: when what each cell holds at the end was written, (time, units), or None where it is no sum.
        traces: the traces of the first sequences, as xarray takes them, by layer.
        sd: the spread of each feature.
        mean: its mean.
        low: its least.
        high: its most.
        autocorrelation: of each feature from a step to the next.
        masked: which part of the steps does not count.
    """

    activities: list[list[Activity]]
    shares: list[list[Float64 | None]]
    traces: dict[str, dict[str, Any]] = field(default_factory=dict)
    sd: Float64 = field(default_factory=lambda: np.empty(0))
    mean: Float64 = field(default_factory=lambda: np.empty(0))
    low: Float64 = field(default_factory=lambda: np.empty(0))
    high: Float64 = field(default_factory=lambda: np.empty(0))
    autocorrelation: Float64 = field(default_factory=lambda: np.empty(0))
    masked: float = 0.0


def overview(sample: Sample, traced: int) -> Overview:
    """Trace all sequences, batch by batch.

    Args:
        sample: the data.
        traced: of how many sequences the traces are kept.
    """
    layers = sample.stack.layers
    activities = [[Activity(cell.units, cell.outputs) for cell in layer.cells.values()] for layer in layers]
    written: list[list[Any]] = [
        [0.0 if has_decomposition(cell) else None for cell in layer.cells.values()] for layer in layers
    ]
    found = Overview(activities, [])
    done = 0
    for batch in sample.batches(sample.data):
        for depth, layer in enumerate(trace(sample.stack, batch.x, mask=batch.counts).layers):
            for direction, cell in enumerate(layer.cells):
                activities[depth][direction].add(cell)
                if written[depth][direction] is not None:
                    written[depth][direction] = written[depth][direction] + np.abs(decomposed(cell).written).sum(axis=1)
            if not done:
                found.traces[layer.layer.name] = layer.dataset(samples=traced)
        done += len(batch)
        sample.tell("traces", done / len(sample.data))
    found.shares = [[None if sums is None else _shares(sums) for sums in row] for row in written]
    _describe(sample, found)
    return found


def _shares(sums: Float64) -> Float64:
    total = sums.sum(axis=0)
    return np.asarray(np.divide(sums, total, out=np.zeros_like(sums), where=total > 0))


def _describe(sample: Sample, found: Overview) -> None:
    """Add the features' statistics, in two passes so that a large mean costs no digits."""
    count, inputs = 0, sample.data.shape[2]
    total, low, high = np.zeros(inputs), np.full(inputs, np.inf), np.full(inputs, -np.inf)
    for batch in sample.batches(sample.data):
        steps = batch.x.reshape(-1, inputs) if batch.counts is None else batch.x[batch.counts]
        count += len(steps)
        total += steps.sum(axis=0)
        low = np.minimum(low, steps.min(axis=0, initial=np.inf))
        high = np.maximum(high, steps.max(axis=0, initial=-np.inf))
    found.mean, found.low, found.high = total / max(1, count), low, high
    found.masked = 1.0 - count / (sample.data.shape[0] * sample.data.shape[1])
    squares, products = np.zeros(inputs), np.zeros(inputs)
    for batch in sample.batches(sample.data):
        away = batch.x - found.mean
        if batch.counts is not None:
            away *= batch.counts[..., None]
        squares += (away**2).sum(axis=(0, 1))
        products += (away[:, 1:] * away[:, :-1]).sum(axis=(0, 1))
    found.sd = np.sqrt(squares / max(1, count))
    correlated = np.divide(products, squares, out=np.zeros(inputs), where=squares > 0)
    found.autocorrelation = correlated * sample.data.shape[1] / max(1, sample.data.shape[1] - 1)


def jacobians(sample: Sample) -> tuple[Float64, Float64 | None]:
    """Return the lag Jacobian and that of the cell path of as many sequences as may be, (batch, outputs, time, inputs).

    The cell path is None where some layer is no LSTM, which has no c for it.

    Args:
        sample: the data.
    """
    steps, outputs = sample.data.shape[1], sample.readout.outputs
    chosen = sample.drawn(steps * (1 + 2 * outputs), _FEWEST, sample.rng(1))
    kept = max(1, _JACOBIAN_NUMBERS // (outputs * steps * sample.data.shape[2]))
    paths = (False, True) if all(isinstance(layer, LSTM) for layer in sample.stack.layers) else (False,)
    chosen, parts = chosen.read(slice(kept)), []
    for batch in sample.batches(chosen, 1 + outputs // 4):
        traced = trace(sample.stack, batch.x, mask=batch.counts)
        parts.append([swept(traced, sample.readout, cell_path=path).values for path in paths])
        sample.tell("lag Jacobian", sum(len(part[0]) for part in parts) / len(chosen))
    whole, *inside = (np.concatenate(each) for each in zip(*parts, strict=True))
    return whole, inside[0] if inside else None


def swapped(sample: Sample) -> SwapCurve:
    """Return the history-swap curve."""
    sample.tell("history swap", 0.0)
    rng = sample.rng(2)
    return history_swap(_replay(sample, sample.drawn(_replayed(sample), _FEWEST, rng)), rng)


def _replay(sample: Sample, chosen: Sequences) -> Replay:
    return Replay.of(sample.stack, chosen.x, sample.readout, mask=chosen.counts)


def single_effects(sample: Sample, baseline: Float64) -> dict[str, Effects]:
    """Return the effect of each step: resampled, occluded, and of each feature resampled where there are several.

    Args:
        sample: the data.
        baseline: what occlusion puts in, (inputs,).
    """
    rng, inputs = sample.rng(3), sample.data.shape[2]
    sample.tell("single steps", 0.0)
    replay = _replay(sample, sample.drawn(2 * _replayed(sample), _FEWEST, rng))
    found: dict[str, Effects] = {
        RESAMPLE: effects(replay, rng, RESAMPLE),
        OCCLUSION: effects(replay, rng, OCCLUSION, baseline=baseline),
    }
    if 1 < inputs <= _FEATURES:
        sample.tell("single features", 0.0)
        few = sample.drawn(inputs * _replayed(sample), _FEWEST, rng)
        found["features"] = effects(_replay(sample, few), rng, RESAMPLE, features=tuple(range(inputs)))
    return found


def _replayed(sample: Sample) -> float:
    """Return how many steps are computed when every step of a sequence is replaced once."""
    steps: int = sample.data.shape[1]
    return steps * (steps + 1) / 2 if sample.stack.causal else steps * steps


def attributed(sample: Sample, baseline: Float64) -> tuple[Effects, float]:
    """Return integrated gradients as effects, and by how much they fail to add up.

    Many outputs are combined at random with signs, which leaves the mean of squares what it is.

    Args:
        sample: the data.
        baseline: where the line starts, (inputs,).
    """
    rng, steps, inputs = sample.rng(4), sample.data.shape[1], sample.data.shape[2]
    readout = sample.readout
    if readout.outputs > NAMED_OUTPUTS:
        signs = rng.choice([-1.0, 1.0], size=(_COMBINATIONS, readout.outputs))
        readout = readout.combined(signs / np.sqrt(_COMBINATIONS))
    chosen = sample.drawn(NODES * steps * (1 + 2 * readout.outputs), _FEWEST_NODES, rng)
    squares, outputs, residual, features = [], [], 0.0, (None, *range(inputs)) if inputs > 1 else (None,)
    for batch in sample.batches(chosen, 1 + readout.outputs // 4):
        found = integrated_gradients(sample.stack, batch.x, readout, baseline=baseline, mask=batch.counts)
        together = found.values.sum(axis=3, keepdims=True)
        each = np.concatenate([together, found.values], axis=3) if inputs > 1 else together
        squares.append((each**2).transpose(0, 2, 3, 1).reshape(len(batch), -1, readout.outputs))
        outputs.append(outputs_of(readout, trace(sample.stack, batch.x, mask=batch.counts)))
        residual = max(residual, found.residual)
        sample.tell("integrated gradients", sum(map(len, outputs)) / len(chosen))
    band: Band = shares(np.concatenate(squares), np.concatenate(outputs), rng)
    if readout is not sample.readout:
        band = Band(*(part[:, -1:] for part in band))
    names = output_names(readout) if readout is sample.readout else ["*"]
    return Effects(band, steps, features, names, len(chosen)), residual

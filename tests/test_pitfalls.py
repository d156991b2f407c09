"""What is often read wrongly from an LSTM is said, with the model's own numbers, where it applies and only there.

The planted models have more of it: shut gates, loops, vanished gradients and operating points (test_planted_models.py).
"""

import hashlib
from typing import Any

import numpy as np
import pytest
from analyzing import Float64, cell_of, delay, leaky, model_of, one, random_cell, with_entries
from helpers import FIXTURES

import lstm_convert
from lstm_convert.analysis.engine import analyze
from lstm_convert.analysis.pitfalls import PITFALLS
from lstm_convert.analysis.stacks import Stack
from lstm_convert.canonical import LSTM, Cell, Model

# What only some models or data show; the others are said of every model that is an LSTM and comes to rest.
SOMETIMES = {
    "autocorrelation", "cell_state", "cut_off", "data", "directions", "disagreement", "feature_units", "hard_sigmoid",
    "layers", "mean_forget_gate", "saturation", "shut_gate",
}  # fmt: skip


def noise(inputs: int = 1, steps: int = 8, sequences: int = 200) -> Float64:
    return np.random.default_rng(3).normal(size=(sequences, steps, inputs))


def said(model: Model | Stack, data: Float64, **options: Any) -> dict[str, str]:
    """Return what is said of each topic."""
    found = analyze(model_of(*model.layers) if isinstance(model, Stack) else model, data, **options)
    topics = {sentence.topic for sentence in found.sentences}
    return {topic: " | ".join(each.text for each in found.sentences if each.topic == topic) for topic in topics}


def test_a_plain_model_on_plain_data_is_told_what_holds_for_every_lstm_and_nothing_else() -> None:
    cell = random_cell(np.random.default_rng(0), 4, 1, scale=0.3)
    assert set(PITFALLS) - set(said(one(cell), noise())) == SOMETIMES


def test_the_mean_of_f_is_no_time_constant() -> None:
    """A gate that is 0.99 open at nineteen steps and 0.01 at one keeps as if it were 0.79 open at all."""
    kept = float(np.log(99.0))
    cell = with_entries(cell_of(1, 1, b=(0.0, kept, 0.0, 0.0)), W={(1, 0, 0): -1.0})
    x = np.zeros((30, 20, 1))
    x[np.arange(30), np.arange(30) % 20] = 2 * kept
    words = said(one(cell), x)["mean_forget_gate"]
    assert f"says tau_life = {1 / (1 - (19 * 0.99 + 0.01) / 20):.3g} for unit 0" in words
    geometric = np.exp((19 * np.log(0.99) + np.log(0.01)) / 20)
    assert f"by the geometric mean it is {1 / (1 - geometric):.3g}" in words


def test_what_does_not_matter_may_still_not_be_cut_off() -> None:
    """What leaks fills up with its bias: warm states have what a start from zero lacks."""
    eps, bias, kept = 1e-4, 5.0, 11
    cell = leaky(5.0, eps).layers[0].forward
    x = noise(steps=40)
    found = analyze(model_of(LSTM("leaky", with_entries(cell, b={(2, 0): eps * bias}))), x)
    assert "99 % of the effect lies within k = 10" in found.headline
    read = (x[..., 0] + bias)[:, ::-1] * 0.8 ** np.arange(40)
    full, cut = read.sum(axis=1), read[:, :kept].sum(axis=1)
    share = ((full - cut) ** 2).mean() / 2 / full.var(ddof=1)
    (sentence,) = [each.text for each in found.sentences if each.topic == "cut_off"]
    assert f"the last 11 steps alone, from zero states, change the output by a share of {share:.2g} where" in sentence


def test_columns_of_w_do_not_compare_where_features_have_other_units() -> None:
    x = noise(2) * np.array([1.0, 50.0])
    low, high = sorted(x.std(axis=(0, 1)))
    words = said(one(random_cell(np.random.default_rng(0), 3, 2)), x)["feature_units"]
    assert f"standard deviations go from {low:.3g} to {high:.3g}" in words


def test_the_baseline_is_named_with_its_numbers() -> None:
    x = noise(2) + np.array([3.0, -5.0])
    mean = ", ".join(f"{each:.4g}" for each in x.mean(axis=(0, 1)))
    assert (
        f"the mean of your data, x = ({mean});" in said(one(random_cell(np.random.default_rng(0), 3, 2)), x)["baseline"]
    )


def test_neighbours_that_are_alike_are_said_to_be() -> None:
    x = noise().cumsum(axis=1)
    away = x - x.mean()
    alike = (away[:, 1:] * away[:, :-1]).sum() / (away**2).sum() * 8 / 7
    assert f"neighbouring steps of a feature correlate by {alike:.2f}" in said(leaky(5.0), x)["autocorrelation"]


@pytest.mark.parametrize(("file", "function"), [
    ("keras-1.2.2/weather_hard_sigmoid.h5", "hard_sigmoid(slope=0.2, offset=0.5)"),
    ("keras-3.15.1/hard.keras", "hard_sigmoid(slope=0.1667, offset=0.5)"),
])  # fmt: skip
def test_a_hard_gate_is_named_with_its_own_slope(file: str, function: str) -> None:
    model = lstm_convert.load(FIXTURES / file)
    first = next(layer for layer in model.layers if layer.follows is None)
    words = said(Model((first,)), noise(first.forward.inputs, sequences=20), effort=0.1)
    assert f"the gates are {function}, not the smooth sigmoid" in words["hard_sigmoid"]


def test_lags_of_a_stack_count_steps_of_the_data() -> None:
    """Two delays of two and three steps, one on the other, are one of five."""
    (lower, first), (upper, second) = delay(2), delay(3)
    below, above = ({name: np.array(array) for name, array in each.layers[0].forward.arrays().items()}
                    for each in (lower, upper))  # fmt: skip
    above["W"] = above["W"] * first.matrix
    stack = Stack((LSTM("lower", Cell.of(below)), LSTM("upper", Cell.of(above), follows="lower")))
    words = said(stack, np.random.default_rng(0).uniform(-1, 1, (300, 10, 1)), readout=second)
    assert "99 % of the effect lies within k = 5" in words["result"]
    assert "lags count steps of the data, through all 2 layers (lower -> upper)" in words["layers"]


def test_directions_and_states_that_are_kept_are_said() -> None:
    rng = np.random.default_rng(0)
    both = LSTM("both", random_cell(rng, 3, 1), random_cell(rng, 3, 1), stateful=True)
    words = said(Stack((both,)), noise(sequences=20))["directions"]
    assert "both: the backward half reads what comes later; a positive offset is the future" in words
    assert "both: stateful in the model; here every sequence starts from zero states" in words


def test_the_number_of_sequences_the_band_and_the_seed_are_said() -> None:
    words = said(leaky(5.0), noise(sequences=40), seed=7)["sample"]
    assert "measured on 40 sequences of 8 steps" in words
    assert "resample 40" in words
    assert "seed 7; bands are 95 %" in words


def test_an_analysis_leaves_the_model_and_the_data_as_they_were() -> None:
    model = model_of(*one(random_cell(np.random.default_rng(0), 4, 1)).layers)
    x = noise(sequences=20)

    def state() -> str:
        arrays = [*model.layers[0].forward.arrays().values(), x]
        return hashlib.sha256(b"".join(np.asarray(array).tobytes() for array in arrays)).hexdigest()

    before = state()
    said(model, x)
    assert state() == before

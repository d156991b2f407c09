"""The rest of the network behind the recurrent layers: values and gradients against torch and Keras."""

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from analyzing import Float64
from helpers import FIXTURES
from torch import nn

import lstm_convert
from lstm_convert.analysis.before import data_of
from lstm_convert.analysis.comparing import compare
from lstm_convert.analysis.engine import analyze
from lstm_convert.analysis.jacobian import lag_jacobian
from lstm_convert.analysis.outputs import readout_of
from lstm_convert.analysis.readout import Readout, outputs_of
from lstm_convert.analysis.replay import Replay
from lstm_convert.analysis.stacks import stack_of
from lstm_convert.analysis.traces import trace
from lstm_convert.canonical import Activation, Model
from lstm_convert.errors import LayoutMismatch, Unsupported


class Rest(nn.Module):  # type: ignore[misc]  # torch is not followed
    """Two recurrent layers and something behind them."""

    def __init__(self, *behind: nn.Module, steps: bool = False, kind: Any = nn.LSTM) -> None:
        super().__init__()
        self.rnn = kind(3, 5, num_layers=2, batch_first=True, dtype=torch.float64)
        self.behind = nn.Sequential(*behind)
        self.steps = steps

    def forward(self, x: torch.Tensor) -> Any:
        h = self.rnn(x)[0]
        return self.behind(h if self.steps else h[:, -1])


class Pooled(Rest):
    """The mean and the largest of all steps, beside the last."""

    def forward(self, x: torch.Tensor) -> Any:
        h = self.rnn(x)[0]
        return self.behind(torch.cat([h.mean(dim=1), h.amax(dim=1), h[:, -1]], dim=-1))


def dense(inputs: int, outputs: int) -> nn.Linear:
    return nn.Linear(inputs, outputs, dtype=torch.float64)


def norm(features: int) -> nn.BatchNorm1d:
    layer = nn.BatchNorm1d(features, dtype=torch.float64)
    with torch.no_grad():
        for array in (layer.running_mean, layer.running_var, layer.weight, layer.bias):
            assert array is not None
            array.copy_(torch.rand(features, dtype=torch.float64) + 0.3)
    return layer


MODULES: dict[str, Any] = {
    "dense tanh dense": lambda: Rest(dense(5, 7), nn.Tanh(), nn.Dropout(0.3), dense(7, 2)),
    "norm softmax": lambda: Rest(norm(5), dense(5, 4), nn.Softmax(dim=-1)),
    "layer norm gelu": lambda: Rest(nn.LayerNorm(5, dtype=torch.float64), nn.GELU(), dense(5, 2), nn.Sigmoid()),
    "relu chain of a GRU": lambda: Rest(dense(5, 9), nn.ReLU(), dense(9, 3), kind=nn.GRU),
    "every step": lambda: Rest(dense(5, 4), nn.ReLU(), dense(4, 2), steps=True),
    "flatten": lambda: Rest(nn.Flatten(), dense(35, 3), nn.Tanh(), dense(3, 2), steps=True),
    "pooled": lambda: Pooled(dense(15, 4), nn.ELU(), dense(4, 2)),
}


def traced(name: str) -> tuple[nn.Module, Model, Float64]:
    torch.manual_seed(sum(map(ord, name)))
    module = MODULES[name]().eval()
    x = np.random.default_rng(1).normal(size=(4, 7, 3))
    return module, lstm_convert.from_torch(module, example=torch.tensor(x)), x


def torch_gradients(module: nn.Module, x: Float64) -> tuple[Float64, Float64]:
    inputs = torch.tensor(x, requires_grad=True)
    y = module(inputs)
    y = y[:, -1] if y.ndim > 2 else y
    rows = [torch.autograd.grad(y[:, row].sum(), inputs, retain_graph=True)[0].numpy() for row in range(y.shape[1])]
    return y.detach().numpy(), np.stack(rows, axis=1)


@pytest.mark.parametrize("name", sorted(MODULES))
def test_values_and_lag_jacobian_of_whole_models_are_torchs(name: str) -> None:
    module, model, x = traced(name)
    stack = stack_of(model)
    readout = readout_of(model, stack, x.shape[1]).readout
    y, wanted = torch_gradients(module, x)
    assert readout.outputs == y.shape[1]
    np.testing.assert_allclose(outputs_of(readout, trace(stack, x)), y, rtol=0, atol=1e-12)
    found = lag_jacobian(stack, x, readout).values
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12)
    assert np.abs(found).max() > 1e-4


@pytest.mark.parametrize("name", sorted(MODULES))
def test_swapped_histories_are_those_of_sequences_run_whole_by_torch(name: str) -> None:
    module, model, x = traced(name)
    stack, others = stack_of(model), np.array([1, 2, 3, 0])
    replay = Replay.of(stack, x, readout_of(model, stack, 7).readout)
    whole = np.concatenate([x[others, :4], x[:, 4:]], axis=1)
    np.testing.assert_allclose(
        replay.resumed(4, others, replay.x[4:]), torch_gradients(module, whole)[0], rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("name", ["dense tanh dense", "norm softmax", "flatten"])
def test_sums_of_outputs_have_the_sums_of_their_gradients(name: str) -> None:
    _, model, x = traced(name)
    stack = stack_of(model)
    readout = readout_of(model, stack, 7).readout
    weights = np.random.default_rng(2).normal(size=(2, readout.outputs))
    both = readout.combined(weights)
    np.testing.assert_allclose(
        lag_jacobian(stack, x, both).values,
        np.einsum("ko,botd->bktd", weights, lag_jacobian(stack, x, readout).values), rtol=0, atol=1e-12,
    )  # fmt: skip
    np.testing.assert_allclose(
        outputs_of(both, trace(stack, x)), outputs_of(readout, trace(stack, x)) @ weights.T, rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("name", ["dense tanh dense", "norm softmax", "every step"])
def test_no_derivative_of_the_head_exceeds_its_bound(name: str) -> None:
    _, model, _ = traced(name)
    stack = stack_of(model)
    readout = readout_of(model, stack, 7).readout
    h = np.random.default_rng(3).normal(size=(50, 5)) * 3
    found = np.abs(readout.gradients(h)).max(axis=1)
    assert (found <= readout.bound()).all()
    assert found.max() > 0.01 * readout.bound().max()


@pytest.mark.parametrize("name", ["layer norm gelu", "pooled"])
def test_where_no_bound_is_known_none_is_stated(name: str) -> None:
    _, model, x = traced(name)
    with pytest.raises(Unsupported, match="no bound is known"):
        readout_of(model, stack_of(model), x.shape[1]).readout.bound()


RECORDED = [
    f"models/{version}/{name}" for version in ("keras-1.2.2", "keras-2.2.0", "tf-2.15", "keras-3.15.1")
    for name in ("text", "text_nomask", "conv1d_lstm", "gru_default", "gru_text", "masked_average", "last_step")
    if (FIXTURES / f"models/{version}/{name}.h5").exists()
]  # fmt: skip


@pytest.mark.parametrize("case", RECORDED)
def test_a_whole_model_read_from_its_own_input_puts_out_what_keras_recorded(case: str) -> None:
    """Tokens, padding and masks included: what stands before, the recurrent layers, and what stands behind."""
    model, seen = lstm_convert.load(FIXTURES / f"{case}.h5"), np.load(FIXTURES / f"{case}.expected.npz")
    stack = stack_of(model)
    data = data_of(model, stack, seen["x0"], "model")
    given = data.read(slice(None))
    readout = readout_of(model, stack, data.shape[1]).readout
    found = outputs_of(readout, trace(stack, given.x, mask=given.counts))
    np.testing.assert_allclose(found, seen["y0"], rtol=0, atol=2e-6)


@pytest.mark.parametrize("case", [case for case in RECORDED if "3.15.1" in case or case.endswith("masked_average")])
def test_gradients_through_keras_own_layers_are_the_differences_of_the_values(case: str) -> None:
    model, seen = lstm_convert.load(FIXTURES / f"{case}.h5"), np.load(FIXTURES / f"{case}.expected.npz")
    stack = stack_of(model)
    given = data_of(model, stack, seen["x0"], "model").read(slice(2))
    readout = readout_of(model, stack, given.shape[1]).readout
    found = lag_jacobian(stack, given.x, readout, mask=given.counts).values
    for place in np.ndindex(given.shape[1:]):
        moved = np.zeros(given.shape)
        moved[:, *place] = 1e-6
        up, down = (outputs_of(readout, trace(stack, given.x + sign * moved, mask=given.counts)) for sign in (1, -1))
        np.testing.assert_allclose(found[:, :, *place], (up - down) / 2e-6, rtol=0, atol=1e-7)


def test_the_head_of_an_encoder_is_its_whole_decoder() -> None:
    model = lstm_convert.load(FIXTURES / "models/keras-3.15.1/autoencoder.keras")
    seen = np.load(FIXTURES / "models/keras-3.15.1/autoencoder.expected.npz")
    stack = stack_of(model, "encoder")
    readout = readout_of(model, stack, 7).readout
    np.testing.assert_allclose(
        outputs_of(readout, trace(stack, seen["x0"])), seen["y0"].reshape(4, -1), rtol=0, atol=1e-6
    )
    assert np.abs(lag_jacobian(stack, seen["x0"], readout).values).max() > 0


def test_an_output_of_several_is_looked_at_by_its_name() -> None:
    model = lstm_convert.load(FIXTURES / "models/keras-3.15.1/norms.keras")
    stack, seen = stack_of(model), np.load(FIXTURES / "models/keras-3.15.1/norms.expected.npz")
    bare = readout_of(model, stack, 7)
    assert bare.readout.source == "h itself"
    assert "several outputs (layer, layer_both" in bare.reason
    given = data_of(model, stack, seen["x0"], "model").read(slice(None))
    for name, number in (("layer", "0"), ("layer_both", "1"), ("layer_steps", "2"), ("scaled", "5")):
        for asked in (name, number):
            readout = readout_of(model, stack, 7, asked).readout
            wanted = seen[f"y{number}"][:, -1]
            np.testing.assert_allclose(outputs_of(readout, trace(stack, given.x)), wanted, rtol=0, atol=2e-6)
    with pytest.raises(LayoutMismatch, match="no output 'nothing'"):
        readout_of(model, stack, 7, "nothing")


def test_a_rest_that_reads_something_else_too_is_said_and_h_is_looked_at() -> None:
    model = lstm_convert.load(FIXTURES / "models/keras-3.15.1/shared.keras")
    found = readout_of(model, stack_of(model), 7)
    assert found.readout.source == "h itself"
    assert found.reason == "the model's output is not made of it alone: lstm is called more than once"
    merged = lstm_convert.load(FIXTURES / "models/keras-3.15.1/merges.keras")
    with pytest.raises(LayoutMismatch, match="add: lstm_b reads the input input_layer_1"):
        readout_of(merged, stack_of(merged, "lstm_a"), 7, "add")


def test_a_rest_made_for_other_lengths_is_refused_with_what_it_reads() -> None:
    _, model, _ = traced("flatten")
    with pytest.raises(LayoutMismatch, match=r"cannot read rnn\.l1 after sequences of 5 steps"):
        readout_of(model, stack_of(model), 5)
    assert readout_of(model, stack_of(model), 5, "h").readout.outputs == 5


def test_a_rest_that_reads_both_directions_of_every_step_is_analyzed_and_compared() -> None:
    """Whose head takes sequences of one length alone, at rest too."""
    torch.manual_seed(5)
    module = Rest(nn.Flatten(), dense(10 * 7, 2), steps=True, kind=partial(nn.LSTM, bidirectional=True)).eval()
    x = np.random.default_rng(5).normal(size=(20, 7, 3))
    model = lstm_convert.from_torch(module, example=torch.tensor(x[:2]))
    found = analyze(model, x)
    assert {row["offset"] for row in found.tables["lags"].rows(method="rest_response")} == set(range(-6, 1))
    assert compare(model, model, x).same


def test_a_layer_that_is_run_on_each_of_several_sequences_is_looked_at_alone() -> None:
    model = lstm_convert.load(FIXTURES / "models/keras-3.15.1/time_distributed_lstm.keras")
    found = readout_of(model, stack_of(model, "each"), 7)
    assert found.readout.source == "h itself"
    assert "each is run on each of several sequences in a sample" in found.reason


def test_where_the_rest_has_no_gradient_values_alone_are_measured_and_that_is_said() -> None:
    """An activation that makes each number of all, in a way of which no gradient is known."""
    module = Rest(dense(5, 3)).eval()
    x = np.random.default_rng(4).normal(size=(30, 7, 3))
    model = with_activation(lstm_convert.from_torch(module, example=torch.tensor(x[:2])), "sparsemax")
    found = analyze(model, x)
    methods = set(found.tables["lags"]["method"])
    assert {"history_swap", "resample", "occlusion"} <= methods
    assert not methods & {"jacobian", "integrated_gradients", "cell_path", "rest_response"}
    said = {sentence.topic: sentence.text for sentence in found.sentences}
    assert "sparsemax has no derivative" in said["jacobian"]


def with_activation(model: Model, name: str) -> Model:
    network = model.network
    assert network is not None
    layers = {
        key: replace(layer, options={"activation": Activation(name)}) if layer.kind == "dense" else layer
        for key, layer in network.layers.items()
    }
    return replace(model, network=replace(network, layers=layers))


def test_a_matrix_that_is_handed_in_is_looked_at_instead() -> None:
    _, model, x = traced("dense tanh dense")
    found = analyze(model, np.repeat(x, 5, axis=0), readout=Readout(np.ones((1, 5))))
    assert found.metadata["readout"] == "given"

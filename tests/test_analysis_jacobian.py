"""The lag Jacobian against torch's autograd, against central differences, and against planted models."""

from typing import Any

import numpy as np
import pytest
from analyzing import Float64, delay, leaky, random_cell, shut, torch_jacobian
from test_analysis_trace import VARIANTS

from lstm_convert.activations import DERIVATIVES, NUMBERS, derivative, function
from lstm_convert.analysis.jacobian import lag_jacobian
from lstm_convert.analysis.readout import Readout
from lstm_convert.analysis.stacks import Stack
from lstm_convert.analysis.traces import last_output, trace
from lstm_convert.canonical import LSTM, Activation
from lstm_convert.errors import Unsupported


def differences(stack: Stack, x: Float64, readout: Readout, mask: Any = None, step: float = 1e-5) -> Float64:
    """The same by central differences: (batch, outputs, time, inputs)."""
    columns = []
    for place in np.ndindex(x.shape[1:]):
        moved = np.zeros(x.shape)
        moved[:, *place] = step
        up, down = (readout(last_output(trace(stack, x + sign * moved, mask=mask))) for sign in (1, -1))
        columns.append((up - down) / (2 * step))
    return np.stack(columns, axis=-1).reshape(len(x), -1, *x.shape[1:])


def test_it_is_what_torch_computes_for_a_stack() -> None:
    rng = np.random.default_rng(1)
    sizes = [(7, 3), (7, 7)]
    stack = Stack(tuple(LSTM(f"l{n}", random_cell(rng, *size)) for n, size in enumerate(sizes)))
    x, matrix = rng.normal(size=(4, 12, 3)), rng.normal(size=(2, 7))
    found = lag_jacobian(stack, x, Readout(matrix))
    np.testing.assert_allclose(found.values, torch_jacobian(stack, x, matrix), rtol=0, atol=1e-12)
    assert found.lags.tolist() == list(range(11, -1, -1))


@pytest.mark.parametrize("at", [-1, 0, 5])
def test_it_is_what_torch_computes_for_both_directions_and_counts_the_future_as_negative_lags(at: int) -> None:
    rng = np.random.default_rng(2)
    sizes = [(5, 3), (5, 10)]
    stack = Stack(
        tuple(LSTM(f"l{n}", random_cell(rng, *size), random_cell(rng, *size)) for n, size in enumerate(sizes))
    )
    x, matrix = rng.normal(size=(3, 9, 3)), rng.normal(size=(2, 10))
    found = lag_jacobian(stack, x, Readout(matrix), at=at)
    np.testing.assert_allclose(found.values, torch_jacobian(stack, x, matrix, at), rtol=0, atol=1e-12)
    assert found.offsets.tolist() == [time - at % 9 for time in range(9)]


def test_it_is_what_torch_computes_for_a_projection() -> None:
    rng = np.random.default_rng(3)
    stack = Stack((LSTM("lstm", random_cell(rng, 6, 3, outputs=2)),))
    x, matrix = rng.normal(size=(3, 8, 3)), rng.normal(size=(4, 2))
    found = lag_jacobian(stack, x, Readout(matrix)).values
    np.testing.assert_allclose(found, torch_jacobian(stack, x, matrix), rtol=0, atol=1e-12)


@pytest.mark.parametrize("layer", [
    {}, {"both": True, "merge": "mul"}, {"both": True, "return_sequences": False}, {"both": True, "merge": "ave"},
    {"go_backwards": True}, {"masked": True}, {"masked": True, "both": True, "zero_output_for_mask": True},
], ids=str)  # fmt: skip
@pytest.mark.parametrize("variant", sorted(set(VARIANTS) - {"softmax gates"}))
def test_it_is_what_central_differences_say(variant: str, layer: dict[str, Any]) -> None:
    rng = np.random.default_rng(4)
    cells = [random_cell(rng, 4, 2, **VARIANTS[variant]) for _ in range(2)]
    options = dict(layer)
    both, masked = options.pop("both", False), options.pop("masked", False)
    stack = Stack((LSTM("lstm", cells[0], cells[1] if both else None, **options),))
    x = rng.normal(size=(3, 6, 2))
    mask = rng.random((3, 6)) > 0.4 if masked else None
    if mask is not None:
        mask[0, -1] = True  # so that one sequence puts out more than the zero of a masked step
    readout = Readout(rng.normal(size=(2, stack.outputs)))
    found = lag_jacobian(stack, x, readout, mask=mask).values
    assert np.abs(found).max() > 1e-3
    np.testing.assert_allclose(found, differences(stack, x, readout, mask), rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", DERIVATIVES)
def test_every_derivative_is_that_of_its_function(name: str) -> None:
    activation = Activation(name, NUMBERS.get(name, {}))
    x = np.linspace(-7.03, 7.11, 301)  # between the corners
    made = function(activation)
    wanted = (made(x + 1e-6) - made(x - 1e-6)) / 2e-6
    np.testing.assert_allclose(derivative(activation)(x, made(x)), wanted, rtol=1e-6, atol=1e-7)


def test_an_activation_over_all_units_is_refused() -> None:
    stack = Stack((LSTM("lstm", random_cell(np.random.default_rng(0), 3, 2, gate=Activation("softmax"))),))
    with pytest.raises(Unsupported, match="softmax has no derivative of its own for each unit"):
        lag_jacobian(stack, np.ones((1, 3, 2)))


def test_a_leaky_integrator_forgets_at_its_rate_and_all_of_it_in_the_cell() -> None:
    x = np.random.default_rng(0).normal(size=(2, 30, 1))
    found = lag_jacobian(leaky(20.0), x).values[:, 0, ::-1, 0]
    np.testing.assert_allclose(found[:, 1:] / found[:, :-1], 0.95, rtol=1e-6)
    through_cell = lag_jacobian(leaky(20.0), x, cell_path=True).values[:, 0, ::-1, 0]
    np.testing.assert_allclose(through_cell, found, rtol=1e-6)


def test_a_chain_of_units_answers_at_its_delay_and_nothing_of_it_in_the_cell() -> None:
    stack, readout = delay(3)
    x = np.random.default_rng(0).uniform(-1, 1, size=(2, 12, 1))
    found = lag_jacobian(stack, x, readout)
    assert np.abs(found.at_lag(3) - 1.0).max() < 5e-3
    assert max(np.abs(found.at_lag(lag)).max() for lag in range(12) if lag != 3) < 1e-8
    assert np.abs(lag_jacobian(stack, x, readout, cell_path=True).at_lag(3)).max() < 1e-30


def test_a_large_kernel_behind_a_shut_gate_does_nothing() -> None:
    x = np.random.default_rng(0).normal(size=(2, 8, 1))
    assert np.abs(lag_jacobian(shut(), x).values).sum() < 1e-14

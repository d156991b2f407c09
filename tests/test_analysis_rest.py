"""The response at rest and the write-time decomposition: what they are, and what they must not be taken for."""

import numpy as np
import pytest
from analyzing import bistable, cell_of, delay, leaky, one, random_cell, with_entries
from test_analysis_trace import VARIANTS

from lstm_convert.analysis.decomposition import LABEL, decomposed, to_outputs
from lstm_convert.analysis.jacobian import lag_jacobian
from lstm_convert.analysis.readout import Readout
from lstm_convert.analysis.rest import rest_response
from lstm_convert.analysis.stacks import Stack
from lstm_convert.analysis.traces import last_output, trace
from lstm_convert.canonical import LSTM, Activation
from lstm_convert.errors import Unsupported


def test_it_is_the_lag_jacobian_of_a_long_constant_input() -> None:
    rng = np.random.default_rng(0)
    stack = Stack((LSTM("a", random_cell(rng, 5, 2)), LSTM("b", random_cell(rng, 4, 5))))
    point, readout = np.array([0.3, -0.5]), Readout(rng.normal(size=(2, 4)))
    found = rest_response(stack, point, readout, lags=12)
    wanted = lag_jacobian(stack, np.broadcast_to(point, (1, 300, 2)), readout).values[0, :, ::-1]
    np.testing.assert_allclose(found.values, wanted[:, :12], rtol=0, atol=1e-12)
    assert found.offsets.tolist() == [-lag for lag in range(12)]
    assert found.residual <= 1e-8
    assert found.operating_point.tolist() == point.tolist()


def test_it_is_a_small_impulse_to_a_net_at_rest() -> None:
    rng = np.random.default_rng(1)
    stack = one(random_cell(rng, 6, 1, scale=0.3, peepholes=True))
    found = rest_response(stack, np.zeros(1), lags=8).values[:, :, 0]
    for lag in range(8):
        x = np.zeros((2, 200, 1))
        x[:, -1 - lag] = [[1e-4], [-1e-4]]
        up, down = last_output(trace(stack, x))
        np.testing.assert_allclose(found[:, lag], (up - down) / 2e-4, atol=1e-7)


def test_in_both_directions_the_future_has_negative_lags() -> None:
    rng = np.random.default_rng(2)
    stack = Stack((LSTM("lstm", random_cell(rng, 4, 2), random_cell(rng, 4, 2)),))
    found = rest_response(stack, np.zeros(2), lags=5)
    assert found.offsets.tolist() == list(range(4, -5, -1))
    wanted = lag_jacobian(stack, np.zeros((1, 301, 2)), at=150)
    for place, offset in enumerate(found.offsets):
        np.testing.assert_allclose(found.values[:, place], wanted.at_lag(-offset)[0], rtol=0, atol=1e-12)


def test_a_leaky_integrator_answers_at_its_rate_and_its_radius_is_of_the_full_state() -> None:
    found = rest_response(leaky(20.0), np.zeros(1), lags=10)
    np.testing.assert_allclose(found.values[0, 1:, 0] / found.values[0, :-1, 0], 0.95, rtol=1e-6)
    assert found.spectral_radius["lstm forward"] == pytest.approx(0.95, rel=1e-6)


@pytest.mark.parametrize("variant", sorted(set(VARIANTS) - {"softmax gates"}))
def test_the_spectral_radius_is_the_rate_at_which_a_disturbance_dies(variant: str) -> None:
    cell = random_cell(np.random.default_rng(3), 4, 1, scale=0.3, **VARIANTS[variant])
    response = rest_response(one(cell), np.array([0.1]), lags=200).values
    sizes = np.linalg.norm(response[:, :, 0], axis=0)
    (radius,) = rest_response(one(cell), np.array([0.1]), lags=1).spectral_radius.values()
    if sizes[40] > 0:
        assert (sizes[60] / sizes[40]) ** (1 / 20) == pytest.approx(radius, rel=0.05)
    else:
        assert variant == "clips"


def test_a_state_that_settles_where_it_started_from_is_refused() -> None:
    with pytest.raises(Unsupported, match="settles where it started from"):
        rest_response(bistable(), np.zeros(1), lags=3)


def test_a_state_that_never_settles_is_refused() -> None:
    """Two units that turn each other round, and a gate that keeps all of c: neither comes to rest."""
    turning = with_entries(
        cell_of(2, 1, b=(30.0, -30.0, 0.0, 30.0)), U={(2, 0, 1): 3.0, (2, 1, 0): -3.0}, b={(2, 0): 0.01}
    )
    hard = Activation("hard_sigmoid", {"slope": 0.2, "offset": 0.5})
    adding = cell_of(1, 1, b=(1.0, 3.0, 1.0, 0.0), gate=hard)
    for cell in (turning, adding):
        with pytest.raises(Unsupported, match="does not settle"):
            rest_response(one(cell), np.zeros(1), lags=3)


@pytest.mark.parametrize("variant", sorted(set(VARIANTS) - {"clips"}))
def test_what_every_step_wrote_adds_up_to_the_cell(variant: str) -> None:
    rng = np.random.default_rng(4)
    cell = random_cell(
        rng, 5, 2, **(VARIANTS[variant] | ({"projection_clip": None} if variant == "projection" else {}))
    )
    states = [[(rng.normal(size=(3, 5)), rng.normal(size=(3, cell.outputs)))]]
    mask = rng.random((3, 9)) > 0.3
    mask[:, -1] = True
    traced = trace(one(cell), rng.normal(size=(3, 9, 2)), mask=mask, states=states).layers[0].cells[0]
    parts = decomposed(traced)
    np.testing.assert_allclose(parts.written.sum(axis=0) + parts.start, traced.c[-1], rtol=0, atol=1e-12)
    readout = Readout(rng.normal(size=(2, cell.outputs)))
    grown = to_outputs(traced, parts, readout)
    np.testing.assert_allclose(grown.sum(axis=0), readout(traced.h[-1]), rtol=0, atol=1e-12)


def test_what_a_step_wrote_is_what_is_left_when_it_alone_wrote() -> None:
    """A sum can be right and its parts misplaced: each part is also computed by itself."""
    rng = np.random.default_rng(5)
    traced = trace(one(random_cell(rng, 3, 2)), rng.normal(size=(2, 6, 2))).layers[0].cells[0]
    parts = decomposed(traced)
    for step in range(6):
        kept = traced.steps.i[step] * traced.steps.g[step]
        for later in range(step + 1, 6):
            kept = kept * traced.steps.f[later]
        np.testing.assert_allclose(parts.written[step], kept, rtol=1e-12, atol=0)


def test_a_copy_of_three_steps_ago_is_written_now() -> None:
    """The negative test: all that counts came in three steps ago, and all of it was written at the last step."""
    stack, readout = delay(3)
    x = np.random.default_rng(6).uniform(-1, 1, size=(50, 12, 1))
    traced = trace(stack, x)
    shares = decomposed(traced.layers[0].cells[0]).shares
    assert shares[-1] == pytest.approx(1.0, abs=1e-9)
    response = np.abs(lag_jacobian(stack, x, readout).values[:, 0, ::-1, 0]).mean(axis=0)
    assert response.argmax() == 3
    assert LABEL == "write time, not input time"


def test_a_clipped_cell_is_no_sum() -> None:
    traced = trace(one(random_cell(np.random.default_rng(7), 3, 2, cell_clip=0.1)), np.ones((1, 4, 2)))
    with pytest.raises(Unsupported, match="no sum"):
        decomposed(traced.layers[0].cells[0])

"""The measured methods against what closed forms say of planted models."""

import numpy as np
import pytest
from analyzing import Float64, delay, leaky, random_cell

from lstm_convert.analysis.agreement import disagreement, total_variation
from lstm_convert.analysis.bands import shares
from lstm_convert.analysis.effects import OCCLUSION, RESAMPLE, effects
from lstm_convert.analysis.integrated import integrated_gradients
from lstm_convert.analysis.jacobian import lag_jacobian
from lstm_convert.analysis.readout import Readout
from lstm_convert.analysis.replay import Replay, partners
from lstm_convert.analysis.stacks import Stack
from lstm_convert.analysis.swap import history_swap
from lstm_convert.analysis.traces import last_output, trace
from lstm_convert.canonical import LSTM


def rng() -> np.random.Generator:
    return np.random.default_rng(11)


def uniform(count: int, steps: int = 20) -> Float64:
    return rng().uniform(-1, 1, size=(count, steps, 1))


def test_a_delay_of_five_steps_at_lag_five() -> None:
    stack, readout = delay(5)
    curve = history_swap(Replay.of(stack, uniform(400), readout), rng())
    value = curve.band.value[:, 0]
    assert value[:6] == pytest.approx(1.0, abs=0.1)
    assert np.abs(value[6:]).max() < 1e-3
    assert curve.within() == curve.within(upper=True) == 5
    assert value[-1] == 0.0


def test_a_leaky_integrator_swaps_as_its_closed_form() -> None:
    """An average of decay a has a share of a^2k at lag k and beyond, less what a sequence this short has not."""
    a, steps = 0.8, 20
    curve = history_swap(Replay.of(leaky(5.0), uniform(2000, steps)), np.random.default_rng(12)).band
    lags = np.arange(steps + 1)
    wanted = (a ** (2 * lags) - a ** (2 * steps)) / (1 - a ** (2 * steps))
    np.testing.assert_allclose(curve.value[:, 0], wanted, atol=0.05)
    assert (np.diff(curve.value[:, 0]) <= (curve.high - curve.low)[1:, 0] + 1e-12).all()


def test_the_band_holds_the_truth_about_as_often_as_it_says() -> None:
    a, steps = 0.8, 6
    wanted = (a ** (2 * np.arange(steps)) - a ** (2 * steps)) / (1 - a ** (2 * steps))
    hits = []
    for seed in range(60):
        chance = np.random.default_rng(seed)
        band = history_swap(Replay.of(leaky(5.0), chance.uniform(-1, 1, (150, steps, 1))), chance).band
        hits.append((band.low[:steps, 0] <= wanted) & (wanted <= band.high[:steps, 0]))
    assert 0.9 <= np.mean(hits) < 0.99


def test_each_lag_of_a_linear_model_has_its_share_of_the_variance() -> None:
    """The Sobol index of lag k of an average of decay a is a^2k over their sum, whatever the others are."""
    a, steps = 0.8, 12
    replay = Replay.of(leaky(5.0), uniform(2000, steps))
    wanted = a ** (2 * np.arange(steps))[::-1] / (a ** (2 * np.arange(steps))).sum()
    for method in (RESAMPLE, OCCLUSION):
        found = effects(replay, rng(), method)
        np.testing.assert_allclose(found.band.value[:, 0], wanted, atol=0.03)


def test_no_lag_of_a_delay_but_its_own_has_an_effect() -> None:
    stack, readout = delay(5)
    found = effects(Replay.of(stack, uniform(300), readout), rng())
    assert found.at(-6)[0] == pytest.approx(1.0, abs=0.1)
    assert max(found.at(step)[2] for step in range(20) if step != 14) < 0.01


def test_only_the_feature_that_is_read_has_an_effect() -> None:
    cell = random_cell(rng(), 4, 3)
    arrays = {name: np.array(array) for name, array in cell.arrays().items()}
    arrays["W"][:, :, 1] = 0.0
    stack = Stack((LSTM("lstm", cell.with_arrays(arrays)),))
    replay = Replay.of(stack, rng().normal(size=(60, 5, 3)))
    found = effects(replay, rng(), features=(None, 0, 1, 2))
    assert found.at(-1, 1) == (0.0, 0.0, 0.0)
    assert min(found.at(-1, feature)[0] for feature in (0, 2, None)) > 1e-3


@pytest.mark.parametrize("both", [False, True], ids=["causal", "both directions"])
def test_a_replay_is_a_run_of_the_spliced_sequences(both: bool) -> None:  # noqa: FBT001 (a parameter of the test)
    sizes = [(4, 2), (3, 8 if both else 4)]
    stack = Stack(tuple(
        LSTM(f"l{n}", random_cell(rng(), *size), random_cell(rng(), *size) if both else None, peephole)
        for n, (size, peephole) in enumerate(zip(sizes, (None, None), strict=True))
    ))  # fmt: skip
    x = rng().normal(size=(5, 9, 2))
    replay = Replay.of(stack, x)
    others = partners(rng().permutation(5))
    assert sorted(others) == list(range(5))
    assert (others != np.arange(5)).all()
    for time in (0, 4, 9):
        spliced = np.concatenate([x[others, :time], x[:, time:]], axis=1)
        wanted = last_output(trace(stack, spliced))
        found = replay.resumed(time, others, replay.x[time:])
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-14)


def test_integrated_gradients_add_up_to_the_difference_to_their_baseline() -> None:
    stack = Stack((LSTM("lstm", random_cell(rng(), 5, 2)),))
    x, baseline = rng().normal(size=(3, 8, 2)), np.array([0.3, -0.2])
    readout = Readout(rng().normal(size=(2, 5)))
    found = integrated_gradients(stack, x, readout, baseline=baseline)
    assert found.residual < 1e-4
    assert np.abs(found.values).max() > 100 * found.residual
    assert (integrated_gradients(stack, x, readout, baseline=baseline, nodes=48).residual) < 1e-9


def test_the_methods_agree_on_a_linear_model() -> None:
    x = uniform(400, 12)
    replay = Replay.of(leaky(5.0), x)
    jacobian = lag_jacobian(leaky(5.0), x).values
    attributed = integrated_gradients(leaky(5.0), x, baseline=np.zeros(1)).values
    profiles = {
        "jacobian": (jacobian**2).mean(axis=(0, 1, 3)),
        "resample": effects(replay, rng()).band.value[:, -1],
        "occlusion": effects(replay, rng(), OCCLUSION).band.value[:, -1],
        "integrated": (attributed**2).mean(axis=(0, 1, 3)),
    }
    found = disagreement(profiles)
    assert len(found) == 6
    assert not any(flagged for *_, flagged in found)


def test_profiles_that_have_nothing_in_common_are_flagged() -> None:
    one, other = np.array([0.0, 2.0, 0.0]), np.array([1.0, 0.0, 1.0])
    assert total_variation(one, other) == 1.0
    assert disagreement({"a": one, "b": other, "zero": 0 * one}) == [("a", "b", 1.0, True)]


def test_an_output_that_does_not_vary_has_no_shares() -> None:
    band = shares(np.zeros((5, 2, 1)), np.ones((5, 1)), rng())
    assert all(np.isnan(part).all() for part in band)


def test_the_same_seed_gives_the_same_band() -> None:
    replay = Replay.of(leaky(5.0), uniform(50, 6))
    first, second = (history_swap(replay, rng()) for _ in range(2))
    assert all((a == b).all() for a, b in zip(first.band, second.band, strict=True))

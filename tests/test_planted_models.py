"""Models whose answers are known, read by the command line: what tables, pictures and sentences say of them.

Four are made by hand, as files of torch's own; `adding` and `latch` were trained by torch (fixtures/trained).
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from analyzing import bistable, delay, leaky, shut, torch_lstm
from answering import Command
from commands import Float64, rows, saved
from helpers import FIXTURES
from matplotlib.figure import Figure

import lstm_convert
from lstm_convert.analysis.readout import Readout
from lstm_convert.analysis.stacks import Stack
from lstm_convert.network.reference import run_network
from lstm_convert.plots import drawing

if TYPE_CHECKING:
    from lstm_convert.plots.picture import Picture

TRAINED = FIXTURES / "trained/torch-2.13"


def planted(stack: Stack, x: Float64, readout: Readout | None = None) -> list[str]:
    """Write a planted model, its data and its readout; return the command's arguments."""
    torch.save(torch_lstm(stack).state_dict(), "planted.pt")
    given = [] if readout is None else ["--readout", saved("readout.npy", readout.matrix)]
    return ["analyze", "planted.pt", "--data", saved("x.npy", x), "-o", "out", *given]


def trained(name: str) -> list[str]:
    """Return the command's arguments for a trained model and the sequences that torch ran it on."""
    with np.load(TRAINED / f"{name}.expected.npz") as expected:
        x = saved("x.npy", expected["x0"])
    return ["analyze", str(TRAINED / f"{name}.pt"), "--graph", "lstm,last,head", "--data", x, "-o", "out"]


def test_a_delay_of_five_steps_shows_at_lag_five_in_table_picture_and_sentence(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: dict[str, Picture] = {}
    draw = drawing.drawn
    monkeypatch.setattr(drawing, "drawn", lambda picture: draw(shown.setdefault(picture.name, picture)))
    stack, readout = delay(5)
    x = np.random.default_rng(0).uniform(-1, 1, (200, 12, 1))
    code, out, _ = command(*planted(stack, x, readout))
    assert code == 0
    assert "99 % of the effect lies within k = 5 on your data" in out
    assert "total effect of lag 6 and beyond <=" in out
    share = {row["lag"]: row["value"] for row in rows("lags", method="history_swap")}
    assert [share[lag] for lag in range(6)] == pytest.approx([1.0] * 6, abs=0.1)
    assert [share[lag] for lag in range(6, 12)] == pytest.approx([0.0] * 6, abs=1e-3)
    assert "99 % lies within k = 5" in Path("out/lag_curve.svg").read_text("utf-8")
    figure = Figure()
    shown["lag_curve"].draw(figure)
    curve, _, mark = figure.axes[0].lines
    assert {-step: height for step, height in np.asarray(curve.get_xydata())} == {lag: share[lag] for lag in range(12)}
    assert np.unique(mark.get_xdata()).tolist() == [-5]
    below = {row[0]: row[1] for row in shown["lag_curve"].rows}
    assert (below["t-5"], below["t-6"]) == (share[5], share[6])


@pytest.mark.usefixtures("undrawn")
def test_a_leaky_unit_keeps_nineteen_twentieths_a_step(command: Command) -> None:
    x = np.random.default_rng(0).normal(size=(40, 10, 1))
    code, out, _ = command(*planted(leaky(20.0), x))
    assert code == 0
    slopes = [row["value"] for row in rows("lags", method="jacobian", stat="mean")]
    assert np.array(slopes[:-1]) / slopes[1:] == pytest.approx(0.95, rel=1e-6)
    shares = [row["value"] for row in rows("lags", method="cell_path")]
    assert np.array(shares) == pytest.approx(1.0)
    assert rows("units", basis="at_rest")[0]["tau_life"] == pytest.approx(20.0)
    assert "tau_life = 1/(1-f) = 20, tau_e = -1/ln f = 19.5, half_life = 13.5" in out
    assert "The full one-step Jacobian of c and h at rest has 0.95; that of h alone, c held fixed, 0" in out
    assert "PROVEN: |d y / d x[t-9]| <= " in out


@pytest.mark.usefixtures("undrawn")
def test_a_shut_gate_is_said_to_be_shut_whatever_it_reads(command: Command) -> None:
    code, out, _ = command(*planted(shut(), np.random.default_rng(0).normal(size=(30, 6, 1))))
    assert code == 0
    assert "PROVEN: lstm forward: the size of W_g (up to 100) says nothing while the input gate is shut" in out
    assert "i <= 4.25e-18 in 2 of 2 units" in out
    assert "never_written" in rows("units", basis="proven")[0]["flags"]


def test_a_state_that_settles_where_it_started_has_no_picture_at_rest(command: Command) -> None:
    x = np.zeros((20, 6, 1))
    x[:, 0, 0] = np.random.default_rng(0).normal(size=20)
    code, out, _ = command(*planted(bistable(), x - x.mean()))
    assert code == 0
    assert "no one response at rest" in out
    assert rows("lags", method="rest_response") == []
    assert not Path("out/rest_response.png").exists()
    assert Path("out/report.html").exists()


@pytest.mark.usefixtures("undrawn")
def test_two_marked_values_that_are_added_matter_wherever_they_stand(command: Command) -> None:
    code, out, _ = command(*trained("adding"))
    assert code == 0
    assert "99 % of the effect lies within k = 19 on your data" in out
    assert "total effect of lag" not in out  # no lag is bounded away
    swap = sorted((row["lag"], row["value"]) for row in rows("lags", method="history_swap"))
    assert [share for _, share in swap] == pytest.approx([1 - lag / 20 for lag in range(21)], abs=0.1)
    values = rows("lags", method="resample", feature="0")
    assert np.mean([row["value"] for row in values]) == pytest.approx(0.05, abs=0.005)
    assert sum(row["ci_low"] <= 0.05 <= row["ci_high"] for row in values) >= 17  # of 20 bands of 95 %
    assert rows("disagreement", flagged=True) == []
    shares = {row["lag"]: row["value"] for row in rows("lags", method="cell_path")}
    assert max(shares[lag] for lag in range(10, 20)) < 0.02  # it remembers through U
    at_rest = max(abs(row["value"]) for row in rows("lags", method="rest_response", feature="0"))
    measured = max(row["value"] for row in rows("lags", method="jacobian", stat="max_abs", feature="0"))
    assert at_rest < 0.2
    assert measured > 0.9
    assert f"of output 0 and feature 0 is at most {at_rest:.3g}, on your data up to {measured:.3g}" in out


@pytest.mark.usefixtures("undrawn")
def test_a_latched_sign_matters_where_its_gradient_has_vanished(command: Command) -> None:
    code, out, _ = command(*trained("latch"))
    assert code == 0
    assert "99 % of the effect lies within k = 19 on your data" in out
    assert "total effect of lag" not in out
    values = [row["value"] for row in rows("lags", method="resample", feature="0")]
    assert np.mean(values) == pytest.approx(0.05, abs=0.01)
    assert min(row["ci_low"] for row in rows("lags", method="resample", feature="*")) > 0
    (pair,) = rows("disagreement", method_a="jacobian", method_b="occlusion")
    assert pair["flagged"]
    assert f"jacobian and occlusion disagree on which lags matter (total variation {pair['total_variation']:.2f}" in out
    assert "a step whose gradient has vanished may matter" in out
    assert "there is no one response at rest: the state settles where it started from" in out


@pytest.mark.parametrize("name", ["adding", "latch"])
def test_the_trained_models_compute_what_torch_recorded(name: str) -> None:
    with np.load(TRAINED / f"{name}.expected.npz") as expected:
        x, y = expected["x0"], expected["y0"]
    network = lstm_convert.load(TRAINED / f"{name}.pt", graph="lstm,last,head").network
    assert network is not None
    assert np.abs(run_network(network, [x])[0] - y).max() < 1e-5
    marked = x[..., 0] * x[..., 1]
    target = marked.sum(axis=1) if name == "adding" else np.sign(marked.sum(axis=1))
    assert ((y[:, 0] - target) ** 2).mean() < 0.02  # it has learned its task

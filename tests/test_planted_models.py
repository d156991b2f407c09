"""Models whose answers are known, read by the command line: what tables, pictures and sentences say of them."""

from pathlib import Path

import numpy as np
import pytest
from analyzing import bistable, delay, leaky, model_of, shut
from commands import Command, Float64, rows, saved

import lstm_convert
from lstm_convert.analysis.readout import Readout
from lstm_convert.analysis.stacks import Stack


def planted(stack: Stack, x: Float64, readout: Readout | None = None) -> list[str]:
    """Write a planted model, its data and its readout; return the command's arguments."""
    lstm_convert.save(model_of(*stack.layers), "planted.npz")
    given = [] if readout is None else ["--readout", saved("readout.npy", readout.matrix)]
    return ["analyze", "planted.npz", "--data", saved("x.npy", x), "-o", "out", *given]


def test_a_delay_of_five_steps_shows_at_lag_five_in_table_picture_and_sentence(command: Command) -> None:
    stack, readout = delay(5)
    x = np.random.default_rng(0).uniform(-1, 1, (200, 12, 1))
    code, out, _ = command(*planted(stack, x, readout))
    assert code == 0
    assert "99 % of the effect lies within k = 5 on your data" in out
    assert "total effect of lag 6 and beyond <=" in out
    share = {row["lag"]: row["value"] for row in rows("lags", method="history_swap")}
    assert share[5] == pytest.approx(1.0, abs=0.1)
    assert share[6] == pytest.approx(0.0, abs=1e-3)
    assert "99 % lies within k = 5" in Path("out/lag_curve.svg").read_text("utf-8")


@pytest.mark.usefixtures("undrawn")
def test_a_leaky_unit_keeps_nineteen_twentieths_a_step(command: Command) -> None:
    x = np.random.default_rng(0).normal(size=(40, 10, 1))
    code, _, _ = command(*planted(leaky(20.0), x))
    assert code == 0
    slopes = [row["value"] for row in rows("lags", method="jacobian", stat="mean")]
    assert np.array(slopes[:-1]) / slopes[1:] == pytest.approx(0.95, rel=1e-6)
    shares = [row["value"] for row in rows("lags", method="cell_path")]
    assert np.array(shares) == pytest.approx(1.0)
    assert rows("units", basis="at_rest")[0]["tau_life"] == pytest.approx(20.0)


@pytest.mark.usefixtures("undrawn")
def test_a_shut_gate_is_said_to_be_shut_whatever_it_reads(command: Command) -> None:
    code, out, _ = command(*planted(shut(), np.random.default_rng(0).normal(size=(30, 6, 1))))
    assert code == 0
    assert "PROVEN: lstm forward: the size of W_g (up to 100) says nothing while the input gate is shut" in out
    assert "never_written" in rows("units", basis="proven")[0]["flags"]


def test_a_state_that_settles_where_it_started_has_no_picture_at_rest(command: Command) -> None:
    x = np.zeros((20, 6, 1))
    x[:, 0, 0] = np.random.default_rng(0).normal(size=20)
    code, out, _ = command(*planted(bistable(), x - x.mean()))
    assert code == 0
    assert "no one response at rest" in out
    assert not Path("out/rest_response.png").exists()
    assert Path("out/report.html").exists()

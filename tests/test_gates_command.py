"""The option `info --gates`, as a user runs it: what the weights alone say."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from analyzing import cell_of, model_of, shut
from answering import Command
from commands import GRU, WEATHER, saved
from helpers import FIXTURES

import lstm_convert
from lstm_convert.analysis.stacks import Stack
from lstm_convert.analysis.tables import COLUMNS
from lstm_convert.analysis.traces import trace
from lstm_convert.canonical import LSTM, Model, SimpleRNN, SimpleRNNCell


def test_info_shows_the_gates(command: Command) -> None:
    code, out, err = command("info", WEATHER, "--gates")
    assert (code, err) == (0, "")
    found = {tuple(line.split()[1:6]) for line in out.splitlines() if line.startswith(" lstm_1")}
    assert found == {("fwd", gate, kind, "16", str(columns)) for gate in "ifgo" for kind, columns in
                     (("W", 4), ("U", 16), ("b", 1))}  # fmt: skip
    assert "AT REST, by b_f alone: tau_life" in out


@pytest.mark.parametrize("stated", [("--box", "-1", "1"), ("--data", "x.npy")], ids=["box", "data"])
def test_a_stated_box_proves_the_ranges_of_the_gates(command: Command, stated: tuple[str, ...]) -> None:
    x = np.random.default_rng(0).uniform(-1, 1, size=(40, 6, 4))
    saved("x.npy", x)
    code, out, _ = command("info", WEATHER, "--gates", *stated, "--json")
    proven = [row for row in json.loads(out)["units"] if row["basis"] == "proven"]
    assert (code, len(proven)) == (0, 16)
    gates = trace(Stack(lstm_convert.load(WEATHER).layers), x).layers[0].cells[0].steps
    for gate in "ifo":
        found = getattr(gates, gate).reshape(-1, 16)
        low, high = (np.array([row[f"{end}_{gate}"] for row in proven]) for end in ("low", "high"))
        assert (low <= found.min(axis=0)).all()
        assert (high >= found.max(axis=0)).all()
    said = command("info", WEATHER, "--gates", *stated)[1]
    assert re.search(r"lstm_1 fwd: PROVEN, every feature .+ zero states: \S+ <= i <= \S+, \S+ <= f <= \S+, ", said)


def test_a_shut_gate_is_proven_shut_by_its_box_alone(command: Command) -> None:
    lstm_convert.save(model_of(*shut().layers), "shut.npz")
    assert "never_written" not in command("info", "shut.npz", "--gates")[1]
    out = command("info", "shut.npz", "--gates", "--box", "-3", "3")[1]
    assert "lstm fwd: PROVEN, every feature from -3 to 3: unit 0 never_written; unit 1 never_written" in out
    assert "4.24e-18 <= i <= 4.25e-18" in out  # sigma(-40) is 4.248e-18, and bounds are rounded so that they hold


@pytest.mark.parametrize(("arguments", "said"), [
    (["--gates", "--box", "1", "-1"], "expected one range or 4, each from its least to its most, found 1.0 to -1.0"),
    (["--gates", "--data", "x.npy"], "expected one range or 4"),
    (["--gates", "--box", "0", "1", "--data", "x.npy"], "give one of them"),
    (["--box", "0", "1"], "give one of them"),
])  # fmt: skip
def test_a_box_that_is_none_is_refused(command: Command, arguments: list[str], said: str) -> None:
    saved("x.npy", np.zeros((2, 3, 5)))
    code, out, err = command("info", WEATHER, *arguments)
    assert (code, out) == (2, "")
    assert said in err


def test_the_gates_of_a_gru_have_ranges_too(command: Command) -> None:
    out = command("info", GRU, "--gates", "--box", "0", "1")[1]
    assert re.search(
        r"gru fwd: PROVEN, every feature .+ zero states: \S+ <= z <= \S+, \S+ <= r <= \S+ in all units", out
    )


def test_what_has_no_gates_has_no_range(command: Command) -> None:
    simple = SimpleRNNCell.of({"W": np.ones((1, 2, 1)), "U": np.ones((1, 2, 2)), "b": np.ones((1, 2))})
    lstm_convert.save(Model((SimpleRNN("simple", simple),)), "simple.npz")
    out = command("info", "simple.npz", "--gates", "--box", "0", "1")[1]
    assert "simple fwd: no range is proven: it has no gates" in out


def test_no_range_is_proven_of_what_is_not_bounded(command: Command) -> None:
    simple = FIXTURES / "models/tf-2.15/rnn_simple.h5"
    code, out, err = command("info", simple, "--gates", "--box", "0", "1")
    assert (code, out) == (2, "")
    assert "no bounds can be proven for this cell\n  the candidate activation is relu" in err


def test_what_no_box_is_known_of_is_said(command: Command) -> None:
    lower = LSTM("lower", cell_of(2, 1), cell_of(2, 1), merge="sum")
    lstm_convert.save(Model((lower, LSTM("upper", cell_of(2, 2), follows="lower"))), "two.npz")
    out = command("info", "two.npz", "--gates", "--box", "0", "1")[1]
    assert "lower bwd: PROVEN, every feature from 0 to 1" in out
    assert "upper fwd: no range is proven: it has no gates, or no box is known of what it reads" in out


@pytest.mark.parametrize("path", [WEATHER, GRU], ids=["LSTM", "GRU"])
def test_info_shows_the_gates_as_json(command: Command, path: Path) -> None:
    code, out, _ = command("info", path, "--gates", "--json")
    answer = json.loads(out)
    assert code == 0
    assert list(answer) == ["file", "inventory", "gates", "units"]
    assert tuple(answer["gates"][0]) == COLUMNS["gates"]
    assert {row["gate"] for row in answer["gates"]} == set("ifgo" if path == WEATHER else "zrg")
    assert len(answer["units"]) == (16 if path == WEATHER else 5)

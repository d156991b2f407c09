"""The command `diagnose`, and how much work a diagnosis is."""

import json
from pathlib import Path
from typing import Any

import pytest
from helpers import command
from planting import doubled, loaded, permuted, planted, random_model, swapped

import lstm_convert
from lstm_convert import LSTM, diagnose, reference


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Path, Path]:
    one, other = tmp_path / "right.npz", tmp_path / "wrong.npz"
    lstm_convert.save(loaded("plain"), one)
    lstm_convert.save(planted(loaded("plain"), [doubled, swapped("i", "o")]), other)
    return one, other


def test_the_command_names_mistakes(saved: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert command("diagnose", *saved) == 1
    out = capsys.readouterr().out
    assert "bias_doubled in lstm_a forward: the bias counts twice" in out
    assert "gates_swapped in lstm_a forward: i and o are swapped" in out


def test_the_command_answers_in_json(saved: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert command("diagnose", *saved, "--json") == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer.keys() == {"same", "mistakes"}
    assert answer["same"] is False
    assert [mistake.keys() for mistake in answer["mistakes"]] == [
        {"name", "layer", "direction", "detail", "residual"}
    ] * 2
    assert command("diagnose", saved[0], saved[0], "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"same": True, "mistakes": []}


def test_the_command_says_what_is_the_same(saved: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert command("diagnose", saved[0], saved[0]) == 0
    assert capsys.readouterr().out.startswith("the same")


def test_the_command_that_could_not_says_why(saved: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert command("diagnose", saved[0], "nowhere.npz") == 2
    printed = capsys.readouterr()
    assert "nowhere.npz" in printed.err
    assert not printed.out


def test_a_diagnosis_runs_each_cell_a_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """The weights tell what was done; running the reference is kept for the proof. Seconds: benchmarks/diagnose.py."""
    right = random_model(64, 40, 2, 0, both=True)
    other = random_model(64, 40, 2, 1, both=True)
    runs: list[LSTM] = []

    def counted(layer: LSTM, *arguments: Any) -> reference.Run:
        runs.append(layer)
        return reference.run(layer, *arguments)

    monkeypatch.setattr("lstm_convert.diagnosis.cells.run", counted)
    for wrong in (other, planted(right, [permuted, swapped("i", "g"), doubled], 1, "backward")):
        runs.clear()
        diagnose(right, wrong)
        assert len(runs) < 60

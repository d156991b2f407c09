"""The command `normalize`, as a user runs it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from answering import Command
from commands import WEATHER

import lstm_convert


@pytest.mark.parametrize("target", ["normal.npz", "normal.keras", "normal.pt"])
def test_normalize_keeps_the_function_and_is_undone_bit_for_bit(command: Command, target: str) -> None:
    code, out, _ = command("normalize", WEATHER, target)
    assert code == 0
    assert "15 units moved, 4 signs flipped" in out
    assert Path(f"{target}.moves.npz").exists()
    assert command("compare", WEATHER, target)[0] == 0
    before, normal = (lstm_convert.load(path)["lstm_1"].forward for path in (WEATHER, target))
    assert np.abs(np.asarray(before.W) - np.asarray(normal.W)).max() > 0.1
    assert command("normalize", target, "back.npz", "--undo")[0] == 0
    again = lstm_convert.load("back.npz")["lstm_1"].forward
    assert np.array_equal(np.asarray(again.W), np.asarray(before.W))
    assert np.array_equal(np.asarray(again.U), np.asarray(before.U))


def test_normal_forms_of_moved_models_are_one(command: Command) -> None:
    """A model with its units in another order has the same normal form."""
    assert command("normalize", WEATHER, "one.npz")[0] == 0
    assert command("normalize", "one.npz", "two.npz", "--json")[0] == 0
    first, second = (lstm_convert.load(path)["lstm_1"].forward.W for path in ("one.npz", "two.npz"))
    assert np.array_equal(np.asarray(first), np.asarray(second))


def test_without_its_moves_nothing_is_undone(command: Command) -> None:
    code, _, err = command("normalize", WEATHER, "back.npz", "--undo")
    assert (code, "weather.h5.moves.npz beside it" in err) == (2, True)
    assert command("normalize", WEATHER, "normal.npz")[0] == 0
    wrong: dict[str, Any] = {"lstm_1.forward.order": np.zeros(16), "lstm_1.forward.signs": np.ones(16)}
    np.savez("normal.npz.moves.npz", **wrong)
    code, _, err = command("normalize", "normal.npz", "back.npz", "--undo")
    assert (code, "not the moves of this model" in err) == (2, True)
    Path("normal.npz.moves.npz").write_text("no arrays", "utf-8")
    assert command("normalize", "normal.npz", "back.npz", "--undo")[0] == 2
    assert not Path("back.npz").exists()


def test_normalize_replaces_nothing_without_force(command: Command) -> None:
    assert command("normalize", WEATHER, "normal.npz")[0] == 0
    assert command("normalize", WEATHER, "normal.npz")[0] == 2
    Path("normal.npz").unlink()
    assert "exists already" in command("normalize", WEATHER, "normal.npz")[2]
    assert not Path("normal.npz").exists()
    assert command("normalize", WEATHER, "normal.npz", "--force")[0] == 0
    assert command("normalize", "normal.npz", "normal.npz", "--force")[0] == 2


@pytest.mark.parametrize(
    ("target", "alone"), [("normal.npz", True), ("normal.keras", False), ("normal.safetensors", False)]
)
def test_normalize_says_where_what_reads_the_units_did_not_move_with_them(
    command: Command, target: str, *, alone: bool
) -> None:
    _, out, _ = command("normalize", WEATHER, target)
    assert ("has the recurrent layers alone" in out) == alone

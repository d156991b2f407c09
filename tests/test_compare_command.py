"""The command `compare`, as a user runs it."""

import json

import pytest
from commands import WEATHER, Command, saved, weather_data
from helpers import FIXTURES

import lstm_convert
from lstm_convert.analysis.tables import COLUMNS


@pytest.mark.parametrize("target", ["weather.pt", "weather.keras", "weather.npz", "weather.safetensors"])
def test_a_converted_model_compares_as_the_same(command: Command, target: str) -> None:
    lstm_convert.convert(WEATHER, target, lstm_only=target.endswith("npz"))
    code, out, _ = command("compare", WEATHER, target, "--data", saved("x.npy", weather_data()))
    assert code == 0
    assert "MEASURED: the same outputs on your data" in out


def test_another_model_compares_as_another(command: Command) -> None:
    code, out, _ = command("compare", WEATHER, FIXTURES / "keras-1.2.2/weather_hard_sigmoid.h5", "--json")
    answer = json.loads(out)
    assert code == 1
    assert answer["same"] is False
    assert "noise of mean 0 and spread 1 (seed 0), not your data" in answer["headline"]
    assert tuple(answer["distances"][0]) == COLUMNS["distances"]
    assert tuple(answer["matches"][0]) == COLUMNS["matches"]


def test_what_cannot_be_compared_is_refused_with_the_file_it_is_about(command: Command) -> None:
    code, _, err = command("compare", WEATHER, FIXTURES / "keras-1.2.2/plain.h5")
    assert (code, "inputs: 4 and 3" in err) == (2, True)

"""The command `compare`, as a user runs it."""

import json

import numpy as np
import pytest
from answering import Command
from commands import WEATHER, saved, weather_data
from helpers import FIXTURES

import lstm_convert
from lstm_convert.analysis.tables import COLUMNS


@pytest.mark.parametrize("target", ["weather.pt", "weather.keras", "weather.npz", "weather.safetensors"])
def test_a_converted_model_compares_as_the_same(command: Command, target: str) -> None:
    lstm_convert.convert(WEATHER, target, lstm_only=target.endswith("npz"))
    code, out, _ = command("compare", WEATHER, target, "--data", saved("x.npy", weather_data()))
    assert code == 0
    assert "MEASURED: the same outputs on your data" in out


def test_each_file_has_its_own_readout_layer_and_graph(command: Command) -> None:
    lstm_convert.convert(WEATHER, "weather.safetensors")
    data, order = saved("x.npy", weather_data()), "lstm_1,last,dense_1,tanh,dense_2"
    bare = command("compare", WEATHER, "weather.safetensors", "--data", data)[1]
    assert "the same outputs" in bare
    code, out, _ = command("compare", WEATHER, "weather.safetensors", "--data", data, "--graph", "-", "--graph", order,
                           "--layer", "lstm_1")  # fmt: skip
    assert (code, "the same outputs" in out) == (0, True)
    one, other = saved("one.npy", np.eye(1, 16)), saved("other.npy", np.eye(1, 16, 1))
    readouts = [["--readout", one], ["--readout", one, "--readout", other]]
    assert [command("compare", WEATHER, WEATHER, "--data", data, *each)[0] for each in readouts] == [0, 1]


@pytest.mark.parametrize(("arguments", "said"), [
    (["--layer", "lstm_9"], "weather.h5: has no recurrent layer 'lstm_9'"),
    (["--layer", "-", "--layer", "-", "--layer", "-"], "once is for both files, twice for A and for B"),
    (["--graph", "lstm_1,last"], "--graph: nothing to use it for"),
    (["--readout", "missing.npy"], "missing.npy"),
])  # fmt: skip
def test_an_option_that_fits_neither_file_is_refused(command: Command, arguments: list[str], said: str) -> None:
    code, out, err = command("compare", WEATHER, WEATHER, *arguments)
    assert (code, out) == (2, "")
    assert said in err


def test_data_that_may_be_two_things_is_what_it_is_said_to_be(command: Command) -> None:
    model = FIXTURES / "models/keras-3.15.1/norms.keras"
    arguments = ["compare", model, model, "--data", saved("x.npy", np.random.default_rng(0).normal(size=(9, 7, 3)))]
    assert "say which with --data-is model or --data-is layer" in command(*arguments)[2]
    assert [command(*arguments, "--data-is", each)[0] for each in ("model", "layer")] == [0, 0]


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

"""`lstm-convert convert`: what it says, and each of its options."""

from pathlib import Path

import numpy as np
import pytest
import torch
from answering import Command
from helpers import FIXTURES

import lstm_convert

WEATHER = FIXTURES / "keras-1.2.2/weather.h5"
HARD = FIXTURES / "keras-1.2.2/weather_hard_sigmoid.h5"
TORCH = FIXTURES / "torch-2.13/plain.pt"


def test_convert_says_what_it_did_and_proves_it(command: Command) -> None:
    answer = command("convert", WEATHER, "weather.pt")
    lines = answer.out.splitlines()
    assert (answer.code, answer.err) == (0, "")
    assert lines[0] == f"{WEATHER} (keras 1.2.2, Keras HDF5, model or weights) -> weather.pt (PyTorch checkpoint)"
    assert lines[1] == "  lstm_1: nn.LSTM(4, 16, batch_first=True)"
    assert "output[:, -1]" in lines[2]
    assert (
        lines[3]
        == "  dense_1, dense_2: the rest of the model; convert to model.py writes the module that loads all of it"
    )
    assert lines[-1] == "proof: read back and run in float64 over 5 steps; difference: none, to the last bit"
    state = torch.load("weather.pt", weights_only=True)
    lstm = [f"lstm_1.{name}_l0" for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    assert list(state) == [*lstm, "dense_1.weight", "dense_1.bias", "dense_2.weight", "dense_2.bias"]


def test_convert_writes_the_recurrent_layers_alone_where_that_is_asked_for(command: Command) -> None:
    answer = command("convert", WEATHER, "weather.pt", "--lstm-only")
    assert answer.code == 0
    assert "left out, part of no recurrent layer: 37 arrays" in answer.out
    state = torch.load("weather.pt", weights_only=True)
    assert list(state) == [f"lstm_1.{name}_l0" for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]


def test_convert_as_json_has_its_documented_keys(command: Command) -> None:
    answer = command("convert", WEATHER, "weather.safetensors", "--json").json
    assert list(answer) == [
        "source", "target", "format", "usage", "proof", "provenance", "layers", "network", "not_understood",
        "left_out", "assumed", "notes",
    ]  # fmt: skip
    assert (answer["source"], answer["target"]) == (str(WEATHER), "weather.safetensors")
    assert answer["proof"]["max_abs_difference"] <= answer["proof"]["tolerance"]
    assert (answer["proof"]["layers"], answer["proof"]["steps"]) == (3, 5)


def test_what_is_left_out_is_listed(command: Command) -> None:
    left_out = lstm_convert.load(WEATHER).left_out
    answer = command("convert", WEATHER, "out.pt", "--lstm-only")
    weights = [entry for entry in left_out if entry.purpose == "weight"]
    assert "left out, part of no recurrent layer: 37 arrays" in answer.out
    assert [f"  {entry.key} {entry.shape} {entry.dtype}" in answer.out for entry in weights] == [True] * 4
    assert f"  optimizer state: {len(left_out) - 4} arrays" in answer.out
    listed = command("convert", WEATHER, "out.pt", "--lstm-only", "--json", "--force").json["left_out"]
    assert [entry["key"] for entry in listed] == [entry.key for entry in left_out]


@pytest.mark.parametrize("arguments", [["info"], ["convert"]], ids=str)
def test_of_a_whole_model_no_weight_is_left_out(command: Command, arguments: list[str]) -> None:
    target = ["out.pt"] if arguments == ["convert"] else []
    answer = command(*arguments, WEATHER, *target)
    assert "left out, part of no layer: 33 arrays\n  optimizer state: 33 arrays" in answer.out
    listed = command(*arguments, WEATHER, *target, "--json", *(["--force"] if target else [])).json["left_out"]
    assert {entry["purpose"] for entry in listed} == {"optimizer state"}


def test_what_is_not_ported_is_named_at_once_and_the_recurrent_layers_alone_are(command: Command) -> None:
    source = FIXTURES / "models/keras-3.15.1/refused_layers.keras"
    refused = command("convert", source, "model.py")
    assert refused.code == 2
    assert [line for line in refused.err.splitlines() if "is not a layer that is ported" in line] == [
        f"  {name} is not a layer that is ported"
        for name in ("separable: SeparableConv1D", "heads: MultiHeadAttention", "attention: Attention")
    ]
    assert not Path("model.py").exists()
    assert "--lstm-only" in refused.err
    assert "attention: Attention" in command("info", source).out
    assert command("convert", source, "model.py", "--lstm-only").code == 0


def test_what_is_assumed_is_said(command: Command) -> None:
    source = FIXTURES / "keras-3.15.1/plain.weights.h5"
    answer = command("convert", source, "out.pt")
    assumed = command("info", source, "--json").json["assumed"]
    assert any("--recurrent-activation" in sentence for sentence in assumed)
    assert [line.removeprefix("assumed: ") for line in answer.out.splitlines() if "assumed: " in line] == assumed


def test_dtype_rounds_the_weights(command: Command) -> None:
    assert command("convert", TORCH, "out.pt", "--dtype", "bfloat16").code == 0
    assert {tensor.dtype for tensor in torch.load("out.pt", weights_only=True).values()} == {torch.bfloat16}
    answer = command("convert", TORCH, "other.pt", "--dtype", "int8")
    assert (answer.code, answer.out) == (2, "")
    assert "expected one of float16, bfloat16, float32, float64" in answer.err


def test_stack_joins_layers_of_one_size(command: Command) -> None:
    source = FIXTURES / "keras-3.15.1/eleven.keras"
    assert "lstm_7: nn.LSTM(3, 5, num_layers=11, batch_first=True)" in command("convert", source, "a.pt", "--stack").out
    state = torch.load("a.pt", weights_only=True)
    assert {key.rpartition("_l")[2] for key in state} == {str(depth) for depth in range(11)}
    kernels = [layer.forward.W.i for layer in lstm_convert.load(source).layers]
    for depth, kernel in enumerate(kernels):
        np.testing.assert_array_equal(state[f"lstm_7.weight_ih_l{depth}"][:5], kernel)


@pytest.mark.parametrize(
    ("source", "renames", "paths"),
    [
        ("torch-2.13/lightning.ckpt", ["model="], {"lstm"}),
        ("torch-2.13/lightning.ckpt", ["model.lstm="], {""}),
        ("torch-2.13/lightning.ckpt", ["model=a.b"], {"a.b.lstm"}),
        ("keras-3.15.1/nested.keras", ["inner=", "top=rnn"], {"frozen", "deep", "rnn"}),
        ("keras-3.15.1/nested.keras", ["inner.deep=deep"], {"inner.frozen", "deep", "top"}),
    ],
)
def test_rename_gives_layers_and_prefixes_new_paths(
    command: Command, source: str, renames: list[str], paths: set[str]
) -> None:
    options = [part for rename in renames for part in ("--rename", rename)]
    assert command("convert", FIXTURES / source, "out.pt", "--lstm-only", *options).code == 0
    assert {key.rpartition(".")[0] for key in torch.load("out.pt", weights_only=True)} == paths


@pytest.mark.parametrize("entry", ["model", "=new", ""])
def test_a_rename_without_both_sides_is_no_rename(command: Command, entry: str) -> None:
    answer = command("convert", TORCH, "out.pt", "--rename", entry)
    assert (answer.code, answer.out) == (2, "")
    assert f"expected OLD=NEW, found {entry!r}" in answer.err


def test_a_seed_below_zero_is_no_seed(command: Command) -> None:
    answer = command("verify", TORCH, TORCH, "--seed", "-1")
    assert (answer.code, answer.out) == (2, "")
    assert "Invalid value for '--seed'" in answer.err


def test_allow_takes_over_what_the_target_cannot_compute(command: Command) -> None:
    assert command("convert", HARD, "out.pt", "--lstm-only").code == 2
    assert not Path("out.pt").exists()
    assert command("convert", HARD, "out.pt", "--lstm-only", "--allow", "hard_sigmoid").code == 0
    kernel = torch.load("out.pt", weights_only=True)["lstm_1.weight_ih_l0"]
    np.testing.assert_array_equal(kernel[:16], lstm_convert.load(HARD)["lstm_1"].forward.W.i)


def test_no_module_of_pytorchs_own_loads_what_it_would_compute_otherwise(command: Command) -> None:
    answer = command("convert", HARD, "out.pt")
    assert "lstm_1: no module of PyTorch's own computes or loads it; model.py has the class that does\n" in answer.out
    state = torch.load("out.pt", weights_only=True)
    kernel = state["lstm_1.weight_x"]
    np.testing.assert_array_equal(kernel[:16], lstm_convert.load(HARD)["lstm_1"].forward.W.i)
    own = {key.removeprefix("lstm_1."): tensor for key, tensor in state.items() if key.startswith("lstm_1.")}
    loaded = torch.nn.LSTM(4, 16).load_state_dict(own, strict=False)
    assert set(loaded.unexpected_keys) == set(own)


def test_force_replaces_the_target(command: Command) -> None:
    Path("out.pt").write_bytes(b"before")
    refusal = command("convert", TORCH, "out.pt")
    assert (refusal.code, Path("out.pt").read_bytes()) == (2, b"before")
    assert "--force" in refusal.err
    assert command("convert", TORCH, "out.pt", "--force").code == 0
    assert "lstm.weight_ih_l0" in torch.load("out.pt", weights_only=True)


@pytest.mark.parametrize("ending", ["json", "yaml"])
def test_config_says_what_weights_alone_do_not(command: Command, ending: str) -> None:
    folder = FIXTURES / "keras-1.2.2"
    assert command("info", folder / "plain.weights_only.h5").code == 2
    told = command("info", folder / "plain.weights_only.h5", "--config", folder / f"plain.{ending}", "--json").json
    whole = command("info", folder / "plain.h5", "--json").json
    for one, other in zip(told["layers"], whole["layers"], strict=True):
        assert (one["name"], one["activations"], one["return_sequences"], one["follows"]) == (
            other["name"], other["activations"], other["return_sequences"], other["follows"],
        )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text"), [("sigmoid", "sigmoid"), ("hard_sigmoid", "hard_sigmoid(slope=0.2, offset=0.5)")]
)
def test_recurrent_activation_says_it_too(command: Command, name: str, text: str) -> None:
    source = FIXTURES / "keras-2.2.0/plain.weights_only.h5"
    answer = command("info", source, "--recurrent-activation", name, "--json").json
    assert {layer["activations"]["gate"] for layer in answer["layers"]} == {text}

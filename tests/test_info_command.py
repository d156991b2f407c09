"""`lstm-convert info`: what it says of a file."""

import numpy as np
import pytest
from answering import Command
from helpers import FIXTURES

from lstm_convert.formats import FORMATS

WEATHER = FIXTURES / "keras-1.2.2/weather.h5"
TORCH = FIXTURES / "torch-2.13/plain.pt"


def test_info_says_what_is_there(command: Command) -> None:
    answer = command("info", WEATHER)
    assert (answer.code, answer.err) == (0, "")
    first, _, layer, cell, *rest = answer.out.splitlines()
    assert first == f"{WEATHER}: keras 1.2.2, Keras HDF5, model or weights, 1 LSTM layer"
    assert layer.startswith("lstm_1: 4 inputs, 16 units, float32; gates sigmoid, candidate tanh, output tanh")
    assert layer.endswith("returns the last step")
    assert cell == "  forward: one gate is W 16x4, U 16x16, b 16"
    assert [line.split()[0] for line in rest[:12]] == [
        f"model_weights/lstm_1/lstm_1_{array}_{gate}" for gate in "icfo" for array in "WUb"
    ]


def test_info_as_json_has_its_documented_keys(command: Command) -> None:
    answer = command("info", FIXTURES / "torch-2.13/several.pt", "--json").json
    assert list(answer) == [
        "file", "provenance", "layers", "network", "not_understood", "left_out", "assumed", "notes",
    ]  # fmt: skip
    assert list(answer["provenance"]) == ["framework", "version", "format", "file", "sha256"]
    assert [layer["name"] for layer in answer["layers"]] == ["encoder", "gru", "decoder.l0", "decoder.l1", "cell"]
    assert set(answer["layers"][0]) >= {
        "name", "inputs", "units", "outputs", "directions", "dtype", "activations", "return_sequences", "follows",
        "layout", "keys",
    }  # fmt: skip
    encoder = answer["layers"][0]
    assert (encoder["inputs"], encoder["units"], encoder["directions"]) == (3, 5, ["forward", "backward"])
    assert encoder["keys"][1]["weight_ih"] == "encoder.weight_ih_l0_reverse"
    assert answer["layers"][3]["follows"] == "decoder.l0"
    assert [layer["kind"] for layer in answer["layers"]] == ["LSTM", "GRU", "LSTM", "LSTM", "LSTM"]


def test_info_shows_the_whole_network(command: Command) -> None:
    answer = command("info", WEATHER).out
    assert "dense_1       dense(activation=tanh), kernel 8x16, bias 8, reads lstm_1\n" in answer
    assert [call["kind"] for call in command("info", WEATHER, "--json").json["network"]["calls"]] == [
        "recurrent", "dense", "dense",
    ]  # fmt: skip


@pytest.mark.parametrize("ending", [ending for entry in FORMATS for ending in entry.extensions])
def test_info_reads_every_kind_that_convert_writes(command: Command, ending: str) -> None:
    assert command("convert", FIXTURES / "torch-2.13/several.pt", f"out{ending}").code == 0
    answer = command("info", f"out{ending}")
    assert (answer.code, answer.err) == (0, "")
    assert "4 LSTM layers" in answer.out
    for name in ("encoder", "decoder.l0", "decoder.l1", "cell"):
        assert f"\n{name}: " in answer.out


def test_info_knows_no_layout_but_ours(command: Command) -> None:
    """A canonical file may name the layout of a reader that is not this one, and its arrays."""
    command("convert", TORCH, "a.npz")
    with np.load("a.npz") as file:
        arrays = {name: file[name] for name in file.files}
    document = str(arrays["__metadata__"]).replace("pytorch nn.LSTM", "some other layout")
    arrays["__metadata__"] = np.array(document.replace('"weight_ih"', '"their_kernel"'))
    np.savez("b.npz", allow_pickle=False, **arrays)
    answer = command("info", "b.npz")
    assert (answer.code, answer.err) == (0, "")
    assert "    lstm.weight_ih_l0\n" in answer.out


def test_info_says_where_the_gates_of_a_cudnnlstm_lie(command: Command) -> None:
    """Its arrays are called as those of an LSTM, but its bias is two."""
    answer = command("info", FIXTURES / "tf-2.15/variant_cudnn.h5")
    sides = [f"{number * 5}:{number * 5 + 5} {gate} ({side})" for number, (side, gate) in enumerate(
        (f"{side} side", gate) for side in ("input", "recurrent") for gate in "ifco")]  # fmt: skip
    assert f"numbers {', '.join(sides)}" in answer.out

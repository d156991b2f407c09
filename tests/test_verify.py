"""`verify`: two files of one network are the same in their own frameworks, others differ, and what it prints."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers import FIXTURES, KERAS_3, TORCH, command
from planting import Plant, doubled, planted, rounded, swapped

import lstm_convert
from lstm_convert import Recurrent, verify
from lstm_convert.errors import Unsupported
from lstm_convert.reference import run
from lstm_convert.sequences import LENGTHS, trials

PLAIN_TORCH = TORCH / "plain.pt"


@pytest.mark.parametrize(
    ("source", "ending", "ran"),
    [
        ("keras-3.15.1/plain.keras", ".pt", ["Keras 3", "PyTorch"]),
        ("keras-3.15.1/bidirectional.keras", ".safetensors", ["Keras 3", "PyTorch"]),
        ("keras-3.15.1/nested.h5", ".pt", ["Keras 3", "PyTorch"]),
        ("keras-3.15.1/rnn.keras", ".keras", ["Keras 3", "Keras 3"]),
        ("keras-3.15.1/stateful.keras", ".pt", ["Keras 3", "PyTorch"]),
        ("keras-3.15.1/variant_go_backwards.keras", ".keras", ["Keras 3", "Keras 3"]),
        ("keras-3.15.1/variant_masking.keras", ".keras", ["Keras 3", "Keras 3"]),
        ("keras-3.15.1/variant_masking_bidirectional.keras", ".keras", ["Keras 3", "Keras 3"]),
        ("torch-2.13/two_layer.pt", ".keras", ["PyTorch", "Keras 3"]),
        ("torch-2.13/cell.pt", ".h5", ["PyTorch", "Keras 3"]),
        ("torch-2.13/checkpoint.pt", ".keras", ["PyTorch", "Keras 3"]),
        ("torch-2.13/float16.pt", ".keras", ["PyTorch", "Keras 3"]),
        ("torch-2.13/bfloat16.safetensors", ".keras", ["PyTorch", "Keras 3"]),
        ("torch-2.13/float64.pt", ".keras", ["PyTorch", "Keras 3"]),
        ("keras-1.2.2/plain.h5", ".pt", ["PyTorch"]),
        ("keras-1.2.2/hard.h5", ".keras", ["Keras 3"]),
    ],
)
def test_what_was_converted_is_the_same_in_the_real_frameworks(
    tmp_path: Path, source: str, ending: str, ran: list[str]
) -> None:
    target = tmp_path / f"result{ending}"
    lstm_convert.convert(FIXTURES / source, target)
    found = verify(FIXTURES / source, target)
    assert found.verdict == "same", found
    own = [note for note in found.notes if "rebuilt" not in note]
    for framework in ran:
        assert any(f"run by {framework}" in note for note in own)
    assert {row.steps for row in found.rows} == set(LENGTHS)
    if len(ran) == 2:
        assert all(row.framework_error is not None for row in found.rows if "reference" not in row.compared)
        assert sum("reference" not in row.compared for row in found.rows) == len(found.rows) / 2


def test_the_command_says_same_and_how_far_rounding_goes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "plain.pt"
    lstm_convert.convert(KERAS_3 / "plain.keras", target)
    assert command("verify", KERAS_3 / "plain.keras", target) == 0
    out = capsys.readouterr().out
    assert "tolerance = 8 * sqrt(1 + steps) ulp" in out
    assert out.splitlines()[-1].startswith("same, largest difference ")


def test_a_file_is_the_same_as_itself_in_two_containers() -> None:
    found = verify(TORCH / "several.pt", TORCH / "several.safetensors")
    assert found.same
    assert found.max_abs_error is not None
    assert found.max_abs_error < 1e-6


# Different.


def largest_difference(one: Recurrent, other: Recurrent, seed: int = 0) -> float:
    """What the reference says of two unmasked layers on the sequences of the first pair."""
    largest = 0.0
    for trial in trials(one, np.random.default_rng([seed, 0])):
        ones, others = (run(layer, trial.x, trial.h0, trial.c0) for layer in (one, other))
        pairs = zip((*ones.outputs, *ones.h, *ones.c), (*others.outputs, *others.h, *others.c), strict=True)
        largest = max(largest, *(float(np.abs(a - b).max()) for a, b in pairs))
    return largest


@pytest.mark.parametrize(
    "plants",
    [[swapped("i", "f")], [doubled], [rounded(np.float16), rounded(np.float32)]],
    ids=["swapped", "doubled", "rounded"],
)
def test_a_mistake_differs_by_what_it_changes(tmp_path: Path, plants: Sequence[Plant]) -> None:
    model = lstm_convert.load(PLAIN_TORCH)
    wrong = planted(model, plants)
    lstm_convert.save(wrong, tmp_path / "wrong.pt")
    found = verify(PLAIN_TORCH, tmp_path / "wrong.pt")
    assert found.verdict == "differs"
    expected = largest_difference(model.layers[0], wrong.layers[0])
    between_references = max(row.max_abs_error for row in found.rows if row.compared == "reference A, reference B")
    assert between_references == pytest.approx(expected, rel=1e-12)
    assert found.max_abs_error == pytest.approx(expected, abs=1e-5)
    assert command("verify", PLAIN_TORCH, tmp_path / "wrong.pt") == 1


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_a_swapped_gate_differs_in_every_type(dtype: str) -> None:
    file = TORCH / f"{dtype if dtype != 'float32' else 'plain'}.pt"
    model = lstm_convert.load(file)
    assert verify(file, model).same
    assert not verify(file, planted(model, [swapped("i", "f")])).same


def test_storing_a_coarser_type_is_a_difference(tmp_path: Path) -> None:
    lstm_convert.convert(PLAIN_TORCH, tmp_path / "half.pt", dtype="float16")
    assert not verify(PLAIN_TORCH, tmp_path / "half.pt").same
    assert not verify(tmp_path / "half.pt", PLAIN_TORCH).same


def test_other_layers_and_sizes_differ(capsys: pytest.CaptureFixture[str]) -> None:
    assert command("verify", PLAIN_TORCH, TORCH / "two_layer.pt", "--json") == 1
    facts = json.loads(capsys.readouterr().out)
    assert facts["rows"] == []
    assert facts["max_abs_error"] is None
    assert "LSTM layer" in facts["differences"][0]
    assert not verify(KERAS_3 / "plain.keras", KERAS_3 / "bidirectional.keras").same


def test_a_mask_that_one_side_lacks_differs_and_is_named() -> None:
    masked = lstm_convert.load(KERAS_3 / "variant_masking.keras")
    found = verify(masked, replace(masked, layers=(replace(masked.layers[0], masked_by=None), *masked.layers[1:])))
    assert not found.same
    assert any("has no mask, the other has" in note for note in found.notes)


# What is printed, and what cannot be done.


def test_json_has_the_rows_of_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lstm_convert.convert(PLAIN_TORCH, tmp_path / "same.safetensors")
    assert command("verify", PLAIN_TORCH, tmp_path / "same.safetensors", "--json", "--seed", 3) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["verdict"] == "same"
    assert facts["seed"] == 3
    assert facts["max_abs_error"] == max(row["max_abs_error"] for row in facts["rows"])
    names = {"layer", "compared", "steps", "max_abs_error", "ulp", "framework_error", "tolerance", "verdict"}
    assert all(row.keys() == names for row in facts["rows"])
    assert "sqrt(1 + steps)" in facts["tolerance_rule"]


def test_what_cannot_be_read_is_2(tmp_path: Path) -> None:
    (tmp_path / "broken.pt").write_bytes(b"PK\x03\x04 and no more")
    assert command("verify", PLAIN_TORCH, tmp_path / "broken.pt") == 2
    assert command("verify", tmp_path / "none.pt", PLAIN_TORCH) == 2
    assert command("verify", FIXTURES / "keras-2.2.0/hard.weights_only.h5", PLAIN_TORCH) == 2


def test_what_a_weights_file_does_not_say_can_be_told() -> None:
    whole, weights = FIXTURES / "keras-2.2.0/plain.h5", FIXTURES / "keras-2.2.0/plain.weights_only.h5"
    with pytest.raises(Unsupported, match="weights only"):
        verify(whole, weights)
    assert verify(whole, weights, config=FIXTURES / "keras-2.2.0/plain.json").same
    assert verify(whole, weights, recurrent_activation="sigmoid").same
    assert not verify(whole, weights, recurrent_activation="hard_sigmoid").same


def test_one_model_in_memory_has_no_proof() -> None:
    with pytest.raises(TypeError, match="give the file"):
        verify(lstm_convert.load(PLAIN_TORCH))
    with pytest.raises(Unsupported, match="two models"):
        verify(PLAIN_TORCH, data=np.zeros((1, 1, 3)))

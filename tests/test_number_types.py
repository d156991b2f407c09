"""Weights in float16, bfloat16, float32 and float64: rounded to the type that is asked for, or refused."""

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import FIXTURES
from refusing import Refused

import lstm_convert
from lstm_convert import LSTM, Cell, Gates, InvalidFile, Model, UnknownFormat

BITS = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32, "float64": torch.float64}
OTHERS = ["int8", "int64", "bool", "complex64", "float8_e4m3fn", "float8_e5m2"]
EPSILON = {"float16": 2.0**-10, "bfloat16": 2.0**-7, "float32": 2.0**-23, "float64": 2.0**-52}


@pytest.mark.parametrize("source", BITS)
@pytest.mark.parametrize("target", BITS)
def test_weights_are_rounded_to_the_type_that_is_asked_for(source: str, target: str, tmp_path: Path) -> None:
    file = FIXTURES / "torch-2.13" / ("plain.pt" if source == "float32" else f"{source}.pt")
    done = lstm_convert.convert(file, tmp_path / "weights.pt", dtype=target)
    original, state = (torch.load(path, weights_only=True) for path in (file, done.target))
    for key, tensor in state.items():
        assert tensor.dtype == BITS[target]
        assert torch.equal(tensor, original[key].to(BITS[target]))
    assert done.proof.tolerance == 8 * 7 * max(EPSILON[source], EPSILON[target])
    assert (done.proof.max_abs_difference == 0) == (EPSILON[target] <= EPSILON[source])


@pytest.mark.parametrize("ending", [".keras", ".weights.h5", ".lstm.safetensors", ".safetensors"])
@pytest.mark.parametrize("dtype", BITS)
def test_every_kind_of_file_keeps_the_type_that_is_asked_for(ending: str, dtype: str, tmp_path: Path) -> None:
    done = lstm_convert.convert(FIXTURES / "keras-3.15.1/plain.keras", tmp_path / f"weights{ending}", dtype=dtype)
    assert {array.dtype.name for layer in done.result.layers for array in layer.forward.arrays().values()} == {dtype}
    again = lstm_convert.load(done.target)
    assert {array.dtype.name for layer in again.layers for array in layer.forward.arrays().values()} == {dtype}


def test_a_weight_too_large_for_the_type_is_refused_and_named(tmp_path: Path) -> None:
    W = np.ones((4, 5, 3), np.float32)  # noqa: N806 (the field's own letter)
    W[2, 1, 0] = 1e5
    model = Model((LSTM("lstm", Cell(Gates(W), Gates(np.ones((4, 5, 5), np.float32)))),))
    with pytest.raises(InvalidFile, match="too large for float16") as refused:
        lstm_convert.save(model, tmp_path / "weights.pt", dtype="float16")
    assert refused.value.details == ("lstm (forward) W: the largest number is 1e+05",)
    assert not (tmp_path / "weights.pt").exists()
    lstm_convert.save(model, tmp_path / "weights.pt", dtype="bfloat16")


def test_a_type_of_number_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownFormat, match="int8 is no type of number here"):
        lstm_convert.convert(FIXTURES / "torch-2.13/plain.pt", tmp_path / "weights.pt", dtype="int8")


@pytest.mark.parametrize("dtype", OTHERS)
def test_a_file_whose_weights_are_of_another_type_is_refused_and_each_is_named(
    refused: Refused, tmp_path: Path, dtype: str
) -> None:
    state = torch.load(FIXTURES / "torch-2.13/nobias.pt", weights_only=True)
    state["lstm.weight_hh_l0"] = state["lstm.weight_hh_l0"].to(getattr(torch, dtype))
    torch.save(state, tmp_path / "model.pt")
    lines = refused(tmp_path / "model.pt")
    assert lines[0].endswith("has weights of a type of number that no layer computes in")
    assert lines[1] == f"  lstm (forward) U: expected one of float16, bfloat16, float32, float64, found {dtype}"
    assert lines[2] == "Save them as float32; what was quantised, as it was before."


def test_a_model_whose_weights_are_of_another_type_is_not_saved(tmp_path: Path) -> None:
    cell = Cell(Gates(np.ones((4, 5, 3), np.int64)), Gates(np.ones((4, 5, 5))))
    with pytest.raises(InvalidFile, match="found int64"):
        lstm_convert.save(Model((LSTM("lstm", cell),)), tmp_path / "weights.pt")
    assert not (tmp_path / "weights.pt").exists()

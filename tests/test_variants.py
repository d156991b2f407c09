"""Every variant of an LSTM, as its own framework recorded it: read, written for the others and run there, or refused.

Files are found by themselves: a new fixture is tested without a new line here, and fails until a table below says
which of its layers a target refuses.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import torch
from comparing import assert_recorded, assert_same_model
from helpers import PLAIN, VARIANTS, Case, Reading, Recorded, paired, readings
from running import keras_name, modules_of, run_keras, run_reference, run_torch

import lstm_convert
from lstm_convert import Model, Unsupported

# Where activations have no bound, c grows to 40 times h, and the rounding of float32 with it.
UNBOUNDED = {"variant_activations": 3.0}

# Weights alone do not say what is around them, but for a CuDNNLSTM's, whose shapes say what computes them.
READ = [reading for reading in readings(VARIANTS) if reading.whole or reading.case.name == "variant_cudnn"]
ONCE = [next(reading for reading in READ if reading.case is case) for case in VARIANTS]

# What a target does not hold: which layers, as folder/case/layer, and a part of the reason.
BY_TORCH = {
    r"/gate_(?!sigmoid$)|variant_relu/lstm_b": "gate activation",
    r"/cand_(?!tanh$)|variant_relu/": "candidate and output activation",
    r"variant_backward_layer/": "(backward): candidate and output activation relu: pytorch nn.LSTM computes only tanh",
    r"variant_backward_units/": "5 and 7 units in its two directions",
    r"variant_(ave|mul|none|sum)/|/both_sum_": "nn.LSTM joins by concat",
    r"variant_mask|variant_zero_output|variant_padding|_masked$": "nn.LSTM knows no masks",
    r"variant_go_backwards/|/(backwards|turned|given)": "nn.LSTM reads forwards",
}
BY_KERAS = {
    r"variant_proj": "a projection of",
    r"/(gate|cand)_(LeakyReLU|ThresholdedReLU)": "keras 3 has no such activation",
    r"(keras-[12].*|tf-2.15)/variant_activations/cand_hard_sigmoid": "keras 3 has no such activation",
    r"keras-[12].*/(both|turned).*sequence(_masked)?$": "returns the step before at masked steps",
}
NOT_MASKED_THERE = r"keras-2.2.0/variant_states/|/turned_sequence$"  # two that the last pattern finds, and no mask does


def reasons_of(table: Mapping[str, str], place: str) -> list[str]:
    found = [reason for pattern, reason in table.items() if re.search(pattern, place)]
    unmasked = re.search(NOT_MASKED_THERE, place)
    return [reason for reason in found if not (unmasked and "masked steps" in reason)]


def as_recorded(reading: Reading) -> tuple[Model, dict[str, Recorded]]:
    """A reading, told what weights alone do not say of it, and what was recorded of each layer by path."""
    model = reading.load()
    recorded = {layer.path: layer for layer in reading.case.layers}
    if not reading.whole:
        told = (replace(layer, return_sequences=not recorded[layer.path].last_only) for layer in model.layers)
        model = replace(model, layers=tuple(told))
    return model, recorded


def exact(case: Case, model: Model, target: Path, table: Mapping[str, str]) -> Model:
    """The layers that a target holds, once the others were refused with their reasons and nothing was written."""
    wanted = {layer.name: reasons_of(table, f"{case}/{layer.path}") for layer in model.layers}
    refused = {name for name, reasons in wanted.items() if reasons}
    if refused:
        with pytest.raises(Unsupported) as refusal:
            lstm_convert.save(model, target, lstm_only=True)
        details = refusal.value.details
        assert {re.split(r" \(|: ", detail)[0] for detail in details} == refused
        for name in refused:
            own = [detail for detail in details if detail.startswith((f"{name} (", f"{name}: "))]
            assert all(any(reason in detail for detail in own) for reason in wanted[name])
            assert all(any(reason in detail for reason in wanted[name]) for detail in own)
        assert not target.exists()
    return replace(model, layers=tuple(layer for layer in model.layers if layer.name not in refused))


@pytest.mark.parametrize("reading", READ, ids=str)
def test_the_reference_computes_what_the_framework_recorded(reading: Reading) -> None:
    for recorded, chain in paired(reading.case.layers, reading.load(), named=True):
        assert {cell.W.dtype.name for layer in chain for cell in layer.cells.values()} == {"float32"}
        assert {layer.masked_by is not None for layer in chain} == {recorded.mask is not None} or not reading.whole
        computed = run_reference(chain, recorded, as_stated=reading.whole)
        assert_recorded(computed, recorded, looser=UNBOUNDED.get(reading.case.name, 1.0))


@pytest.mark.parametrize("reading", ONCE, ids=lambda reading: str(reading.case))
def test_keras_3_computes_what_was_recorded_or_it_is_refused(reading: Reading, tmp_path: Path) -> None:
    model, recorded = as_recorded(reading)
    held = exact(reading.case, model, tmp_path / "model.keras", BY_KERAS)
    if not held.layers:
        return
    lstm_convert.save(held, tmp_path / "model.keras", lstm_only=True)
    written = keras.models.load_model(tmp_path / "model.keras")
    for layer in held.layers:
        wanted = recorded[layer.path]
        if not layer.return_state:
            wanted = replace(wanted, hn=None, cn=None)
        computed = run_keras([written.get_layer(keras_name(layer.name))], wanted)
        assert_recorded(computed, wanted, looser=UNBOUNDED.get(reading.case.name, 1.0))


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN:UserWarning")
@pytest.mark.parametrize("reading", ONCE, ids=lambda reading: str(reading.case))
def test_torch_computes_what_was_recorded_or_it_is_refused(reading: Reading, tmp_path: Path) -> None:
    model, recorded = as_recorded(reading)
    held = exact(reading.case, model, tmp_path / "weights.pt", BY_TORCH)
    if not held.layers:
        return
    lstm_convert.save(held, tmp_path / "weights.pt", lstm_only=True)
    modules = modules_of(torch.load(tmp_path / "weights.pt", weights_only=True))
    assert set(modules) == {layer.path for layer in held.layers}
    for path, module in modules.items():
        assert_recorded(run_torch([module], recorded[path]), recorded[path])


def test_every_line_of_the_tables_refuses_something() -> None:
    places = [f"{reading.case}/{layer.path}" for reading in ONCE for layer in reading.case.layers]
    for pattern in (*BY_TORCH, *BY_KERAS, NOT_MASKED_THERE):
        assert any(re.search(pattern, place) for place in places), pattern


@pytest.mark.parametrize("ending", [".npz", ".lstm.safetensors"])
@pytest.mark.parametrize("reading", ONCE, ids=lambda reading: str(reading.case))
def test_the_canonical_form_holds_every_variant(reading: Reading, ending: str, tmp_path: Path) -> None:
    model, _ = as_recorded(reading)
    lstm_convert.save(model, tmp_path / f"canonical{ending}")
    assert_same_model(lstm_convert.load(tmp_path / f"canonical{ending}"), model)


@pytest.mark.parametrize("case", [case for case in VARIANTS if not case.keras], ids=str)
def test_a_parametrised_weight_is_computed_aloud(case: Case) -> None:
    notes = lstm_convert.load(case.files[0]).notes
    assert bool(notes) == (not case.name.startswith("variant_proj"))
    assert all(re.fullmatch(r"\S+: computed from its [\w ]+ \(.+\)", note) for note in notes)


@pytest.mark.parametrize("case", [case for case in PLAIN if case.hard], ids=str)
def test_hard_sigmoid_goes_to_keras_3_by_scaling_and_says_so(case: Case, tmp_path: Path) -> None:
    done = lstm_convert.convert(case.whole_files[0], tmp_path / "model.keras")
    said = [line for line in done.usage if "i, f and o are scaled by 6/5" in line]
    assert len(said) == (0 if case.folder.startswith("keras-3") else len(done.source.layers))
    assert {layer.forward.activations()["gate"].parameters["slope"] for layer in done.result.layers} == {1 / 6}
    for before, after in zip(done.source.layers, done.result.layers, strict=True):
        np.testing.assert_array_equal(after.forward.W.g, before.forward.W.g)

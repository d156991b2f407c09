"""What other ways of porting get wrong without a word: each is shown to be wrong here, and not to be ours."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import torch
from comparing import assert_close, assert_recorded
from helpers import PLAIN, TOLERANCE, Case
from running import VISIBLE, keras_name, missed, modules_of, run_keras, run_torch

import lstm_convert
from lstm_convert import Activation, Gates, Model, Recurrent, Unsupported
from lstm_convert.packing import pack, unpack
from lstm_convert.table import KERAS_3, KERAS_CUDNN


def of_each_cell(**changes: Any) -> Callable[[Any], Any]:
    return lambda layer: layer.with_cells({name: replace(cell, **changes) for name, cell in layer.cells.items()})


def bias_in_both(layer: Recurrent) -> Recurrent:
    return layer.with_cells({name: replace(cell, b_rec=cell.b) for name, cell in layer.cells.items()})


def of_layer(**changes: Any) -> Callable[[Any], Any]:
    return lambda layer: replace(layer, **changes)


# What others do to which layer and how far its outputs are then off, and what becomes of it here on its way to nn.LSTM:
# "" where it is exact.
SILENT: dict[str, tuple[str, str, Callable[[Any], Any], str]] = {
    "hard_sigmoid read with the slope of Keras 3, 5.6e-2": (
        "tf-2.15", "hard", of_each_cell(gate=KERAS_3.activations["hard_sigmoid"]), "gate activation hard_sigmoid",
    ),
    "hard_sigmoid read as sigmoid, 2.9e-2": (
        "tf-2.15", "hard", of_each_cell(gate=Activation("sigmoid")), "gate activation hard_sigmoid",
    ),
    "bias copied into both biases, 0.47": ("tf-2.15", "plain", bias_in_both, ""),
    "go_backwards lost, 0.57": (
        "tf-2.15", "variant_go_backwards", of_layer(go_backwards=False), "nn.LSTM reads forwards",
    ),
    "relu read as tanh, 0.71": (
        "tf-2.15", "variant_relu", of_each_cell(candidate=Activation("tanh"), output=Activation("tanh")),
        "candidate and output activation relu",
    ),
    "merge_mode sum joined by concat": (
        "tf-2.15", "variant_sum", of_layer(merge="concat"), "nn.LSTM joins by concat",
    ),
    "gates of another framework's order": (
        "tf-2.15", "plain", lambda layer: layer.with_cells(
            {name: replace(cell, U=Gates(np.asarray(cell.U)[[0, 1, 3, 2]])) for name, cell in layer.cells.items()}
        ), "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SILENT)
def test_a_silent_failure_of_others_is_none_of_ours(name: str, tmp_path: Path) -> None:
    folder, case_name, mistake, refusal = SILENT[name]
    case = Case(folder, case_name)
    model, recorded = lstm_convert.load(case.whole_files[0]), case.layers[0]
    layer = model[recorded.path]
    assert missed(layer, recorded) <= TOLERANCE["float32"]
    assert missed(mistake(layer), recorded) > VISIBLE
    if refusal:
        with pytest.raises(Unsupported, match=refusal):
            lstm_convert.save(model, tmp_path / "weights.pt", lstm_only=True)
    else:
        lstm_convert.convert(case.whole_files[0], tmp_path / "weights.pt", lstm_only=True)
        module = modules_of(torch.load(tmp_path / "weights.pt", weights_only=True))[recorded.path]
        assert_recorded(run_torch([module], recorded), recorded)
    lstm_convert.save(Model((layer,)), tmp_path / "model.keras")
    written = keras.models.load_model(tmp_path / "model.keras").get_layer(keras_name(layer.name))
    assert_recorded(run_keras([written], recorded), recorded)


@pytest.mark.parametrize("folder", ["keras-1.2.2", "tf-2.15", "keras-3.15.1"])
def test_a_mask_is_not_lost(folder: str, tmp_path: Path) -> None:
    case = Case(folder, "variant_masking")
    model, recorded = lstm_convert.load(case.whole_files[0]), case.layers[0]
    assert missed(model.layers[0], replace(recorded, mask=None)) > VISIBLE
    with pytest.raises(Unsupported, match=r"nn\.LSTM knows no masks; --allow mask if your own module does it"):
        lstm_convert.save(model, tmp_path / "weights.pt", lstm_only=True)
    lstm_convert.save(model, tmp_path / "model.keras", lstm_only=True)
    written = keras.models.load_model(tmp_path / "model.keras")
    assert_recorded(run_keras([written.get_layer(keras_name(recorded.path))], recorded), recorded)
    assert any("its mask came from" in line for line in lstm_convert.convert(
        case.whole_files[0], tmp_path / "said.keras", lstm_only=True).usage)  # fmt: skip


@pytest.mark.parametrize("case", [case for case in PLAIN if case.name == "bidirectional" and case.keras], ids=str)
def test_a_bidirectional_lstm_is_not_read_at_its_wrong_end(case: Case, tmp_path: Path) -> None:
    recorded = next(layer for layer in case.layers if layer.last_only)
    done = lstm_convert.convert(case.whole_files[0], tmp_path / "weights.pt", lstm_only=True)
    module = modules_of(torch.load(done.target, weights_only=True))[recorded.path]
    with torch.no_grad():
        output, (h, _) = module(torch.from_numpy(recorded.x))
    assert np.abs(output[:, -1].numpy() - recorded.y).max() > VISIBLE
    assert_close(torch.cat([h[-2], h[-1]], -1).numpy(), recorded.y, TOLERANCE["float32"])
    assert any("torch.cat([h_n[-2], h_n[-1]], -1)" in line for line in done.usage)


@pytest.mark.parametrize("case", [case for case in PLAIN if case.name == "nobias"], ids=str)
def test_an_lstm_without_biases_keeps_none(case: Case, tmp_path: Path) -> None:
    for ending in (".pt", ".keras", ".h5", ".npz"):
        done = lstm_convert.convert(case.whole_files[0], tmp_path / f"target{ending}")
        assert all(
            cell.b is None and cell.b_rec is None for layer in done.result.layers for cell in layer.cells.values()
        )


def test_a_cudnnlstm_is_not_read_as_the_lstm_whose_names_its_arrays_have() -> None:
    case = Case("tf-2.15", "variant_cudnn")
    recorded = case.layers[0]
    layer = lstm_convert.load(case.files[0])[recorded.path]
    assert missed(layer, recorded) <= TOLERANCE["float32"]
    as_an_lstm = replace(KERAS_CUDNN, kernel=KERAS_3.kernel, recurrent=KERAS_3.recurrent)
    mistaken = unpack(as_an_lstm, pack(KERAS_CUDNN, layer.forward))
    assert missed(replace(layer, forward=mistaken), recorded) > VISIBLE


@pytest.mark.parametrize("case", [Case("tf-2.15", name) for name in ("plain", "bidirectional", "hard")], ids=str)
def test_a_file_with_time_major_opens_in_keras_3_once_it_is_converted(case: Case, tmp_path: Path) -> None:
    for file in case.whole_files:
        with pytest.raises((TypeError, ValueError), match="time_major"):
            keras.models.load_model(file)
        done = lstm_convert.convert(file, tmp_path / f"{file.suffix[1:]}.keras")
        assert keras.models.load_model(done.target).count_params()


def test_time_major_sequences_are_refused_by_name(tmp_path: Path) -> None:
    case = Case("tf-2.15", "plain")
    config = tmp_path / "config.json"
    config.write_text(case.architectures[0].read_text("utf-8").replace('"time_major": false', '"time_major": true'))
    weights = next(file for file in case.files if file.name.endswith(".weights_only.h5"))
    with pytest.raises(Unsupported) as refused:
        lstm_convert.load(weights, config=config)
    assert any(detail.endswith("time_major=True, sequences with time before batch") for detail in refused.value.details)

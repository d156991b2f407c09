"""Every file that a real framework wrote computes, once read, what that framework recorded of it."""

import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from comparing import assert_recorded
from helpers import CASES, FIXTURES, NAMELESS, PLAIN, REFUSED, VARIANTS, Case, Reading, chains, paired, readings
from running import run_reference as computed_by_reference

import lstm_convert
from lstm_convert import LayoutMismatch, UnknownFormat, Unsupported


def says_its_slope(reading: Reading) -> bool:
    """Weights alone of these versions do not say which Keras wrote them, and so not which hard_sigmoid is meant."""
    nameless = reading.case.folder in NAMELESS and reading.file.name.endswith(".weights.h5")
    return not (nameless and reading.recurrent_activation == "hard_sigmoid")


MODEL_FOLDERS = sorted(path.parent for path in FIXTURES.glob("models/*/make.py"))
MODELS = sorted(FIXTURES.glob("models/*/*.expected.npz"))

# The layers that some whole model of every version has, and those of some versions.
OF_ALL = """
    Activation AveragePooling1D AveragePooling2D BatchNormalization Bidirectional Cropping1D Cropping2D Dense
    Dropout ELU Embedding Flatten GRU GaussianDropout GaussianNoise GlobalAveragePooling1D GlobalAveragePooling2D
    GlobalMaxPooling1D GlobalMaxPooling2D InputLayer LSTM Lambda LeakyReLU Masking MaxPooling1D MaxPooling2D PReLU
    Permute RepeatVector Reshape SimpleRNN SpatialDropout1D SpatialDropout2D TimeDistributed UpSampling1D
    UpSampling2D ZeroPadding1D ZeroPadding2D
"""
SINCE_2 = (
    "Add Average Concatenate Conv1D Conv2D Dot GRUCell Maximum Minimum Multiply RNN ReLU SimpleRNNCell Softmax Subtract"
)
SINCE_TENSORFLOW = f"{SINCE_2} AlphaDropout LSTMCell LayerNormalization"
OWN = {
    "keras-1.2.2": "AtrousConvolution1D AtrousConvolution2D Convolution1D Convolution2D Highway MaxoutDense Merge "
    "ThresholdedReLU TimeDistributedDense",
    "keras-2.2.0": f"{SINCE_2} ThresholdedReLU",
    "tf-2.15": f"{SINCE_TENSORFLOW} CuDNNGRU SlicingOpLambda TFOpLambda ThresholdedReLU",
    "keras-3.15.1": f"{SINCE_TENSORFLOW} GetItem LogicalOr NotEqual",
}


READ = [reading for reading in readings(PLAIN) if says_its_slope(reading)]


def test_no_file_of_the_fixtures_is_forgotten() -> None:
    for folder in {case.folder for case in CASES}:
        cases = [case for case in CASES if case.folder == folder]
        known = {path for case in cases for path in [*case.files, *case.architectures, *case.parts, case.expected_file]}
        beside = {path for path in (FIXTURES / folder).iterdir() if path.suffix == ".py" or path.is_dir()}
        assert {*(FIXTURES / folder).iterdir()} == known | beside | {FIXTURES / folder / "versions.json"}
    makers = [*FIXTURES.glob("*/make.py"), *FIXTURES.glob("variants/*/make.py")]
    assert {path.parent for path in makers} == {FIXTURES / case.folder for case in CASES}


def test_every_case_has_files_and_is_plain_or_a_variant_or_refused() -> None:
    assert [str(case) for case in CASES if not case.files] == []
    told_apart = {*PLAIN, *VARIANTS, *(case for case in CASES if case.name in (*REFUSED, "gru"))}
    assert told_apart == set(CASES)
    assert {case.name for case in CASES} > set(REFUSED)


def model_files(expected: Path) -> list[Path]:
    name = expected.name.removesuffix(".expected.npz")
    return [path for path in sorted(expected.parent.glob(f"{name}.*")) if path != expected]


def configured(file: Path) -> Any:
    if file.suffix == ".keras":
        with zipfile.ZipFile(file) as archive:
            return json.loads(archive.read("config.json"))
    with h5py.File(file) as h5:
        return json.loads(h5.attrs["model_config"])


def datasets(group: h5py.Group, path: str = "") -> Iterator[tuple[str, Any]]:
    for name, item in group.items():
        if isinstance(item, h5py.Group):
            yield from datasets(item, f"{path}{name}/")
        else:
            yield path + name, item[()]


def class_names(config: Any) -> Iterator[str]:
    inner = list(config.values()) if isinstance(config, dict) else config if isinstance(config, list) else []
    if isinstance(config, dict) and isinstance(config.get("class_name"), str):
        yield config["class_name"]
    for value in inner:
        yield from class_names(value)


@pytest.mark.parametrize("folder", MODEL_FOLDERS, ids=lambda path: path.name)
def test_no_file_of_the_whole_models_is_forgotten(folder: Path) -> None:
    cases = [path for path in MODELS if path.parent == folder]
    known = {*cases, *(path for case in cases for path in model_files(case))}
    assert {path for path in folder.iterdir() if path.is_file()} == known | {
        folder / "make.py",
        folder / "versions.json",
    }
    assert [case.name for case in cases if not model_files(case)] == []


@pytest.mark.parametrize("expected", MODELS, ids=lambda path: f"{path.parent.name}/{path.name.split('.')[0]}")
def test_a_whole_model_has_inputs_outputs_and_weights_that_tell(expected: Path) -> None:
    with np.load(expected) as file:
        arrays = dict(file)
    for letter in "xy":
        numbered = [key for key in arrays if key.startswith(letter)]
        assert sorted(numbered) == sorted(f"{letter}{number}" for number in range(len(numbered)))
        assert numbered
    assert all(np.isfinite(array).all() and array.std() > 0 for array in arrays.values())
    for file in (path for path in model_files(expected) if path.name.endswith(".h5")):
        with h5py.File(file) as h5:
            weights = dict(datasets(h5.get("model_weights", h5)))
        assert weights
        assert [key for key, value in weights.items() if not np.all(value)] == []
        spreads = [value.min() for key, value in weights.items() if re.search(r"moving_variance|running_std", key)]
        assert all(spread > 0.2 for spread in spreads)


@pytest.mark.parametrize("folder", MODEL_FOLDERS, ids=lambda path: path.name)
def test_the_whole_models_of_a_version_have_every_layer_of_it(folder: Path) -> None:
    files = [
        path for ending in ("h5", "keras") for path in folder.glob(f"*.{ending}") if "weights_only" not in path.name
    ]
    found = {name for file in files for name in class_names(configured(file))}
    assert {*OF_ALL.split(), *OWN[folder.name].split()} - found == set()


@pytest.mark.parametrize("reading", READ, ids=str)
def test_the_reference_computes_what_the_framework_recorded(reading: Reading) -> None:
    model = reading.load()
    for recorded, chain in paired(reading.case.layers, model, named=reading.named):
        assert {cell.W.dtype.name for layer in chain for cell in layer.cells.values()} == {reading.case.dtype}
        assert_recorded(computed_by_reference(chain, recorded, as_stated=reading.whole), recorded)


# Safetensors sorts its keys: the order of the modules is not in the file.
@pytest.mark.parametrize("reading", [r for r in READ if r.whole and r.file.suffix != ".safetensors"], ids=str)
def test_layers_come_in_the_order_of_the_model(reading: Reading) -> None:
    found = [path for path, chain in chains(reading.load().layers).items() if chain[0].kind == "LSTM"]
    assert found == [layer.path for layer in reading.case.layers]


@pytest.mark.parametrize("reading", [r for r in readings([*PLAIN, *VARIANTS]) if not r.whole], ids=str)
def test_what_weights_alone_do_not_say_is_assumed_aloud(reading: Reading) -> None:
    if not says_its_slope(reading):
        with pytest.raises(Unsupported, match=r"(?s)0\.2 x \+ 0\.5 before Keras 3.*--config"):
            reading.load()
        return
    assumed = "\n".join(reading.load().assumed)
    assert all(word in assumed for word in ("return_sequences", "go_backwards", "masks", "merge_mode", "--config"))
    shapes_tell = reading.case.name == "variant_cudnn"
    assert ("tanh" in assumed) == (not shapes_tell)
    assert ("sigmoid" in assumed) == (reading.recurrent_activation is None and not shapes_tell)


@pytest.mark.parametrize(
    "file",
    [path for case in PLAIN for path in case.files if path.name.endswith(".weights_only.h5")],
    ids=lambda path: f"{path.parent.name}/{path.name}",
)
def test_weights_alone_of_a_time_with_two_defaults_are_refused_until_told(file: Path) -> None:
    if file.parent.name not in ("keras-1.2.2", "keras-2.2.0"):
        assert "--recurrent-activation" in lstm_convert.load(file).assumed[0]
        return
    with pytest.raises(Unsupported, match="versions of Keras differ") as refused:
        lstm_convert.load(file)
    assert "--config" in refused.value.next_step
    assert "--recurrent-activation" in refused.value.next_step


@pytest.mark.parametrize("case", [case for case in CASES if case.name in REFUSED], ids=str)
def test_what_no_canonical_form_holds_is_refused_by_name(case: Case, tmp_path: Path) -> None:
    for file in case.files:
        with pytest.raises(Unsupported) as refused:
            lstm_convert.convert(file, tmp_path / "target.npz")
        assert REFUSED[case.name] in str(refused.value)
        assert refused.value.next_step
        assert not (tmp_path / "target.npz").exists()


def test_an_exported_program_is_no_checkpoint() -> None:
    with pytest.raises(UnknownFormat, match="no file of a known kind"):
        lstm_convert.load(FIXTURES / "torch-2.13" / "plain.pt2")


def test_one_part_of_sharded_weights_names_the_index_to_give() -> None:
    parts = [part for case in CASES for part in case.parts]
    refused = []
    for part in parts:
        try:
            lstm_convert.load(part)
        except LayoutMismatch as error:
            refused.append(error.next_step)
    assert refused == ["If this is one part of split weights, give the .weights.json beside it."] * 2


@pytest.mark.parametrize("case", [case for case in PLAIN if case.hard], ids=str)
def test_hard_sigmoid_keeps_the_slope_of_its_keras_and_reaches_torch_by_name_only(case: Case, tmp_path: Path) -> None:
    model = lstm_convert.load(case.whole_files[0])
    slope = 1 / 6 if case.folder.startswith("keras-3") else 0.2
    assert {layer.forward.activations()["gate"].parameters["slope"] for layer in model.layers} == {slope}
    with pytest.raises(Unsupported, match="--allow hard_sigmoid if your own module does it"):
        lstm_convert.save(model, tmp_path / "refused.pt", lstm_only=True)
    lstm_convert.save(model, tmp_path / "allowed.pt", allow=["hard_sigmoid"], lstm_only=True)
    recorded = case.layers[0]
    as_sigmoid = computed_by_reference(
        [lstm_convert.load(tmp_path / "allowed.pt").layers[0]], recorded, as_stated=False
    )
    assert np.abs(as_sigmoid["y"] - recorded.y).max() > 1e-3, "read as sigmoid it computes something else"


@pytest.mark.parametrize("case", [case for case in PLAIN if case.name == "stateful" and case.keras], ids=str)
def test_a_kept_state_keeps_the_batch_size_that_keras_needs_for_it(case: Case, tmp_path: Path) -> None:
    model = lstm_convert.load(case.whole_files[0])
    assert {(layer.stateful, layer.batch_size) for layer in model.layers} == {(True, len(case.layers[0].x))}
    forgotten = [replace(layer, batch_size=None) for layer in model.layers]
    with pytest.raises(Unsupported, match="stateful=True, which in Keras needs the batch size"):
        lstm_convert.save(replace(model, layers=tuple(forgotten)), tmp_path / "target.keras")

"""Every file that a real framework wrote computes, once read, what that framework recorded of it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers import (
    CASES,
    FIXTURES,
    NAMELESS,
    PLAIN,
    REFUSED,
    VARIANTS,
    Case,
    Reading,
    assert_recorded,
    chains,
    paired,
    readings,
)
from helpers import run_reference as computed_by_reference

import lstm_convert
from lstm_convert import LayoutMismatch, UnknownFormat, Unsupported


def says_its_slope(reading: Reading) -> bool:
    """Weights alone of these versions do not say which Keras wrote them, and so not which hard_sigmoid is meant."""
    nameless = reading.case.folder in NAMELESS and reading.file.name.endswith(".weights.h5")
    return not (nameless and reading.recurrent_activation == "hard_sigmoid")


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
        lstm_convert.save(model, tmp_path / "refused.pt")
    lstm_convert.save(model, tmp_path / "allowed.pt", allow=["hard_sigmoid"])
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

"""Every file that a real framework wrote computes, once read, what that framework recorded of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import CASES, FIXTURES, NAMELESS, PLAIN, Case, Reading, assert_recorded, chains, paired, readings
from helpers import run_reference as computed_by_reference

import lstm_convert
from lstm_convert import Activation, InvalidFile, LayoutMismatch, LstmConvertError, UnknownFormat, Unsupported

# Files of which nothing can be read yet, and why.
UNREADABLE: dict[str, tuple[type[LstmConvertError], str]] = {
    "tf-2.15/variant_cudnn": (Unsupported, "CuDNNLSTM"),
    "torch-2.13/variant_quantized": (Unsupported, "dynamic quantisation"),
    "torch-2.13/variant_weight_norm_new": (Unsupported, "a parametrization"),
    "torch-2.13/variant_weight_norm_old": (Unsupported, "weight_norm"),
}


@dataclass(frozen=True)
class Variant:
    """What sets a variant apart: a fact of its first layer, why it is not written, and whether it is computed yet."""

    fact: str
    value: Any
    reason: str
    reasons: Mapping[str, str] = field(default_factory=dict)  # where they differ, by ending; "" where it is written
    computed: bool = False

    def reason_for(self, ending: str) -> str:
        return self.reasons.get(ending, self.reason)


# Everything that is not plain, by the name of its case. Issue 3 teaches these; until then they are refused.
VARIANTS = {
    "variant_ave": Variant("merge", "ave", "merge_mode='ave'"),
    "variant_mul": Variant("merge", "mul", "merge_mode='mul'"),
    "variant_none": Variant("merge", None, "merge_mode=None"),
    "variant_sum": Variant("merge", "sum", "merge_mode='sum'"),
    "variant_go_backwards": Variant("go_backwards", True, "go_backwards=True"),
    "variant_relu": Variant("forward.candidate", Activation("relu"), "candidate activation relu"),
    "variant_backward_layer": Variant(
        "backward.candidate", Activation("relu"), "(backward): candidate activation relu"
    ),
    "variant_backward_units": Variant(
        "backward.units", 7, "5 and 7 units in its two directions", {".keras": "", ".npz": ""}, computed=True
    ),
    "variant_mask_zero": Variant("masked_by", "embedding", "a mask from 'embedding' reaches it"),
    "variant_masking": Variant("masked_by", "masking", "a mask from 'masking' reaches it"),
    "variant_masking_bidirectional": Variant("masked_by", "masking", "a mask from 'masking' reaches it"),
    "variant_zero_output_for_mask": Variant("masked_by", "masking", "a mask from 'masking' reaches it"),
    "variant_proj": Variant("forward.outputs", 2, "a projection", computed=True),
    "variant_proj_deep": Variant("forward.outputs", 2, "a projection", computed=True),
}
TOLD = [case for case in CASES if case.name in VARIANTS]
COMPUTED = [case for case in TOLD if VARIANTS[case.name].computed]


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
    assert {path.parent for path in FIXTURES.glob("*/make.py")} == {FIXTURES / case.folder for case in CASES}


def test_every_case_has_files_and_is_plain_or_told_apart() -> None:
    assert [str(case) for case in CASES if not case.files] == []
    known = {*VARIANTS, *(key.partition("/")[2] for key in UNREADABLE)}
    assert {case.name for case in CASES if case.name.startswith("variant_")} == known


@pytest.mark.parametrize("reading", [*READ, *(r for r in readings(COMPUTED) if r.whole)], ids=str)
def test_the_reference_computes_what_the_framework_recorded(reading: Reading) -> None:
    model = reading.load()
    for recorded, chain in paired(reading.case.layers, model, named=reading.named):
        assert {cell.W.dtype.name for layer in chain for cell in layer.cells.values()} == {reading.case.dtype}
        assert_recorded(computed_by_reference(chain, recorded, as_stated=reading.whole), recorded)


# Safetensors sorts its keys: the order of the modules is not in the file.
@pytest.mark.parametrize("reading", [r for r in READ if r.whole and r.file.suffix != ".safetensors"], ids=str)
def test_layers_come_in_the_order_of_the_model(reading: Reading) -> None:
    assert list(chains(reading.load().layers)) == [layer.path for layer in reading.case.layers]


@pytest.mark.parametrize("reading", [r for r in readings([*PLAIN, *TOLD]) if not r.whole], ids=str)
def test_what_weights_alone_do_not_say_is_assumed_aloud(reading: Reading) -> None:
    if not says_its_slope(reading):
        with pytest.raises(Unsupported, match=r"(?s)0\.2 x \+ 0\.5 before Keras 3.*--config"):
            reading.load()
        return
    assumed = "\n".join(reading.load().assumed)
    assert all(
        word in assumed for word in ("tanh", "return_sequences", "go_backwards", "masks", "merge_mode", "--config")
    )
    assert ("sigmoid" in assumed) == (reading.recurrent_activation is None)


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


@pytest.mark.parametrize("case", [case for case in CASES if case.name == "gru"], ids=str)
def test_a_model_without_lstm_says_so_and_what_it_has(case: Case) -> None:
    for file in case.files:
        with pytest.raises(InvalidFile, match="has no LSTM") as refused:
            lstm_convert.load(file)
        assert any("gru" in detail for detail in refused.value.details)


@pytest.mark.parametrize("case", [case for case in CASES if str(case) in UNREADABLE], ids=str)
def test_what_cannot_be_read_yet_is_refused_with_its_reason(case: Case) -> None:
    error, reason = UNREADABLE[str(case)]
    for file in case.files:
        with pytest.raises(error) as refused:
            lstm_convert.load(file)
        assert any(reason in detail for detail in refused.value.details)


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


@pytest.mark.parametrize("reading", [reading for reading in readings(TOLD) if reading.whole], ids=str)
def test_a_variant_is_read_as_it_is_and_not_written_as_what_it_is_not(reading: Reading, tmp_path: Path) -> None:
    variant = VARIANTS[reading.case.name]
    model = reading.load()
    assert attrgetter(variant.fact)(model.layers[0]) == variant.value
    for ending in (".pt", ".keras", ".npz"):
        target = tmp_path / f"target{ending}"
        if reason := variant.reason_for(ending):
            with pytest.raises(Unsupported) as refused:
                lstm_convert.save(model, target)
            assert any(reason in detail for detail in refused.value.details), refused.value
        else:
            lstm_convert.save(model, target)
        assert target.exists() == (not reason)


@pytest.mark.parametrize("case", [case for case in PLAIN if case.hard], ids=str)
def test_hard_sigmoid_keeps_the_slope_of_its_keras_and_reaches_torch_by_name_only(case: Case, tmp_path: Path) -> None:
    model = lstm_convert.load(case.whole_files[0])
    slope = 1 / 6 if case.folder.startswith("keras-3") else 0.2
    assert {layer.forward.gate.parameters["slope"] for layer in model.layers} == {slope}
    with pytest.raises(Unsupported, match="--allow hard_sigmoid if your own module computes it"):
        lstm_convert.save(model, tmp_path / "refused.pt")
    lstm_convert.save(model, tmp_path / "allowed.pt", allow=["hard_sigmoid"])
    recorded = case.layers[0]
    as_sigmoid = computed_by_reference(
        [lstm_convert.load(tmp_path / "allowed.pt").layers[0]], recorded, as_stated=False
    )
    assert np.abs(as_sigmoid["y"] - recorded.y).max() > 1e-3, "read as sigmoid it computes something else"


@pytest.mark.parametrize("case", [case for case in PLAIN if case.name == "stateful" and case.keras], ids=str)
def test_a_kept_state_needs_a_batch_size_that_a_new_keras_model_has_not(case: Case, tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="stateful=True"):
        lstm_convert.save(lstm_convert.load(case.whole_files[0]), tmp_path / "target.keras")

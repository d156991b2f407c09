import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lstm_convert
from lstm_convert import Gates, Model, Recurrent, cli, proofs, verify
from lstm_convert.errors import InvalidFile, LstmConvertError, MissingFramework, Unsupported
from lstm_convert.frameworks.keras.opening import strange_classes
from lstm_convert.frameworks.pytorch import running as torch_running
from lstm_convert.reference import run
from lstm_convert.rounding import EPSILONS, tolerance
from lstm_convert.sequences import BATCHES, LENGTHS, trials

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

FIXTURES = Path(__file__).parent.parent / "fixtures"
KERAS_3 = FIXTURES / "keras-3.15.1"
TORCH = FIXTURES / "torch-2.13"
PLAIN_TORCH = TORCH / "plain.pt"


def changed(model: Model, change: Callable[[Any], Any], number: int = 0) -> Model:
    layers = list(model.layers)
    layers[number] = change(layers[number])
    return replace(model, layers=tuple(layers))


def with_arrays(layer: Recurrent, **arrays: Any) -> Recurrent:
    gates: dict[str, Any] = {name: Gates(array) for name, array in arrays.items()}
    return replace(layer, forward=replace(layer.forward, **gates))


def swapped(layer: Recurrent) -> Recurrent:
    cell = layer.forward
    order = [1, 0, 2, 3]
    assert cell.b is not None
    assert cell.b_rec is not None
    return with_arrays(
        layer,
        W=np.asarray(cell.W)[order],
        U=np.asarray(cell.U)[order],
        b=np.asarray(cell.b)[order],
        b_rec=np.asarray(cell.b_rec)[order],
    )


def doubled(layer: Recurrent) -> Recurrent:
    return with_arrays(layer, b=2 * np.asarray(layer.forward.b), b_rec=2 * np.asarray(layer.forward.b_rec))


def rounded(layer: Recurrent) -> Recurrent:
    arrays = {name: np.asarray(getattr(layer.forward, name)) for name in ("W", "U", "b", "b_rec")}
    return with_arrays(layer, **{name: array.astype(np.float16).astype(np.float32) for name, array in arrays.items()})


def largest_difference(one: Recurrent, other: Recurrent, seed: int = 0) -> float:
    """What the reference says of two unmasked layers on the sequences of the first pair."""
    largest = 0.0
    for trial in trials(one, np.random.default_rng([seed, 0])):
        ones, others = (run(layer, trial.x, trial.h0, trial.c0) for layer in (one, other))
        pairs = zip((*ones.outputs, *ones.h, *ones.c), (*others.outputs, *others.h, *others.c), strict=True)
        largest = max(largest, *(float(np.abs(a - b).max()) for a, b in pairs))
    return largest


def command(*arguments: object) -> int:
    """The exit code of a command run in this process."""
    found = pytest.MonkeyPatch()
    found.setattr(sys, "argv", ["lstm-convert", *map(str, arguments)])
    try:
        cli.main()
    except SystemExit as leaving:
        return int(leaving.code or 0)
    finally:
        found.undo()
    return 0


# The same.


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


@pytest.mark.parametrize("change", [swapped, doubled, rounded])
def test_a_mistake_differs_by_what_it_changes(tmp_path: Path, change: Callable[[Any], Any]) -> None:
    model = lstm_convert.load(PLAIN_TORCH)
    wrong = changed(model, change)
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
    assert not verify(file, changed(model, swapped)).same


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
    found = verify(masked, changed(masked, lambda layer: replace(layer, masked_by=None)))
    assert not found.same
    assert any("has no mask, the other has" in note for note in found.notes)


# The tolerance.


@pytest.mark.parametrize("dtype", EPSILONS)
@pytest.mark.parametrize(("times", "verdict"), [(10.0, "differs"), (0.1, "same")])
def test_an_error_beyond_the_tolerance_is_seen_and_one_within_is_not(dtype: str, times: float, verdict: str) -> None:
    """The only error is in what the framework is made to return, at one number of one step."""
    model = lstm_convert.load(TORCH / f"{dtype if dtype != 'float32' else 'plain'}.pt")
    honest = torch_running.runner

    def off(model: Model, path: Path | None, contents: Any) -> Any:
        make = honest(model, path, contents)

        def engine(number: int, return_sequences: bool) -> Any:  # noqa: FBT001 (as the runner has it)
            made = make(number, return_sequences)

            def ran(x: Any, h0: Any, c0: Any, mask: Any) -> Any:
                layer = replace(model.layers[number], return_sequences=return_sequences)
                exact = run(layer, x, h0, c0)
                scale = max(float(np.abs(a).max()) for a in (*exact.outputs, *exact.h, *exact.c))
                outputs = exact.outputs[0].copy()
                outputs[0, 0, 0] += times * tolerance(dtype, scale, x.shape[1])
                return replace(made.run(x, h0, c0, mask), outputs=(outputs,), h=exact.h, c=exact.c)

            return replace(made, run=ran)

        return engine

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch_running, "runner", off)
        found = verify(model, replace(model, provenance=lstm_convert.Provenance("memory")))
    assert {row.verdict for row in found.rows if "PyTorch" in row.compared} == {verdict}
    assert {row.verdict for row in found.rows if "PyTorch" not in row.compared} == {"same"}


def test_an_error_of_the_framework_alone_is_seen_though_both_frameworks_agree() -> None:
    """A file that is read wrongly would run the same in its framework twice, and differ from the reference."""
    model = lstm_convert.load(PLAIN_TORCH)
    honest = torch_running.runner

    def of_another(model: Model, path: Path | None, contents: Any) -> Any:
        return honest(changed(model, swapped), path, contents)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch_running, "runner", of_another)
        found = verify(model, model)
    frameworks = [row for row in found.rows if "PyTorch" in row.compared]
    assert all(row.max_abs_error == 0 and row.verdict == "differs" for row in frameworks)


def test_the_tolerance_grows_with_length_and_type() -> None:
    assert tolerance("float32", 1.0, 3) == 16 * 2.0**-23
    assert tolerance("float32", 0.1, 3) == tolerance("float32", 1.0, 3)
    assert tolerance("float16", 1.0, 3) > tolerance("float32", 1.0, 8) > tolerance("float32", 1.0, 3)


# What is printed.


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


def test_a_seed_gives_the_same_numbers_again() -> None:
    first, again, other = (
        verify(PLAIN_TORCH, changed(lstm_convert.load(PLAIN_TORCH), doubled), seed=seed).rows for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_the_sequences_are_what_they_should_be() -> None:
    layer = lstm_convert.load(KERAS_3 / "variant_masking.keras").layers[0]
    given = list(trials(layer, np.random.default_rng(0), masked=True))
    assert [(trial.steps, len(trial.x)) for trial in given] == [
        (steps, batch) for steps in LENGTHS for batch in BATCHES
    ]
    for trial in given:
        assert all(state.all() for state in (*trial.h0, *trial.c0))
        assert np.array_equal(trial.x.astype(np.float16), trial.x)
        assert trial.mask is not None
    longest = given[-1].mask
    assert longest is not None
    assert longest.any()
    assert not longest.all()


# Data of the user's own.


def test_data_are_run_in_place_of_seeded_sequences(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(2, 11, 3)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    other = TORCH / "plain.safetensors"
    found = verify(PLAIN_TORCH, other, data=tmp_path / "x.npy")
    assert found.same
    assert {row.steps for row in found.rows} == {11}
    assert command("verify", PLAIN_TORCH, other, "--data", tmp_path / "x.npy") == 0
    assert verify(PLAIN_TORCH, other, data=1000 * x).same


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((7, 3)), r"\(batch, time, features\), found float64 \(7, 3\)"),
        (np.zeros((2, 7, 4)), "no layer takes sequences of 4 features"),
        (np.zeros((0, 7, 3)), "batch, time, features"),
        (np.full((2, 7, 3), np.nan), "NaN or infinite"),
        (np.array([[["a"]]]), "batch, time, features"),
        (np.array([[[{}]]], dtype=object), "objects"),
    ],
)
def test_wrong_data_are_refused(tmp_path: Path, array: np.ndarray[Any, Any], said: str) -> None:
    np.save(tmp_path / "x.npy", array, allow_pickle=True)
    with pytest.raises(LstmConvertError, match=said):
        verify(PLAIN_TORCH, PLAIN_TORCH, data=tmp_path / "x.npy")
    assert command("verify", PLAIN_TORCH, PLAIN_TORCH, "--data", tmp_path / "x.npy") == 2


@pytest.mark.parametrize("content", [b"", b"no array", b"\x93NUMPY\x01\x00\x05\x00{", b"\x93NUMPY"])
def test_damaged_data_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.npy").write_bytes(content)
    with pytest.raises(InvalidFile, match=r"no \.npy file|damaged"):
        verify(PLAIN_TORCH, PLAIN_TORCH, data=tmp_path / "x.npy")


# What cannot be done, and what is not asked.


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


def test_without_a_framework_the_reference_stands_alone_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("torch", "keras", "tf_keras"):
        monkeypatch.setitem(sys.modules, name, None)
    found = verify(KERAS_3 / "plain.keras", KERAS_3 / "plain.h5")
    assert found.same
    assert {row.compared for row in found.rows} == {"reference A, reference B"}
    assert "A: run by the float64 reference alone; keras is not installed" in found.notes
    assert any("PyTorch is not installed" in note for note in verify(PLAIN_TORCH, PLAIN_TORCH).notes)
    with pytest.raises(MissingFramework):
        torch_running.runner(lstm_convert.load(PLAIN_TORCH), PLAIN_TORCH, None)


def test_layers_made_anew_are_called_rebuilt(tmp_path: Path) -> None:
    lstm_convert.convert(FIXTURES / "keras-1.2.2/plain.h5", tmp_path / "new.pt")
    found = verify(FIXTURES / "keras-1.2.2/plain.h5", tmp_path / "new.pt")
    assert any(", rebuilt A, PyTorch" in row.compared for row in found.rows)
    assert any("its layers rebuilt from the weights: tf_keras" in note for note in found.notes)


def test_keras_2_runs_its_own_files_where_it_is_installed() -> None:
    found = verify(FIXTURES / "tf-2.15/hard.keras", FIXTURES / "tf-2.15/hard.h5")
    assert found.same
    ran = "run by tf_keras" if find_spec("tf_keras") else "rebuilt from the weights: tf_keras, which is Keras 2, is not"
    assert all(any(f"{side}: " in note and ran in note for note in found.notes) for side in "AB")


def test_a_file_that_pytorch_would_have_to_execute_is_not_handed_over() -> None:
    found = verify(TORCH / "plain.module.pt", PLAIN_TORCH)
    assert found.same
    assert any("PyTorch does not open the file: Weights only load failed" in note for note in found.notes)


STRANGE: list[Mapping[str, Any]] = [
    {"class_name": "Lambda", "module": "keras.layers", "config": {}},
    {"class_name": "__lambda__", "config": {"value": "4wE="}},
    {"class_name": "function", "module": "builtins", "config": "eval"},
    {"class_name": "Dense", "module": "os", "config": {}},
    {"class_name": "function", "module": "keras.utils", "config": "get_file"},
    {"class_name": "StringLookup", "module": "keras.layers", "config": {"vocabulary": "/etc/passwd"}},
    {"class_name": "TorchModuleWrapper", "module": "keras.layers", "config": {}},
]


@pytest.mark.parametrize("strange", STRANGE, ids=lambda entry: f"{entry.get('module')}.{entry['class_name']}")
@pytest.mark.parametrize("deep", [False, True])
def test_what_may_hold_code_is_not_handed_to_keras(strange: Mapping[str, Any], *, deep: bool) -> None:
    inside: dict[str, Any] = {"class_name": "Dense", "config": {"activation": [strange]}} if deep else dict(strange)
    architecture = {"class_name": "Sequential", "config": {"layers": [inside]}}
    assert list(strange_classes(architecture)) == [strange["class_name"]]


def test_a_model_with_a_lambda_is_not_executed(tmp_path: Path) -> None:
    """The Lambda would leave a file behind if anybody called it, or only opened it as Keras 2 did."""
    trace = tmp_path / "executed"
    script = f"""
import keras
from pathlib import Path
inputs = keras.Input((None, 3))
x = keras.layers.LSTM(5, return_sequences=True)(inputs)
x = keras.layers.Lambda(lambda t: (Path({str(trace)!r}).touch(), t)[1], output_shape=(None, 5))(x)
keras.Model(inputs, x).save({str(tmp_path / "evil.h5")!r})
"""
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)  # noqa: S603 (this very Python)
    trace.unlink(missing_ok=True)
    found = verify(tmp_path / "evil.h5", tmp_path / "evil.h5")
    assert found.same
    assert any("may hold code in" in note for note in found.notes)
    assert not trace.exists()


# Proofs.


@pytest.fixture
def proven(tmp_path: Path) -> Path:
    target = tmp_path / "result.pt"
    assert command("convert", KERAS_3 / "bidirectional.keras", target, "--proof") == 0
    return target


def test_a_proof_is_run_again(proven: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("verify", proven) == 0
    out = capsys.readouterr().out
    assert "proof, reference" in out
    assert "proof, PyTorch" in out
    assert command("convert", KERAS_3 / "bidirectional.keras", proven.with_name("b.pt"), "--proof") == 0


def test_a_tampered_result_fails_its_proof(proven: Path) -> None:
    model = lstm_convert.load(proven)
    lstm_convert.save(changed(model, rounded), proven, force=True)
    assert command("verify", proven) == 1
    lstm_convert.save(replace(model, layers=model.layers[:1]), proven, force=True)
    assert verify(proven).differences


@pytest.mark.parametrize(
    "source", ["keras-3.15.1/variant_masking.keras", "keras-3.15.1/variant_masking_bidirectional.keras"]
)
def test_a_proof_keeps_masks(tmp_path: Path, source: str) -> None:
    target = tmp_path / "result.keras"
    assert command("convert", FIXTURES / source, target, "--proof") == 0
    found = verify(target)
    assert found.same
    assert any("Keras" in row.compared for row in found.rows)


@pytest.mark.parametrize("ending", [".keras", ".py"])
@pytest.mark.parametrize("source", ["models/keras-3.15.1/gru_options.keras", "tf-2.15/nested.h5"])
def test_a_proof_of_the_layers_of_a_whole_network_is_run_again(tmp_path: Path, source: str, ending: str) -> None:
    target = tmp_path / f"result{ending}"
    assert command("convert", FIXTURES / source, target, "--proof") == 0
    found = verify(target)
    assert found.same, found
    assert any("reference" not in row.compared for row in found.rows)
    model = lstm_convert.load(target)
    half = replace(
        model.layers[0].forward, W=Gates(np.asarray(model.layers[0].forward.W) / 2, model.layers[0].forward.letters)
    )
    lstm_convert.save(Model((replace(model.layers[0], forward=half), *model.layers[1:])), target, force=True)
    assert not verify(target).same


def test_a_proof_allows_what_the_user_asked_for(tmp_path: Path) -> None:
    target = tmp_path / "half.pt"
    assert command("convert", PLAIN_TORCH, target, "--dtype", "float16", "--proof") == 0
    assert verify(target).same


def test_a_proof_has_the_permissions_of_the_result(proven: Path) -> None:
    before = os.umask(0o077)
    try:
        assert command("convert", KERAS_3 / "bidirectional.keras", proven, "--proof", "--force") == 0
    finally:
        os.umask(before)
    assert [path.stat().st_mode & 0o777 for path in (proven, proofs.beside(proven))] == [0o600, 0o600]


def test_a_folder_in_the_place_of_a_proof_is_seen_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "result.pt"
    proofs.beside(target).mkdir()
    assert command("convert", KERAS_3 / "bidirectional.keras", target, "--proof", "--force") == 2
    assert f"{proofs.beside(target)}: is a folder" in capsys.readouterr().err
    assert not target.exists()


def test_a_proof_is_not_overwritten(proven: Path) -> None:
    proven.unlink()
    assert command("convert", KERAS_3 / "bidirectional.keras", proven, "--proof") == 2
    assert not proven.exists()
    assert command("convert", KERAS_3 / "bidirectional.keras", proven, "--proof", "--force") == 0


@pytest.mark.parametrize("damage", ["absent", "foreign", "cut", "document", "missing", "shape", "nan"])
def test_a_damaged_proof_is_one_clear_error(proven: Path, damage: str) -> None:
    path = proofs.beside(proven)
    with np.load(path) as file:
        arrays = dict(file)
    if damage == "absent":
        path.unlink()
    elif damage == "foreign":
        np.savez(path, x=np.zeros(3))
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-1000])
    else:
        document = json.loads(str(arrays["__metadata__"]))
        if damage == "document":
            document["layers"][0]["trials"] = "many"
        elif damage == "missing":
            del arrays["0.0.h0.1"]
        elif damage == "shape":
            arrays["0.0.x"] = arrays["0.0.x"][0]
        elif damage == "nan":
            arrays["0.0.output.0"][:] = np.nan
        arrays["__metadata__"] = np.array(json.dumps(document))
        np.savez(path, **arrays)
    with pytest.raises(InvalidFile, match="proof") as caught:
        verify(proven)
    assert str(path) in str(caught.value)
    assert command("verify", proven) == 2


def test_one_model_in_memory_has_no_proof() -> None:
    with pytest.raises(TypeError, match="give the file"):
        verify(lstm_convert.load(PLAIN_TORCH))
    with pytest.raises(Unsupported, match="two models"):
        verify(PLAIN_TORCH, data=np.zeros((1, 1, 3)))

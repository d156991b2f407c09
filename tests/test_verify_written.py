"""Files that hold code of ours: verified by running it, and nothing that a file adds to it."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from custom_layers import CELLS, LAYERS, layer_of, save
from exporting import KINDS, written
from helpers import FIXTURES, command

import lstm_convert
from lstm_convert import Model, Recurrent, diagnose, proofs, verify
from lstm_convert.containers import Contents, Stored, safetensors, source_pair
from lstm_convert.errors import InvalidFile, LstmConvertError
from lstm_convert.frameworks.keras.opening import strange_classes
from lstm_convert.verification import Verification

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

HARD_H5 = FIXTURES / "keras-1.2.2/hard.h5"
EVIL = "\nfrom pathlib import Path as P\nP(__file__).with_name('executed').touch()\n"
EXTENDED: dict[str, Any] = {
    "class_name": "ExtendedLSTMCell",
    "module": "lstm_layer",
    "registered_name": "lstm_convert>ExtendedLSTMCell",
}


def wrong(model: Model) -> Model:
    """A model with one gate's input weights doubled."""
    first, *rest = model.layers
    W = np.array(first.forward.W)  # noqa: N806 (as the canonical form has it)
    W[first.forward.letters.index("g")] *= 2  # which is there even where f is 1 - i
    return replace(model, layers=(replace(first, forward=first.forward.with_arrays({"W": W})), *rest))


def ran(found: Verification, side: str, framework: str) -> bool:
    """Whether a framework ran one side of every row but those of the references, from the file itself."""
    rows = [row.compared for row in found.rows if row.compared != "reference A, reference B"]
    place = "AB".index(side)
    sides = [compared.removesuffix(" B").split(" A, ")[place] for compared in rows]
    return bool(sides) and all(name.startswith(framework) and "rebuilt" not in name for name in sides)


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    path = tmp_path / "lstm.py"
    lstm_convert.convert(HARD_H5, path)
    return path


# The written-out PyTorch module.


@pytest.mark.parametrize("kind", KINDS)
def test_pytorch_runs_a_written_module_of_every_kind(kind: str, tmp_path: Path) -> None:
    path = written(KINDS[kind], tmp_path)
    found = verify(path, Model(tuple(KINDS[kind])))
    assert found.same, found
    assert ran(found, "A", "PyTorch"), found.notes
    assert not verify(path, wrong(Model(tuple(KINDS[kind])))).same


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_pytorch_runs_a_written_module_of_every_type(dtype: str, tmp_path: Path) -> None:
    path = tmp_path / "lstm.py"
    lstm_convert.convert(HARD_H5, path, dtype=dtype)
    found = verify(path, path)
    assert found.same, found
    assert ran(found, "A", "PyTorch")
    assert not verify(path, wrong(lstm_convert.load(path))).same


def test_the_commands_take_a_written_module(pair: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("verify", HARD_H5, pair) == 0
    out = capsys.readouterr().out
    assert "PyTorch 2" in out
    assert "B: run by PyTorch 2" in out
    assert "B: run as a whole by PyTorch 2" in out
    assert "rebuilt B" not in out
    assert command("info", pair) == 0
    assert command("diagnose", HARD_H5, pair) == 0
    assert command("convert", pair, pair.with_name("again.keras")) == 0
    assert verify(pair, pair.with_name("again.keras")).same


@pytest.mark.parametrize("ending", [".py", ".npz", ".lstm.safetensors"])
def test_what_only_the_source_does_not_say_is_told_to_it_alone(ending: str, tmp_path: Path) -> None:
    weights, told, path = FIXTURES / "keras-2.2.0/plain.weights_only.h5", "sigmoid", tmp_path / f"lstm{ending}"
    lstm_convert.convert(weights, path, recurrent_activation=told)
    assert verify(weights, path, recurrent_activation=told).same


def test_the_source_names_its_origin_however_it_is_written(tmp_path: Path) -> None:
    """What `load` adds to a model in memory, the name of the file, is not in its source code."""
    path = tmp_path / "lstm.py"
    lstm_convert.save(replace(lstm_convert.load(HARD_H5), provenance=lstm_convert.Provenance("memory")), path)
    assert ran(verify(path, path), "B", "PyTorch")


def test_a_wrong_weight_differs(pair: Path) -> None:
    other = pair.with_name("other.py")
    lstm_convert.save(wrong(lstm_convert.load(pair)), other)
    found = verify(pair, other)
    assert ran(found, "A", "PyTorch")
    assert ran(found, "B", "PyTorch")
    assert command("verify", HARD_H5, other) == 1
    assert not diagnose(HARD_H5, other).same


def test_the_weights_alone_are_run_by_what_is_written_for_them(pair: Path) -> None:
    found = verify(pair, source_pair.beside(pair))
    assert found.same
    assert any("B: run by PyTorch" in note and "written anew for them" in note for note in found.notes)


def appended(text: str) -> str:
    return text + EVIL


def replaced(text: str) -> str:
    return text.split("\n", 1)[0] + '\n"""\n' + EVIL


@pytest.mark.parametrize("tampered", [appended, replaced])
def test_source_code_that_was_changed_is_not_executed(pair: Path, tampered: Callable[[str], str]) -> None:
    pair.write_text(tampered(pair.read_text("utf-8")), "utf-8")
    found = verify(HARD_H5, pair)
    assert found.same
    assert not any("PyTorch" in row.compared for row in found.rows)
    assert any(note.startswith("B: run by the float64 reference alone; the text of lstm.py") for note in found.notes)
    assert command("info", pair) == 0
    assert command("diagnose", HARD_H5, pair) == 0
    assert not pair.with_name("executed").exists()


def test_a_comment_that_was_edited_is_a_change_too(pair: Path) -> None:
    pair.write_text(pair.read_text("utf-8") + "# mine\n", "utf-8")
    assert any("is not executed" in note for note in verify(pair, pair).notes)


def test_strings_of_a_file_do_not_become_code_that_is_run(tmp_path: Path) -> None:
    """What the weights' document says goes into the text that is executed, so it may say anything."""
    evil, path = f'"""\n{EVIL}\n"""', tmp_path / "lstm.py"
    model = lstm_convert.load(HARD_H5)
    layer = replace(model.layers[0], path=evil, follows=f"{evil}below")
    said = replace(model.provenance, framework=evil, version=evil, file=evil)
    lstm_convert.save(replace(model, layers=(layer,), provenance=said), path)
    for file in (path, source_pair.beside(path)):
        assert any("B: run by PyTorch" in note for note in verify(HARD_H5, file).notes)
    assert not list(tmp_path.glob("**/executed"))
    assert not Path("executed").exists()


@pytest.mark.parametrize("activation", [{"name": "evil()"}, {"name": "hard_sigmoid", "parameters": {"evil": 1}}])
def test_an_activation_of_nobody_is_not_run(pair: Path, activation: dict[str, Any]) -> None:
    with safetensors.opened(source_pair.beside(pair)) as contents:
        documents = dict(contents.attributes[""])
        stored = {name: Stored.of(np.array(array.read())) for name, array in contents.arrays.items()}
    said = json.loads(documents["lstm_convert_source"])
    said["layers"][0]["cells"]["forward"]["gate"] = activation
    documents["lstm_convert_source"] = json.dumps(said)
    safetensors.write(source_pair.beside(pair), Contents(stored, {"": documents}))
    with pytest.raises(LstmConvertError, match=r"neither the float64 reference nor .+ runs both|has the numbers evil"):
        verify(HARD_H5, pair)


def test_without_its_weights_it_is_one_clear_error(pair: Path) -> None:
    source_pair.beside(pair).unlink()
    with pytest.raises(InvalidFile, match=r"no lstm\.safetensors beside it"):
        verify(HARD_H5, pair)
    assert command("verify", HARD_H5, pair) == 2


def test_the_weights_of_a_source_are_never_replaced(pair: Path) -> None:
    weights = source_pair.beside(pair)
    before = weights.read_bytes()
    with pytest.raises(InvalidFile, match="the source itself"):
        lstm_convert.convert(pair, weights, force=True)
    assert weights.read_bytes() == before


@pytest.mark.parametrize(
    "source", ["keras-1.2.2/hard.h5", "keras-3.15.1/variant_masking.keras", "keras-3.15.1/bidirectional.keras"]
)
def test_the_proof_of_a_written_module_is_run_again(source: str, tmp_path: Path) -> None:
    path = tmp_path / "lstm.py"
    assert command("convert", FIXTURES / source, path, "--proof") == 0
    found = verify(path)
    assert found.same, found
    assert any(row.compared.startswith("proof, PyTorch") for row in found.rows)
    assert command("verify", path) == 0
    proof = proofs.beside(path).read_bytes()
    lstm_convert.save(wrong(lstm_convert.load(path)), path, force=True)  # which takes the old proof away
    proofs.beside(path).write_bytes(proof)
    assert command("verify", path) == 1


# The Keras layer of our own.


@pytest.mark.parametrize("ending", [".keras", ".h5"])
@pytest.mark.parametrize("layer", LAYERS)
def test_keras_runs_the_layer_of_our_own(layer: str, ending: str, tmp_path: Path) -> None:
    model = Model((layer_of("everything", layer),))
    path = save(model.layers[0], tmp_path / f"x{ending}")
    found = verify(path, model)
    assert found.same, found
    assert ran(found, "A", "Keras 3"), found.notes
    assert not verify(path, wrong(model)).same


@pytest.mark.parametrize("cell", CELLS)
def test_keras_runs_every_cell_of_our_own_from_the_file_and_from_weights(cell: str, tmp_path: Path) -> None:
    layer = layer_of(cell, "both", "float32")
    whole, weights = (save(layer, tmp_path / f"x{ending}") for ending in (".keras", ".weights.h5"))
    found = verify(whole, weights)
    assert found.same, found
    assert ran(found, "A", "Keras 3"), found.notes
    assert any("B: run by Keras 3" in note and "rebuilt" in note for note in found.notes)
    assert any("Keras 3" in row.compared.split(" A, ")[1] for row in found.rows)


def test_the_command_says_same_and_1_where_a_weight_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    layer: Recurrent = layer_of("everything", "both", "float32")
    path, pair = save(layer, tmp_path / "x.keras"), tmp_path / "lstm.py"
    assert command("convert", path, pair, "--proof") == 0
    assert command("verify", path, pair) == 0
    out = capsys.readouterr().out
    assert "A: run by Keras 3" in out
    assert "B: run by PyTorch" in out
    other = save(wrong(Model((layer,))).layers[0], tmp_path / "other.keras")
    assert command("verify", other, pair) == 1


def test_the_source_code_beside_a_keras_file_is_not_executed(tmp_path: Path) -> None:
    path = save(layer_of("everything", "both"), tmp_path / "x.keras")
    beside = tmp_path / "lstm_layer.py"
    beside.write_text(beside.read_text("utf-8") + EVIL, "utf-8")
    assert ran(verify(path, path), "A", "Keras 3")
    assert not (tmp_path / "executed").exists()


def test_only_the_class_that_is_registered_as_ours_is_known() -> None:
    assert not list(strange_classes(EXTENDED))
    names: list[Any] = ["x>ExtendedLSTMCell", None, []]
    others = [{**EXTENDED, "registered_name": name} for name in names]
    others += [{**EXTENDED, "class_name": "Evil"}, {**EXTENDED, "config": {"class_name": "Evil"}}]
    assert all(list(strange_classes(other)) for other in others)


def test_a_class_that_a_user_registered_stays_theirs(tmp_path: Path) -> None:
    import keras  # noqa: PLC0415 (heavy)

    name: str = EXTENDED["registered_name"]
    registered = keras.saving.get_custom_objects()
    before = registered.get(name)
    registered[name] = theirs = type("Theirs", (), {})
    try:
        path = save(layer_of("everything", "both"), tmp_path / "x.keras")
        assert ran(verify(path, path), "A", "Keras 3")
        assert registered[name] is theirs
    finally:
        registered.pop(name)
        if before is not None:
            registered[name] = before

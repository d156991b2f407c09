"""A proof beside a result: `convert --proof` writes it, `verify` runs it again."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers import FIXTURES, KERAS_3, TORCH, command
from planting import planted, rounded

import lstm_convert
from lstm_convert import Gates, Model, proofs, verify
from lstm_convert.errors import InvalidFile

PLAIN_TORCH = TORCH / "plain.pt"


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
    lstm_convert.save(planted(model, [rounded(np.float16), rounded(np.float32)]), proven, force=True)
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

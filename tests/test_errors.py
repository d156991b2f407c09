"""Bad input: one clear error each, exit code 2, nothing executed, and the folder as it was."""

import gzip
import os
import pickle
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from refusing import KERAS_1, KERAS_2, KERAS_3, TORCH, Refused, folder_of
from safetensors.numpy import load_file, save_file

import lstm_convert
from lstm_convert.errors import (
    InvalidFile,
    LayoutMismatch,
    LstmConvertError,
    MissingFramework,
    UnknownFormat,
    Unsupported,
)

# Files that are damaged, or no files of ours.


def canonical(name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        lstm_convert.convert(TORCH / "plain.pt", folder / name)
        return folder / name

    return make


@pytest.mark.parametrize("length", [1, 9, 0.1, 0.5, 0.9, -1], ids=str)
@pytest.mark.parametrize(
    "whole",
    [
        KERAS_1 / "plain.h5",
        KERAS_2 / "plain.h5",
        KERAS_3 / "plain.h5",
        KERAS_3 / "plain.keras",
        KERAS_3 / "plain.weights.h5",
        KERAS_3 / "sharded.weights.json",
        TORCH / "plain.pt",
        TORCH / "plain.legacy.pt",
        TORCH / "lightning.ckpt",
        TORCH / "plain.safetensors",
        canonical("a.npz"),
        canonical("a.lstm.safetensors"),
    ],
    ids=lambda whole: whole.name if isinstance(whole, Path) else "canonical",
)
def test_a_truncated_file(
    refused: Refused, tmp_path: Path, whole: Path | Callable[[Path], Path], length: float
) -> None:
    source = whole if isinstance(whole, Path) else whole(tmp_path)
    content = source.read_bytes()
    cut = tmp_path / f"cut.{source.name}"
    cut.write_bytes(content[: int(length * len(content)) if 0 < length < 1 else int(length)])
    refused(cut)


@pytest.mark.parametrize(
    ("name", "content", "told", "next_step"),
    [
        ("a.h5", b"", "an empty file", "Copy or download it again."),
        ("a.h5", b"<html>404 not found</html>", "a web page", "Download the file itself"),
        ("a.h5", b"\n<!DOCTYPE html><p>Sign in", "a web page", "Download the file itself"),
        ("a.pt", b"<?xml version='1.0'?><Error><Code>AccessDenied", "a web page", "Download the file itself"),
        (
            "a.h5",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d4e\nsize 132\n",
            "a git-lfs pointer",
            "git lfs pull",
        ),
        ("a.json", (KERAS_2 / "plain.json").read_bytes(), "an architecture without weights", "--config"),
        ("a.yaml", b"backend: theano\nclass_name: Sequential\n", "an architecture without weights", "--config"),
        ("a.h5", gzip.compress((KERAS_2 / "plain.h5").read_bytes()), "a gzip archive", "Unpack it"),
        ("a.h5", b"model.h5".ljust(257, b"\0") + b"ustar\x0000", "a tar archive", "Unpack it"),
        ("a.zip", b"PK\x03\x04\x14\x00", "a zip archive", "Unpack it"),
        ("a.pb", b"\x20\0\0\0TFL3\0\0", "a TensorFlow Lite model", "Give the Keras file"),
        ("a.npy", b"\x93NUMPY\x01\0", "one array of NumPy's", "all arrays of the model"),
        (
            "a.pt",
            pickle.dumps({"lstm.weight_ih_l0": [1.0]}),
            "a pickle that torch.save did not write",
            "torch.save(model.state_dict(), path)",
        ),
    ],
)
def test_a_file_of_no_known_kind_that_is_often_met(
    refused: Refused, tmp_path: Path, name: str, content: bytes, told: str, next_step: str
) -> None:
    (tmp_path / name).write_bytes(content)
    lines = refused(tmp_path / name)
    assert lines[0].endswith("is no file of a known kind")
    assert lines[1].startswith("  expected one of: Keras HDF5, model or weights; Keras weights; ")
    assert lines[2] == f"  found {content[:8]!r}, {told}"
    assert next_step in lines[3]


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.keras", b"PK\x05\x06" + bytes(18)), ("a.npz", np.float32(1).tobytes()), ("a.h5", bytes(600))],
)
def test_a_file_of_no_known_kind(refused: Refused, tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    lines = refused(tmp_path / name)
    assert lines[0].endswith("is no file of a known kind")
    assert lines[2] == f"  found {content[:8]!r}"
    assert "lstm-convert formats" in lines[-1]


def test_a_saved_model_of_tensorflow_is_told_by_its_folder(refused: Refused, tmp_path: Path) -> None:
    folder = tmp_path / "saved"
    folder.mkdir()
    (folder / "saved_model.pb").write_bytes(b"\x08\x01")
    lines = refused(folder)
    assert lines[0].endswith("cannot be read: Is a directory")
    assert lines[1].startswith("This is a SavedModel")


def test_a_folder_and_a_file_that_is_not_there(refused: Refused, tmp_path: Path) -> None:
    assert "cannot be read: Is a directory" in refused(tmp_path)[0]
    assert "cannot be read: No such file" in refused(tmp_path / "absent.h5")[0]
    assert "cannot be read: File name too long" in refused(tmp_path / ("a" * 300))[0]


# Files without what they should hold.


def edited(tmp_path: Path, source: Path, edit: Callable[[Any], None]) -> Path:
    """Copy an HDF5 file and change the copy."""
    path = tmp_path / source.name
    shutil.copy(source, path)
    with h5py.File(path, "r+") as file:
        edit(file)
    return path


def arrays_of(file: Any) -> list[str]:
    """Return the keys of the LSTM weights of a Keras HDF5 file."""
    keys: list[str] = []
    file.visititems(lambda key, item: keys.append(key) if isinstance(item, h5py.Dataset) else None)
    return [key for key in keys if "lstm_" in key and "optimizer" not in key]


def reshaped(file: Any, key: str, array: Any) -> None:
    del file[key]
    file[key] = array


@pytest.mark.parametrize("source", [KERAS_2 / "plain.h5", KERAS_3 / "plain.h5", KERAS_1 / "plain.h5"], ids=folder_of)
def test_missing_arrays_of_all_layers_at_once(refused: Refused, tmp_path: Path, source: Path) -> None:
    missing: list[str] = []

    def edit(file: Any) -> None:
        keys = arrays_of(file)
        missing.extend([next(key for key in keys if "lstm_a" in key), next(key for key in keys if "lstm_b" in key)])
        for key in missing:
            del file[key]

    lines = refused(edited(tmp_path, source, edit))
    assert lines[1:-1] == [f"  {key}: expected an array, found nothing" for key in missing]


@pytest.mark.parametrize("source", [KERAS_2 / "plain.h5", KERAS_3 / "plain.h5"], ids=folder_of)
def test_misshaped_arrays_of_all_layers_at_once(refused: Refused, tmp_path: Path, source: Path) -> None:
    wrong: list[str] = []

    def edit(file: Any) -> None:
        recurrent = [key for key in arrays_of(file) if "recurrent_kernel" in key]
        bias = [key for key in arrays_of(file) if "bias" in key]
        wrong.extend([recurrent[0], bias[0], recurrent[1]])
        for key, shape in zip(wrong, [(4, 20), (21,), (28, 7)], strict=True):
            reshaped(file, key, np.zeros(shape, "float32"))

    lines = refused(edited(tmp_path, source, edit))
    expected = ["(5, 20) = (state, gate x unit), found (4, 20)", "(20,) = (gate x unit), found (21,)",
                "(7, 28) = (state, gate x unit), found (28, 7)"]  # fmt: skip
    assert lines[1:-1] == [f"  {key}: expected {text}" for key, text in zip(wrong, expected, strict=True)]


def test_missing_arrays_in_a_keras_weights_file(refused: Refused, tmp_path: Path) -> None:
    def edit(file: Any) -> None:
        for layer in ("lstm", "lstm_1"):
            del file[f"layers/{layer}/cell/vars/1"]

    lines = refused(edited(tmp_path, KERAS_3 / "plain.weights.h5", edit), "--config", str(KERAS_3 / "plain.json"))
    assert [line.partition(": expected")[0] for line in lines[1:-1]] == [
        f"  layers/{layer}/cell/vars/1" for layer in ("lstm", "lstm_1")
    ]


def test_every_problem_of_a_state_dict_at_once(refused: Refused, tmp_path: Path) -> None:
    arrays = load_file(TORCH / "two_layer.safetensors")
    del arrays["lstm.weight_ih_l0"], arrays["lstm.bias_hh_l0_reverse"]
    arrays["lstm.weight_hh_l1"] = np.zeros((28, 6), "float32")
    save_file(arrays, tmp_path / "a.safetensors")
    lines = refused(tmp_path / "a.safetensors")
    found = {line.partition(":")[0].strip(): line.partition("found ")[2] for line in lines[1:-1]}
    assert found == {
        "lstm.weight_ih_l0": "nothing",
        "lstm.bias_hh_l0_reverse": "nothing",
        "lstm.weight_hh_l1": "(28, 6)",
    }


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_numbers(refused: Refused, tmp_path: Path, bad: float) -> None:
    arrays = {name: np.array(array) for name, array in load_file(TORCH / "plain.safetensors").items()}
    arrays["lstm.weight_ih_l0"][3, 1] = arrays["lstm.bias_hh_l0"][:2] = bad
    save_file(arrays, tmp_path / "a.safetensors")
    assert refused(tmp_path / "a.safetensors")[1:-1] == [
        "  lstm (forward) W: 1 of 60 numbers are NaN or infinite",
        "  lstm (forward) b_rec: 2 of 20 numbers are NaN or infinite",
    ]


def linear(path: Path) -> Path:
    torch.save(torch.nn.Linear(3, 5).state_dict(), path / "a.pt")
    return path / "a.pt"


def nothing(path: Path) -> Path:
    torch.save({}, path / "a.pt")
    return path / "a.pt"


def other_hdf5(path: Path) -> Path:
    with h5py.File(path / "a.h5", "w") as file:
        file["measurements"] = np.ones(3)
    return path / "a.h5"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        (lambda _: TORCH / "plain.expected.npz", "x0"),
        (linear, "weight (5, 3)"),
        (nothing, "no arrays"),
        (other_hdf5, "measurements (3,)"),
    ],
)
def test_a_file_without_an_lstm(refused: Refused, tmp_path: Path, source: Callable[[Path], Path], found: str) -> None:
    lines = refused(source(tmp_path))
    assert "has no LSTM" in lines[0]
    assert lines[1].startswith("  expected the weights of an LSTM, GRU or simple RNN, found ")
    assert found in lines[1]


# Files that want something executed or opened.


class Evil:
    def __init__(self, function: Any, argument: str) -> None:
        self.call = function, (argument,)

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("new", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize(
    ("function", "argument", "name"),
    [
        (os.system, "touch executed", "system"),
        (eval, "open('executed', 'w')", "builtins.eval"),
        (exec, "open('executed', 'w')", "builtins.exec"),
        (subprocess.getoutput, "touch executed", "getoutput"),
        (Path.touch, "executed", "getattr"),
    ],
    ids=["os.system", "eval", "exec", "subprocess", "getattr"],
)
def test_a_pickle_that_names_code(
    refused: Refused, tmp_path: Path, function: Any, argument: str, name: str, *, new: bool
) -> None:
    evil = Evil(function, argument)
    torch.save({"lstm": torch.nn.LSTM(3, 5).state_dict(), "x": evil}, "a.pt", _use_new_zipfile_serialization=new)
    lines = refused(tmp_path / "a.pt")
    assert name in lines[0]
    assert "nothing was executed" in lines[0]
    assert "state_dict()" in lines[-1]


def test_the_evil_pickle_is_evil(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check of the check: an ordinary unpickler does execute it."""
    monkeypatch.chdir(tmp_path)
    pickle.loads(pickle.dumps(Evil(os.system, "touch executed")))  # noqa: S301 (made here, to see it act)
    assert (tmp_path / "executed").exists()


def external_link(file: Any, key: str) -> None:
    del file[key]
    file[key] = h5py.ExternalLink("other.h5", "x")


def soft_link(file: Any, key: str) -> None:
    file["elsewhere"] = file[key][()]
    reshaped(file, key, h5py.SoftLink("/elsewhere"))


def external_storage(file: Any, key: str) -> None:
    shape, dtype = file[key].shape, file[key].dtype
    del file[key]
    file.create_dataset(key, shape, dtype, external=[("other.raw", 0, h5py.h5f.UNLIMITED)])


def virtual_dataset(file: Any, key: str) -> None:
    shape, dtype = file[key].shape, file[key].dtype
    layout = h5py.VirtualLayout(shape, dtype)
    layout[...] = h5py.VirtualSource("other.h5", "x", shape)
    del file[key]
    file.create_virtual_dataset(key, layout)


@pytest.mark.parametrize("edit", [external_link, soft_link, external_storage, virtual_dataset])
def test_an_hdf5_file_that_leads_elsewhere(refused: Refused, tmp_path: Path, edit: Callable[[Any, str], None]) -> None:
    keys: list[str] = []

    def change(file: Any) -> None:
        keys.append(next(key for key in arrays_of(file) if "kernel" in key))
        edit(file, keys[0])

    path = edited(tmp_path, KERAS_2 / "plain.h5", change)
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["x"] = np.ones((3, 20), "float32")
    lines = refused(path)
    assert keys[0] in lines[0]
    assert lines[0].endswith(("which is not followed", "which is not opened"))


# The errors themselves.


@pytest.mark.parametrize(
    ("error", "standard"),
    [
        (UnknownFormat, ValueError),
        (InvalidFile, ValueError),
        (LayoutMismatch, ValueError),
        (Unsupported, NotImplementedError),
        (MissingFramework, ImportError),
    ],
)
def test_an_error_is_ours_and_of_the_standard_kind(error: type[LstmConvertError], standard: type[Exception]) -> None:
    assert issubclass(error, LstmConvertError)
    assert issubclass(error, standard)
    raised = error("is wrong", ["a: expected 1, found 2"], "Do this.").about("file.h5")
    assert type(raised) is error
    assert str(raised) == "file.h5: is wrong\n  a: expected 1, found 2\nDo this."

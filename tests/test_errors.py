"""Bad input: one clear error each, exit code 2, nothing executed, and the folder as it was."""

import json
import os
import pickle
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from helpers import FIXTURES
from safetensors.numpy import load_file, save_file

import lstm_convert
from lstm_convert.cli import main
from lstm_convert.errors import (
    InvalidFile,
    LayoutMismatch,
    LstmConvertError,
    MissingFramework,
    UnknownFormat,
    Unsupported,
)

KERAS_1, KERAS_2, KERAS_3, TORCH = (
    FIXTURES / folder for folder in ("keras-1.2.2", "keras-2.2.0", "keras-3.15.1", "torch-2.13")
)
KNOWN_BYTES = b"what the target held before"
Refused = Callable[..., list[str]]


def folder_of(path: Path) -> str:
    """Return the fixtures' folder that a path is, or lies in; it names a test."""
    return path.parent.name if path.suffix in (".h5", ".keras") else path.name


def everything_below(folder: Path) -> dict[Path, bytes | None]:
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Refused:
    """Convert what cannot be converted, over a file that is there, and return the message's lines.

    It has a first line that names the file, a last one that is a next step, and no file anywhere has changed.
    """
    monkeypatch.chdir(tmp_path)

    def convert(source: Path, *options: str, target: str = "out.pt", named: str = "") -> list[str]:
        with suppress(OSError), Path(target).open("xb") as file:
            file.write(KNOWN_BYTES)
        before = everything_below(tmp_path)
        monkeypatch.setattr(sys, "argv", ["lstm-convert", "convert", str(source), target, "--force", *options])
        with pytest.raises(SystemExit) as leaving:
            main()
        answer = capsys.readouterr()
        lines = answer.err.splitlines()
        assert (leaving.value.code, answer.out) == (2, "")
        assert everything_below(tmp_path) == before
        assert lines[0].startswith(f"lstm-convert: {named or source}: ")
        assert all(line.startswith("  ") for line in lines[1:-1])
        assert len(lines) > 1
        assert lines[-1][0].isupper() or lines[-1][0] == "`"
        return lines

    return convert


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
    ("name", "content"),
    [
        ("a.h5", b""),
        ("a.h5", b"<html>404 not found</html>"),
        ("a.h5", b"version https://git-lfs.github.com/spec/v1\noid sha256:4d4e\nsize 132\n"),
        ("a.pt", b""),
        ("a.pt", pickle.dumps({"lstm.weight_ih_l0": [1.0]})),
        ("a.keras", b"PK\x05\x06" + bytes(18)),
        ("a.npz", np.float32(1).tobytes()),
    ],
)
def test_a_file_of_no_known_kind(refused: Refused, tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    lines = refused(tmp_path / name)
    assert "is no file of a known kind" in lines[0]
    assert lines[1].startswith("  expected one of Keras HDF5")
    assert lines[2] == f"  found {content[:8]!r}"
    assert "lstm-convert formats" in lines[-1]


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
        (linear, "weight"),
        (nothing, "no arrays"),
        (other_hdf5, "measurements"),
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


# Architectures.


def architecture(tmp_path: Path, source: Path, change: Callable[[list[Any]], Any]) -> str:
    document = json.loads(source.read_text("utf-8"))
    config = document["config"]
    change(config if isinstance(config, list) else config["layers"])
    (tmp_path / "architecture.json").write_text(json.dumps(document), "utf-8")
    return str(tmp_path / "architecture.json")


def lstms(layers: list[Any]) -> list[Any]:
    return [layer["config"] for layer in layers if layer["class_name"] == "LSTM"]


def other_units(layers: list[Any]) -> None:
    for config in lstms(layers):
        config["units" if "units" in config else "output_dim"] += 1


def other_name(layers: list[Any]) -> None:
    lstms(layers)[0]["name"] = "renamed"


def one_less(layers: list[Any]) -> None:
    layers[:] = [layer for layer in layers if layer["config"]["name"] != "lstm_b"]


def one_more(layers: list[Any]) -> None:
    extra = json.loads(json.dumps(next(layer for layer in layers if layer["class_name"] == "LSTM")))
    extra["config"]["name"] = "lstm_c"
    layers.append(extra)


@pytest.mark.parametrize("folder", [KERAS_1, KERAS_2], ids=folder_of)
@pytest.mark.parametrize(
    ("change", "details"),
    [
        (other_units, ["expected 6 units, found 5", "expected 8 units, found 7"]),
        (other_name, ["renamed: expected a group of weights, found nothing"]),
        (one_less, ["lstm_b: expected a layer of the architecture, found none"]),
        (one_more, ["lstm_c: expected a group of weights, found nothing"]),
    ],
)
def test_an_architecture_that_contradicts_the_weights(
    refused: Refused, tmp_path: Path, folder: Path, change: Callable[[list[Any]], Any], details: list[str]
) -> None:
    config = architecture(tmp_path, folder / "plain.json", change)
    lines = refused(folder / "plain.weights_only.h5", "--config", config)
    assert len(lines[1:-1]) == len(details)
    assert all(line.endswith(detail) for line, detail in zip(lines[1:-1], details, strict=True))


@pytest.mark.parametrize("folder", [KERAS_1, KERAS_2], ids=folder_of)
def test_weights_alone_do_not_say_what_they_compute(refused: Refused, folder: Path) -> None:
    lines = refused(folder / "plain.weights_only.h5")
    assert "weights only" in lines[0]
    assert [line.strip() for line in lines[1:-1]] == [
        f"{name}: sigmoid or hard_sigmoid?" for name in ("lstm_a", "lstm_b")
    ]
    assert "--config FILE" in lines[-1]
    assert "--recurrent-activation" in lines[-1]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{", "is neither JSON nor plain YAML"),
        ("!!python/object/apply:os.system ['touch executed']", "is neither JSON nor plain YAML"),
        ("!!python/name:os.system", "is neither JSON nor plain YAML"),
        ("class_name: !!python/object/new:os.system ['touch executed']", "is neither JSON nor plain YAML"),
        ("[" * 100_000, "is neither JSON nor plain YAML"),
        ("", "says nothing"),
        ("{}", "says nothing"),
        ("\xff", "cannot be read"),
        ("[1, 2]", "no Keras architecture"),
        ("just a sentence", "no Keras architecture"),
        ('{"class_name": "Sequential", "config": 7}', "architecture"),
    ],
)
def test_a_config_that_is_no_architecture(refused: Refused, tmp_path: Path, text: str, what: str) -> None:
    (tmp_path / "a.txt").write_text(text, "latin-1")
    lines = refused(KERAS_2 / "plain.weights_only.h5", "--config", str(tmp_path / "a.txt"))
    assert what in lines[0]


def test_a_config_that_is_not_there(refused: Refused, tmp_path: Path) -> None:
    lines = refused(KERAS_2 / "plain.weights_only.h5", "--config", str(tmp_path / "absent.json"))
    assert "absent.json: cannot be read: No such file" in lines[0]


# Targets.


def test_an_ending_under_which_nothing_is_written(refused: Refused) -> None:
    lines = refused(TORCH / "plain.pt", target="out.onnx", named="out.onnx")
    assert lines[0].endswith("has an ending under which nothing is written")
    assert {".pt", ".keras", ".npz"} <= set(lines[1].removeprefix("  expected one of ").split(", "))


@pytest.mark.parametrize(
    ("target", "what"),
    [
        ("absent/out.pt", "lies in a folder that does not exist: absent"),
        ("file/out.pt", "lies in a folder that does not exist: file"),
        ("folder.pt", "is a folder"),
        (f"{'a' * 300}.pt", "cannot be written: File name too long"),
    ],
)
def test_a_target_that_cannot_be_written(refused: Refused, tmp_path: Path, target: str, what: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder.pt").mkdir()
    assert what in refused(TORCH / "plain.pt", target=target, named=target)[0]


@pytest.mark.parametrize("same", ["a.pt", "link.pt", "hard.pt"])
def test_the_source_is_never_replaced(refused: Refused, tmp_path: Path, same: str) -> None:
    shutil.copy(TORCH / "plain.pt", tmp_path / "a.pt")
    (tmp_path / "link.pt").symlink_to("a.pt")
    os.link(tmp_path / "a.pt", tmp_path / "hard.pt")
    assert "is the source itself" in refused(tmp_path / "a.pt", target=same, named=same)[0]


def test_a_target_that_is_there_is_replaced_only_by_force(tmp_path: Path) -> None:
    target = tmp_path / "out.pt"
    target.write_bytes(KNOWN_BYTES)
    for act in (
        lambda: lstm_convert.convert(TORCH / "plain.pt", target),
        lambda: lstm_convert.save(lstm_convert.load(TORCH / "plain.pt"), target),
    ):
        with pytest.raises(InvalidFile, match=r"out\.pt: exists already") as caught:
            act()
        assert "--force" in caught.value.next_step
        assert everything_below(tmp_path) == {target: KNOWN_BYTES}
    lstm_convert.convert(TORCH / "plain.pt", target, force=True)
    assert torch.load(target, weights_only=True).keys() == torch.load(TORCH / "plain.pt", weights_only=True).keys() - {
        "head.weight",
        "head.bias",
    }
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("exists", [True, False])
def test_a_link_stays_a_link_and_its_file_is_written(tmp_path: Path, *, exists: bool) -> None:
    (tmp_path / "real").mkdir()
    if exists:
        (tmp_path / "real/out.pt").write_bytes(KNOWN_BYTES)
    (tmp_path / "link.pt").symlink_to("real/out.pt")
    lstm_convert.convert(TORCH / "plain.pt", tmp_path / "link.pt", force=True)
    assert (tmp_path / "link.pt").readlink() == Path("real/out.pt")
    assert [layer.name for layer in lstm_convert.load(tmp_path / "real/out.pt").layers] == ["lstm"]
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["link.pt", "out.pt", "real"]


@pytest.mark.parametrize(
    "target", ["a.pt", "a.safetensors", "a.npz", "a.lstm.safetensors", "a.keras", "a.weights.h5", "a.h5"]
)
def test_a_disk_that_is_full(tmp_path: Path, target: str) -> None:
    """A file of this process may not grow beyond 600 bytes: the system refuses the write, as it does on a full disk."""
    (tmp_path / target).write_bytes(KNOWN_BYTES)
    script = (
        "import resource; from lstm_convert.cli import main; "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (600, resource.RLIM_INFINITY)); main()"
    )
    command = [sys.executable, "-c", script, "convert", str(TORCH / "plain.pt"), target, "--force"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)  # noqa: S603 (this very Python)
    assert (done.returncode, done.stdout) == (2, "")
    lines = done.stderr.splitlines()
    assert lines[0].startswith(f"lstm-convert: {target}: cannot be written")
    assert lines[-1] == "Free some space, or choose a folder you may write to."
    assert everything_below(tmp_path) == {tmp_path / target: KNOWN_BYTES}


def test_the_limit_is_one(tmp_path: Path) -> None:
    """The check of the check: with a limit that is large enough the same file is written."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    lstm_convert.convert(TORCH / "plain.pt", tmp_path / "a.keras")
    assert (tmp_path / "a.keras").stat().st_size > 600
    assert resource.getrlimit(resource.RLIMIT_FSIZE) == before


# Options.


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--allow", "anything"], ["cannot be allowed: anything", "expected one of hard_sigmoid"]),
        (
            ["--rename", "absent=b"],
            ["no layer has the path to be renamed", "absent: there are encoder, gru, decoder"],
        ),
        (["--rename", "encoder=cell"], ["two layers would have one name", "encoder as cell"]),
    ],
)
def test_an_option_that_does_not_fit(refused: Refused, options: list[str], words: list[str]) -> None:
    text = "\n".join(refused(TORCH / "several.pt", *options, named="out.pt"))
    assert all(word in text for word in words)


def test_a_recurrent_activation_that_is_none(refused: Refused) -> None:
    lines = refused(KERAS_2 / "plain.weights_only.h5", "--recurrent-activation", "sigmoidd", named="out.pt")
    assert "gate activation sigmoidd" in "\n".join(lines)


@pytest.mark.parametrize("source", [KERAS_1 / "weather_hard_sigmoid.h5", KERAS_3 / "hard.keras"], ids=folder_of)
def test_hard_sigmoid_is_refused_with_the_option_that_takes_it_over(refused: Refused, source: Path) -> None:
    text = "\n".join(refused(source, "--lstm-only", named="out.pt"))
    assert "gate activation hard_sigmoid" in text
    assert "--allow hard_sigmoid" in text
    assert ".npz" in text


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

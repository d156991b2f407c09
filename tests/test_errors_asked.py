"""Targets, architectures and options that cannot be: one clear error each, and the folder as it was."""

import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from refusing import KERAS_1, KERAS_2, KERAS_3, KNOWN_BYTES, TORCH, Refused, everything_below, folder_of

import lstm_convert
from lstm_convert.errors import (
    InvalidFile,
)

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
    """A file of this process may not grow beyond 600 bytes: the system refuses the write, as it does on a full disk.

    Without -B, Python would keep the first 600 bytes of what it compiles, and believe them ever after.
    """
    (tmp_path / target).write_bytes(KNOWN_BYTES)
    script = (
        "import resource; from lstm_convert.cli import main; "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (600, resource.RLIM_INFINITY)); main()"
    )
    command = [sys.executable, "-B", "-c", script, "convert", str(TORCH / "plain.pt"), target, "--force"]
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

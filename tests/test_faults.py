"""What goes wrong while a file is written: the target is the old one or the new one, whole, whatever happens when."""

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exporting import imported
from helpers import FIXTURES

import lstm_convert
from lstm_convert import InvalidFile, proofs

WEATHER, HARD = (FIXTURES / "keras-1.2.2" / f"{name}.h5" for name in ("weather", "weather_hard_sigmoid"))
PLACING = ["lstm_convert/placing.py"]
ALL = ["lstm_convert/conversion.py", "lstm_convert/writing.py", "lstm_convert/sources.py", *PLACING]
HIDDEN = ".lstm-convert-"
NOT_TOGETHER = "were not written together"


@dataclass(frozen=True)
class Moment:
    """What became of one run: the exit codes of the command and of the other one, and the folder."""

    code: int
    other: int | None
    folder: Path

    @property
    def said(self) -> str:
        """What both wrote to stderr."""
        return (self.folder / "stderr").read_text("utf-8")

    @property
    def hidden(self) -> list[Path]:
        """What is left of a run that did not end."""
        return [path for path in self.folder.iterdir() if path.name.startswith(".")]


Moments = Callable[..., list[Moment]]


@pytest.fixture
def start(tmp_path: Path) -> Path:
    """The folder in which every run begins: two models of the same shapes, of which one computes something else."""
    folder = tmp_path / "start"
    folder.mkdir()
    (folder / "plain.h5").write_bytes(WEATHER.read_bytes())
    (folder / "hard.h5").write_bytes(HARD.read_bytes())
    return folder


@pytest.fixture
def moments(tmp_path: Path, start: Path) -> Moments:
    """Let something happen to a command at each of its moments, or at most so many, in a copy of the folder `start`."""

    def run(command: list[str], meanwhile: list[str], modules: list[str] = PLACING, most: int = 1000) -> list[Moment]:
        into = tmp_path / f"into {len(list(tmp_path.iterdir()))}"
        into.mkdir()
        asked = {"start": str(start), "into": str(into), "command": command, "meanwhile": meanwhile,
                 "modules": modules, "most": most}  # fmt: skip
        driver = [sys.executable, str(Path(__file__).with_name("moments.py")), json.dumps(asked)]
        done = subprocess.run(driver, capture_output=True, text=True, check=False)  # noqa: S603 (this very Python)
        assert done.returncode == 0, done.stderr
        codes: dict[str, tuple[int, int | None]] = json.loads(done.stdout.splitlines()[-1])
        found = [Moment(code, other, into / number) for number, (code, other) in codes.items()]
        assert len(found) > 10
        return found

    return run


def model_in(path: Path) -> str | None:
    """Which of the two models a file holds, None where there is none; one that is damaged raises."""
    if not path.exists():
        return None
    gate: Any = lstm_convert.load(path).layers[0].forward.activations()["gate"]
    return "hard" if gate.name == "hard_sigmoid" else "plain"


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    whole = [sys.executable, "-P", "-m", "lstm_convert", *arguments]
    return subprocess.run(whole, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603 (this very Python)


# Killed.


@pytest.mark.parametrize(("target", "before"), [("out.keras", "plain"), ("out.npz", None)])
def test_a_target_is_whole_whenever_its_writer_is_killed(
    moments: Moments, start: Path, target: str, before: str | None
) -> None:
    if before:
        lstm_convert.convert(start / f"{before}.h5", start / target)
    found = moments(["convert", "hard.h5", target, "--force"], ["kill"])
    assert {moment.code for moment in found} == {-signal.SIGKILL}
    assert {model_in(moment.folder / target) for moment in found} == {before, "hard"}
    left = {path.name[: len(HIDDEN)] for moment in found for path in moment.hidden}
    assert left == {HIDDEN}
    for moment in found[:: len(found) // 3]:
        assert command(moment.folder, "convert", "hard.h5", target, "--force").returncode == 0, "later runs go on"


@pytest.mark.parametrize("target", ["out.keras", "out.py"])
def test_a_target_is_whole_whenever_a_process_of_its_own_is_killed(start: Path, target: str) -> None:
    """At moments drawn by chance, those within a container's own writing among them."""
    before = time.monotonic()
    assert command(start, "convert", "plain.h5", target).returncode == 0
    took = time.monotonic() - before
    whole = [sys.executable, "-P", "-m", "lstm_convert", "convert", "hard.h5", target, "--force"]
    drawn = random.Random(6)  # noqa: S311 (no secret)
    for _ in range(12):
        process = subprocess.Popen(whole, cwd=start, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603 (this very Python)
        time.sleep(took * drawn.uniform(0.3, 1.1))
        process.kill()
        process.wait()
        assert model_in(start / target) in ("plain", "hard")
        assert command(start, "convert", "plain.h5", target, "--force").returncode == 0


@pytest.mark.parametrize("before", ["plain", None])
def test_a_pair_whose_writer_is_killed_is_of_one_model_or_refused(
    moments: Moments, start: Path, before: str | None
) -> None:
    """Source code and its weights get their names one after the other; the weights, first, are a whole model alone."""
    if before:
        lstm_convert.convert(start / f"{before}.h5", start / "out.py")
    torn = 0
    for moment in moments(["convert", "hard.h5", "out.py", "--force"], ["kill"]):
        source, weights = moment.folder / "out.py", moment.folder / "out.safetensors"
        states = (source.exists() and model_said(source), model_in(weights))
        if states in ((before or False, before), ("hard", "hard")):
            assert not source.exists() or model_in(source) == states[1]
            continue
        torn += 1
        assert states == (before or False, "hard")
        if before:
            with pytest.raises(InvalidFile, match=NOT_TOGETHER):
                lstm_convert.load(source)
            with pytest.raises(ValueError, match=r"out\.safetensors was written with other code: write both again"):
                imported(source).load()
    assert torn


def model_said(source: Path) -> str:
    """Which of the two models source code computes."""
    return "hard" if "0.2" in source.read_text("utf-8") else "plain"


@pytest.mark.parametrize("proof", [True, False])
def test_no_proof_lies_beside_a_target_that_is_not_its_own(moments: Moments, start: Path, *, proof: bool) -> None:
    assert command(start, "convert", "plain.h5", "out.npz", "--proof").returncode == 0
    found = moments(["convert", "hard.h5", "out.npz", "--force", *["--proof"] * proof], ["kill"])
    states = set()
    for moment in found:
        target = moment.folder / "out.npz"
        states.add((model_in(target), proven_of(target) if proofs.beside(target).exists() else None))
    assert states == {("plain", "plain"), ("plain", None), ("hard", None), *[("hard", "hard")] * proof}


# A file that is there already, and who else writes it.


def test_a_conversion_without_a_proof_takes_the_old_one_away(start: Path) -> None:
    for made in ("out.npz", "out.npz.proof.npz", "out.npz.moves.npz"):
        (start / made).write_bytes(b"old")
    done = command(start, "convert", "plain.h5", "out.npz", "--force")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in start.iterdir()) == ["hard.h5", "out.npz", "plain.h5"]


@pytest.mark.parametrize("left", ["out.npz.proof.npz", "out.npz.moves.npz"])
def test_what_was_said_of_another_target_is_taken_away_by_force_alone(start: Path, left: str) -> None:
    (start / left).write_bytes(b"old")
    done = command(start, "convert", "plain.h5", "out.npz")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"lstm-convert: {left}: exists already")
    assert sorted(path.name for path in start.iterdir()) == sorted(["hard.h5", left, "plain.h5"])


@pytest.mark.parametrize("target", ["out.keras", "out.py"])
def test_of_two_that_write_one_target_without_force_one_is_refused(moments: Moments, target: str) -> None:
    found = moments(["convert", "plain.h5", target], ["run", "convert", "hard.h5", target], modules=ALL, most=20)
    for moment in found:
        assert sorted((moment.code, moment.other or 0)) == [0, 2]
        assert "exists already" in moment.said
        assert model_in(moment.folder / target) == ("hard" if moment.code else "plain")
        assert moment.hidden == []
    assert {moment.code for moment in found} == {0, 2}


@pytest.mark.parametrize("target", ["out.keras", "out.py"])
def test_of_two_that_write_one_target_by_force_the_last_one_wins_whole(moments: Moments, target: str) -> None:
    found = moments(
        ["convert", "plain.h5", target, "--force", "--proof"],
        ["run", "convert", "hard.h5", target, "--force", "--proof"],
        most=25,
    )
    for moment in found:
        assert (moment.code, moment.other) == (0, 0)
        assert proven_of(moment.folder / target) == model_in(moment.folder / target)
        assert moment.hidden == []
    assert {model_in(moment.folder / target) for moment in found} == {"plain", "hard"}


def proven_of(target: Path) -> str:
    """Which of the two models the proof beside a target is of."""
    with np.load(proofs.beside(target)) as arrays:
        name: str = json.loads(str(arrays["__metadata__"]))["source"]["file"]
    return name.removesuffix(".h5")


def test_a_file_that_cannot_be_replaced_leaves_its_pair_as_it_was(start: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lstm_convert.convert(start / "plain.h5", start / "out.py")
    before = {path: path.read_bytes() for path in start.iterdir()}
    replace = Path.replace

    def refused(self: Path, target: Path) -> Path:
        if Path(target).name == "out.py" and self.parent.name.startswith(HIDDEN):
            raise OSError(16, "Device or resource busy")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", refused)
    with pytest.raises(InvalidFile, match=r"out\.py: cannot be written: Device or resource busy"):
        lstm_convert.convert(start / "hard.h5", start / "out.py", force=True)
    assert {path: path.read_bytes() for path in start.iterdir()} == before


# A source that changes.


@pytest.mark.parametrize("change", ["copy", "exchange", "truncate"])
@pytest.mark.parametrize("source", ["model.h5", "model.npz", "model.lstm.safetensors", "model.py"])
def test_a_source_that_changes_while_it_is_read_is_refused(
    moments: Moments, start: Path, source: str, change: str
) -> None:
    """But for the moments before it is looked at and after it was read: the result is then of the one or the other."""
    if source != "model.h5":
        lstm_convert.convert(WEATHER, start / source)
        lstm_convert.convert(HARD, start / f"other{source.removeprefix('model')}")
    else:
        (start / source).write_bytes(WEATHER.read_bytes())
        (start / "other.h5").write_bytes(HARD.read_bytes())
    (start / "out.npz").write_bytes(b"old")
    weights = source.replace(".py", ".safetensors")
    other = weights.replace("model", "other")
    details = [weights] if change == "truncate" else [other, weights]
    found = moments(["convert", source, "out.npz", "--force"], [change, *details], modules=ALL, most=30)
    for moment in found:
        if moment.code == 0:
            assert model_in(moment.folder / "out.npz") in ("plain", "hard")
        else:
            assert moment.code == 2, moment.said
            assert (moment.folder / "out.npz").read_bytes() == b"old"
        assert moment.hidden == []
    assert sum("changed while it was read" in moment.said for moment in found) > len(found) / 3


# Links, and the source itself.


def test_a_link_that_leads_back_to_itself_is_one_clear_error(start: Path) -> None:
    (start / "a.npz").symlink_to("b.npz")
    (start / "b.npz").symlink_to("a.npz")
    done = command(start, "convert", "plain.h5", "a.npz", "--force")
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        2,
        "lstm-convert: a.npz: is a link that leads back to itself",
    )
    assert (start / "a.npz").readlink() == Path("b.npz")


def test_what_belongs_to_a_target_lies_beside_the_file_that_a_link_leads_to(start: Path) -> None:
    (start / "real").mkdir()
    (start / "model.py").symlink_to("real/out.py")
    (start / "real/out.safetensors").write_bytes(b"another's")
    done = command(start, "convert", "plain.h5", "model.py", "--proof")
    assert (done.returncode, (start / "real/out.safetensors").read_bytes()) == (2, b"another's")
    assert command(start, "convert", "plain.h5", "model.py", "--proof", "--force").returncode == 0
    made = {str(path.relative_to(start)) for path in chain(start.glob("model*"), start.glob("real/*"))}
    assert made == {"model.py", "real/out.py", "real/out.py.proof.npz", "real/out.safetensors"}
    assert model_in(start / "model.py") == "plain"
    assert proven_of(start / "model.py") == "plain"


@pytest.mark.parametrize("target", ["sharded_00000.weights.h5", "link.weights.h5"])
def test_no_part_of_a_source_is_replaced(tmp_path: Path, target: str) -> None:
    for path in FIXTURES.glob("keras-3.15.1/sharded*.weights.*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "link.weights.h5").symlink_to("sharded_00001.weights.h5")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    done = command(tmp_path, "convert", "sharded.weights.json", target, "--force")
    assert (done.returncode, done.stderr.splitlines()[0]) == (2, f"lstm-convert: {target}: is the source itself")
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before

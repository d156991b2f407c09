"""Collections on the Hugging Face Hub: its own client, and as much of a hub as it asks for on this machine."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from answering import Command
from collections_of_files import KERAS, TORCH, files, lay, lines
from hub import Repository, hub
from huggingface_hub import constants

import lstm_convert
from lstm_convert import batch
from lstm_convert.errors import InvalidFile

# Its client's own, where it uploads by Git LFS.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

OUT = "hf://user/repo/out"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    """Yield a model on a hub that `hf://` leads to here; large files come to it by Git LFS."""
    Path("temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    with hub("user/repo", {"notes.txt": b""}) as model:
        monkeypatch.setitem(fsspec.config.conf, "hf", {"endpoint": model.address, "token": "mine"})
        yield model
    assert list(Path("temporary").iterdir()) == []


def run(model: Repository, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the command in a process of its own, whose client reads where the hub is when it is imported."""
    return subprocess.run(  # noqa: S603 (our own command)
        [sys.executable, "-m", "lstm_convert", "batch", *arguments],
        env=os.environ | {"HF_ENDPOINT": model.address, "HF_HOME": str(Path("home").absolute())},
        capture_output=True,
        text=True,
        check=False,
    )


def converted(source: str, name: str) -> bytes:
    """Return the bytes that a file is converted to alone."""
    Path("alone").mkdir(exist_ok=True)
    lstm_convert.convert(source, f"alone/{name}", force=True)
    return Path("alone", name).read_bytes()


def test_a_hub_is_read() -> None:
    with hub("user/repo", {"a/x.h5": KERAS.read_bytes(), "y.h5": KERAS.read_bytes(), "notes.txt": b""}) as model:
        ran = run(model, "hf://user/repo/**/*.h5", "--to", "npz", "--out", "out")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert files() == ["a/x.npz", "batch.jsonl", "y.npz"]
    assert [line["source"] for line in lines()] == ["hf://user/repo/a/x.h5", "hf://user/repo/y.h5"]


def test_results_and_log_are_committed_and_a_second_run_skips_them() -> None:
    """Large files by Xet, as this client does where nobody says otherwise."""
    lay(KERAS, "m/a/x.h5")
    lay(TORCH, "m/y.pt")
    with hub("user/repo", {"notes.txt": b""}) as model:
        for status in ("converted", "skipped"):
            model.asked.clear()
            ran = run(model, "m/a/x.h5", "m/y.pt", "--to", "npz", "--out", OUT, "--workers", "1")
            assert (ran.returncode, ran.stderr) == (0, "")
            assert re.search(rf"^ 2 +{status} ", ran.stdout, re.MULTILINE)
    assert "commit" not in model.asked
    assert sorted(model.files) == ["notes.txt", "out/batch.jsonl", "out/x.npz", "out/y.npz"]
    assert model.files["out/y.npz"] == converted("m/y.pt", "y.npz")


def test_a_hub_gets_large_files_by_git_lfs_and_small_ones_with_the_commit(model: Repository) -> None:
    lay(KERAS, "x.h5")
    assert batch("x.h5", "npz", OUT).converted == 1
    assert model.files["out/x.npz"] == model.stored.popitem()[1] == converted("x.h5", "x.npz")
    lines = model.files["out/batch.jsonl"].splitlines()
    assert len(lines) == 1
    assert batch("x.h5", "py", OUT).converted == 1
    assert model.files["out/x.py"] == converted("x.h5", "x.py")
    assert model.files["out/batch.jsonl"].splitlines()[:1] == lines


def test_an_archive_on_a_hub_is_two_commits(model: Repository) -> None:
    lay(KERAS, "m/x.h5", "m/y.h5")
    for status in ("converted", "skipped"):
        assert getattr(batch("m/*.h5", "npz", "zip://::hf://user/repo/results.zip"), status) == 2
    assert model.asked.count("commit") == 2


@pytest.mark.parametrize("status", [403, 409, 429, 500])
def test_a_commit_that_is_refused_leaves_what_was_there(model: Repository, status: int) -> None:
    lay(KERAS, "x.h5")
    model.files |= {"out/x.npz": b"old", "out/batch.jsonl": b""}
    model.refused = {"commit": [status]}
    told: list[lstm_convert.Outcome] = []
    assert batch("x.h5", "npz", OUT, force=True, each=told.append).reasons == {"cannot be written": 1}
    assert told[0].facts["details"][0] == f"to {OUT}/x.npz"
    assert told[0].facts["details"][-1] == "no commit today"
    assert "`hf auth login`, or HF_TOKEN" in told[0].facts["next_step"]
    assert model.files["out/x.npz"] == b"old"
    assert batch("x.h5", "npz", OUT, force=True).converted == 1
    assert model.files["out/x.npz"] == converted("x.h5", "x.npz")


@pytest.mark.parametrize("question", ["preupload", "batch", "upload"])
def test_an_upload_that_is_refused_is_no_commit(model: Repository, question: str) -> None:
    lay(KERAS, "x.h5")
    model.files |= {"out/x.npz": b"old", "out/batch.jsonl": b""}
    model.refused = {question: [403]}
    told: list[lstm_convert.Outcome] = []
    assert batch("x.h5", "npz", OUT, force=True, each=told.append).reasons == {"cannot be written": 1}
    assert any("403" in line for line in told[0].facts["details"])
    assert model.files["out/x.npz"] == b"old"
    assert model.asked.count("commit") == 1


def test_weights_whose_source_code_was_refused_are_not_taken_for_those_of_the_old_one(model: Repository) -> None:
    lay(TORCH, "x.h5")
    assert batch("x.h5", "py", OUT).converted == 1
    lay(KERAS, "x.h5")
    model.refused = {"commit": [None, 403]}
    assert batch("x.h5", "py", OUT, force=True).reasons == {"cannot be written": 1}
    reasons = batch(f"{OUT}/x.py", "npz", "here").reasons
    assert reasons == {"its source code and its weights were not written together": 1}
    assert batch("x.h5", "py", OUT, force=True).converted == 1
    assert batch(f"{OUT}/x.py", "npz", "here").converted == 1


@pytest.mark.parametrize("times", [2, 3])
def test_a_commit_is_tried_again_where_another_one_was_faster(
    model: Repository, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    lay(KERAS, "x.h5")
    model.files["out/batch.jsonl"] = b""
    model.refused = {"commit": [412] * times}
    monkeypatch.setattr("lstm_convert.collection.hub._PATIENCE", (0, 0))
    assert batch("x.h5", "npz", OUT).failed == (times > 2)
    assert ("out/x.npz" in model.files) == (times <= 2)


def test_a_commit_of_which_the_hub_does_not_tell_stays(model: Repository) -> None:
    lay(KERAS, "x.h5")
    model.files |= {"out/x.npz": b"old", "out/batch.jsonl": b""}
    model.lost = {"commit"}
    with pytest.raises(InvalidFile, match=rf"{OUT}/batch.jsonl: cannot be written"):
        batch("x.h5", "npz", OUT, force=True)
    assert model.files["out/x.npz"] == converted("x.h5", "x.npz")
    model.lost.clear()
    assert batch("x.h5", "npz", OUT).converted == 1


def test_what_somebody_else_commits_meanwhile_is_not_replaced(model: Repository) -> None:
    lay(KERAS, "x.h5", "y.h5")
    assert batch("x.h5", "npz", OUT).converted == 1
    model.files["out/y.npz"] = b"theirs"
    assert batch("y.h5", "npz", OUT).reasons == {"exists already, and is not what would be written": 1}
    assert model.files["out/y.npz"] == b"theirs"


@pytest.mark.parametrize(("question", "status"), [("info", 401), ("info", 403), ("tree", 401), ("tree", 403)])
def test_a_hub_that_one_may_not_use_is_one_error(
    model: Repository, command: Command, question: str, status: int
) -> None:
    lay(KERAS, "x.h5")
    model.files |= {"out/batch.jsonl": b"said before", "m/x.h5": KERAS.read_bytes()}
    for arguments, place in (
        (("hf://user/repo/m/*.h5", "--out", "here"), "hf://user/repo/m/*.h5"),
        (("x.h5", "--out", OUT), f"{OUT}/batch.jsonl"),
    ):
        model.refused = {question: [status] * 9}
        code, _, said = command("batch", "--to", "npz", *arguments)
        assert code == 2
        assert said.startswith(f"lstm-convert: {place}: cannot be reached\n")
        assert "`hf auth login`, or HF_TOKEN" in said
        assert "Traceback" not in said
    assert model.files["out/batch.jsonl"] == b"said before"


@pytest.mark.parametrize("out", ["hf://user/absent/out", "hf://user/absent@branch/out"])
def test_a_repository_that_is_not_there_is_one_error_before_any_work(model: Repository, out: str) -> None:
    lay(KERAS, "x.h5")
    told: list[Any] = []
    with pytest.raises(InvalidFile, match=rf"{out}/batch\.jsonl: cannot be written\n.*repository not found"):
        batch("x.h5", "npz", out, each=told.append)
    with pytest.raises(InvalidFile, match=r"hf://user/absent/\*\.h5: cannot be reached\n.*repository not found"):
        batch("hf://user/absent/*.h5", "npz", "here")
    assert told == []
    assert model.asked == []

"""Collections out of archives and into them."""

import errno
import os
import signal
import zipfile
from pathlib import Path
from typing import Any

import pytest
from collections_of_files import KERAS, TORCH, files, lay, packed
from fsspec.implementations.zip import ZipFileSystem
from helpers import FIXTURES

import lstm_convert
from lstm_convert import batch
from lstm_convert.containers import zips
from lstm_convert.errors import InvalidFile


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def archive(names: dict[str, Path]) -> None:
    with zipfile.ZipFile("models.zip", "w") as written:
        for name, source in names.items():
            written.write(source, name)


def test_an_archive_is_read_without_being_unpacked() -> None:
    archive({"a/x.h5": KERAS, "b/x.pt": TORCH, "b/notes.txt": Path(__file__)})
    assert batch(["zip://**/*.h5::models.zip", "zip://b/x.pt::models.zip"], "npz", "out").converted == 2
    assert files() == ["a/x.npz", "batch.jsonl", "x.npz"]


def test_the_directory_of_an_archive_is_read_once_and_again_when_it_has_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: list[Any] = []
    init = ZipFileSystem.__init__

    def counted(self: Any, *archive: Any, **options: Any) -> None:
        read.append(archive)
        init(self, *archive, **options)

    monkeypatch.setattr(ZipFileSystem, "__init__", counted)
    archive({f"{number}.pt": TORCH for number in range(30)})
    assert batch("zip://*.pt::models.zip", "npz", "out").converted == 30
    assert len(read) == 1
    archive({f"{number}.pt": TORCH for number in range(31)})
    done = batch("zip://*.pt::models.zip", "npz", "out")
    assert (done.converted, done.skipped, len(read)) == (1, 30, 2)


def test_a_source_of_several_files_is_brought_whole() -> None:
    archive({f"m/{part.name}": part for part in FIXTURES.glob("keras-3.15.1/sharded*weights*")})
    assert batch("zip://m/*.json::models.zip", "npz", "out", recurrent_activation="sigmoid").converted == 1
    assert files() == ["batch.jsonl", "sharded.npz"]


@pytest.mark.parametrize("name", ["../evil.h5", "a/../../evil.h5"])
def test_a_name_in_an_archive_that_leads_out_of_it_is_refused(name: str) -> None:
    archive({"a/x.h5": KERAS, name: KERAS})
    with pytest.raises(InvalidFile, match="leads out of its folder"):
        batch("zip://**/*.h5::models.zip", "npz", "out")
    assert not Path("out").exists()
    assert not Path("../evil.npz").exists()


def test_an_archive_that_is_damaged_or_not_there_is_one_error() -> None:
    Path("models.zip").write_bytes(b"PK nonsense")
    for name in ("models.zip", "absent.zip"):
        with pytest.raises(InvalidFile, match="cannot be reached"):
            batch(f"zip://**/*.h5::{name}", "npz", "out")


def test_results_go_into_an_archive_that_a_later_run_takes_up() -> None:
    lay(KERAS, "m/a/x.h5", "m/y.h5")
    told: list[lstm_convert.Outcome] = []
    done = batch("m/**/*.h5", "py", "zip://made/of::results.zip", workers=2, each=told.append)
    assert (done.converted, done.log) == (2, "zip://made/of/batch.jsonl::results.zip")
    assert [outcome.target for outcome in told] == [f"zip://made/of/{name}.py::results.zip" for name in ("a/x", "y")]
    first = packed()
    assert sorted(first) == [
        f"made/of/{name}" for name in ("a/x.py", "a/x.safetensors", "batch.jsonl", "y.py", "y.safetensors")
    ]
    lstm_convert.convert("m/y.h5", "y.py")
    assert first["made/of/y.safetensors"] == Path("y.safetensors").read_bytes()

    before = Path("results.zip").stat()
    assert batch("m/**/*.h5", "py", "zip://made/of::results.zip").skipped == 2
    assert Path("results.zip").stat() == before
    lay(TORCH, "m/z.pt")
    assert batch("m/*.pt", "py", "zip://::results.zip").converted == 1
    assert packed().items() > first.items()
    assert sorted(path.name for path in Path().iterdir()) == ["m", "results.zip", "y.py", "y.safetensors"]


def test_a_result_in_an_archive_is_replaced_by_force_alone() -> None:
    lay(KERAS, "x.h5")
    with zipfile.ZipFile("results.zip", "w") as written:
        written.writestr("x.npz", b"my own")
        written.writestr("notes.txt", b"my own too")
    told: list[lstm_convert.Outcome] = []
    assert batch("x.h5", "npz", "zip://::results.zip", each=told.append).failed == 1
    assert told[0].facts["details"] == ["found zip://x.npz::results.zip"]
    assert packed()["x.npz"] == b"my own"
    assert batch("x.h5", "npz", "zip://::results.zip", force=True).converted == 1
    assert packed()["x.npz"] != b"my own"
    assert packed()["notes.txt"] == b"my own too"


def test_sources_and_results_may_lie_in_one_archive() -> None:
    archive({"x.h5": KERAS, "a/y.h5": KERAS})
    for status in ("converted", "skipped"):
        assert getattr(batch("zip://**/*.h5::models.zip", "h5", "zip://new::models.zip"), status) == 2
    with pytest.raises(InvalidFile, match="sources would be replaced"):
        batch("zip://**/*.h5::models.zip", "h5", "zip://::models.zip", force=True)


def test_a_stop_packs_what_is_done_and_the_same_command_goes_on() -> None:
    lay(TORCH, *(f"m/{count:03}.pt" for count in range(60)))

    def stop(outcome: lstm_convert.Outcome) -> None:
        if outcome.source == "m/005.pt":
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        batch("m/*.pt", "npz", "zip://::results.zip", each=stop)
    finished = set(packed()) - {"batch.jsonl"}
    assert 6 <= len(finished) < 60
    done = batch("m/*.pt", "npz", "zip://::results.zip")
    assert (done.skipped, done.converted) == (len(finished), 60 - len(finished))
    assert len(packed()) == 61


def test_an_archive_that_somebody_else_writes_meanwhile_stays_as_it_is() -> None:
    lay(KERAS, "x.h5")
    with pytest.raises(InvalidFile, match=r"results\.zip: was changed meanwhile"):
        batch("x.h5", "npz", "zip://::results.zip", each=lambda _: lay(KERAS, "results.zip"))
    assert Path("results.zip").read_bytes() == KERAS.read_bytes()


def test_an_archive_for_which_there_is_no_room_stays_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    lay(KERAS, "x.h5")
    archive({"x.h5": KERAS})
    before = Path("models.zip").read_bytes()

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(zips, "write", full)
    with pytest.raises(InvalidFile, match=r"models\.zip: cannot be packed or unpacked: No space left"):
        batch("x.h5", "npz", "zip://::models.zip")
    assert sorted(path.name for path in Path().iterdir()) == ["models.zip", "x.h5"]
    assert Path("models.zip").read_bytes() == before


def test_what_is_no_sound_archive_is_not_taken_up() -> None:
    lay(KERAS, "x.h5", "y.zip")
    archive({"../evil.npz": KERAS})
    for name, said in (("y.zip", "damaged"), ("models.zip", "leads out of the archive")):
        before = Path(name).read_bytes()
        with pytest.raises(InvalidFile, match=rf"{name}: .*{said}"):
            batch("x.h5", "npz", f"zip://::{name}", force=True)
        assert Path(name).read_bytes() == before
    assert sorted(path.name for path in Path().iterdir()) == ["models.zip", "x.h5", "y.zip"]


@pytest.mark.parametrize("out", ["tar://::results.tar", "zip://::zip://in.zip::results.zip", "a::b"])
def test_other_archives_are_no_folder_for_results(out: str) -> None:
    lay(KERAS, "x.h5")
    with pytest.raises(
        InvalidFile, match=r"is no archive that results are put into\nName a folder, or zip://::results\.zip\."
    ):
        batch("x.h5", "npz", out)


@pytest.mark.parametrize("out", ["zip://../m::results.zip", "zip://a/../../m::results.zip"])
def test_a_place_that_leads_out_of_the_archive_is_refused(out: str) -> None:
    lay(KERAS, "x.h5")
    with pytest.raises(InvalidFile, match="leads out of the archive"):
        batch("x.h5", "npz", out)
    assert sorted(path.name for path in Path().iterdir()) == ["x.h5"]

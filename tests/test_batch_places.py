"""Collections under URLs, by fsspec's own filesystems."""

import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pyarrow.parquet as pq
import pytest
from collections_of_files import KERAS, TORCH, files, lay
from helpers import FIXTURES

import lstm_convert
from lstm_convert import batch
from lstm_convert.errors import InvalidFile, MissingFramework


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def memory() -> Iterator[Any]:
    """Yield fsspec's filesystem in memory, empty at the end too."""
    system = fsspec.filesystem("memory")
    yield system
    system.store.clear()
    system.pseudo_dirs[:] = [""]


def archive(names: dict[str, Path]) -> None:
    with zipfile.ZipFile("models.zip", "w") as written:
        for name, source in names.items():
            written.write(source, name)


def test_sources_and_results_under_urls_are_as_those_of_paths(memory: Any) -> None:
    for name in ("a/x", "b/x"):
        memory.pipe_file(f"/models/{name}.h5", KERAS.read_bytes())
    assert batch("memory://models/**/*.h5", "py", "memory://out").converted == 2
    assert sorted(memory.find("/out")) == [
        "/out/a/x.py", "/out/a/x.safetensors", "/out/b/x.py", "/out/b/x.safetensors", "/out/batch.jsonl",
    ]  # fmt: skip
    lay(KERAS, "x.h5")
    lstm_convert.convert("x.h5", "x.py")
    for name in ("x.py", "x.safetensors"):
        assert memory.cat_file(f"/out/b/{name}") == Path(name).read_bytes()
    assert batch("memory://models/**/*.h5", "py", "memory://out").skipped == 2


def test_a_result_under_a_url_is_replaced_by_force_alone(memory: Any) -> None:
    lay(KERAS, "x.h5")
    memory.pipe_file("/out/x.npz", b"my own")
    assert batch("x.h5", "npz", "memory://out").reasons == {"exists already, and is not what would be written": 1}
    assert memory.cat_file("/out/x.npz") == b"my own"
    assert batch("x.h5", "npz", "memory://out", force=True).converted == 1
    assert memory.cat_file("/out/x.npz") != b"my own"


def test_an_upload_that_is_refused_leaves_what_was_there(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    lay(KERAS, "x.h5")
    memory.pipe_file("/out/x.npz", b"before")

    def refused(path: str, target: str) -> None:
        if target.endswith(".npz"):
            raise PermissionError("not yours")
        memory.pipe_file(target, Path(path).read_bytes())

    monkeypatch.setattr(memory, "put_file", refused)
    assert batch("x.h5", "npz", "memory://out", force=True).failed == 1
    assert memory.cat_file("/out/x.npz") == b"before"


def test_an_upload_that_breaks_off_leaves_no_half_file(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    lay(KERAS, "x.h5")

    def breaking(path: str, target: str) -> None:
        if target.endswith(".npz"):
            memory.pipe_file(target, Path(path).read_bytes()[:100])
            raise TimeoutError("the connection was lost")
        memory.pipe_file(target, Path(path).read_bytes())

    monkeypatch.setattr(memory, "put_file", breaking)
    assert batch("x.h5", "npz", "memory://out").reasons == {"cannot be reached": 1}
    assert list(memory.find("/out")) == ["/out/batch.jsonl"]


def test_a_table_can_lie_under_a_url(memory: Any) -> None:
    lay(KERAS, "x.h5")
    for _ in range(2):
        assert batch("x.h5", "npz", "out", table="memory://gates.parquet").failed == 0
    with memory.open("/gates.parquet") as file:
        assert set(pq.read_table(file)["file"].to_pylist()) == {"x.h5"}


def test_an_archive_is_read_without_being_unpacked() -> None:
    archive({"a/x.h5": KERAS, "b/x.pt": TORCH, "b/notes.txt": Path(__file__)})
    assert batch(["zip://**/*.h5::models.zip", "zip://b/x.pt::models.zip"], "npz", "out").converted == 2
    assert files() == ["a/x.npz", "batch.jsonl", "x.npz"]


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


def test_a_url_of_a_file_is_its_path() -> None:
    lay(KERAS, "m/x.h5")
    here = Path.cwd()
    assert batch(f"file://{here}/m/*.h5", "npz", f"file://{here}/out", table=f"file://{here}/gates.csv").converted == 1
    assert files() == ["batch.jsonl", "x.npz"]
    assert Path("gates.csv").exists()


def test_an_archive_is_no_folder_for_results() -> None:
    lay(KERAS, "x.h5")
    with pytest.raises(InvalidFile, match=r"zip://::results[.]zip: is an archive"):
        batch("x.h5", "npz", "zip://::results.zip")


@pytest.mark.parametrize(("url", "error"), [("nothing://m/*.h5", InvalidFile), ("s3://bucket/*.h5", MissingFramework)])
def test_what_reaches_a_url_may_be_unknown_or_not_installed(url: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        batch(url, "npz", "out")


def test_paths_need_no_fsspec_and_urls_say_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "fsspec"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    lay(KERAS, "m/x.h5")
    assert batch("m/*.h5", "npz", "out").converted == 1
    with pytest.raises(MissingFramework, match=r'pip install "lstm_convert\[batch\]"'):
        batch("memory://m/*.h5", "npz", "out")

"""Collections under URLs, by fsspec's own filesystems."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pyarrow.parquet as pq
import pytest
from collections_of_files import KERAS, files, lay, packed

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
    assert batch("x.h5", "npz", "memory://out").reasons == {"cannot be written": 1}
    assert list(memory.find("/out")) == ["/out/batch.jsonl"]


def test_a_table_can_lie_under_a_url(memory: Any) -> None:
    lay(KERAS, "x.h5")
    for _ in range(2):
        assert batch("x.h5", "npz", "out", table="memory://gates.parquet").failed == 0
    with memory.open("/gates.parquet") as file:
        assert set(pq.read_table(file)["file"].to_pylist()) == {"x.h5"}


def test_a_url_of_a_file_is_its_path() -> None:
    lay(KERAS, "m/x.h5")
    here = Path.cwd()
    assert batch(f"file://{here}/m/*.h5", "npz", f"file://{here}/out", table=f"file://{here}/gates.csv").converted == 1
    assert files() == ["batch.jsonl", "x.npz"]
    assert Path("gates.csv").exists()


def test_an_archive_under_a_url_that_somebody_else_writes_meanwhile_stays_as_it_is(memory: Any) -> None:
    lay(KERAS, "x.h5")
    theirs = Path("x.h5").read_bytes()
    with pytest.raises(InvalidFile, match=r"memory://results\.zip: was changed meanwhile"):
        batch("x.h5", "npz", "zip://::memory://results.zip", each=lambda _: memory.pipe_file("/results.zip", theirs))
    assert memory.cat_file("/results.zip") == theirs


def test_an_archive_under_a_url_is_replaced_there(memory: Any) -> None:
    lay(KERAS, "x.h5")
    for status in ("converted", "skipped"):
        assert getattr(batch("x.h5", "npz", "zip://::memory://out/results.zip"), status) == 1
    Path("results.zip").write_bytes(memory.cat_file("/out/results.zip"))
    assert sorted(packed()) == ["batch.jsonl", "x.npz"]
    assert memory.ls("/out", detail=False) == ["/out/results.zip"]


@pytest.mark.parametrize(
    ("url", "error"), [("nothing://m/*.h5", InvalidFile), ("abfs://bucket/*.h5", MissingFramework)]
)
def test_what_reaches_a_url_may_be_unknown_or_not_installed(url: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        batch(url, "npz", "out")


def test_paths_need_no_fsspec_and_urls_say_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "fsspec"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    monkeypatch.delitem(sys.modules, "lstm_convert.collection.remote", raising=False)
    monkeypatch.delattr("lstm_convert.collection.remote", raising=False)
    lay(KERAS, "m/x.h5")
    assert batch("m/*.h5", "npz", "out").converted == 1
    with pytest.raises(MissingFramework, match=r'pip install "lstm_convert\[batch\]"'):
        batch("memory://m/*.h5", "npz", "out")

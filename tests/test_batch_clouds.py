"""Collections in object stores: real clients of s3, gs and hf, and servers on this machine."""

import os
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import fsspec
import pyarrow.parquet as pq
import pytest
from collections_of_files import KERAS, TORCH, files, lay, lines
from hub import hub

import lstm_convert
from lstm_convert import batch

# What serves each protocol, and what tells its client where.
SERVERS = {
    "s3": (["moto.server", "-H", "127.0.0.1", "-p"], "AWS_ENDPOINT_URL"),
    "gs": (["gcp_storage_emulator", "start", "--in-memory", "--host", "127.0.0.1", "--port"], "STORAGE_EMULATOR_HOST"),
}
SETTINGS = {
    "AWS_ACCESS_KEY_ID": "anybody",
    "AWS_SECRET_ACCESS_KEY": "anything",
    "AWS_DEFAULT_REGION": "us-east-1",
    "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",  # its client would ask Google what kind of bucket one is
    "FSSPEC_GS_TOKEN": "anon",  # and who this is
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@contextmanager
def serving(command: list[str]) -> Iterator[str]:
    """Yield the address of a server that is a process of its own; its port ends the command."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    line = [sys.executable, "-m", *command, str(port)]
    with subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:  # noqa: S603 (known)
        try:
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline:
                with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
                    break
                assert server.poll() is None, "the server has ended"
                time.sleep(0.05)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.kill()


@pytest.fixture(scope="module", params=SERVERS)
def store(request: pytest.FixtureRequest) -> Iterator[str]:
    """Yield the protocol of a store that answers; where it is, the environment says."""
    command, setting = SERVERS[request.param]
    with serving(command) as address, pytest.MonkeyPatch.context() as patch:
        for name, value in {**SETTINGS, setting: address}.items():
            patch.setenv(name, value)
        patch.setitem(fsspec.config.conf, "gs", {"token": "anon"})  # which reads the environment when it is imported
        yield request.param


@pytest.fixture
def bucket(store: str, request: pytest.FixtureRequest) -> tuple[Any, str]:
    """Return another client than the one that `batch` has, and the URL of a bucket of this test's own."""
    name = f"bucket-{abs(hash(request.node.name))}"
    other = fsspec.filesystem(store, skip_instance_cache=True, use_listings_cache=False)
    other.mkdir(name)
    return other, f"{store}://{name}"


def test_sources_results_log_and_table_may_all_lie_in_a_store(bucket: tuple[Any, str]) -> None:
    other, url = bucket
    for name in ("a/x", "b/y"):
        other.put_file(str(KERAS), f"{url}/models/{name}.h5")
    for status, workers in (("converted", 2), ("skipped", None)):
        done = batch(f"{url}/models/**/*.h5", "py", f"{url}/out", table=f"{url}/gates.parquet", workers=workers)
        assert getattr(done, status) == 2
    names = ["a/x.py", "a/x.safetensors", "b/y.py", "b/y.safetensors", "batch.jsonl"]
    assert other.find(f"{url}/out") == [f"{url}/out/{name}".partition("://")[2] for name in names]
    lay(KERAS, "x.h5")
    lstm_convert.convert("x.h5", "x.py")
    for name in ("x.py", "x.safetensors"):
        assert other.cat_file(f"{url}/out/a/{name}") == Path(name).read_bytes()
    with other.open(f"{url}/gates.parquet") as file:
        assert set(pq.read_table(file)["file"].to_pylist()) == {f"{url}/models/{name}.h5" for name in ("a/x", "b/y")}


def test_what_another_client_changes_meanwhile_is_seen(bucket: tuple[Any, str]) -> None:
    other, url = bucket
    other.put_file(str(KERAS), f"{url}/m/x.h5")
    assert batch(f"{url}/m/*", "npz", f"{url}/out").converted == 1
    other.put_file(str(TORCH), f"{url}/m/y.pt")
    done = batch(f"{url}/m/*", "npz", f"{url}/out")
    assert (done.converted, done.skipped) == (1, 1)
    other.pipe_file(f"{url}/out/y.npz", b"half")
    other.put_file(str(TORCH), f"{url}/m/x.h5")
    assert batch(f"{url}/m/*", "npz", f"{url}/out").reasons == {"exists already, and is not what would be written": 2}
    assert batch(f"{url}/m/*", "npz", f"{url}/out", force=True).converted == 2
    other.rm_file(f"{url}/m/x.h5")
    assert batch(f"{url}/m/*", "npz", f"{url}/out").skipped == 1


def test_an_archive_in_a_store_is_read_and_written(bucket: tuple[Any, str]) -> None:
    other, url = bucket
    with zipfile.ZipFile("models.zip", "w") as made:
        made.write(KERAS, "a/x.h5")
    other.put_file("models.zip", f"{url}/models.zip")
    for status in ("converted", "skipped"):
        assert getattr(batch(f"zip://**/*.h5::{url}/models.zip", "npz", f"zip://::{url}/out.zip"), status) == 1
    other.get_file(f"{url}/out.zip", "out.zip")
    with zipfile.ZipFile("out.zip") as packed:
        assert sorted(packed.namelist()) == ["a/x.npz", "batch.jsonl"]


def test_names_with_any_signs_are_names(bucket: tuple[Any, str]) -> None:
    other, url = bucket
    names = ["a b", "ä", "x#1", "x+1%20", "x[1]"]
    for name in names:
        other.put_file(str(KERAS), f"{url}/m/{name}.h5")
    assert batch(f"{url}/m/*.h5", "npz", f"{url}/out").reasons == {}
    assert [Path(name).stem for name in other.find(f"{url}/out")] == sorted([*names, "batch"])


def test_a_bucket_that_is_not_there_is_one_error(store: str) -> None:
    with pytest.raises(lstm_convert.errors.InvalidFile, match=f"{store}://absent/\\*.h5: "):
        batch(f"{store}://absent/*.h5", "npz", "out")


def test_a_hub_is_read() -> None:
    """By a process of its own: its client reads where the hub is when it is imported."""
    with hub("user/repo", {"a/x.h5": KERAS.read_bytes(), "y.h5": KERAS.read_bytes(), "notes.txt": b""}) as address:
        ran = subprocess.run(
            [sys.executable, "-m", "lstm_convert", "batch", "hf://user/repo/**/*.h5", "--to", "npz", "--out", "out"],
            env=os.environ | {"HF_ENDPOINT": address, "HF_HOME": str(Path("hub").absolute())},
            capture_output=True,
            text=True,
            check=False,
        )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert files() == ["a/x.npz", "batch.jsonl", "y.npz"]
    assert [line["source"] for line in lines()] == ["hf://user/repo/a/x.h5", "hf://user/repo/y.h5"]

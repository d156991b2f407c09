"""Collections in object stores: real clients of s3 and gs, and servers on this machine that can get into trouble."""

import re
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
import numpy as np
import pyarrow.parquet as pq
import pytest
import s3fs
from collections_of_files import KERAS, TORCH, lay
from relay import CUT, LOST, Relay, none, relay
from safetensors.numpy import save_file

import lstm_convert
from lstm_convert import batch
from lstm_convert.errors import InvalidFile

# What serves each protocol, and what tells its client where.
SERVERS = {
    "s3": (["moto.server", "-H", "127.0.0.1", "-p"], "AWS_ENDPOINT_URL"),
    "gs": (["gcp_storage_emulator", "start", "--in-memory", "--host", "127.0.0.1", "--port"], "STORAGE_EMULATOR_HOST"),
}
SETTINGS = {
    "AWS_ACCESS_KEY_ID": "anybody",
    "AWS_SECRET_ACCESS_KEY": "anything",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_MAX_ATTEMPTS": "1",  # in a test of what fails, no second one helps
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
def server(request: pytest.FixtureRequest) -> Iterator[tuple[str, Relay]]:
    """Yield the protocol of a store that answers, and what stands in front of it; where, the environment says."""
    command, setting = SERVERS[request.param]
    with serving(command) as address, relay(address) as front, pytest.MonkeyPatch.context() as patch:
        for name, value in {**SETTINGS, setting: front.address}.items():
            patch.setenv(name, value)
        patch.setitem(fsspec.config.conf, "gs", {"token": "anon"})  # which reads the environment when it is imported
        yield request.param, front


@pytest.fixture
def store(server: tuple[str, Relay]) -> str:
    return server[0]


@pytest.fixture
def front(server: tuple[str, Relay]) -> Iterator[Relay]:
    yield server[1]
    server[1].trouble = none


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


def test_a_bucket_that_is_not_there_is_one_error_before_any_work(store: str) -> None:
    lay(KERAS, "x.h5")
    told: list[lstm_convert.Outcome] = []
    with pytest.raises(InvalidFile, match=rf"{store}://absent/\*.h5: cannot be reached\n  FileNotFoundError: "):
        batch(f"{store}://absent/*.h5", "npz", "out")
    with pytest.raises(InvalidFile, match=rf"{store}://absent/batch.jsonl: cannot be written\n  FileNotFoundError: "):
        batch("x.h5", "npz", f"{store}://absent", each=told.append)
    assert told == []


@pytest.mark.parametrize("status", [401, 403])
def test_a_store_that_one_may_not_use_is_one_error(bucket: tuple[Any, str], front: Relay, status: int) -> None:
    _, url = bucket
    lay(KERAS, "x.h5")
    front.trouble = lambda *_: status
    for source, out, place in ((f"{url}/m/*.h5", "out", f"{url}/m/*.h5"), ("x.h5", url, f"{url}/batch.jsonl")):
        with pytest.raises(InvalidFile, match=rf"{re.escape(place)}: cannot be reached\n.*\nCheck .* may use it \(`"):
            batch(source, "npz", out)


def test_the_command_tells_in_three_lines_that_it_has_no_credentials(
    bucket: tuple[Any, str], front: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a process of its own, of which clients have the standard error output too."""
    _, url = bucket
    front.trouble = lambda *_: 401
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE", "AWS_EC2_METADATA_DISABLED"):
        monkeypatch.setenv(name, "true")  # a file that is not there
    ran = subprocess.run(  # noqa: S603 (our own command)
        [sys.executable, "-m", "lstm_convert", "batch", f"{url}/*.h5", "--to", "npz", "--out", "out"],
        capture_output=True,
        text=True,
        check=False,
    )
    said = ran.stderr.strip().splitlines()
    assert (ran.returncode, len(said), said[0]) == (2, 3, f"lstm-convert: {url}/*.h5: cannot be reached")
    assert ("NoCredentialsError" in said[1]) == url.startswith("s3")


def test_a_store_that_one_may_only_read_is_one_error_before_any_work(bucket: tuple[Any, str], front: Relay) -> None:
    _, url = bucket
    lay(KERAS, "x.h5")
    told: list[lstm_convert.Outcome] = []
    front.trouble = lambda method, _: 403 if method in ("POST", "PUT") else None
    for out, place in ((url, f"{url}/batch.jsonl"), (f"zip://::{url}/results.zip", f"{url}/results.zip")):
        with pytest.raises(InvalidFile, match=rf"{place}: cannot be written\n.*Forbidden"):
            batch("x.h5", "npz", out, each=told.append)
    assert told == []


def test_an_upload_that_is_refused_names_its_target(bucket: tuple[Any, str], front: Relay) -> None:
    other, url = bucket
    lay(KERAS, "x.h5")
    other.pipe_file(f"{url}/x.npz", b"old")
    other.pipe_file(f"{url}/batch.jsonl", b"")
    told: list[lstm_convert.Outcome] = []
    refusals = [403]
    front.trouble = lambda method, _: refusals.pop() if refusals and method in ("POST", "PUT") else None
    assert batch("x.h5", "npz", url, force=True, each=told.append).reasons == {"cannot be written": 1}
    assert told[0].facts["details"][0] == f"to {url}/x.npz"
    assert other.cat_file(f"{url}/x.npz") == b"old"
    assert batch("x.h5", "npz", url, force=True).converted == 1


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> str:
    """Return a model that goes to s3 in three parts, of the smallest size that it takes."""
    monkeypatch.setattr(s3fs.core, "calculate_chunksize", lambda *_, **__: 5 << 20)
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 2)
    # One part after the other: a server here may answer 500 to giving up what another part is just on its way to.
    monkeypatch.setitem(fsspec.config.conf, "s3", {"max_concurrency": 1})
    random, units = np.random.default_rng(0), 600
    shapes = {"weight_ih_l0": (4 * units, units), "weight_hh_l0": (4 * units, units), "bias_ih_l0": (4 * units,)}
    arrays = {f"lstm.{name}": random.random(shape, np.float32) for name, shape in shapes.items()}
    save_file({**arrays, "lstm.bias_hh_l0": arrays["lstm.bias_ih_l0"]}, "large.safetensors")
    return "large.safetensors"


@pytest.mark.parametrize("server", ["s3"], indirect=True)
@pytest.mark.parametrize("trouble", [500, CUT])
@pytest.mark.parametrize(("method", "step"), [("PUT", "partNumber=2&"), ("POST", "uploadId=")])
def test_an_upload_in_parts_that_breaks_off_leaves_what_was_there(
    bucket: tuple[Any, str], front: Relay, large: str, method: str, step: str, trouble: int
) -> None:
    other, url = bucket
    other.pipe_file(f"{url}/large.npz", b"old")
    other.pipe_file(f"{url}/batch.jsonl", b"")
    front.trouble = lambda asked, path: trouble if asked == method and step in path else None
    assert batch(large, "npz", url, force=True).reasons == {"cannot be written": 1}
    front.trouble = none
    assert other.cat_file(f"{url}/large.npz") == b"old"
    assert other.list_multipart_uploads(url.partition("://")[2]) == []
    assert batch(large, "npz", url, force=True).converted == 1
    assert other.cat_file(f"{url}/large.npz")[:2] == b"PK"


@pytest.mark.parametrize("server", ["s3"], indirect=True)
def test_an_upload_in_parts_of_whose_end_the_store_does_not_tell_stays(
    bucket: tuple[Any, str], front: Relay, large: str
) -> None:
    other, url = bucket
    other.pipe_file(f"{url}/large.npz", b"old")
    front.trouble = lambda method, path: LOST if method == "POST" and "uploadId=" in path else None
    assert batch(large, "npz", url, force=True).reasons == {"cannot be written": 1}
    lstm_convert.convert(large, "large.npz")
    assert other.cat_file(f"{url}/large.npz") == Path("large.npz").read_bytes()
    assert batch(large, "npz", url).converted == 1


@pytest.mark.parametrize("server", ["gs"], indirect=True)
@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")  # its client's own
def test_a_large_upload_to_gs_that_is_refused_is_given_up(bucket: tuple[Any, str], front: Relay, large: str) -> None:
    """Its server here cannot give one up, so that the relay says that it is."""
    other, url = bucket
    other.pipe_file(f"{url}/large.npz", b"old")
    asked = []

    def refuse(method: str, path: str) -> int | None:
        if "upload_id=" not in path:
            return None
        asked.append(method)
        return 204 if method == "DELETE" else 403

    front.trouble = refuse
    assert batch(large, "npz", url, force=True).reasons == {"cannot be written": 1}
    front.trouble = none
    assert asked == ["POST", "DELETE"]
    assert other.cat_file(f"{url}/large.npz") == b"old"
    assert batch(large, "npz", url, force=True).converted == 1

"""What a process that does nothing else maps as it is: whoever would write to it waits, and the process is told."""

import hashlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from lstm_convert import leases, mapped
from lstm_convert.collection.running import Processes
from lstm_convert.errors import InvalidFile
from lstm_convert.mapped import FileMap, let_go

CONTENT = np.random.default_rng(0).bytes(9 * mapped.HELD + 7)  # more than is hashed at a time
SECONDS = 20  # fewer than the system has anybody wait

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems have no leases: their files are copied")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    import fcntl  # noqa: PLC0415 (Windows has none)

    path = tmp_path / "a"
    path.write_bytes(CONTENT)
    with path.open("rb") as file:
        try:
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        except OSError:
            pytest.skip("this filesystem has no leases: its files are copied")
    return path


@pytest.fixture
def cutting(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Yield a process that cuts a file short as soon as it is told to, and may."""
    script = "import os, sys; sys.stdin.read(1); os.truncate(sys.argv[1], 0)"
    with subprocess.Popen([sys.executable, "-c", script, path], stdin=subprocess.PIPE) as process:  # noqa: S603 (ours)
        yield process
        process.kill()


def of(path: Path) -> FileMap:
    with path.open("rb") as file:
        return FileMap.of(file)


def tell(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.write(b".")
    process.stdin.flush()


def test_a_leased_file_is_mapped_without_a_copy(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(tempfile, "TemporaryFile")
    with leases.alone():
        found = of(path)
    assert (found[:], found.sha256()) == (CONTENT, hashlib.sha256(CONTENT).hexdigest())
    let_go(np.frombuffer(found, np.uint8))  # which nobody minds


def test_who_would_write_waits_and_the_reader_is_told(path: Path, cutting: subprocess.Popen[bytes]) -> None:
    with leases.alone():
        found = of(path)
    found.sha256()
    tell(cutting)
    deadline = time.monotonic() + SECONDS
    while found.lease is not None and not found.lease.is_wanted:
        assert time.monotonic() < deadline
    assert (cutting.poll(), found[:]) == (None, CONTENT)
    with pytest.raises(InvalidFile, match="what is read is about to change") as refused:
        let_go(np.frombuffer(found, np.uint8))
    assert refused.value.details == (f"{path}: somebody opens it to write to it",)
    del found, refused
    assert cutting.wait(SECONDS) == 0
    assert path.stat().st_size == 0


def test_a_process_that_may_do_other_things_copies(path: Path, cutting: subprocess.Popen[bytes]) -> None:
    found = of(path)
    tell(cutting)
    assert cutting.wait(SECONDS) == 0
    assert (found.lease, found[:], path.stat().st_size) == (None, CONTENT, 0)


def is_leased(path: Path) -> bool:
    return of(path).lease is not None


def test_a_worker_of_a_collection_does_nothing_else(path: Path) -> None:
    with Processes(1) as workers:
        assert workers.submit(is_leased, path).result()


def test_what_somebody_has_open_to_write_is_copied(path: Path) -> None:
    with path.open("r+b") as other:
        with leases.alone():
            found = of(path)
        other.truncate(0)
    assert (found.lease, found[:]) == (None, CONTENT)


def test_a_source_that_is_cut_short_under_the_command_is_an_error_or_what_it_was(
    tmp_path: Path, cutting: subprocess.Popen[bytes], path: Path
) -> None:
    units, random = 1024, np.random.default_rng(0)
    shapes = {"weight_ih_l0": (4 * units, units), "weight_hh_l0": (4 * units, units)}
    save_file({f"lstm.{name}": random.random(shape, np.float32) for name, shape in shapes.items()}, path)
    source = path.rename(tmp_path / "a.safetensors")
    path.symlink_to(source)
    leased = f":{source.stat().st_ino} "
    command = [sys.executable, "-m", "lstm_convert", "convert", str(source), str(tmp_path / "out.keras")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as converting:  # noqa: S603 (ours)
        while not any("LEASE" in line and leased in line for line in Path("/proc/locks").read_text().splitlines()):
            assert converting.poll() is None, "the source was not leased"
        tell(cutting)
        assert cutting.wait(SECONDS) == 0
        _, said = converting.communicate(timeout=SECONDS)
    assert (converting.returncode, "what is read is about to change" in said) in ((0, False), (2, True))
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "a", "a.safetensors", *["out.keras"] * (not converting.returncode),
    ]  # fmt: skip

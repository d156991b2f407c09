"""Disks that are full or may not be written, and signals: the target is as it was, and nothing else is left."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from helpers import FIXTURES

from lstm_convert.errors import InvalidFile
from lstm_convert.report import folder as report

WEATHER, HARD = (FIXTURES / "keras-1.2.2" / f"{name}.h5" for name in ("weather", "weather_hard_sigmoid"))
TARGETS = ["out.keras", "out.h5", "out.weights.h5", "out.npz", "out.lstm.safetensors", "out.py"]
OLD = b"what the target held before"
HERE = Path(__file__).parent


def ran(*command: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *map(str, command)], cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603 (this very Python)


def may_mount() -> list[str] | None:
    """What to put before a command that mounts a disk of its own, or None where nobody may."""
    for unshare in (["unshare", "-rm"], ["unshare", "-m"]):
        trial = [*unshare, "mount", "-t", "tmpfs", "tmpfs", "/tmp"]  # noqa: S108 (in a namespace that ends with it)
        if subprocess.run(trial, capture_output=True, check=False).returncode == 0:  # noqa: S603 (as above)
            return unshare
    return None


@pytest.mark.parametrize(
    ("disk", "proof"), [("small", []), ("small", ["--proof"]), ("limited", [])], ids=["small", "small-proof", "limited"]
)
@pytest.mark.parametrize("target", TARGETS)
def test_a_disk_that_is_full_after_any_page(
    tmp_path: Path, target: str, proof: list[str], disk: str, record_property: Callable[[str, object], None]
) -> None:
    """A real small filesystem, and a limit to each file's size: that alone where nobody may mount, which is told."""
    (tmp_path / "start").mkdir()
    (tmp_path / "disk").mkdir()
    (tmp_path / "start" / target).write_bytes(OLD)
    unshare = may_mount() if disk == "small" else None
    record_property("full disk", "limits of size" if unshare is None else "small filesystems")
    command = ["convert", str(HARD), target, "--force", *proof]
    asked = {"start": str(tmp_path / "start"), "disk": str(tmp_path / "disk"), "command": command, "quota": not unshare}
    driver = [*(unshare or []), sys.executable, "-B", str(HERE / "small_disk.py"), json.dumps(asked)]
    done = subprocess.run(driver, capture_output=True, text=True, check=False)  # noqa: S603 (this very Python)
    assert done.returncode == 0, done.stderr
    *full, last = json.loads(done.stdout.splitlines()[-1])
    assert full
    assert all((code, same, names) == (2, True, [target]) for code, same, names in full)
    assert last[0] == 0
    said = (tmp_path / "stderr").read_text("utf-8").splitlines()
    assert said == [f"lstm-convert: {target}: cannot be written: {said[0].rpartition(': ')[2]}", said[1]] * len(full)


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("target", ["out.keras", "out.py"])
def test_a_folder_that_may_not_be_written(tmp_path: Path, target: str, *, there: bool) -> None:
    folder = tmp_path / "closed"
    folder.mkdir()
    if there:
        (folder / target).write_bytes(OLD)
    folder.chmod(0o555)
    try:
        done = ran(HERE / "anybody.py", "convert", WEATHER, target, "--force", folder=folder)
    finally:
        folder.chmod(0o755)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        f"lstm-convert: {target}: cannot be written: Permission denied",
        "Free some space, or choose a folder you may write to.",
    ]
    assert [path.read_bytes() for path in folder.iterdir()] == [OLD] * there


def test_anybody_may_write_where_that_is_allowed(tmp_path: Path) -> None:
    """The check of the check: it is the folder that says no."""
    assert ran(HERE / "anybody.py", "convert", WEATHER, "out.npz", folder=tmp_path).returncode == 0


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_that_ends_it_leaves_nothing(tmp_path: Path, name: str) -> None:
    """Sent while it is at work on what it has written and nobody sees yet."""
    number = getattr(signal, name)
    script = """
import time
from lstm_convert import cli, writing
writing.prove = lambda *_: (print("at work", flush=True), time.sleep(60))
cli.main()
"""
    command = [sys.executable, "-c", script, "convert", str(WEATHER), "out.npz"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:  # noqa: S603 (this very Python)
        assert process.stdout is not None
        assert process.stdout.readline() == b"at work\n"
        assert list(tmp_path.glob(".*/out.npz"))
        process.send_signal(number)
        assert process.wait(60) == 128 + number
    assert list(tmp_path.iterdir()) == []


# The folder of an analysis.


@contextmanager
def refusing(monkeypatch: pytest.MonkeyPatch, name: str) -> Iterator[None]:
    """Let the system refuse to put a file of this name in its place."""
    replace = Path.replace

    def refused(self: Path, target: Path) -> Path:
        if target.name == name:
            raise OSError(16, "Device or resource busy")
        return replace(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", refused)
        yield


def put(out: Path, *names: str, meanwhile: Callable[[], None] | None = None) -> None:
    """Put files into the folder of an analysis, by force unless another process is at it meanwhile."""
    with report.replacing(out, force=meanwhile is None) as made:
        for name in names:
            (made / name).write_bytes(b"new")
        if meanwhile is not None:
            meanwhile()


def test_no_page_lies_among_files_of_two_analyses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Into a folder that holds others, files are moved one by one, and at any of them it may end."""
    out = tmp_path / "out"
    out.mkdir()
    for name in (report.PAGE, "lags.csv", "mine.txt"):
        (out / name).write_bytes(b"old")
    with refusing(monkeypatch, "traces.npz"), pytest.raises(InvalidFile, match="Device or resource busy"):
        put(out, report.PAGE, "lags.csv", "traces.npz")
    assert sorted(path.name for path in out.iterdir()) == ["lags.csv", "mine.txt"]
    assert list(tmp_path.iterdir()) == [out]


def test_an_analysis_is_refused_where_another_was_faster(tmp_path: Path) -> None:
    out = tmp_path / "out"

    def faster() -> None:
        out.mkdir()
        (out / report.PAGE).write_bytes(b"another's")

    with pytest.raises(InvalidFile, match="is a folder that is not empty"):
        put(out, report.PAGE, meanwhile=faster)
    assert [path.read_bytes() for path in out.iterdir()] == [b"another's"]


def test_a_folder_in_the_place_of_a_file_is_seen_before_any_is_moved(tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "lags.csv").mkdir(parents=True)
    (out / report.PAGE).write_bytes(b"old")
    with pytest.raises(InvalidFile, match=r"folders in it.*lags\.csv"):
        put(out, report.PAGE, "lags.csv")
    assert (out / report.PAGE).read_bytes() == b"old"

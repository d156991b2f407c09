"""A short run of the fuzz driver, and that it sees what it looks for. The long run is told in SECURITY.md."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import lstm_convert

FUZZ = Path(__file__).parent.parent / "fuzz"
FILES = 400
KINDS = 19


def run(*options: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(FUZZ / "run.py"), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (this very Python)


def test_mutations_of_every_kind_of_file_are_read_or_refused_in_words() -> None:
    done = run("--files", str(FILES), "--seed", "6", "--workers", "2")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert done.stdout.startswith(f"{FILES} files, seed 6")
    rows = [line.strip("| ").split(" | ") for line in done.stdout.splitlines() if line.startswith("| ")]
    table = {kind: [int(count) for count in counts] for kind, *counts in rows[1:]}
    assert len(table) == KINDS + 1
    assert all(converted + read + refused > 0 for converted, read, refused, _ in table.values())
    assert table["all"][3] == 0
    assert table["all"][0] > FILES // 10  # mutations that leave nothing to be read would find nothing


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FUZZ))


def endless(*_: Any, **__: Any) -> None:
    while True:
        pass


def stray(*_: Any, **__: Any) -> None:
    Path("stray").write_bytes(b"")
    raise lstm_convert.InvalidFile("a.h5: no")


def nameless(*_: Any, **__: Any) -> None:
    raise lstm_convert.InvalidFile("no")


@pytest.mark.usefixtures("modules")
@pytest.mark.parametrize(
    ("act", "outcome"),
    [
        (endless, "too slow"),
        (lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL), "ends the process"),
        (lambda *_, **__: bytearray(1 << 31), "FAILED: MemoryError"),
        (lambda *_, **__: sys.__stdout__.write("hello") and sys.__stdout__.flush(), "FAILED: prints"),  # type: ignore[union-attr]
        (stray, "FAILED: leaves files"),
        (nameless, "FAILED: names no file"),
        (lambda *_, **__: dict[str, str]()["x"], "FAILED: KeyError"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_watch_sees(monkeypatch: pytest.MonkeyPatch, act: Any, outcome: str) -> None:
    import watched  # noqa: PLC0415 (found only where the fixture says)
    from seeds import Seed  # noqa: PLC0415

    monkeypatch.setattr(watched, "LONGEST_SECONDS", 0.2)
    monkeypatch.setattr(watched, "mutant", lambda *_: Seed("kind", "origin", "a.h5", {"a.h5": b""}))
    monkeypatch.setattr(lstm_convert, "convert", act)
    (found,) = watched.watched({"kind": []}, 1, [0])
    assert outcome in found.outcome, found
    assert found.failed


@pytest.mark.usefixtures("modules")
def test_a_mutation_changes_the_file_and_only_by_its_seed(tmp_path: Path) -> None:
    from mutations import mutant  # noqa: PLC0415
    from seeds import seeds_by_kind  # noqa: PLC0415

    kinds = seeds_by_kind()
    assert len(kinds) == KINDS
    sound = {content for seeds in kinds.values() for seed in seeds for content in seed.files.values()}
    mutants = [mutant(kinds, 1, number) for number in range(60)]
    assert sum(not set(made.files.values()) <= sound for made in mutants) > 50
    random.seed(5)
    assert mutant(kinds, 1, 3) == mutants[3] != mutant(kinds, 2, 3)
    one = run("--only", "3", "--seed", "1", "--keep", str(tmp_path))
    assert one.stdout.startswith(f"{mutants[3].origin}, as ")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == mutants[3].files

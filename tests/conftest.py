import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from answering import Answer, Command

# Before any test imports a framework: which backend Keras has, no notes of TensorFlow's about this machine, and one
# thread a process, since the models are tiny and there is a process for each core.
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A shell lets its jobs in the background ignore Ctrl-C, and what they start too; some tests send it.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say in a line each what became of the real files, and on what the full disks were."""
    passed = [dict(report.user_properties) for report in terminalreporter.stats.get("passed", [])]
    for told in ("real file", "full disk"):
        outcomes = [properties[told] for properties in passed if told in properties]
        if outcomes:
            counts = ", ".join(f"{outcomes.count(outcome)} {outcome}" for outcome in sorted(set(outcomes)))
            terminalreporter.write_line(f"{told}s: {len(outcomes)}, of which {counts}")


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run the command line in this process, in a folder of its own."""
    from lstm_convert import cli  # noqa: PLC0415 (after the environment is set)

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LSTM_CONVERT_DEBUG", raising=False)

    def run(*arguments: str | Path) -> Answer:
        monkeypatch.setattr(sys, "argv", ["lstm-convert", *map(str, arguments)])
        try:
            cli.main()
            code: Any = 0
        except SystemExit as leaving:
            code = leaving.code or 0
        return Answer(code, *capsys.readouterr())

    return run


@pytest.fixture
def refused(command: Command, tmp_path: Path) -> Callable[..., list[str]]:
    """Convert what cannot be converted, over a file that is there, and return the message's lines.

    It has a first line that names the file, a last one that is a next step, and no file anywhere has changed.
    """
    from refusing import KNOWN_BYTES, everything_below  # noqa: PLC0415 (after the environment is set)

    def convert(source: Path, *options: str, target: str = "out.pt", named: str = "") -> list[str]:
        with suppress(OSError), Path(target).open("xb") as file:
            file.write(KNOWN_BYTES)
        before = everything_below(tmp_path)
        code, out, err = command("convert", source, target, "--force", *options)
        lines = err.splitlines()
        assert (code, out) == (2, "")
        assert everything_below(tmp_path) == before
        assert lines[0].startswith(f"lstm-convert: {named or source}: ")
        assert all(line.startswith("  ") for line in lines[1:-1])
        assert len(lines) > 1
        assert lines[-1][0].isupper() or lines[-1][0] == "`"
        return lines

    return convert


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Save the seconds that pictures take, where none is looked at."""
    from lstm_convert.plots import drawing  # noqa: PLC0415 (few tests draw)

    monkeypatch.setattr(drawing, "drawn", lambda _: drawing.Drawn(b"png", b"svg", b"untitled"))


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one analysis of the weather model, by its function."""
    import numpy as np  # noqa: PLC0415 (the tests of what importing costs need it not)
    from commands import WEATHER, weather_data  # noqa: PLC0415

    from lstm_convert.reading import read_file  # noqa: PLC0415

    folder = tmp_path_factory.mktemp("analysis")
    np.save(folder / "x.npy", weather_data())
    read_file(WEATHER, folder / "x.npy", folder / "out")
    return folder / "out"

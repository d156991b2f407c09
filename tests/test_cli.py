"""The command line as a whole: its help, its errors, how it ends."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from answering import Command
from click.testing import CliRunner
from helpers import FIXTURES

import lstm_convert
from lstm_convert import cli, conversion, writing
from lstm_convert.formats import support

WEATHER = FIXTURES / "keras-1.2.2/weather.h5"
TORCH = FIXTURES / "torch-2.13/plain.pt"
COMMANDS = ["info", "convert", "formats"]


@pytest.mark.parametrize("start", [["-m", "lstm_convert"], ["-c", "from lstm_convert.cli import main; main()"]])
def test_a_process_of_its_own_answers_on_stdout(tmp_path: Path, start: list[str]) -> None:
    arguments = [sys.executable, *start, "convert", str(WEATHER), "weather.pt"]
    done = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, check=True)  # noqa: S603 (this very Python)
    assert done.stderr == ""
    assert "lstm_1: nn.LSTM(4, 16, batch_first=True)" in done.stdout
    again = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, check=False)  # noqa: S603 (this very Python)
    assert (again.returncode, again.stdout) == (2, "")
    assert "weather.pt: exists already" in again.stderr


def test_click_runs_the_same_commands() -> None:
    """Other programs may take the group and run it as click does."""
    result = CliRunner().invoke(cli._commands, ["info", str(WEATHER), "--json"])  # noqa: SLF001 (there is no public group)
    assert result.exit_code == 0
    assert json.loads(result.output)["layers"][0]["name"] == "lstm_1"


def test_formats_prints_every_row(command: Command) -> None:
    answer = command("formats")
    assert (answer.code, answer.err) == (0, "")
    rows = [" ".join(line.split()) for line in answer.out.splitlines()]
    for row in support():
        assert " ".join(" ".join(row.values()).split()) in rows
    assert command("formats", "--json").json == support()


@pytest.mark.parametrize("arguments", [[], *([name] for name in COMMANDS)], ids=str)
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_is_there_for_everything(command: Command, arguments: list[str], option: str) -> None:
    answer = command(*arguments, option)
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith("Usage: ")
    assert all(name in answer.out for name in (COMMANDS if not arguments else ["--json"]))


def test_version_is_the_packages(command: Command) -> None:
    assert command("--version").out == f"lstm-convert, version {lstm_convert.__version__}\n"


@pytest.mark.parametrize("arguments", [["nothing"], ["info"], ["convert", "one"], ["info", "--nothing", "x"]], ids=str)
def test_a_wrong_command_is_explained_and_ends_with_2(command: Command, arguments: list[str]) -> None:
    answer = command(*arguments)
    assert (answer.code, answer.out) == (2, "")
    assert "Error: " in answer.err


def test_an_interruption_ends_with_130_and_leaves_nothing(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(writing, "prove", interrupted)
    answer = command("convert", TORCH, "out.pt")
    assert answer.code == 130
    assert "Traceback" not in answer.err
    assert not list(Path().iterdir())


def test_the_end_of_a_file_is_no_interruption(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Click takes every EOFError for the end of what a user types."""

    def ended(*_: Any) -> None:
        raise EOFError("no more bytes")

    monkeypatch.setattr(conversion, "_check", ended)
    answer = command("info", TORCH)
    assert answer.code == 2
    assert "unexpected EOFError: no more bytes" in answer.err


@pytest.mark.parametrize(
    ("arguments", "error"), [(["info", "absent.h5"], "InvalidFile"), (["info", TORCH], "ZeroDivisionError")]
)
def test_a_traceback_is_shown_to_who_asks_for_it(
    command: Command, monkeypatch: pytest.MonkeyPatch, arguments: list[Any], error: str
) -> None:
    def mistaken(*_: Any) -> None:
        raise ZeroDivisionError("a mistake")

    monkeypatch.setattr(conversion, "_check", mistaken)
    answer = command(*arguments)
    assert (answer.code, answer.out) == (2, "")
    assert "Traceback" not in answer.err
    assert ("unexpected ZeroDivisionError: a mistake" in answer.err) == (error == "ZeroDivisionError")
    monkeypatch.setenv("LSTM_CONVERT_DEBUG", "1")
    with pytest.raises(Exception, match=r"a mistake|absent\.h5") as caught:
        command(*arguments)
    assert type(caught.value).__name__ == error

"""What the README says is what the code does."""

import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import FIXTURES

import lstm_convert
from lstm_convert import LSTM, Cell, Gates, Model, cli
from lstm_convert.formats import support_markdown
from lstm_convert.frameworks import WriteOptions, per_gate

ROOT = FIXTURES.parent
README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def section(title: str) -> str:
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", README, re.DOTALL | re.MULTILINE)
    assert found, f"the README has no section {title!r}"
    return found[1]


def test_the_support_table_is_the_codes() -> None:
    found = re.search(r"<!-- support -->\n(.*?)\n<!-- /support -->", README, re.DOTALL)
    assert found
    assert found[1] == support_markdown().strip()


@pytest.mark.parametrize("name", ["convert", "test"])
def test_a_command_is_one_line_below_its_marker(name: str) -> None:
    found = re.findall(rf"^<!-- command: {name} -->\n```sh\n(.+)\n```$", README, re.MULTILINE)
    assert len(found) == 1
    assert README.count(f"<!-- command: {name} -->") == 1


def test_ci_runs_the_commands_of_the_readme() -> None:
    script = (ROOT / ".ci/run").read_text("utf-8")
    names = re.search(r"^for name in (.+); do$", script, re.MULTILINE)
    assert names
    assert names[1].split() == re.findall(r"<!-- command: (\w+) -->", README)
    assert "<!-- command: $1 -->" in script


@pytest.mark.parametrize("name", sorted(set(lstm_convert.__all__) - {"__version__"}))
def test_every_public_name_is_in_the_readme(name: str) -> None:
    assert re.search(rf"\b{name}\b", README)


@pytest.mark.parametrize(
    "option", sorted({option for name in cli._commands.commands.values() for p in name.params for option in p.opts if option.startswith("--")})  # noqa: E501, SLF001
)  # fmt: skip
def test_every_option_is_in_the_readme(option: str) -> None:
    assert option in README


def test_every_command_in_the_readme_is_one() -> None:
    used = set(re.findall(r"^lstm-convert (\w+)", README, re.MULTILINE))
    assert used == set(cli._commands.commands)  # noqa: SLF001 (there is no public group)


def test_the_canonical_forms_specification_is_short_and_names_all_fields() -> None:
    text = section("The canonical form on disk")
    assert 5 < len([line for line in text.splitlines() if line.strip()]) <= 15
    layer = LSTM("lstm", Cell(Gates(np.ones((4, 2, 3))), Gates(np.ones((4, 2, 2))), peephole=np.ones((3, 2))))
    written = per_gate.write(Model((layer,)), WriteOptions(".npz"))
    document = json.loads(written.document("__metadata__"))
    assert {"format", "version", "layers", "provenance", "notes"} <= set(document)
    for name in [*document, *document["layers"]["lstm"], per_gate.FORMAT, "peephole_i"]:
        assert name in text, f"{name} is not in the specification"


def test_the_example_output_is_the_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = re.findall(
        r"<!-- command: convert -->\n```sh\n.*&& \S*lstm-convert (.*)\n```\n\n```\n(.*?)```", README, re.DOTALL
    )
    ((arguments, printed),) = command
    (tmp_path / "fixtures").symlink_to(FIXTURES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["lstm-convert", *arguments.split()])
    cli.main()
    assert capsys.readouterr().out == printed


def test_every_conversion_that_is_shown_prints_what_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = [code for _, code in BLOCKS if code.startswith("$ lstm-convert convert fixtures/")]
    assert shown
    (tmp_path / "fixtures").symlink_to(FIXTURES)
    monkeypatch.chdir(tmp_path)
    for block in shown:
        command, _, printed = block.partition("\n")
        monkeypatch.setattr("sys.argv", command.removeprefix("$ ").split())
        cli.main()
        assert capsys.readouterr().out == printed
    (written,) = [code for language, code in BLOCKS if language == "py"]
    assert written.strip() in (tmp_path / "model.py").read_text("utf-8")


def test_the_collection_that_is_shown_ends_as_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (block,) = [code for _, code in BLOCKS if code.startswith("$ lstm-convert batch ")]
    arguments, _, printed = block.removeprefix("$ ").partition("\n")
    (tmp_path / "fixtures").symlink_to(FIXTURES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", shlex.split(arguments))
    with pytest.raises(SystemExit, match="1"):
        cli.main()
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == printed.splitlines()


def test_the_python_examples_run_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = [code for language, code in BLOCKS if language == "python"]
    assert blocks
    shutil.copytree(FIXTURES / "keras-1.2.2", tmp_path / "fixtures/keras-1.2.2")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for code in blocks:
        exec(compile(code, "README.md", "exec"), names)  # noqa: S102 (our own README)


def test_links_lead_somewhere() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)", README) if not link.startswith("http")]
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


@pytest.mark.parametrize("name", ["conversion", "small", "batch", "large", "peers"])
def test_the_figures_are_of_the_rows_that_their_benchmarks_print(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import figures  # noqa: PLC0415 (a script of the benchmarks)

    assert set(figures.PARTS) == set(re.findall("<!-- figures: (.+) -->", README))
    part = figures.PARTS[name]
    (found,) = figures.marked(name).findall(README)
    assert figures.replaced(README, name, found) == README
    head, _, *table = found.splitlines()
    asked = " ".join(["python", f"benchmarks/{name}.py", *part.asked])
    assert re.fullmatch(rf"`{re.escape(asked)} --runs \d+.*`, \d{{4}}-\d\d-\d\d, .+ cores, .+ GB, Python .+; .+:", head)
    shown = table[2:] if part.markdown else table[2:-1]
    for row, line in zip(part.rows(), shown, strict=True):
        words = map(re.escape, row.split())
        assert re.match(r"\s+(\d+\s+)?".join(words), line), f"{line!r} is not of {row!r}"

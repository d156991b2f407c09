"""What docs/reading-an-lstm.md says is what the code does: its code, its numbers and its pictures."""

import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import FIXTURES

from lstm_convert import cli

ROOT = FIXTURES.parent
DOCS = ROOT / "docs"
PAGE = (DOCS / "reading-an-lstm.md").read_text("utf-8")
PICTURES = re.findall(r"!\[[^]]+\]\((weather/\w+\.svg)\)", PAGE)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that looks like the repository's own."""
    (tmp_path / "docs").symlink_to(DOCS)
    shutil.copytree(FIXTURES / "keras-1.2.2", tmp_path / "fixtures/keras-1.2.2")
    (tmp_path / "fixtures/models").symlink_to(FIXTURES / "models")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def words(svg: Path) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)<", svg.read_text("utf-8"))


def test_the_code_of_the_page_runs_in_order(here: Path) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 5
    names: dict[str, Any] = {}
    for code in blocks:
        exec(compile(code, "reading-an-lstm.md", "exec"), names)  # noqa: S102 (our own page)
    assert (here / "weather.safetensors").exists()


def test_one_command_makes_the_pictures_and_numbers_of_the_page(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (line,) = re.findall(r"<!-- pictures -->\n```sh\nlstm-convert (.+)\n```", PAGE)
    monkeypatch.setattr(sys, "argv", ["lstm-convert", *shlex.split(line)])
    cli.main()
    assert "99 % of the effect lies within k = 3" in capsys.readouterr().out
    assert sorted(path.name for path in (DOCS / "weather").iterdir()) == sorted(Path(name).name for name in PICTURES)
    for name in PICTURES:
        assert words(DOCS / name) == words(here / name)
    report = (here / "weather/report.html").read_text("utf-8")
    assert "this model's median is 3.42 steps" in " ".join(PAGE.split())
    assert (
        "b_f alone gives a median tau_life of 3.42 steps; an untrained b_f of 0 gives 2 and one of 1 gives 3.72"
        in report
    )
    assert "neighbouring steps of a feature correlate by 0.97" in report


def test_the_table_of_the_page_is_the_analysis(here: Path) -> None:
    from lstm_convert.analysis.engine import analyze  # noqa: PLC0415 (one test needs it)
    from lstm_convert.conversion import load  # noqa: PLC0415

    lags = analyze(load(here / "fixtures/keras-1.2.2/weather.h5"), np.load("docs/weather.npy")).tables["lags"]
    shown = re.findall(r"^\| t-\d \| (\d) \| ([\d.]+) \| ([\d.]+) to ([\d.]+) \| ([\d.]+) \|$", PAGE, re.MULTILINE)
    assert [int(row[0]) for row in shown] == [0, 1, 2, 3, 4]
    for lag, *numbers in shown:
        (swap,) = lags.rows(method="history_swap", lag=int(lag))
        (alone,) = lags.rows(method="resample", feature="*", lag=int(lag))
        assert numbers == [f"{each:.3f}" for each in (swap["value"], swap["ci_low"], swap["ci_high"], alone["value"])]


def test_the_data_is_what_its_script_makes_and_what_the_model_was_recorded_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DOCS))
    import weather  # type: ignore[import-not-found]  # noqa: PLC0415 (a script of the docs)

    data = np.load(DOCS / "weather.npy")
    assert np.abs(weather.windows() - data).max() < 1e-6
    assert np.array_equal(data[::200], np.load(FIXTURES / "keras-1.2.2/weather.expected.npz")["x0"])


def test_the_pages_links_lead_somewhere() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", PAGE) if not link.startswith("http")]
    assert [link for link in links if not (DOCS / link).exists()] == []
    anchors = set(re.findall(r'<a id="(\w+)">', PAGE))
    assert set(re.findall(r"\]\(#(\w+)\)", PAGE)) == anchors


def test_the_table_of_accuracy_names_every_method_of_its_benchmark(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import accuracy  # noqa: PLC0415 (a script of the benchmarks)

    head, _, *shown = PAGE.partition("<!-- accuracy -->\n")[2].partition("\n\n")[0].splitlines()
    assert [cell.strip() for cell in head.split("|")[2:-2]] == list(accuracy.TASKS)
    assert {row.split("|")[1].strip() for row in shown} == {*accuracy.METHODS, accuracy.CARRIED}
    means = [float(row.split("|")[-2]) for row in shown]
    assert means == sorted(means)

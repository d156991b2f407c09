"""The commands that read an LSTM, as a user runs them: files, schemas, titles' grades, exit codes, refusals."""

import csv
import io
import json
import re
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from analyzing import bistable, delay, leaky, model_of, shut
from helpers import FIXTURES
from numpy.typing import NDArray

import lstm_convert
from lstm_convert import cli
from lstm_convert.analysis.readout import Readout
from lstm_convert.analysis.stacks import Stack
from lstm_convert.analysis.tables import COLUMNS
from lstm_convert.errors import MissingFramework
from lstm_convert.plots import drawing
from lstm_convert.report import tables

Float64 = NDArray[np.float64]

WEATHER = FIXTURES / "keras-1.2.2/weather.h5"
GRU = FIXTURES / "keras-1.2.2/gru.h5"
MODELS = FIXTURES / "models/keras-3.15.1"
TABLES = [
    "inventory", "gates", "features", "units", "lags", "disagreement", "decomposition", "rest", "certificate",
]  # fmt: skip
PICTURES = ["lag_curve", "lag_methods", "lag_features", "rest_response", "gates", "gate_maps", "saturation", "units"]
GRADE = re.compile(r"PROVEN|AT REST x = \(.+\)|MEASURED n = \d+.*")
VOID = {"meta", "img"}


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Run the command line in this process, in a folder of its own; return its exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["lstm-convert", *map(str, arguments)])
        try:
            cli.main()
            code: Any = 0
        except SystemExit as leaving:
            code = leaving.code or 0
        return (code, *capsys.readouterr())

    return run


Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Save the seconds that pictures take, where none is looked at."""
    monkeypatch.setattr(drawing, "drawn", lambda _: {"png": b"drawn", "svg": b"drawn"})


def weather_data(sequences: int = 60) -> Float64:
    """Walks that change slowly, as weather does."""
    steps = np.random.default_rng(0).normal(size=(sequences, 5, 4))
    return np.asarray(steps.cumsum(axis=1) * 0.5)


def saved(name: str, array: NDArray[Any]) -> str:
    np.save(name, array)
    return name


def planted(stack: Stack, x: Float64, readout: Readout | None = None) -> list[str]:
    """Write a planted model, its data and its readout; return the command's arguments."""
    lstm_convert.save(model_of(*stack.layers), "planted.npz")
    given = [] if readout is None else ["--readout", saved("readout.npy", readout.matrix)]
    return ["analyze", "planted.npz", "--data", saved("x.npy", x), "-o", "out", *given]


def rows(table: str, **wanted: Any) -> list[dict[str, Any]]:
    found = pq.read_table(f"out/{table}.parquet").to_pylist()
    return [row for row in found if all(row[column] == value for column, value in wanted.items())]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one analysis, by its function."""
    from lstm_convert.reading import read_file  # noqa: PLC0415 (the tests before it look at what importing costs)

    folder = tmp_path_factory.mktemp("analysis")
    np.save(folder / "x.npy", weather_data())
    read_file(WEATHER, folder / "x.npy", folder / "out")
    return folder / "out"


def test_analyze_writes_every_file_and_says_the_headline(command: Command) -> None:
    data = saved("x.npy", weather_data())
    code, out, err = command("analyze", WEATHER, "--data", data, "-o", "out", "--effort", "0.1")
    assert (code, err) == (0, "")
    assert re.match(r"MEASURED: 99 % of the effect lies within k = \d .*n = 60, seed 0", out)
    assert out.splitlines()[-1].endswith("open out/report.html")
    expected = {f"{name}.{ending}" for name in TABLES for ending in ("parquet", "csv")}
    expected |= {f"{name}.{ending}" for name in PICTURES for ending in ("png", "svg")} | {"trace.npz", "report.html"}
    assert {path.name for path in Path("out").iterdir()} == expected
    assert sorted(path.name for path in Path().iterdir()) == ["out", "x.npy"]


def test_the_folder_may_be_read_by_whom_other_folders_may(written: Path) -> None:
    other = written.parent / "other"
    other.mkdir(exist_ok=True)
    assert written.stat().st_mode == other.stat().st_mode


@pytest.mark.parametrize("name", TABLES)
def test_a_table_has_its_documented_columns_in_both_kinds_of_file(written: Path, name: str) -> None:
    parquet = pq.read_table(written / f"{name}.parquet")
    text = list(csv.DictReader(io.StringIO((written / f"{name}.csv").read_text("utf-8"))))
    assert tuple(parquet.column_names) == COLUMNS[name]
    assert len(text) == parquet.num_rows > 0
    assert tuple(text[0]) == COLUMNS[name]
    for ours, row in zip(parquet.to_pylist(), text, strict=True):
        assert {column: "" if value is None else str(value) for column, value in ours.items()} == row


def test_every_column_has_the_type_that_its_values_have() -> None:
    schemas = {name: tables.arrow(empty(name)).schema for name in COLUMNS}
    assert {str(field.type) for schema in schemas.values() for field in schema} == {"int64", "bool", "double", "string"}
    assert str(schemas["lags"].field("ci_low").type) == "double"
    assert str(schemas["units"].field("unit").type) == "int64"


def empty(name: str) -> Any:
    from lstm_convert.analysis.tables import Table  # noqa: PLC0415 (one helper needs it)

    return Table.of(name, [])


def test_a_table_says_what_it_is_of(written: Path) -> None:
    metadata = pq.read_table(written / "lags.parquet").schema.metadata
    assert metadata[b"lstm_convert"].decode() == lstm_convert.__version__
    assert metadata[b"sha256"].decode() == lstm_convert.load(WEATHER).provenance.sha256
    assert (metadata[b"seed"], metadata[b"data"]) == (b"0", b"x.npy: 60 sequences of 5 steps")


def test_the_traces_have_named_axes(written: Path) -> None:
    with np.load(written / "trace.npz", allow_pickle=False) as arrays:
        assert arrays["lstm_1.c"].shape == (1, 16, 5, 16)
        assert arrays["lstm_1.c.dims"].tolist() == ["direction", "sample", "time", "unit"]
        assert arrays["lstm_1.h.dims"].tolist() == ["direction", "sample", "time", "output"]
        assert {name.partition(".")[2] for name in arrays} >= {*"ifgoch", "direction"}


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_has_its_grade_in_its_title_and_colours(written: Path, name: str) -> None:
    svg = (written / f"{name}.svg").read_text("utf-8")
    assert re.search(r">(PROVEN:|AT REST x =|MEASURED n = \d+)", svg)
    from PIL import Image  # noqa: PLC0415 (matplotlib brings it)

    with Image.open(written / f"{name}.png") as image:
        assert image.width > 900
        assert len(image.convert("RGB").getcolors(1 << 20) or [0] * 100) > 10


class Page(HTMLParser):
    """Every tag of a page, closed where it was opened, and its words."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.resources: list[str] = []
        self.texts: list[str] = []
        self.chips: list[str] = []
        self.ids: list[str] = []
        self.counts: dict[str, int] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.resources += [str(values[name]) for name in ("src", "href", "data", "srcset") if name in values]
        self.ids += [str(values["id"])] if "id" in values else []
        self.counts[tag] = self.counts.get(tag, 0) + 1
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.texts.append(data.strip())
        if self.open and self.open[-1] == "span":
            self.chips.append(data)


@pytest.fixture(scope="module")
def page(written: Path) -> Page:
    found = Page()
    found.feed((written / "report.html").read_text("utf-8"))
    found.close()
    return found


def test_the_page_is_well_formed_and_needs_nothing_else(written: Path, page: Page) -> None:
    text = (written / "report.html").read_text("utf-8")
    assert page.open == []
    assert len(set(page.ids)) == len(page.ids)
    assert len(page.resources) == page.counts["img"] == len(PICTURES)
    assert all(resource.startswith("data:image/png;base64,") for resource in page.resources)
    words = re.sub(r"base64,[^\"]+", "", text)
    assert not re.search(r"https?:|//|url\(|@import|<script|<link", words)
    assert 'name="viewport"' in text


def test_every_figure_has_its_grade_its_sentence_and_its_table(page: Page) -> None:
    assert set(PICTURES) <= set(page.ids)
    assert page.counts["figcaption"] == page.counts["table"] == len(PICTURES)
    assert page.chips
    assert all(GRADE.fullmatch(chip) or chip in ("MEASURED", "AT REST") for chip in page.chips)


def test_the_page_says_where_it_is_from_and_what_not_to_read_from_it(page: Page) -> None:
    text = "\n".join(page.texts)
    for said in (
        "weather.h5", lstm_convert.load(WEATHER).provenance.sha256, "60 sequences of 5 steps",
        "the rest of the model, dense_1, dense_2",
        "99 % of the effect lies within k =", "write time, not input time", "b_f alone", "no certificate (rho =",
        "AT REST x = (",
    ):  # fmt: skip
        assert said in text
    assert "irrelevant" not in text.lower()


@pytest.mark.usefixtures("undrawn")
def test_what_a_file_calls_itself_is_no_part_of_the_page(command: Command) -> None:
    lstm_convert.save(lstm_convert.load(WEATHER), "<b>&.npz", lstm_only=True)
    assert command("analyze", "<b>&.npz", "--data", saved("x.npy", weather_data()), "-o", "out")[0] == 0
    text = Path("out/report.html").read_text("utf-8")
    assert "&lt;b&gt;&amp;.npz" in text
    assert "<b>" not in text


def test_a_delay_of_five_steps_shows_at_lag_five_in_table_picture_and_sentence(command: Command) -> None:
    stack, readout = delay(5)
    x = np.random.default_rng(0).uniform(-1, 1, (200, 12, 1))
    code, out, _ = command(*planted(stack, x, readout))
    assert code == 0
    assert "99 % of the effect lies within k = 5 on your data" in out
    assert "total effect of lag 6 and beyond <=" in out
    share = {row["lag"]: row["value"] for row in rows("lags", method="history_swap")}
    assert share[5] == pytest.approx(1.0, abs=0.1)
    assert share[6] == pytest.approx(0.0, abs=1e-3)
    assert "99 % lies within k = 5" in Path("out/lag_curve.svg").read_text("utf-8")


@pytest.mark.usefixtures("undrawn")
def test_a_leaky_unit_keeps_nineteen_twentieths_a_step(command: Command) -> None:
    x = np.random.default_rng(0).normal(size=(40, 10, 1))
    code, _, _ = command(*planted(leaky(20.0), x))
    assert code == 0
    slopes = [row["value"] for row in rows("lags", method="jacobian", stat="mean")]
    assert np.array(slopes[:-1]) / slopes[1:] == pytest.approx(0.95, rel=1e-6)
    shares = [row["value"] for row in rows("lags", method="cell_path")]
    assert np.array(shares) == pytest.approx(1.0)
    assert rows("units", basis="at_rest")[0]["tau_life"] == pytest.approx(20.0)


@pytest.mark.usefixtures("undrawn")
def test_a_shut_gate_is_said_to_be_shut_whatever_it_reads(command: Command) -> None:
    code, out, _ = command(*planted(shut(), np.random.default_rng(0).normal(size=(30, 6, 1))))
    assert code == 0
    assert "PROVEN: lstm forward: the size of W_g (up to 100) says nothing while the input gate is shut" in out
    assert "never_written" in rows("units", basis="proven")[0]["flags"]


def test_a_state_that_settles_where_it_started_has_no_picture_at_rest(command: Command) -> None:
    x = np.zeros((20, 6, 1))
    x[:, 0, 0] = np.random.default_rng(0).normal(size=20)
    code, out, _ = command(*planted(bistable(), x - x.mean()))
    assert code == 0
    assert "no one response at rest" in out
    assert not Path("out/rest_response.png").exists()
    assert Path("out/report.html").exists()


def test_the_same_seed_gives_the_same_files(command: Command) -> None:
    saved("x.npy", weather_data())
    for out in ("one", "two"):
        assert command("analyze", WEATHER, "--data", "x.npy", "-o", out, "--seed", "3", "--effort", "0.1")[0] == 0
    names = [path.name for path in Path("one").iterdir() if path.suffix != ".npz"]
    assert [name for name in names if Path("one", name).read_bytes() != Path("two", name).read_bytes()] == []


@pytest.mark.usefixtures("undrawn")
def test_analyze_as_json(command: Command) -> None:
    code, out, _ = command("analyze", WEATHER, "--data", saved("x.npy", weather_data()), "-o", "out", "--json")
    answer = json.loads(out)
    assert code == 0
    assert list(answer) == ["file", "headline", "sentences", "metadata", "out", "files"]
    assert answer["files"][-1] == "report.html"
    assert answer["metadata"]["sequences"] == 60
    assert {each["basis"] for each in answer["sentences"]} == {"proven", "at_rest", "measured"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((WEATHER, "wrong.npy"), ["weather.h5: this cannot be analyzed", "(sequences, steps, 4), found (9, 5, 3)"]),
        ((WEATHER, "flat.npy"), ["weather.h5: this cannot be analyzed", "(sequences, steps, 4), found (9, 4)"]),
        ((WEATHER, "missing.npy"), ["missing.npy: cannot be read"]),
        ((WEATHER, "x.npy", "--layer", "lstm_9"), ["has no recurrent layer 'lstm_9'", "lstm_1"]),
        ((WEATHER, "x.npy", "--readout", "flat.npy"), ["readout: expected (outputs, 16), found (9, 4)"]),
    ],
    ids=["features", "axes", "no data", "layer", "readout"],
)  # fmt: skip
def test_what_cannot_be_analyzed_is_refused_with_the_reason(
    command: Command, arguments: tuple[Any, ...], said: list[str]
) -> None:
    saved("x.npy", weather_data(9))
    saved("wrong.npy", weather_data(9)[..., :3])
    saved("flat.npy", weather_data(9)[:, 0])
    source, data, *others = arguments
    code, out, err = command("analyze", source, "--data", data, "-o", "out", *others)
    assert (code, out) == (2, "")
    assert [line for line in said if line not in err] == []
    assert not Path("out").exists()
    assert not list(Path().glob(".lstm*"))


@pytest.mark.usefixtures("undrawn")
def test_a_folder_that_holds_files_is_left_as_it_was_without_force(command: Command) -> None:
    Path("out").mkdir()
    Path("out/report.html").write_text("mine", "utf-8")
    Path("out/notes.txt").write_text("mine", "utf-8")
    arguments = ["analyze", WEATHER, "--data", saved("x.npy", weather_data(9)), "-o", "out"]
    code, _, err = command(*arguments)
    assert code == 2
    assert "out: is a folder that is not empty" in err
    assert sorted(path.read_text("utf-8") for path in Path("out").iterdir()) == ["mine", "mine"]
    assert command(*arguments, "--force")[0] == 0
    assert Path("out/notes.txt").read_text("utf-8") == "mine"
    assert Path("out/report.html").read_text("utf-8").startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(("kind", "path", "without"), [
    ("GRU", GRU, set()),
    ("SimpleRNN", FIXTURES / "models/keras-1.2.2/rnn_simple.h5", {"saturation", "rest_response"}),  # never at rest
])  # fmt: skip
def test_other_kinds_of_cells_have_the_pictures_that_mean_something(
    command: Command, kind: str, path: Path, without: set[str]
) -> None:
    data = saved("x.npy", np.random.default_rng(0).normal(size=(30, 7, 3)))
    code, out, _ = command("analyze", path, "--data", data, "-o", "out", *(["--layer", "first"] if without else []))
    assert code == 0
    assert f"a {kind} has no cell state c" in out
    drawn = {path.stem for path in Path("out").glob("*.svg")}
    assert drawn == set(PICTURES) - without
    words = Path("out/units.svg").read_text("utf-8")
    assert ("tau_life" in words) == (kind == "GRU")
    assert "forget" not in Path("out/report.html").read_text("utf-8").partition('id="reading"')[0]


@pytest.mark.usefixtures("undrawn")
def test_words_go_in_and_one_of_several_outputs_is_looked_at(command: Command) -> None:
    words = saved("words.npy", np.random.default_rng(0).integers(0, 11, (30, 7)))
    code, out, _ = command("analyze", MODELS / "text.keras", "--data", words, "-o", "text")
    assert code == 0
    assert "the data is the model's own input, of which embedding, spatial make what both reads" in out
    assert "the outputs are those of: the rest of the model, hidden, rest, head" in out
    x = saved("x.npy", np.random.default_rng(0).normal(size=(30, 7, 3)))
    arguments = ["analyze", MODELS / "norms.keras", "--data", x, "--data-is", "model"]
    code, out, _ = command(*arguments, "-o", "several")
    assert (code, "the model has several outputs (layer, layer_both" in out) == (0, True)
    code, out, _ = command(*arguments, "-o", "one", "--readout", "layer_both")
    assert (code, "the outputs are those of: the rest of the model, layer_both" in out) == (0, True)


@pytest.mark.parametrize(("arguments", "said"), [
    (["norms.keras"], ["this data may be two things", "say which with --data-is model or --data-is layer"]),
    (["norms.keras", "--data-is", "layer", "--readout", "nothing"], ["no output 'nothing' is made of lstm alone"]),
    (["text.keras"], ["expected the model's input input_layer, (sequences, 7), or what both reads"]),
], ids=["two things", "no output", "no words"])  # fmt: skip
def test_what_is_not_told_is_asked_for(command: Command, arguments: list[str], said: list[str]) -> None:
    x = saved("x.npy", np.random.default_rng(0).normal(size=(9, 7, 3))[..., : 3 if "norms" in arguments[0] else 2])
    code, _, err = command("analyze", MODELS / arguments[0], "--data", x, "-o", "out", *arguments[1:])
    assert code == 2
    assert [line for line in said if line not in err] == []


def test_a_file_or_a_missing_parent_is_no_folder(command: Command) -> None:
    saved("x.npy", weather_data(9))
    for out, said in (("x.npy", "is a file"), ("no/where", "lies in a folder that does not exist")):
        code, _, err = command("analyze", WEATHER, "--data", "x.npy", "-o", out)
        assert (code, said in err) == (2, True)


def test_where_drawing_fails_nothing_is_left(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Any) -> dict[str, bytes]:
        raise MissingFramework("no ink")

    monkeypatch.setattr(drawing, "drawn", fail)
    code, _, err = command("analyze", WEATHER, "--data", saved("x.npy", weather_data(9)), "-o", "out")
    assert (code, "no ink" in err) == (2, True)
    assert [path.name for path in Path().iterdir()] == ["x.npy"]


@pytest.mark.parametrize("library", ["pyarrow", "matplotlib"])
def test_a_missing_library_is_named_with_the_command_that_installs_it(
    command: Command, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    code, _, err = command("analyze", WEATHER, "--data", saved("x.npy", weather_data(9)), "-o", "out")
    assert code == 2
    assert f"{library}, which is not installed" in err
    assert 'pip install "lstm_convert[analysis]"' in err


def test_info_shows_the_gates(command: Command) -> None:
    code, out, err = command("info", WEATHER, "--gates")
    assert (code, err) == (0, "")
    found = {tuple(line.split()[1:6]) for line in out.splitlines() if line.startswith(" lstm_1")}
    assert found == {("fwd", gate, kind, "16", str(columns)) for gate in "ifgo" for kind, columns in
                     (("W", 4), ("U", 16), ("b", 1))}  # fmt: skip
    assert "AT REST, by b_f alone: tau_life" in out


@pytest.mark.parametrize("path", [WEATHER, GRU], ids=["LSTM", "GRU"])
def test_info_shows_the_gates_as_json(command: Command, path: Path) -> None:
    code, out, _ = command("info", path, "--gates", "--json")
    answer = json.loads(out)
    assert code == 0
    assert list(answer) == ["file", "inventory", "gates", "units"]
    assert tuple(answer["gates"][0]) == COLUMNS["gates"]
    assert {row["gate"] for row in answer["gates"]} == set("ifgo" if path == WEATHER else "zrg")
    assert len(answer["units"]) == (16 if path == WEATHER else 5)


@pytest.mark.parametrize("target", ["weather.pt", "weather.keras", "weather.npz", "weather.safetensors"])
def test_a_converted_model_compares_as_the_same(command: Command, target: str) -> None:
    lstm_convert.convert(WEATHER, target, lstm_only=target.endswith("npz"))
    code, out, _ = command("compare", WEATHER, target, "--data", saved("x.npy", weather_data()))
    assert code == 0
    assert "MEASURED: the same outputs on your data" in out


def test_another_model_compares_as_another(command: Command) -> None:
    code, out, _ = command("compare", WEATHER, FIXTURES / "keras-1.2.2/weather_hard_sigmoid.h5", "--json")
    answer = json.loads(out)
    assert code == 1
    assert answer["same"] is False
    assert "noise of mean 0 and spread 1 (seed 0), not your data" in answer["headline"]
    assert tuple(answer["distances"][0]) == COLUMNS["distances"]
    assert tuple(answer["matches"][0]) == COLUMNS["matches"]


def test_what_cannot_be_compared_is_refused_with_the_file_it_is_about(command: Command) -> None:
    code, _, err = command("compare", WEATHER, FIXTURES / "keras-1.2.2/plain.h5")
    assert (code, "inputs: 4 and 3" in err) == (2, True)


@pytest.mark.parametrize("target", ["normal.npz", "normal.keras", "normal.pt"])
def test_normalize_keeps_the_function_and_is_undone_bit_for_bit(command: Command, target: str) -> None:
    code, out, _ = command("normalize", WEATHER, target)
    assert code == 0
    assert "15 units moved, 4 signs flipped" in out
    assert Path(f"{target}.moves.npz").exists()
    assert command("compare", WEATHER, target)[0] == 0
    before, normal = (lstm_convert.load(path)["lstm_1"].forward for path in (WEATHER, target))
    assert np.abs(np.asarray(before.W) - np.asarray(normal.W)).max() > 0.1
    assert command("normalize", target, "back.npz", "--undo")[0] == 0
    again = lstm_convert.load("back.npz")["lstm_1"].forward
    assert np.array_equal(np.asarray(again.W), np.asarray(before.W))
    assert np.array_equal(np.asarray(again.U), np.asarray(before.U))


def test_normal_forms_of_moved_models_are_one(command: Command) -> None:
    """A model with its units in another order has the same normal form."""
    assert command("normalize", WEATHER, "one.npz")[0] == 0
    assert command("normalize", "one.npz", "two.npz", "--json")[0] == 0
    first, second = (lstm_convert.load(path)["lstm_1"].forward.W for path in ("one.npz", "two.npz"))
    assert np.array_equal(np.asarray(first), np.asarray(second))


def test_without_its_moves_nothing_is_undone(command: Command) -> None:
    code, _, err = command("normalize", WEATHER, "back.npz", "--undo")
    assert (code, "weather.h5.moves.npz beside it" in err) == (2, True)
    assert command("normalize", WEATHER, "normal.npz")[0] == 0
    wrong: dict[str, Any] = {"lstm_1.forward.order": np.zeros(16), "lstm_1.forward.signs": np.ones(16)}
    np.savez("normal.npz.moves.npz", **wrong)
    code, _, err = command("normalize", "normal.npz", "back.npz", "--undo")
    assert (code, "not the moves of this model" in err) == (2, True)
    Path("normal.npz.moves.npz").write_text("no arrays", "utf-8")
    assert command("normalize", "normal.npz", "back.npz", "--undo")[0] == 2
    assert not Path("back.npz").exists()


def test_normalize_replaces_nothing_without_force(command: Command) -> None:
    assert command("normalize", WEATHER, "normal.npz")[0] == 0
    assert command("normalize", WEATHER, "normal.npz")[0] == 2
    Path("normal.npz").unlink()
    assert "exists already" in command("normalize", WEATHER, "normal.npz")[2]
    assert not Path("normal.npz").exists()
    assert command("normalize", WEATHER, "normal.npz", "--force")[0] == 0
    assert command("normalize", "normal.npz", "normal.npz", "--force")[0] == 2


@pytest.mark.parametrize(
    ("target", "alone"), [("normal.npz", True), ("normal.keras", False), ("normal.safetensors", False)]
)
def test_normalize_says_where_what_reads_the_units_did_not_move_with_them(
    command: Command, target: str, *, alone: bool
) -> None:
    _, out, _ = command("normalize", WEATHER, target)
    assert ("has the recurrent layers alone" in out) == alone


@pytest.mark.usefixtures("undrawn")
def test_a_model_in_files_of_three_frameworks_gives_the_same_tables(command: Command) -> None:
    data = saved("x.npy", weather_data(12))
    order = ["--graph", "lstm_1,last,dense_1,tanh,dense_2"]  # which a state dict does not say
    for target, options in (("keras_3.keras", []), ("torch.safetensors", order)):
        lstm_convert.convert(WEATHER, target)
        assert command("analyze", target, "--data", data, "-o", Path(target).stem, *options)[0] == 0
    assert command("analyze", WEATHER, "--data", data, "-o", "keras_1")[0] == 0
    for name in ("gates", "units", "lags"):
        theirs = pq.read_table(f"keras_1/{name}.parquet")
        for folder in ("keras_3", "torch"):
            ours = pq.read_table(f"{folder}/{name}.parquet")
            for column in set(COLUMNS[name]) - {"model", "layer"}:
                pairs = zip(ours[column].to_pylist(), theirs[column].to_pylist(), strict=True)
                assert [
                    (a, b) for a, b in pairs if a != (pytest.approx(b, abs=1e-7) if isinstance(b, float) else b)
                ] == []

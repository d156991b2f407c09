"""The command `analyze`, as a user runs it: files, schemas, exit codes, refusals."""

import csv
import io
import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from answering import Command
from commands import GRU, PICTURES, TABLES, WEATHER, saved, weather_data
from helpers import FIXTURES

import lstm_convert
from lstm_convert.analysis.tables import COLUMNS
from lstm_convert.errors import MissingFramework
from lstm_convert.plots import drawing
from lstm_convert.report import tables

MODELS = FIXTURES / "models/keras-3.15.1"


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
def test_names_with_bytes_that_are_no_text_are_told_with_question_marks(command: Command) -> None:
    model, data = (os.fsdecode(name) for name in (b"caf\xe9.h5", b"th\xe9.npy"))
    shutil.copy(WEATHER, model)
    saved(data, weather_data())
    assert command("analyze", model, "--data", data, "-o", "out", "--effort", "0.1")[0] == 0
    page = Path("out/report.html").read_text("utf-8")
    assert "caf?.h5" in page
    assert "th?.npy" in page


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

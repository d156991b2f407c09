"""Collections: which files they have, where these go, what is said of them, and what a second run does."""

import csv
import hashlib
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from collections_of_files import KERAS, TORCH, files, lay, lines
from helpers import FIXTURES

import lstm_convert
from lstm_convert import Outcome, batch, cli, conversion
from lstm_convert.analysis.gates import read_gates
from lstm_convert.analysis.tables import COLUMNS
from lstm_convert.errors import InvalidFile, UnknownFormat

HARD = FIXTURES / "keras-1.2.2/weather_hard_sigmoid.h5"

pytestmark = pytest.mark.usefixtures("folder")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., int]]:
    """Run the command line in this process; return how it ends."""
    before = signal.getsignal(signal.SIGTERM)

    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["lstm-convert", "batch", *arguments])
        try:
            cli.main()
        except SystemExit as leaving:
            return int(leaving.code or 0)
        return 0

    yield run
    signal.signal(signal.SIGTERM, before)


def test_each_file_becomes_what_convert_makes_of_it_in_the_folders_below_the_patterns_fixed_part() -> None:
    lay(KERAS, "models/x.h5", "models/a/x.h5", "models/a/b/y.h5")
    done = batch("models/**/*.h5", "safetensors", "out")
    assert (done.converted, done.skipped, done.failed, done.reasons) == (3, 0, 0, {})
    assert files() == ["a/b/y.safetensors", "a/x.safetensors", "batch.jsonl", "x.safetensors"]
    lstm_convert.convert("models/a/b/y.h5", "y.safetensors")
    assert Path("out/a/b/y.safetensors").read_bytes() == Path("y.safetensors").read_bytes()


def test_the_log_has_a_line_a_file_in_their_order_with_the_hashes_that_sha256sum_shows() -> None:
    lay(TORCH, "m/2.pt", "m/1.pt")
    lay(KERAS, "m/3.h5")
    Path("m/broken.h5").write_bytes(b"nonsense")
    told: list[Outcome] = []
    done = batch(["m/*.pt", "m/*.h5"], "npz", "out", each=told.append)
    assert done.log == "out/batch.jsonl"
    assert [line["source"] for line in lines()] == ["m/1.pt", "m/2.pt", "m/3.h5", "m/broken.h5"]
    assert [outcome.line() for outcome in told] == [
        {name: value for name, value in line.items() if name != "options"} for line in lines()
    ]
    first, *_, last = lines()
    assert first["sha256"] == hashlib.sha256(TORCH.read_bytes()).hexdigest()
    assert first["written"] == {"1.npz": hashlib.sha256(Path("out/1.npz").read_bytes()).hexdigest()}
    assert first["proof"]["max_abs_difference"] <= first["proof"]["tolerance"]
    assert (last["status"], last["error"], last["reason"]) == ("failed", "UnknownFormat", "is no file of a known kind")
    assert done.reasons == {"is no file of a known kind": 1}


def test_what_is_written_together_is_placed_together() -> None:
    lay(KERAS, "m/x.h5")
    batch("m/*.h5", "py", "out", proof=True)
    assert files() == ["batch.jsonl", "x.py", "x.py.proof.npz", "x.safetensors"]
    assert lstm_convert.verify("out/x.py").same
    assert set(lines()[0]["written"]) == {"x.py", "x.py.proof.npz", "x.safetensors"}


def test_a_source_of_several_files_is_one() -> None:
    for part in FIXTURES.glob("keras-3.15.1/sharded*weights*"):
        lay(part, f"m/{part.name}")
    assert batch("m/*.weights.json", "npz", "out", recurrent_activation="sigmoid").converted == 1
    with Path("m/sharded_00001.weights.h5").open("ab") as file:
        file.write(b"more")  # HDF5 looks no further than its own end
    assert batch("m/*.weights.json", "npz", "out", recurrent_activation="sigmoid").skipped == 0


def test_the_options_of_convert_hold_for_every_file() -> None:
    lay(HARD, "m/x.h5")
    refused = batch("m/*.h5", "pt", "out", lstm_only=True)
    assert refused.reasons == {"cannot hold this model exactly as PyTorch checkpoint": 1}
    assert batch("m/*.h5", "pt", "out", allow=["hard_sigmoid"], dtype="float64", lstm_only=True).converted == 1
    assert lstm_convert.load("out/x.pt")["lstm_1"].forward.W.dtype == "float64"


def test_an_option_that_is_none_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="no sort"):
        batch("m/*.h5", "npz", "out", sort="up")  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("sources", "to", "said"),
    [
        (["m/*.h5", "m/*.keras"], "npz", "out/x.npz: m/x.h5 and m/x.keras"),
        (["m/x.h5", "m/a/x.h5"], "npz", "out/x.npz: m/x.h5 and m/a/x.h5"),
        (["m/*.pt", "m/*.h5"], "py", "out/x.safetensors: m/x.pt and m/x.h5"),
    ],
)
def test_files_that_would_become_one_are_refused_by_name_before_anything_is_written(
    sources: list[str], to: str, said: str
) -> None:
    lay(KERAS, "m/x.h5", "m/x.keras", "m/a/x.h5", "m/x.pt")
    with pytest.raises(InvalidFile, match="several files would become one") as raised:
        batch(sources, to, "out")
    assert said in str(raised.value)
    assert not Path("out").exists()


def test_no_result_replaces_a_source_even_by_force() -> None:
    lay(KERAS, "m/x.h5", "m/y.keras")
    for sources in (["m/x.h5"], ["m/y.keras", "m/x.h5"]):
        with pytest.raises(InvalidFile, match=r"sources would be replaced\n  m/x.h5, by the result of m/x.h5"):
            batch(sources, "h5", "m", force=True)
    Path("out").symlink_to("m")
    with pytest.raises(InvalidFile, match="sources would be replaced"):
        batch("m/x.h5", "h5", "out", force=True)


def test_results_among_the_sources_are_not_found_as_sources_by_a_second_run() -> None:
    lay(KERAS, "x.h5", "a/y.h5")
    assert batch("**/*.h5", "h5", "new").converted == 2
    assert batch("**/*.h5", "h5", "new").skipped == 2
    assert files("new") == ["a/y.h5", "batch.jsonl", "x.h5"]


def test_a_file_found_twice_counts_once_and_a_name_with_brackets_is_a_name() -> None:
    lay(KERAS, "m/x[1].h5", "m/x1.h5")
    Path("m/link.h5").symlink_to("x1.h5")
    assert batch(["m/x[1].h5", "m/x1.h5", "./m/x1.h5", "m/link.h5"], "npz", "out").converted == 3
    assert files() == ["batch.jsonl", "link.npz", "x1.npz", "x[1].npz"]


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        (("m/*.h6", "npz"), InvalidFile, "m/\\*.h6: finds no file"),
        (("m", "npz"), InvalidFile, "m: finds no file"),
        (("m/*.h5", "docx"), UnknownFormat, "--to docx: has an ending under which nothing is written"),
        (("m/*.h5", "x.npz"), UnknownFormat, "--to x.npz: is no ending alone\nWrite --to npz."),
    ],
)
def test_what_cannot_begin_is_one_error(arguments: tuple[str, str], error: type[Exception], said: str) -> None:
    lay(KERAS, "m/x.h5")
    with pytest.raises(error, match=said):
        batch(*arguments, "out")
    assert not Path("out").exists()


def test_a_second_run_skips_what_is_whole_and_does_the_rest_again() -> None:
    lay(KERAS, "m/a.h5", "m/b.h5", "m/c.h5", "m/d.h5")
    batch("m/*.h5", "npz", "out")
    Path("out/a.npz").unlink()
    with Path("m/b.h5").open("ab") as file:
        file.write(b"more")
    Path("out/c.npz").write_bytes(b"half")
    done = batch("m/*.h5", "npz", "out")
    assert (done.converted, done.skipped, done.failed) == (1, 1, 2)
    assert [(line["source"], line["status"]) for line in lines()[4:]] == [
        ("m/a.h5", "converted"), ("m/b.h5", "failed"), ("m/c.h5", "failed"),
    ]  # fmt: skip
    assert lines()[-1]["reason"] == "exists already, and is not what would be written"
    assert Path("out/c.npz").read_bytes() == b"half"
    done = batch("m/*.h5", "npz", "out", force=True)
    assert (done.converted, done.skipped, done.failed) == (2, 2, 0)
    assert lstm_convert.load("out/c.npz")


def test_what_was_converted_with_other_options_or_another_configuration_is_not_skipped() -> None:
    lay(FIXTURES / "keras-1.2.2/hard.weights_only.h5", "m/x.h5")
    lay(FIXTURES / "keras-1.2.2/hard.json", "model.json")
    assert batch("m/*.h5", "npz", "out", config="model.json").converted == 1
    assert batch("m/*.h5", "npz", "out", config="model.json").skipped == 1
    Path("model.json").write_text(Path("model.json").read_text("utf-8").replace("hard_sigmoid", "sigmoid"), "utf-8")
    assert batch("m/*.h5", "npz", "out", config="model.json").failed == 1
    assert batch("m/*.h5", "npz", "out", config="model.json", dtype="float64", force=True).converted == 1


def test_a_result_that_no_log_knows_is_finished_where_it_is_just_what_would_be_written() -> None:
    """As after a kill -9 between the file and its line, or in the middle of the line."""
    lay(KERAS, "m/a.h5", "m/b.h5")
    batch("m/*.h5", "npz", "out")
    log = Path("out/batch.jsonl")
    log.write_bytes(log.read_bytes()[:-100])
    before = [Path(f"out/{name}.npz").stat().st_ino for name in "ab"]
    assert batch("m/*.h5", "npz", "out").failed == 0
    assert [Path(f"out/{name}.npz").stat().st_ino for name in "ab"] == before
    assert [json.loads(line)["source"] for line in (log.read_text("utf-8").splitlines()[0::2])] == ["m/a.h5", "m/b.h5"]


@pytest.mark.parametrize("name", ["../outside", "/etc/hostname", ".."])
def test_a_name_in_the_log_is_never_a_path(name: str) -> None:
    lay(KERAS, "m/a.h5")
    batch("m/*.h5", "npz", "out")
    (line,) = lines()
    Path("outside").write_bytes(b"x")
    line["written"] = {name: hashlib.sha256(b"x").hexdigest()}
    Path("out/batch.jsonl").write_text(json.dumps(line), "utf-8")
    assert batch("m/*.h5", "npz", "out").skipped == 0


def test_a_source_that_changes_while_it_is_read_fails_and_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    lay(KERAS, "m/a.h5")
    load = conversion.load

    def changing(path: Path, **options: object) -> lstm_convert.Model:
        model = load(path, **options)  # type: ignore[arg-type]
        shutil.copyfile(TORCH, path)
        return model

    monkeypatch.setattr(conversion, "load", changing)
    done = batch("m/*.h5", "npz", "out")
    assert done.reasons == {"its source changed while it was read": 1}
    assert files() == ["batch.jsonl"]


def test_a_mistake_of_ours_is_that_files_and_the_next_one_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    lay(KERAS, "m/a.h5", "m/b.h5")
    load = conversion.load

    def mistaken(path: Path, **options: object) -> lstm_convert.Model:
        if path.name == "a.h5":
            raise ZeroDivisionError("a mistake")
        return load(path, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(conversion, "load", mistaken)
    done = batch("m/*.h5", "npz", "out")
    assert (done.converted, done.reasons) == (1, {"unexpected ZeroDivisionError": 1})


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_the_table_has_the_gates_of_every_file_that_can_be_read(ending: str) -> None:
    lay(HARD, "m/a.h5", "m/b/a.h5")  # which no state dict holds
    lay(TORCH, "m/c.pt")
    table = f"tables/gates.{ending}"
    for _ in range(2):  # the second time all that could be converted is skipped, and the table is there
        done = batch(["m/**/*.h5", "m/*.pt"], "safetensors", "out", table=table, lstm_only=True)
        assert done.failed == 2
        expected = [
            {"file": name, **row}
            for name in ("m/a.h5", "m/b/a.h5", "m/c.pt")
            for row in read_gates(lstm_convert.load(name), name=Path(name).stem)["gates"].rows()
        ]
        if ending == "parquet":
            assert pq.read_table(table).to_pylist() == expected
        else:
            with Path(table).open(encoding="utf-8", newline="") as file:
                found = list(csv.reader(file))
            assert found == [list(COLUMNS["collection"]), *([str(value) for value in row.values()] for row in expected)]
    assert files("tables") == [f"gates.{ending}"]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_name_with_bytes_that_are_no_text_is_converted_and_in_the_table(ending: str) -> None:
    name = os.fsdecode(b"m/caf\xe9.h5")
    lay(KERAS, name)
    done = batch("m/*.h5", "npz", "out", table=f"gates.{ending}")
    assert (done.converted, files("out")) == (1, ["batch.jsonl", os.fsdecode(b"caf\xe9.npz")])
    if ending == "parquet":
        found = {(row["file"], row["model"]) for row in pq.read_table("gates.parquet").to_pylist()}
    else:
        with Path("gates.csv").open(encoding="utf-8", newline="") as file:
            found = {(row["file"], row["model"]) for row in csv.DictReader(file)}
    assert found == {("m/caf?.h5", "caf?")}


def test_another_file_is_not_replaced_by_a_table() -> None:
    lay(KERAS, "m/a.h5")
    Path("gates.csv").write_text("my,own\n1,2\n", "utf-8")
    with pytest.raises(InvalidFile, match=r"gates\.csv: exists already"):
        batch("m/*.h5", "npz", "out", table="gates.csv")
    with pytest.raises(UnknownFormat, match=r"gates\.xlsx: is neither \.parquet nor \.csv"):
        batch("m/*.h5", "npz", "out", table="gates.xlsx")
    assert not Path("out").exists()


def test_the_command_lists_failures_counts_reasons_and_exits_1(
    command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    lay(TORCH, "m/a.pt", "m/c.pt")
    Path("m/b.pt").write_bytes(b"nonsense")
    assert command("m/*.pt", "--to", "npz", "--out", "out", "--workers", "2") == 1
    answer = capsys.readouterr()
    assert answer.err == ""
    failure, *rest = answer.out.splitlines()
    assert failure == "m/b.pt: is no file of a known kind"
    shown = [line.split() for line in rest if line.strip()]
    assert ["2", "converted"] in shown
    assert ["1", "failed", "is", "no", "file", "of", "a", "known", "kind"] in shown
    Path("m/b.pt").unlink()
    assert command("m/*.pt", "--to", "npz", "--out", "out", "--workers", "1") == 0


def test_json_is_a_line_a_file(command: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    lay(TORCH, "m/a.pt", "m/b.pt")
    assert command("m/*.pt", "--to", ".npz", "-o", "out", "--json", "--workers", "1") == 0
    assert [json.loads(line)["target"] for line in capsys.readouterr().out.splitlines()] == ["out/a.npz", "out/b.npz"]


def test_what_cannot_begin_exits_with_2(command: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert command("m/*.pt", "--to", "npz", "--out", "out") == 2
    assert capsys.readouterr().err.startswith("lstm-convert: m/*.pt: finds no file\n")


def test_a_folder_that_cannot_be_written_is_one_error() -> None:
    lay(TORCH, "m/a.pt")
    Path("out").write_bytes(b"a file")
    with pytest.raises(InvalidFile, match=r"out/batch\.jsonl: cannot be written"):
        batch("m/*.pt", "npz", "out")

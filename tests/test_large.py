"""Large models: the same files as small ones, in memory that does not grow with them, and a proof of all numbers."""

import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from helpers import FIXTURES

from lstm_convert import (
    LSTM,
    Activation,
    Cell,
    Conversion,
    InvalidFile,
    Model,
    Recurrent,
    blocks,
    convert,
    load,
    sampling,
)
from lstm_convert.packing import rescaled
from lstm_convert.precision import cast
from lstm_convert.proof import Proof, prove
from lstm_convert.table import KERAS_3

SOURCES = [
    "keras-1.2.2/plain.h5",
    "keras-1.2.2/hard.h5",
    "tf-2.15/variant_cudnn.h5",
    "keras-3.15.1/bidirectional.keras",
    "keras-3.15.1/float16.h5",
    "models/keras-2.2.0/text.h5",
    "torch-2.13/gru.pt",
    "torch-2.13/plain.legacy.pt",
    "torch-2.13/float64.safetensors",
]
TARGETS = [".keras", ".h5", ".weights.h5", ".pt", ".safetensors", ".npz", ".lstm.safetensors", ".py"]

# The process's own peak: what getrusage says is at least what the process had that started it.
CHAIN = """
import sys
from pathlib import Path
from lstm_convert import convert
for source, target in zip(sys.argv[1:], sys.argv[2:]):
    proof = convert(source, target, lstm_only=True).proof
    assert proof.compared > 0 and proof.max_abs_difference <= proof.tolerance
print(next(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line))
"""


def all_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BYTES", 100)
    monkeypatch.setattr(blocks, "LARGE", 1)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("source", SOURCES)
def test_blocks_make_the_file_that_the_whole_makes(
    source: str, target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wholes, in_blocks = tmp_path / "wholes", tmp_path / "in_blocks"
    wholes.mkdir()
    in_blocks.mkdir()
    convert(FIXTURES / source, wholes / f"m{target}")
    all_is_large(monkeypatch)
    convert(FIXTURES / source, in_blocks / f"m{target}")
    written = {path.name: path.read_bytes() for path in wholes.iterdir()}
    assert {path.name: path.read_bytes() for path in in_blocks.iterdir()} == written


@pytest.mark.parametrize("options", [{"dtype": "float16"}, {"dtype": "bfloat16"}, {"dtype": "float64"}], ids=str)
def test_rounding_in_blocks_is_rounding(
    options: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = FIXTURES / "torch-2.13/plain.pt"
    all_is_large(monkeypatch)
    convert(source, tmp_path / "m.pt", dtype=options["dtype"])
    before, after = (torch.load(path, weights_only=True) for path in (source, tmp_path / "m.pt"))
    for key, rounded in after.items():
        assert torch.equal(rounded, before[key].to(getattr(torch, options["dtype"])))


def assert_same_numbers(found: Model, wanted: Model) -> None:
    for (name, arrays), (place, others) in zip(found.arrays(), wanted.arrays(), strict=True):
        assert name == place
        np.testing.assert_array_equal(arrays, others)


@pytest.mark.parametrize("stored", ["gzip", "chunks", "big endian"])
def test_an_hdf5_file_is_read_however_its_numbers_are_stored(
    stored: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what lies in the file as in memory is read in its place."""
    source, path = FIXTURES / "keras-3.15.1/plain.h5", tmp_path / "m.h5"
    path.write_bytes(source.read_bytes())
    options: dict[str, Any] = {
        "gzip": {"compression": "gzip"},
        "chunks": {"chunks": (3, 2)},
        "big endian": {"dtype": ">f4"},
    }
    with h5py.File(path, "r+") as file:
        keys: list[str] = []
        file.visit(keys.append)
        kernels = [key for key in keys if key.endswith("kernel")]
        for key in kernels:
            numbers = file[key][()]
            del file[key]
            file.create_dataset(key, data=numbers, **options[stored])
    assert kernels
    all_is_large(monkeypatch)
    assert_same_numbers(load(path), load(source))


def test_a_deflated_keras_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, path = FIXTURES / "keras-3.15.1/plain.keras", tmp_path / "m.keras"
    with zipfile.ZipFile(source) as stored, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as deflated:
        for name in stored.namelist():
            deflated.writestr(name, stored.read(name))
    all_is_large(monkeypatch)
    assert_same_numbers(load(path), load(source))


def peak(folder: Path, layers: int) -> float:
    """Convert a model from one form to the next and back again, and return the peak of memory in megabytes."""
    folder.mkdir()
    lstm = torch.nn.LSTM(1000, 1024, layers)
    torch.save(lstm.state_dict(), folder / "0.pt")
    names = ["0.pt", "1.keras", "2.safetensors", "3.h5", "4.npz", "5.weights.h5", "6.lstm.safetensors", "7.pt"]
    command = [sys.executable, "-P", "-c", CHAIN, *(str(folder / name) for name in names)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 (this very Python)
    with zipfile.ZipFile(folder / "1.keras") as archive:
        assert archive.testzip() is None
    before, after = (torch.load(folder / name, weights_only=True) for name in (names[0], names[-1]))
    assert sorted(tensor.sum() for tensor in before.values()) == sorted(tensor.sum() for tensor in after.values())
    return int(done.stdout) / 1024


def test_memory_does_not_grow_with_the_model(tmp_path: Path) -> None:
    """One layer has 33 MB, four have 134."""
    small, large = peak(tmp_path / "small", 1), peak(tmp_path / "large", 4)
    assert large < small + 30
    assert large < 150


# The proof


def model(**changes: Any) -> Model:
    random = np.random.default_rng(0)
    arrays = {name: random.normal(size=(4, 20, size)).astype("f4") for name, size in (("W", 15), ("U", 20))}
    return Model((LSTM("lstm", replace(Cell.of(arrays | {"b": random.normal(size=(4, 20)).astype("f4")}), **changes)),))


@pytest.fixture
def few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """A layer of more than ten numbers is large, and three of its units are run."""
    monkeypatch.setattr(sampling, "LARGE", 10)
    monkeypatch.setattr(sampling, "UNITS", 3)


@pytest.mark.usefixtures("few_are_many")
def test_the_numbers_of_a_large_layer_are_compared() -> None:
    count = 4 * 20 * (15 + 20 + 1)
    assert prove(model(), model()) == Proof(0.0, 8 * 7 * 2.0**-23, 1, 7, 1, count, count)
    rounded = prove(model(), cast(model(), "float16"))
    assert (rounded.compared, rounded.same) == (count, rounded.same)
    assert 0 <= rounded.same < count / 10
    assert 0 < rounded.max_abs_difference <= rounded.tolerance


@pytest.mark.usefixtures("few_are_many")
@pytest.mark.parametrize(("name", "place"), [("W", "W.f"), ("U", "U.f"), ("b", "b.f")])
def test_one_wrong_number_of_a_large_layer_is_found(name: str, place: str) -> None:
    cell = model().layers[0].forward
    for unit in range(20):
        array = np.array(cell.held()[name])
        array[(1, unit) + (7,) * (array.ndim - 2)] *= 1 + 2.0**-20
        wrong = Model((Recurrent.of("lstm", cell.with_arrays({name: array})),))
        with pytest.raises(InvalidFile) as found:
            prove(model(), wrong)
        assert place in str(found.value) or "does not compute the same" in str(found.value)


@pytest.mark.usefixtures("few_are_many")
def test_one_wrong_peephole_of_a_large_layer_is_found() -> None:
    peephole = np.random.default_rng(1).normal(size=(3, 20)).astype("f4")
    source = model(peephole=peephole)
    assert prove(source, source).compared == 4 * 20 * (15 + 20 + 1) + 3 * 20
    for unit in range(20):
        wrong = peephole.copy()
        wrong[1, unit] *= 1 + 2.0**-20
        with pytest.raises(InvalidFile, match=r"peephole\.f|does not compute the same"):
            prove(source, model(peephole=wrong))


@pytest.mark.usefixtures("few_are_many")
def test_gates_that_were_scaled_are_compared_with_the_factor() -> None:
    hard = model(gate=Activation("hard_sigmoid", {"slope": 0.2, "offset": 0.5}))
    cell = rescaled(KERAS_3, hard.layers[0].forward)
    assert cell is not None
    found = prove(hard, Model((Recurrent.of("lstm", cell),)))
    assert 0 < found.same < found.compared
    with pytest.raises(InvalidFile, match="does not"):
        prove(hard, Model((Recurrent.of("lstm", cell.with_arrays({"U": np.asarray(cell.U)[[0, 1, 3, 2]]})),)))


def assert_all_was_compared(done: Conversion) -> None:
    """Where one side has two biases, their sum is compared."""
    held = [sum(array.size for _, arrays in side.arrays() for array in arrays) for side in (done.source, done.result)]
    assert done.proof.compared == min(held)
    assert done.proof.sampled == len(done.source.layers)


@pytest.mark.usefixtures("few_are_many")
@pytest.mark.parametrize("source", ["models/keras-2.2.0/text.h5", "keras-1.2.2/weather.h5"])
def test_a_large_network_is_compared_number_by_number(source: str, tmp_path: Path) -> None:
    for target in ("m.pt", "m.keras", "m.py"):
        done = convert(FIXTURES / source, tmp_path / target)
        assert_all_was_compared(done)
        assert done.proof.same == done.proof.compared
        assert done.proof.max_abs_difference == 0


@pytest.mark.usefixtures("few_are_many")
def test_a_large_network_with_scaled_gates_is_compared_with_the_factor(tmp_path: Path) -> None:
    done = convert(FIXTURES / "keras-1.2.2/weather_hard_sigmoid.h5", tmp_path / "m.keras")
    assert_all_was_compared(done)
    assert 0 < done.proof.same < done.proof.compared
    assert 0 < done.proof.max_abs_difference <= done.proof.tolerance


@pytest.mark.usefixtures("few_are_many")
@pytest.mark.parametrize("both", [False, True])
def test_a_large_network_that_is_written_in_other_words_is_compared(tmp_path: Path, *, both: bool) -> None:
    """Keras has the last step as the first of time turned around, the softmax as an activation, and masks to join."""
    modules = {"rnn": torch.nn.LSTM(3, 5, 2, bidirectional=both), "head": torch.nn.Linear(10 if both else 5, 7)}
    torch.save(torch.nn.ModuleDict(modules).state_dict(), tmp_path / "m.pt")
    done = convert(tmp_path / "m.pt", tmp_path / "m.keras", graph="rnn,last,head,softmax")
    assert_all_was_compared(done)
    assert done.proof.same == done.proof.compared


# The result


@pytest.mark.parametrize(("target", "units"), [*((target, 512) for target in TARGETS), (".pt", 256), (".h5", 256)])
def test_a_large_result_is_what_was_written_or_refused(target: str, units: int, tmp_path: Path) -> None:
    """Were it a view of the target itself, whoever cut that short would end the process."""
    source, path = tmp_path / "source.pt", tmp_path / f"m{target}"
    torch.save(torch.nn.LSTM(600, units).state_dict(), source)
    first, second = (convert(source, path, force=True) for _ in range(2))
    weights = path.with_suffix(".safetensors") if target == ".py" else path
    assert second.result is second.result
    with pytest.raises(InvalidFile, match="changed since it was written"):
        _ = first.result
    os.truncate(weights, 0)
    for one, other in zip(second.source.layers, second.result.layers, strict=True):
        for name in ("W", "U"):
            np.testing.assert_array_equal(one.forward.held()[name], other.forward.held()[name])

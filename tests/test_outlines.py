"""What is understood once for all files of a structure is, with the numbers of each, what its adapter reads of it."""

import dataclasses
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import h5py
import numpy as np
import pytest
import safetensors.numpy

from lstm_convert import InvalidFile, LayoutMismatch, LstmConvertError, Model, Unsupported, convert, load, outlines
from lstm_convert.canonical import Gates
from lstm_convert.containers import Contents
from lstm_convert.formats import candidates
from lstm_convert.frameworks import ReadOptions, pytorch

FIXTURES = Path(__file__).parents[1] / "fixtures"
ENDINGS = (".h5", ".keras", ".pt", ".pth", ".bin", ".ckpt", ".safetensors")
FILES = [path for path in sorted(FIXTURES.rglob("*")) if path.suffix in ENDINGS]
WRITTEN = (".h5", ".keras", ".weights.h5", ".pt", ".safetensors", ".npz", ".lstm.safetensors", ".py")
TORCH = FIXTURES / "torch-2.13"
KERAS = FIXTURES / "keras-3.15.1"


def told(value: Any) -> Any:
    """Return all that something says, as what can be compared."""
    if isinstance(value, Gates):
        return told(list(value))
    if isinstance(value, np.ndarray):
        return value.tobytes(), value.shape, str(value.dtype)
    if dataclasses.is_dataclass(value):
        return type(value), {field.name: told(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return [(name, told(inner)) for name, inner in value.items()]
    if isinstance(value, list | tuple):
        return type(value), list(map(told, value))
    return value


def _read(path: Path, options: ReadOptions, *, by_outline: bool) -> Any:
    """Return all that is read of a file, or the error."""
    kinds = candidates(path)
    try:
        with kinds[0].opener.opened(path) as contents:
            adapter = next(kind.adapter for kind in kinds if kind.adapter.recognises(contents))
            return told((outlines.read if by_outline else _by_adapter)(contents, adapter, options))
    except LstmConvertError as error:
        return str(error)


def _by_adapter(contents: Contents, adapter: ModuleType, options: ReadOptions) -> Model:
    model: Model = adapter.read(contents, options)
    return model


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(FIXTURES)))
def test_an_outline_with_a_files_numbers_is_what_its_adapter_reads(path: Path) -> None:
    for options in (ReadOptions(), ReadOptions(recurrent_activation="sigmoid", keepsakes=False)):
        expected = _read(path, options, by_outline=False)
        assert [_read(path, options, by_outline=True) for _ in range(3)] == [expected] * 3


@pytest.mark.parametrize(
    "ending", [".h5", ".keras", ".weights.h5", ".pt", ".safetensors", ".npz", ".lstm.safetensors", ".py"]
)
@pytest.mark.parametrize("source", [KERAS / "bidirectional.h5", TORCH / "several.pt"], ids=lambda path: path.name)
def test_so_it_is_of_what_is_written(source: Path, ending: str, tmp_path: Path) -> None:
    target = tmp_path / f"x{ending}"
    convert(source, target)
    for options in (ReadOptions(), ReadOptions(keepsakes=False)):
        expected = _read(target, options, by_outline=False)
        assert [_read(target, options, by_outline=True) for _ in range(3)] == [expected] * 3


def _state(seed: int, names: str = "abc") -> dict[str, Any]:
    random = np.random.default_rng(seed)
    shapes = {"weight_ih_l0": (20, 3), "weight_hh_l0": (20, 5), "bias_ih_l0": (20,), "bias_hh_l0": (20,)}
    return {f"{names}.{key}": random.normal(size=shape).astype(np.float32) for key, shape in shapes.items()}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """For each time that PyTorch's adapter read something, whether there was any number in it."""
    found: list[bool] = []
    inner = pytorch.read

    def counted(contents: Contents, options: ReadOptions) -> Model:
        found.append(any(stored.read().any() for stored in contents.arrays.values()))
        return inner(contents, options)

    monkeypatch.setattr(pytorch, "read", counted)
    return found


def test_an_adapter_reads_one_structure_once_and_each_file_has_its_own_numbers(
    tmp_path: Path, asked: list[bool]
) -> None:
    for seed in range(5):
        state = _state(seed, "once")
        safetensors.numpy.save_file(state, tmp_path / "x.safetensors")
        cell = load(tmp_path / "x.safetensors")["once"].forward
        assert np.array_equal(np.concatenate(cell.W.each), state["once.weight_ih_l0"])
        assert cell.b_rec is not None
        assert np.array_equal(np.concatenate(cell.b_rec.each), state["once.bias_hh_l0"])
    assert asked == [True, False]  # the first file, and an outline


def test_nobody_changes_a_model_for_the_next_file(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    safetensors.numpy.save_file(_state(0, "changed"), path)
    expected = told(load(path))
    for _ in range(3):
        model = load(path)
        assert told(model) == expected
        origin = model["changed"].origin
        assert origin is not None
        origin.keys[0]["weight_ih"] = "another"  # type: ignore[index]
        with pytest.raises(ValueError, match="read-only"):
            model["changed"].forward.W.i[...] = 0
    shutil.copyfile(KERAS / "plain.h5", tmp_path / "x.h5")
    expected = told(load(tmp_path / "x.h5"))
    for _ in range(3):
        model = load(tmp_path / "x.h5")
        assert told(model) == expected
        assert model.network is not None
        for layer in model.network.layers.values():
            layer.options.clear()  # type: ignore[attr-defined]
            for array in layer.arrays.values():
                array.setflags(write=True)
                array[...] = 0


def test_what_is_wrong_with_a_file_is_said_of_it_each_time(tmp_path: Path) -> None:
    state = _state(0, "wrong")
    del state["wrong.weight_hh_l0"]
    for number in range(4):
        path = tmp_path / f"{number}.safetensors"
        safetensors.numpy.save_file(state, path)
        with pytest.raises(LayoutMismatch, match=rf"{number}\.safetensors") as error:
            load(path)
        assert "wrong.weight_hh_l0" in str(error.value)


def test_numbers_that_are_none_are_refused_in_a_file_of_a_known_structure(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    for seed in range(3):
        safetensors.numpy.save_file(_state(seed, "broken"), path)
        load(path)
    state = _state(3, "broken")
    state["broken.weight_hh_l0"][2, 1] = np.nan
    safetensors.numpy.save_file(state, path)
    with pytest.raises(InvalidFile, match="1 of 100 numbers are NaN or infinite"):
        load(path)


def test_weights_that_are_computed_are_computed_of_each_file(tmp_path: Path) -> None:
    for seed in range(4):
        state = _state(seed, "masked")
        weight = state.pop("masked.weight_hh_l0")
        mask = (np.random.default_rng(seed).random(weight.shape) < 0.5).astype(np.float32)
        state |= {"masked.weight_hh_l0_orig": weight, "masked.weight_hh_l0_mask": mask}
        safetensors.numpy.save_file(state, tmp_path / "x.safetensors")
        found = np.concatenate(load(tmp_path / "x.safetensors")["masked"].forward.U.each)
        assert np.array_equal(found, weight * mask)


def test_a_keepsake_is_looked_at_in_each_file(tmp_path: Path) -> None:
    for seed in range(4):
        source, kept = tmp_path / f"{seed}.safetensors", tmp_path / f"{seed}.h5"
        safetensors.numpy.save_file(_state(seed, "kept"), source)
        convert(source, kept)
        assert told(load(kept)["kept"].forward) == told(load(source)["kept"].forward)
        with h5py.File(kept, "r+") as file:  # as who trains it on: what was kept no longer belongs to it
            file["model_weights/kept/kept/lstm_cell/bias"][...] += 1
        assert load(kept)["kept"].forward.b_rec is None


def test_what_is_added_to_a_file_counts() -> None:
    path = FIXTURES / "keras-1.2.2" / "weather.weights_only.h5"
    for activation in ("sigmoid", "hard_sigmoid") * 3:
        (layer,) = load(path, recurrent_activation=activation).layers
        assert layer.forward.activations()["gate"].name == activation
    with pytest.raises(Unsupported):
        load(path)

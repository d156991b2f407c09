"""What the tests of the Keras layer of our own share: every variant of it, and how a user opens one."""

import importlib.util
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from comparing import assert_same_bits
from helpers import Array

import lstm_convert
from lstm_convert import LSTM, Activation, Cell, Gates, Model, Recurrent, RecurrentCell
from lstm_convert.reference import Run, run
from lstm_convert.support import example

HARD = Activation("hard_sigmoid", {"slope": 0.2, "offset": 0.5})
RANDOM = np.random.default_rng(5)
PEEPHOLE, PROJECTION = RANDOM.normal(size=(3, 5)), RANDOM.normal(size=(2, 5))
CELLS: dict[str, dict[str, Any]] = {
    "output differs": {"output": Activation("relu")},
    "candidate differs": {"candidate": Activation("softsign")},
    "candidate of old Keras": {"candidate": HARD, "output": HARD},
    "projection": {"projection": PROJECTION},
    "projection, clipped": {"projection": PROJECTION, "projection_clip": 0.1},
    "peepholes": {"peephole": PEEPHOLE},
    "peepholes, no bias": {"peephole": PEEPHOLE, "b": None},
    "peepholes, two biases": {"peephole": PEEPHOLE, "b_rec": example().b},
    "cell clip": {"cell_clip": 0.1},
    "gate clip": {"gate_clip": 0.2},
    "gate clip and hard_sigmoid of old Keras": {"gate_clip": 0.2, "gate": HARD},
    "coupled": {"coupled": True},
    "coupled, peepholes": {"coupled": True, "peephole": PEEPHOLE},
    "peepholes and projection, no bias": {"peephole": PEEPHOLE, "projection": PROJECTION, "b": None},
    "everything": {
        "gate": HARD, "candidate": Activation("elu", {"alpha": 0.5}), "output": Activation("softsign"),
        "peephole": PEEPHOLE, "projection": PROJECTION, "gate_clip": 0.4, "cell_clip": 0.3, "projection_clip": 0.2,
        "coupled": True,
    },
}  # fmt: skip
LAYERS: dict[str, dict[str, Any]] = {
    "every step": {},
    "last step": {"return_sequences": False},
    "states": {"return_state": True},
    "backwards": {"go_backwards": True},
    "masked": {"masked_by": "masking"},
    "masked, zeros, last step": {"masked_by": "masking", "zero_output_for_mask": True, "return_sequences": False},
    "masked, zeros": {"masked_by": "masking", "zero_output_for_mask": True},
    "both": {"backward": True},
    "both, not merged, states": {"backward": True, "merge": None, "return_state": True},
    "both, sum, last step": {"backward": True, "merge": "sum", "return_sequences": False},
    "both, masked": {"backward": True, "masked_by": "masking", "zero_output_for_mask": True},
}
TOLERANCE = {"float32": 1e-6, "float64": 1e-10}
COMBINED = [
    pytest.param(cell, layer, id=f"{cell}, {layer}")
    for number, cell in enumerate(CELLS)
    for layer in (LAYERS if cell == "everything" else list(LAYERS)[number % 3 :: 3])
]


def cast(cell: Cell, dtype: str) -> Cell:
    gates = {name: Gates(np.asarray(array).astype(dtype)) for name, array in cell.arrays().items() if array.ndim > 1}
    for name in ("peephole", "projection"):
        if name in gates:
            gates[name] = gates[name].array  # type: ignore[assignment]  # these two are no gates
    return replace(cell, **gates)  # type: ignore[arg-type]  # mypy takes one type for all fields


def layer_of(cell: str, layer: str, dtype: str = "float64") -> Recurrent:
    options = dict(LAYERS[layer])
    if options.pop("backward", False):
        other = example(**CELLS[cell])
        options["backward"] = cast(replace(other, W=Gates(np.asarray(other.W)[::-1])), dtype)
    return LSTM("lstm", cast(example(**CELLS[cell]), dtype), **options)


def given_to(layer: Recurrent) -> tuple[Array, Array | None]:
    """Long enough that clips act, and a mask with gaps at the start, inside and at the end."""
    x = np.random.default_rng(1).normal(size=(2, 6, layer.forward.inputs)).astype(layer.forward.W.dtype)
    mask = np.array([[0, 1, 0, 1, 1, 0], [1, 0, 1, 1, 1, 1]], bool) if layer.masked_by else None
    return x, mask


def save(layer: Recurrent, path: Path, **options: Any) -> Path:
    lstm_convert.save(Model((layer,)), path, custom_layer=True, **options)
    return path


def opened(path: Path) -> keras.Model:
    """What a user does: import the source beside the file, then load the file, safe mode on."""
    source = path.with_name("lstm_layer.py")
    spec = importlib.util.spec_from_file_location("lstm_layer", source)
    assert spec is not None
    assert spec.loader is not None
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    return keras.models.load_model(path, safe_mode=True)


def in_keras(model: keras.Model, layer: Recurrent) -> list[Array]:
    x, mask = given_to(layer)
    found = model(x if mask is None else [x, mask])
    return [np.asarray(array) for array in (found if isinstance(found, list | tuple) else [found])]


def expected(layer: Recurrent, result: Run) -> list[Array]:
    states = [state for pair in zip(result.h, result.c, strict=True) for state in pair]
    return [*result.outputs, *(states if layer.return_state else [])]


def assert_computes(model: keras.Model, layer: Recurrent) -> None:
    x, mask = given_to(layer)
    wanted = expected(layer, run(layer, x, mask=mask))
    for found, array in zip(in_keras(model, layer), wanted, strict=True):
        assert found.dtype == x.dtype
        assert found.shape == array.shape
        np.testing.assert_allclose(found, array, rtol=0, atol=TOLERANCE[x.dtype.name])


def assert_same(found: RecurrentCell, wanted: RecurrentCell) -> None:
    assert_same_bits(found.arrays(), wanted.arrays())
    for field in fields(Cell):
        if field.name not in wanted.arrays():
            assert getattr(found, field.name) == getattr(wanted, field.name), field.name

"""The reference computes what TensorFlow 1 and ONNX Runtime recorded of their own cells, and every setting counts."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from comparing import assert_recorded
from foreign_cells import CELLS, KNOWN, cell_layer, id_of
from running import VISIBLE, missed, run_reference

import lstm_convert
from lstm_convert import Model, RecurrentCell, Unsupported


@pytest.mark.parametrize("path", KNOWN, ids=id_of)
def test_the_reference_computes_what_tensorflow_1_and_onnxruntime_do(path: Path, tmp_path: Path) -> None:
    layer, recorded = cell_layer(path)
    assert_recorded(run_reference([layer], recorded), recorded)
    lstm_convert.save(Model((layer,)), tmp_path / "canonical.npz")
    [back] = lstm_convert.load(tmp_path / "canonical.npz").layers
    assert_recorded(run_reference([back], recorded), recorded)


@pytest.mark.parametrize("path", [path for path in CELLS if path not in KNOWN], ids=id_of)
def test_an_activation_that_only_onnx_has_is_refused_by_name(path: Path) -> None:
    layer, recorded = cell_layer(path)
    with pytest.raises(Unsupported, match=r"activation (affine|scaled_tanh)\(alpha=.*, beta=.*\) is not known"):
        run_reference([layer], recorded)


def test_no_cell_is_forgotten() -> None:
    assert len(KNOWN) >= 28
    beside = {"make_cells.py", "versions.json"}
    for folder in {path.parent for path in CELLS}:
        assert {path.name for path in folder.iterdir()} == beside | {p.name for p in CELLS if p.parent == folder}


Mistake = Callable[[Any], Any]


def reordered(order: list[int]) -> Mistake:
    return lambda cell: cell if cell.peephole is None else replace(cell, peephole=cell.peephole[order])


MISTAKES: dict[str, Mistake] = {
    "peepholes of i and f exchanged": reordered([1, 0, 2]),
    "peepholes of f and o exchanged": reordered([0, 2, 1]),
    "peepholes dropped": lambda cell: replace(cell, peephole=None),
    "gate clip dropped": lambda cell: replace(cell, gate_clip=None),
    "cell clip dropped": lambda cell: replace(cell, cell_clip=None),
    "projection clip dropped": lambda cell: replace(cell, projection_clip=None),
    "coupling dropped": lambda cell: replace(cell, coupled=False),
    "forget bias dropped": lambda cell: replace(cell, b_rec=None),
    "candidate's activation for the output's": lambda cell: replace(cell, output=cell.candidate),
}


def differs(one: RecurrentCell, other: RecurrentCell) -> bool:
    """Whether two cells are set otherwise, so that one must not compute the other's outputs; none is zeros."""
    arrays, others = one.arrays(), other.arrays()
    for name in {*arrays, *others}:
        first, second = arrays.get(name, np.zeros(())), others.get(name, np.zeros(()))
        if (first != second).any():
            return True
    settings = ("gate", "candidate", "output", "gate_clip", "cell_clip", "projection_clip", "coupled")
    return any(getattr(one, name) != getattr(other, name) for name in settings)


@pytest.mark.parametrize("name", MISTAKES)
def test_every_mistake_in_a_setting_is_noticed(name: str) -> None:
    tried = 0
    for path in KNOWN:
        layer, recorded = cell_layer(path)
        mistaken = layer.with_cells({direction: MISTAKES[name](cell) for direction, cell in layer.cells.items()})
        if any(differs(cell, mistaken.cells[direction]) for direction, cell in layer.cells.items()):
            tried += 1
            assert missed(mistaken, recorded) > VISIBLE, id_of(path)
    assert tried

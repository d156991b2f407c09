"""The fixtures see every mistake a row could make: each wrong gate order, axis, bias and slope fails its fixture.

Reader and writer come from one row, so no round trip notices a wrong one. These tests take the arrays as the
framework's own file lists them, unpack them with a row that is wrong in one thing, and see the recorded outputs missed.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from helpers import FIXTURES, TOLERANCE, Array, Case, Recorded
from running import run_reference

from lstm_convert import LayoutMismatch, Recurrent
from lstm_convert.bundle import Bundle
from lstm_convert.canonical import SIGMOID, Activation
from lstm_convert.layout import Layout, Slot
from lstm_convert.packing import unpack
from lstm_convert.table import (
    KERAS_1,
    KERAS_1_GPU,
    KERAS_1_GRU,
    KERAS_1_GRU_GPU,
    KERAS_1_SIMPLE,
    KERAS_2,
    KERAS_2_GRU,
    KERAS_2_GRU_AFTER,
    KERAS_2_SIMPLE,
    KERAS_3,
    KERAS_3_GRU,
    KERAS_3_GRU_AFTER,
    KERAS_3_SIMPLE,
    KERAS_CUDNN,
    KERAS_CUDNN_GRU,
    KERAS_EXTENDED,
    LAYOUTS,
    PYTORCH,
    PYTORCH_CELL,
    PYTORCH_GRU,
    PYTORCH_GRU_CELL,
    PYTORCH_RNN,
    PYTORCH_RNN_CELL,
)

VISIBLE = 1e-3

# For each row: the fixture it must explain, and the one whose gates are hard_sigmoid where the row has such.
FIXTURE_OF = {
    KERAS_1.name: ("keras-1.2.2", "plain"),
    KERAS_1_GPU.name: ("keras-1.2.2", "gpu"),
    KERAS_2.name: ("tf-2.15", "plain"),
    KERAS_CUDNN.name: ("tf-2.15", "variant_cudnn"),
    KERAS_3.name: ("keras-3.15.1", "plain"),
    KERAS_EXTENDED.name: ("keras-3.15.1", "plain"),  # the same arrays; what it has more, test_custom_layer.py runs
    PYTORCH.name: ("torch-2.13", "plain"),
    PYTORCH_CELL.name: ("torch-2.13", "cell"),
    KERAS_1_GRU.name: ("cells/keras-1.2.2", "gru"),
    KERAS_1_GRU_GPU.name: ("cells/keras-1.2.2", "gru_gpu"),
    KERAS_2_GRU.name: ("cells/keras-2.2.0", "gru"),
    KERAS_2_GRU_AFTER.name: ("cells/keras-2.2.0", "gru_after"),
    KERAS_CUDNN_GRU.name: ("cells/tf-2.15", "gru_cudnn"),
    KERAS_3_GRU.name: ("models/keras-3.15.1", "gru_options"),
    KERAS_3_GRU_AFTER.name: ("models/keras-3.15.1", "gru_options"),
    PYTORCH_GRU.name: ("cells/torch-2.13", "gru"),
    PYTORCH_GRU_CELL.name: ("cells/torch-2.13", "gru_cell"),
    KERAS_1_SIMPLE.name: ("cells/keras-1.2.2", "rnn"),
    KERAS_2_SIMPLE.name: ("cells/keras-2.2.0", "rnn"),
    KERAS_3_SIMPLE.name: ("models/keras-3.15.1", "rnn_simple"),
    PYTORCH_RNN.name: ("cells/torch-2.13", "rnn"),
    PYTORCH_RNN_CELL.name: ("cells/torch-2.13", "rnn_cell"),
}
# In a whole model, the layer that reads its input and gives one of its outputs.
OUTPUT_OF = {
    KERAS_3_GRU.name: ("before_implementation_1", 5),
    KERAS_3_GRU_AFTER.name: ("after_unrolled", 4),
    KERAS_3_SIMPLE.name: ("state", 2),
}
HARD_OF = {
    KERAS_1.name: ("keras-1.2.2", "hard"),
    KERAS_2.name: ("tf-2.15", "hard"),
    KERAS_3.name: ("keras-3.15.1", "hard"),
    KERAS_EXTENDED.name: ("keras-3.15.1", "hard"),
    KERAS_1_GRU.name: ("cells/keras-1.2.2", "gru_hard"),
    KERAS_2_GRU.name: ("cells/keras-2.2.0", "gru_hard"),
    KERAS_2_GRU_AFTER.name: ("cells/keras-2.2.0", "gru_after_hard"),
    KERAS_3_GRU.name: ("models/keras-3.15.1", "gru_options"),
    KERAS_3_GRU_AFTER.name: ("models/keras-3.15.1", "gru_options"),
}
HARD_OUTPUT_OF = {
    KERAS_3_GRU.name: ("before_hard", 3, "softsign"),
    KERAS_3_GRU_AFTER.name: ("after_hard", 2, "relu"),
}
# No fixture has both: the same cell as Keras 1 keeps it for a GPU.
GPU = {KERAS_1_GPU.name: KERAS_1, KERAS_1_GRU_GPU.name: KERAS_1_GRU}
ROWS = [pytest.param(row, id=name) for name, row in LAYOUTS.items()]
HARD_ROWS = [row for row in LAYOUTS.values() if row.gate_option and "hard_sigmoid" in row.activations]


def raw(case: Case, layer: str = "", output: int = 0) -> tuple[list[Array], Recorded]:
    """The arrays of a case's first recurrent layer as its own framework lists them, and what it recorded of that layer.

    Or those of another that reads the model's input and gives an output of the model.
    """
    if layer:
        with np.load(case.expected_file) as file:
            recorded = Recorded(layer, file["x0"], file[f"y{output}"])
    else:
        recorded = case.layers[0]
    if not case.keras:
        state = torch.load(FIXTURES / case.folder / f"{case.name}.pt", weights_only=True)
        return [tensor.numpy() for key, tensor in state.items() if key.startswith(f"{recorded.path}.")], recorded
    with h5py.File(FIXTURES / case.folder / f"{case.name}.h5") as file:
        group = file["model_weights"][recorded.path]
        return [group[name][()] for name in group.attrs["weight_names"]], recorded


def missed(row: Layout, case: Case) -> float:
    """How far a row's reading of a case is from what was recorded."""
    arrays, recorded = raw(case, *OUTPUT_OF.get(row.name, ()))
    names = row.names(projection=len(arrays) > len(row.names()))
    return missed_by(row, dict(zip(names, arrays, strict=True)), recorded)


def missed_by(row: Layout, arrays: dict[str, Array], recorded: Recorded, **options: str) -> float:
    """The same for arrays by name; infinitely far where the shapes alone give the mistake away."""
    try:
        layer = Recurrent.of("mutant", unpack(row, Bundle(row.name, arrays, options)))
    except LayoutMismatch:
        return np.inf
    computed = run_reference([layer], recorded, as_stated=False)
    return float(np.abs(computed["y"] - recorded.y).max())


def case_of(row: Layout) -> Case:
    return Case(*FIXTURE_OF[row.name])


def axes_otherwise(slot: Slot) -> Iterator[str]:
    """Every other way to lay a slot's axes in an array of as many, gates and units joined as they are."""
    for order in permutations(slot.factors):
        for cut in range(1, len(order)):
            groups = (order[:cut], order[cut:]) if len(slot.groups) > 1 else (order,)
            spelled = " ".join(f"({' '.join(group)})" if len(group) > 1 else group[0] for group in groups)
            alone = [{axis} for axis in ("input", "projection") if axis in order]
            if spelled != slot.axes and all(only in [set(group) for group in groups] for only in alone):
                yield spelled


AXES = [
    pytest.param(row, which, axes, id=f"{name}: {slot.name} as {axes}")
    for name, row in LAYOUTS.items()
    for which, slot in (("kernel", row.kernel), ("recurrent", row.recurrent), ("bias", row.bias))
    for axes in dict.fromkeys(axes_otherwise(slot))
]
ORDERS = [
    pytest.param(row, "".join(order), id=f"{name}: {''.join(order)}")
    for name, row in LAYOUTS.items()
    for order in permutations(row.gates)
    if "".join(order) != row.gates
]


def test_every_row_has_a_fixture() -> None:
    assert set(FIXTURE_OF) == set(LAYOUTS)
    assert {row.name for row in HARD_ROWS} == {*HARD_OF, *GPU}
    wrong = {4: 23, 3: 5, 1: 0}  # by the number of gates
    assert len(ORDERS) == sum(wrong[len(row.gates)] for row in LAYOUTS.values())


@pytest.mark.parametrize("row", ROWS)
def test_the_right_row_misses_nothing(row: Layout) -> None:
    assert missed(row, case_of(row)) <= TOLERANCE["float32"]


@pytest.mark.parametrize(("row", "order"), ORDERS)
def test_every_wrong_gate_order_is_noticed(row: Layout, order: str) -> None:
    assert missed(replace(row, gates=order), case_of(row)) > VISIBLE


@pytest.mark.parametrize(("row", "which", "axes"), AXES)
def test_every_wrong_order_of_axes_is_noticed(row: Layout, which: str, axes: str) -> None:
    slot: Slot = getattr(row, which)
    changed: dict[str, Any] = {which: replace(slot, axes=axes)}
    assert missed(replace(row, **changed), case_of(row)) > VISIBLE


@pytest.mark.parametrize(
    ("row", "slot"),
    [
        pytest.param(row, slot, id=f"{name}: {slot.name}")
        for name, row in LAYOUTS.items()
        for slot in (row.bias, row.recurrent_bias)
        if slot
    ],
)
def test_a_dropped_bias_is_noticed(row: Layout, slot: Slot) -> None:
    arrays, recorded = raw(case_of(row), *OUTPUT_OF.get(row.name, ()))
    named = dict(zip(row.names(), arrays, strict=True))
    dropped = {slot.name.format(gate=letter) for letter in row.gates}
    without = {name: array for name, array in named.items() if name not in dropped}
    assert len(without) < len(named)
    assert missed_by(row, without, recorded) > VISIBLE


@pytest.mark.parametrize("row", ROWS)
def test_a_cell_without_its_biases_is_noticed(row: Layout) -> None:
    arrays, recorded = raw(case_of(row), *OUTPUT_OF.get(row.name, ()))
    named = dict(zip(row.names(), arrays, strict=True))
    without = {name: named[name] for name in row.names(bias=False)}
    assert VISIBLE < missed_by(row, without, recorded) < np.inf


@pytest.mark.parametrize("row", [pytest.param(row, id=name) for name, row in LAYOUTS.items() if row.recurrent_bias])
def test_a_row_that_forgets_the_second_bias_is_noticed(row: Layout) -> None:
    arrays, _ = raw(case_of(row))
    forgetful = replace(row, recurrent_bias=None)
    with pytest.raises(LayoutMismatch, match="bias_hh"):
        unpack(forgetful, Bundle(row.name, dict(zip(row.names(), arrays, strict=True))))


def test_a_transposed_projection_is_noticed() -> None:
    case = Case("torch-2.13", "variant_proj")
    assert missed(PYTORCH, case) <= TOLERANCE["float32"]
    assert missed(replace(PYTORCH, projection=Slot("weight_hr", "unit projection")), case) > VISIBLE


@pytest.mark.parametrize("row", [KERAS_CUDNN, KERAS_CUDNN_GRU], ids=lambda row: row.name)
@pytest.mark.parametrize("which", ["kernel", "recurrent"])
def test_cudnn_s_numbers_read_in_the_order_they_lie_in_are_noticed(row: Layout, which: str) -> None:
    slot: Slot = getattr(row, which)
    changed: dict[str, Any] = {which: replace(slot, byte_transposed=False)}
    assert VISIBLE < missed(replace(row, **changed), case_of(row)) < np.inf


@pytest.mark.parametrize("row", HARD_ROWS, ids=lambda row: row.name)
@pytest.mark.parametrize("mistake", ["the other slope", "the other offset", "sigmoid"])
def test_another_gate_activation_is_noticed(row: Layout, mistake: str) -> None:
    plain = GPU.get(row.name, row)
    name, output, candidate = HARD_OUTPUT_OF.get(row.name, ("", 0, "tanh"))
    arrays, recorded = raw(Case(*HARD_OF[plain.name]), name, output)
    if plain is not row:
        order = _gpu_order(plain, row, recorded.y.shape[-1])
        arrays = [np.concatenate(arrays[part::3], axis=-1)[..., order] for part in range(3)]
    named = dict(zip(row.names(), arrays, strict=True))
    stated = {row.gate_option: "hard_sigmoid", row.candidate_option: candidate}
    assert missed_by(row, named, recorded, **stated) <= TOLERANCE["float32"]
    right = row.activations["hard_sigmoid"].parameters
    wrong = {
        "the other slope": Activation("hard_sigmoid", {"slope": 1 / 6 + 0.2 - right["slope"], "offset": 0.5}),
        "the other offset": Activation("hard_sigmoid", {**right, "offset": 0.45}),
        "sigmoid": SIGMOID,
    }[mistake]
    mistaken = replace(row, activations={**row.activations, "hard_sigmoid": wrong})
    assert missed_by(mistaken, named, recorded, **stated) > VISIBLE


def _gpu_order(plain: Layout, gpu: Layout, units: int) -> Array:
    """Where the columns of i, f, c, o lie in those of i, c, f, o."""
    return np.concatenate([np.arange(units) + units * plain.gates.index(gate) for gate in gpu.gates])


RESET = [row for row in LAYOUTS.values() if "reset_after" in row.fixed]


@pytest.mark.parametrize("row", RESET, ids=lambda row: row.name)
def test_a_reset_at_the_other_place_is_noticed(row: Layout) -> None:
    assert len(RESET) == 9
    other = replace(row, fixed={"reset_after": not row.fixed["reset_after"]})
    assert missed(other, case_of(row)) > VISIBLE

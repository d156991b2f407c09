"""`diagnose` names the mistakes that real ports made, planted as they made them."""

from dataclasses import replace

import numpy as np
import pytest
from helpers import FIXTURES, HARD_3, KERAS_2, KERAS_3, TORCH
from planting import (
    computed_with,
    cudnn,
    from_torch_weight,
    gates_everywhere,
    keras_kernel,
    kernel_reshaped,
    only,
    permuted,
    planted,
    random_model,
    with_arrays,
    worst,
)

import lstm_convert
from lstm_convert import Activation, Cell, diagnose


def test_bias_copied_into_both_torch_biases() -> None:
    """A port in the wild has the Keras bias in bias_ih and in bias_hh: its outputs are 4.7e-01 off."""
    right = lstm_convert.load(KERAS_3 / "plain.keras")
    found = diagnose(right, planted(right, [lambda cell: replace(cell, b_rec=cell.b)]))
    assert only(found).name == "bias_doubled"


def test_one_torch_bias_dropped() -> None:
    """Two biases against one: discuss.pytorch.org 110741."""
    right = lstm_convert.load(TORCH / "checkpoint.pt")
    found = only(diagnose(right, planted(right, [lambda cell: replace(cell, b_rec=None)])))
    assert found.name == "bias_dropped"
    assert "recurrent side's bias is dropped" in found.detail


def test_keras_1_list_concatenated() -> None:
    """A list in the order i, c, f, o, concatenated as if it were i, f, c, o."""
    right = lstm_convert.load(FIXTURES / "keras-1.2.2/plain.h5")

    def concatenated(cell: Cell) -> Cell:
        return gates_everywhere(cell, lambda array: np.stack([array[0], array[2], array[1], array[3]]))

    found = diagnose(right, planted(right, [concatenated]))
    assert only(found).name == "foreign_gate_order"
    assert "Keras 1" in only(found).detail


@pytest.mark.parametrize("gate", [Activation("sigmoid"), HARD_3], ids=str)
def test_hard_sigmoid_loaded_as_another(gate: Activation) -> None:
    """A hard_sigmoid file in nn.LSTM, or in Keras 3 by the popular workaround: 5.6e-02 off."""
    right = lstm_convert.load(KERAS_2 / "hard.h5")
    found = only(diagnose(right, planted(right, [computed_with(gate)])))
    assert (found.name, found.residual) == ("wrong_gate_activation", 0)


def test_cudnn_weights_loaded_as_lstm() -> None:
    """keras#8860: CuDNNLSTM's file holds transposed blocks; also where its two biases are one half."""
    right = lstm_convert.load(FIXTURES / "tf-2.15/variant_cudnn.h5")
    other = planted(right, [cudnn])
    for direction in ("forward", "backward"):
        other = planted(other, [cudnn], 1, direction)
    answer = diagnose(right, other)
    assert [mistake.name for mistake in answer.mistakes] == ["cudnn_layout"] * 3
    assert worst(answer) == 0


def test_no_transpose_for_weight_ih() -> None:
    """As a port in the wild does: a kernel reshaped to weight_ih's shape, where it had to be transposed."""
    right = lstm_convert.load(KERAS_3 / "plain.keras")
    found = only(diagnose(right, planted(right, [kernel_reshaped])))
    assert (found.name, found.residual) == ("kernel_transposed", 0)
    assert "reshaped" in found.detail


def test_no_transpose_for_a_kernel_as_wide_as_four_gates() -> None:
    right = random_model(3, 12, 1, 0)

    def untransposed(cell: Cell) -> Cell:
        return with_arrays(cell, W=from_torch_weight(keras_kernel(np.asarray(cell.W))))

    found = only(diagnose(right, planted(right, [untransposed])))
    assert (found.name, found.residual) == ("kernel_transposed", 0)


def test_relu_lost() -> None:
    """A relu layer in nn.LSTM: 7.1e-01 off."""
    right = lstm_convert.load(KERAS_3 / "variant_relu.keras")
    tanh = Activation("tanh")
    found = diagnose(right, planted(right, [lambda cell: replace(cell, candidate=tanh, output=tanh)]))
    assert only(found).name == "wrong_gate_activation"


def test_projected_units_permuted() -> None:
    right = lstm_convert.load(TORCH / "variant_proj.pt")
    assert only(diagnose(right, planted(right, [permuted]))).name == "units_permuted"

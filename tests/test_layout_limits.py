"""Where a layout is not the canonical form: one bias for two, a hard sigmoid rescaled, and what it refuses."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from helpers import HARD_2

from lstm_convert.canonical import Activation, Cell, Gates, GRUCell, RecurrentCell, SimpleRNNCell
from lstm_convert.errors import Unsupported
from lstm_convert.layout import Layout
from lstm_convert.packing import options, pack, rescaled, unpack
from lstm_convert.table import (
    KERAS_2,
    KERAS_3,
    KERAS_3_GRU,
    KERAS_3_GRU_AFTER,
    KERAS_CUDNN,
    PYTORCH,
    PYTORCH_GRU,
    PYTORCH_RNN,
)

RELU = Activation("relu")
PROJECTED = {"U": Gates(np.ones((4, 5, 2))), "projection": np.ones((2, 5))}


def cell_of(**changes: Any) -> RecurrentCell:
    return replace(Cell(Gates(np.ones((4, 5, 3))), Gates(np.ones((4, 5, 5)))), **changes)


def gru_of(**changes: Any) -> GRUCell:
    return replace(GRUCell.of({"W": np.ones((3, 5, 3)), "U": np.ones((3, 5, 5))}), **changes)


# Biases.


@pytest.mark.parametrize(
    ("row", "name", "stored"),
    [(KERAS_3, "b", "bias"), (KERAS_3, "b_rec", "bias"), (PYTORCH, "b", "bias_ih"), (PYTORCH, "b_rec", "bias_hh")],
)
def test_a_bias_that_is_alone_keeps_its_negative_zeros(row: Layout, name: str, stored: str) -> None:
    bias = np.array([[0.0, -0.0, 1.5, -2.5, -0.0]] * 4)
    arrays = pack(row, cell_of(**{name: Gates(bias)})).arrays
    assert arrays[stored].tobytes() == bias.tobytes()
    assert not any(array.any() for key, array in arrays.items() if "bias" in key and key != stored)


def test_a_bias_of_negative_zeros_alone_is_kept() -> None:
    zeros = np.full((4, 5), -0.0)
    for biases in ({"b": zeros}, {"b": zeros, "b_rec": np.zeros((4, 5))}):
        stored = pack(KERAS_3, cell_of(**{name: Gates(bias) for name, bias in biases.items()})).arrays["bias"]
        assert np.signbit(stored).all()


def test_two_biases_become_their_sum_where_there_is_one() -> None:
    b, b_rec = np.random.default_rng(1).normal(size=(2, 4, 5)).astype(np.float32)
    stored = pack(KERAS_2, cell_of(b=Gates(b), b_rec=Gates(b_rec))).arrays["bias"]
    np.testing.assert_array_equal(stored, (b + b_rec).reshape(-1))


def test_one_bias_becomes_two_of_which_the_other_is_zero() -> None:
    b = np.random.default_rng(1).normal(size=(4, 5)).astype(np.float32)
    arrays = pack(PYTORCH, cell_of(b=Gates(b))).arrays
    np.testing.assert_array_equal(arrays["bias_ih"], b.reshape(-1))
    assert not arrays["bias_hh"].any()


# Refusals.


@pytest.mark.parametrize(
    ("row", "changes", "reasons"),
    [
        (PYTORCH, {}, []),
        (PYTORCH, PROJECTED, []),
        (KERAS_2, {"gate": HARD_2}, []),
        (PYTORCH, {"gate": HARD_2}, [f"gate activation {HARD_2}: pytorch nn.LSTM computes only sigmoid"]),
        (
            KERAS_3,
            {"gate": HARD_2},
            [f"gate activation {HARD_2}: keras 3 has no such activation"],
        ),
        (
            KERAS_3,
            {"candidate": RELU},
            ["keras 3 has one activation for candidate and output, not relu and tanh"],
        ),
        (KERAS_3, {"candidate": RELU, "output": RELU}, []),
        (KERAS_CUDNN, {"gate": HARD_2}, [f"gate activation {HARD_2}: keras CuDNNLSTM computes only sigmoid"]),
        (
            PYTORCH,
            {"candidate": RELU, "output": RELU},
            ["candidate and output activation relu: pytorch nn.LSTM computes only tanh"],
        ),
        (
            PYTORCH,
            {"peephole": np.ones((3, 5)), "gate_clip": 1.0, "cell_clip": 2.0, "projection_clip": 3.0, "coupled": True},
            [
                f"{what}: pytorch nn.LSTM has none"
                for what in (
                    "peepholes",
                    "gates clipped at 1.0",
                    "cell states clipped at 2.0",
                    "projected outputs clipped at 3.0",
                    "a forget gate coupled to the input gate",
                )
            ],
        ),
        (PYTORCH, {"output": RELU}, ["output activation relu: pytorch nn.LSTM computes only tanh"]),
        (KERAS_3, PROJECTED, ["a projection of 5 units to 2: keras 3 has none"]),
    ],
)
def test_what_a_layout_cannot_hold_is_refused_with_the_reason(
    row: Layout, changes: dict[str, Any], reasons: list[str]
) -> None:
    cell = cell_of(**changes)
    assert row.refusals(cell) == reasons
    if reasons:
        with pytest.raises(Unsupported) as caught:
            pack(row, cell)
        assert list(caught.value.details) == reasons
    else:
        bundle = pack(row, cell)
        back = unpack(row, replace(bundle, options=options(row, cell)))
        assert back.activations() == cell.activations()


@pytest.mark.parametrize(
    ("row", "cell", "reasons"),
    [
        (PYTORCH_GRU, gru_of(), []),
        (
            PYTORCH_GRU,
            gru_of(reset_after=False),
            ["a reset before the recurrent kernel: pytorch nn.GRU resets after it"],
        ),
        (KERAS_3_GRU, gru_of(), ["a reset after the recurrent kernel: keras 3 GRU resets before it"]),
        (KERAS_3_GRU, gru_of(reset_after=False, candidate=RELU), []),
        (PYTORCH_GRU, gru_of(gate=HARD_2), [f"gate activation {HARD_2}: pytorch nn.GRU computes only sigmoid"]),
        (PYTORCH_RNN, SimpleRNNCell.of({"W": np.ones((1, 5, 3)), "U": np.ones((1, 5, 5))}, candidate=RELU), []),
        (
            PYTORCH_RNN,
            SimpleRNNCell.of({"W": np.ones((1, 5, 3)), "U": np.ones((1, 5, 5))}, candidate=HARD_2),
            [f"candidate activation {HARD_2}: pytorch nn.RNN has no such activation"],
        ),
        (PYTORCH, gru_of(), ["a cell of the kind GRU: pytorch nn.LSTM holds the kind LSTM"]),
    ],
)
def test_what_a_layout_of_another_cell_cannot_hold_is_refused_too(
    row: Layout, cell: RecurrentCell, reasons: list[str]
) -> None:
    assert row.refusals(cell) == reasons


# Keras's two hard sigmoids.


@pytest.mark.parametrize("biases", [("b",), ("b", "b_rec")])
def test_a_gru_s_old_hard_sigmoid_is_rescaled_its_two_biases_apart(biases: tuple[str, ...]) -> None:
    arrays = {name: np.full((3, 5), 0.5) for name in biases}
    cell = rescaled(KERAS_3_GRU_AFTER, gru_of(gate=HARD_2).with_arrays(arrays))
    assert cell is not None
    for name in ("W", "U", *biases):
        found, before = np.asarray(getattr(cell, name)), 0.5 if name in biases else 1.0
        for gate, factor in zip(found, (1.2, 1.2, 1.0), strict=True):
            np.testing.assert_allclose(gate, before * factor, rtol=1e-15)
    assert (cell.b_rec is None) == (len(biases) == 1)


def test_hard_sigmoid_of_old_is_rescaled_but_for_the_candidate() -> None:
    biases = {"b": Gates(np.full((4, 5), 0.5)), "b_rec": Gates(np.full((4, 5), 1.5))}
    cell = rescaled(KERAS_3, cell_of(gate=HARD_2, peephole=np.ones((3, 5)), **biases))
    assert isinstance(cell, Cell)
    assert cell.peephole is not None
    factors = np.array([1.2, 1.2, 1.0, 1.2])
    assert cell.gate == KERAS_3.activations["hard_sigmoid"]
    for found, wanted in ((cell.W, np.ones((4, 5, 3))), (cell.U, np.ones((4, 5, 5))), (cell.b, np.full((4, 5), 2.0))):
        np.testing.assert_allclose(np.asarray(found), (wanted.T * factors).T, rtol=1e-15)
    np.testing.assert_allclose(cell.peephole, np.full((3, 5), 1.2), rtol=1e-15)
    assert cell.b_rec is None


@pytest.mark.parametrize(
    ("row", "changes"),
    [
        (KERAS_3, {}),
        (KERAS_3, {"gate": KERAS_3.activations["hard_sigmoid"]}),
        (KERAS_3, {"gate": Activation("hard_sigmoid", {"slope": 0.2, "offset": 0.4})}),
        (KERAS_3, {"gate": HARD_2, "gate_clip": 1.0}),
        (PYTORCH, {"gate": HARD_2}),
    ],
    ids=["sigmoid", "its own", "another offset", "clipped", "no hard_sigmoid"],
)
def test_what_scaling_does_not_make_exact_is_left_alone(row: Layout, changes: dict[str, Any]) -> None:
    assert rescaled(row, cell_of(**changes)) is None

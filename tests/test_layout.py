"""Where each gate lies in a framework's arrays, and what is said of arrays that are not as they should be."""

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from comparing import assert_same_bits

from lstm_convert.bundle import Bundle
from lstm_convert.canonical import Cell, Gates
from lstm_convert.errors import LayoutMismatch
from lstm_convert.layout import Layout, Slot
from lstm_convert.packing import pack, unpack, whereabouts
from lstm_convert.table import (
    KERAS_1,
    KERAS_1_GPU,
    KERAS_1_GRU,
    KERAS_3,
    KERAS_3_GRU,
    KERAS_3_GRU_AFTER,
    KERAS_CUDNN,
    LAYOUTS,
    PYTORCH,
    PYTORCH_GRU,
    PYTORCH_RNN,
)

_OF_CUDNN = "numbers " + ", ".join(
    f"{5 * place}:{5 * place + 5} {gate} ({side} side)"
    for place, (side, gate) in enumerate(itertools.product(("input", "recurrent"), "ifco"))
)
ROWS = pytest.mark.parametrize("row", LAYOUTS.values(), ids=LAYOUTS)
LIES: dict[str, Any] = {
    KERAS_1.name: {"W_i": "i", "W_c": "g", "W_f": "f", "W_o": "o"},
    KERAS_1_GRU.name: {"W_z": "z", "W_r": "r", "W_h": "g"},
    **dict.fromkeys(("keras 1 consume_less='gpu'", "keras 2", "keras CuDNNLSTM", "keras 3"), "ifgo"),
    **dict.fromkeys(("keras 3 ExtendedLSTMCell", "pytorch nn.LSTM", "pytorch nn.LSTMCell"), "ifgo"),
    **dict.fromkeys(("keras 1 GRU consume_less='gpu'", "keras 2 GRU", "keras 2 GRU reset_after"), "zrg"),
    **dict.fromkeys(("keras CuDNNGRU", "keras 3 GRU", "keras 3 GRU reset_after"), "zrg"),
    **dict.fromkeys(("pytorch nn.GRU", "pytorch nn.GRUCell"), "rzg"),
    **dict.fromkeys(("keras 1 SimpleRNN", "keras 2 SimpleRNN", "keras 3 SimpleRNN"), "g"),
    **dict.fromkeys(("pytorch nn.RNN", "pytorch nn.RNNCell"), "g"),
}


@ROWS
def test_each_gate_lies_where_the_framework_has_it(row: Layout) -> None:
    """The kernel of gate number k is k everywhere; which number lies where is written out by hand."""
    gates = LIES[row.name]
    number = {gate: place for place, gate in enumerate(row.cell.letters, 1)}
    kernel = np.ones((len(number), 5, 3)) * np.arange(1, len(number) + 1).reshape(-1, 1, 1)
    arrays = pack(row, row.cell.of({"W": kernel, "U": np.zeros((len(number), 5, 5))}, **row.fixed)).arrays
    if isinstance(gates, dict):
        assert {name: set(arrays[name].flat) for name in gates} == {
            name: {number[gate]} for name, gate in gates.items()
        }
        return
    flat = next(iter(arrays.values()))
    blocks = np.split(flat, len(number), axis=flat.shape.index(5 * len(number)))
    assert [set(block.flat) for block in blocks] == [{number[gate]} for gate in gates]


def test_a_cudnnlstm_has_each_gate_s_numbers_in_the_order_of_the_other_orientation() -> None:
    kernel = np.arange(4 * 5 * 3).reshape(4, 5, 3)
    cell = Cell(Gates(kernel), Gates(np.zeros((4, 5, 5))), Gates(np.ones((4, 5))), Gates(2 * np.ones((4, 5))))
    arrays = pack(KERAS_CUDNN, cell).arrays
    for stored, gate in zip(np.split(arrays["kernel"], 4, axis=1), kernel, strict=True):
        assert stored.shape == (3, 5)
        assert stored.reshape(-1).tolist() == gate.reshape(-1).tolist()
    assert arrays["bias"].tolist() == [1.0] * 20 + [2.0] * 20


@pytest.mark.parametrize("row", [KERAS_1, KERAS_CUDNN, KERAS_3, PYTORCH], ids=lambda row: row.name)
@pytest.mark.parametrize("order", ["".join(order) for order in itertools.permutations("ifco")])
def test_any_order_of_gates_is_written_and_read_as_it_says(row: Layout, order: str) -> None:
    """Also those that no row has yet: an order that is not its own inverse shows a permutation applied backwards."""
    other = replace(row, gates=order)
    cell = Cell(Gates(np.arange(4.0).reshape(4, 1, 1)), Gates(np.ones((4, 1, 1))))
    arrays = pack(other, cell).arrays
    kernels = [array for name, array in arrays.items() if name.startswith(("W_", "kernel", "weight_ih"))]
    assert np.concatenate(kernels, axis=None).tolist() == ["ifco".index(gate) for gate in order]
    assert_same_bits(unpack(other, Bundle(other.name, arrays)).arrays(), cell.arrays())


@pytest.mark.parametrize(
    ("row", "stored", "words"),
    [
        (KERAS_1, "U_c", "gate g (c)"),
        (KERAS_1, "b_o", "gate o"),
        (KERAS_1_GPU, "b", "numbers 0:5 i, 5:10 f, 10:15 c, 15:20 o"),
        (KERAS_CUDNN, "kernel", "columns 0:5 i, 5:10 f, 10:15 c, 15:20 o, each block byte-transposed"),
        (KERAS_3, "recurrent_kernel", "columns 0:5 i, 5:10 f, 10:15 c, 15:20 o"),
        (PYTORCH, "weight_ih", "rows 0:5 i, 5:10 f, 10:15 g, 15:20 o"),
        (PYTORCH, "weight_hr", ""),
        (KERAS_1_GRU, "U_h", "gate g (h)"),
        (KERAS_3_GRU_AFTER, "bias", "columns 0:5 z, 5:10 r, 10:15 h"),
        (KERAS_3_GRU, "bias", "numbers 0:5 z, 5:10 r, 10:15 h"),
        (KERAS_CUDNN, "bias", _OF_CUDNN),
        (PYTORCH_GRU, "weight_hh", "rows 0:5 r, 5:10 z, 10:15 n"),
        (PYTORCH_RNN, "weight_hh", ""),
        (PYTORCH, "kernel", ""),
    ],
)
def test_where_each_gate_lies_is_said_in_words(row: Layout, stored: str, words: str) -> None:
    assert whereabouts(row, stored, units=5) == words


# Arrays and rows that are wrong.


def test_every_missing_extra_and_misshaped_array_is_listed_at_once() -> None:
    arrays = {"weight_ih": np.zeros((20, 3)), "bias_ih": np.zeros(21), "gamma": np.zeros((2, 2))}
    keys = {"weight_hh": "rnn.weight_hh_l0", "bias_ih": "rnn.bias_ih_l0"}
    with pytest.raises(LayoutMismatch) as caught:
        unpack(PYTORCH, Bundle(PYTORCH.name, arrays, keys=keys))
    assert caught.value.details == (
        "rnn.weight_hh_l0: expected (20, 5) = (gate x unit, state), found nothing",
        "rnn.bias_ih_l0: expected (20,) = (gate x unit), found (21,)",
        "bias_hh: expected (20,) = (gate x unit), found nothing",
        "gamma: (2, 2) has no place in pytorch nn.LSTM",
    )
    assert "weight_ih, weight_hh, bias_ih, bias_hh, weight_hr" in caught.value.next_step


@ROWS
@pytest.mark.parametrize("damage", ["missing", "scalar", "transposed"])
def test_no_damage_to_a_kernel_goes_unseen(row: Layout, damage: str) -> None:
    gates = len(row.gates)
    cell = row.cell.of({"W": np.ones((gates, 5, 3)), "U": np.ones((gates, 5, 5))}, **row.fixed)
    arrays: dict[str, Any] = dict(pack(row, cell).arrays)
    name = next(iter(arrays))
    if damage == "missing":
        del arrays[name]
    else:
        arrays[name] = np.float64(1) if damage == "scalar" else arrays[name].T
    with pytest.raises(LayoutMismatch) as caught:
        unpack(row, Bundle(row.name, arrays))
    assert any("expected" in detail and "found" in detail for detail in caught.value.details)


def test_axes_are_taken_apart_as_they_are_written() -> None:
    slot = Slot("kernel", "input (gate unit)")
    assert slot.groups == [["input"], ["gate", "unit"]]
    assert slot.shape({"input": 3, "gate": 4, "unit": 5}) == (3, 20)


@pytest.mark.parametrize("gates", ["", "ifg", "ifgoo", "iifo", "ifgx", "cfgo", "IFGO"])
def test_a_row_that_does_not_name_each_gate_once_is_refused(gates: str) -> None:
    with pytest.raises(ValueError, match="does not name the gates"):
        replace(KERAS_3, gates=gates)


@pytest.mark.parametrize("gates", ["zr", "zrc", "zrhh", "ifgo"])
def test_a_gru_s_row_names_the_gates_of_a_gru(gates: str) -> None:
    if gates == "zrc":
        assert replace(KERAS_3_GRU, gates=gates).permutation == [0, 1, 2]
    else:
        with pytest.raises(ValueError, match="does not name the gates z, r, g"):
            replace(KERAS_3_GRU, gates=gates)

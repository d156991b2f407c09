import itertools
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_convert import blocks
from lstm_convert.bundle import Bundle
from lstm_convert.canonical import TANH, Activation, Cell, Gates, GRUCell, RecurrentCell, SimpleRNNCell
from lstm_convert.errors import LayoutMismatch, Unsupported
from lstm_convert.layout import Layout, Slot
from lstm_convert.packing import options, pack, pack_arrays, rescaled, unpack, whereabouts
from lstm_convert.table import (
    KERAS_1,
    KERAS_1_GPU,
    KERAS_1_GRU,
    KERAS_1_GRU_GPU,
    KERAS_1_SIMPLE,
    KERAS_2,
    KERAS_3,
    KERAS_3_GRU,
    KERAS_3_GRU_AFTER,
    KERAS_CUDNN,
    KERAS_EXTENDED,
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
DTYPES = st.sampled_from(["float16", "float32", "float64"])
SIZES = st.integers(1, 7)


def bits(arrays: Any) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    """Return arrays as what must be equal for them to be the same bit for bit."""
    return {name: (array.dtype.name, array.shape, array.tobytes()) for name, array in arrays.items()}


def numbers(seed: int, dtype: str, shape: tuple[int, ...]) -> Any:
    """Return random numbers of either sign, some of them zeros of either sign, writeable."""
    random = np.random.default_rng(seed)
    return random.normal(size=shape).astype(dtype) * random.integers(0, 3, shape).astype(dtype)


@st.composite
def cells(draw: st.DrawFn, row: Layout) -> tuple[RecurrentCell, dict[str, Any]]:
    """Draw a cell that a row can hold as it is, and the arrays it was made of."""
    units, inputs, dtype, seed = draw(SIZES), draw(SIZES), draw(DTYPES), draw(st.integers(0, 2**32))
    outputs = draw(SIZES) if row.projection and draw(st.booleans()) else None
    gates = len(row.gates)
    shapes: dict[str, tuple[int, ...]] = {"W": (gates, units, inputs), "U": (gates, units, outputs or units)}
    if draw(st.booleans()):
        shapes |= {"b": (gates, units)} | ({"b_rec": (gates, units)} if row.has_two_biases else {})
    if outputs:
        shapes["projection"] = (outputs, units)
    if row.peephole and draw(st.booleans()):
        shapes["peephole"] = (3, units)
    arrays = {name: numbers(seed + place, dtype, shape) for place, (name, shape) in enumerate(shapes.items())}
    return row.cell.of(arrays, **row.fixed), arrays


@st.composite
def bundles(draw: st.DrawFn, row: Layout) -> Bundle:
    """Draw a bundle as a row's framework would store it, its shapes written out here and not taken from the row."""
    h, d, dtype, seed = draw(SIZES), draw(SIZES), draw(DTYPES), draw(st.integers(0, 2**32))
    r = draw(SIZES) if row in (PYTORCH, KERAS_EXTENDED) and draw(st.booleans()) else h
    bias = row.name.startswith("keras 1") or draw(st.booleans())
    g = {Cell: 4, GRUCell: 3, SimpleRNNCell: 1}[row.cell]
    shapes: dict[str, tuple[int, ...]]
    if row is KERAS_1:
        shapes = {f"{array}_{gate}": shape for gate in "icfo" for array, shape in zip("WUb", [(d, h), (h, h), (h,)])}  # noqa: B905
    elif row is KERAS_1_GRU:
        shapes = {f"{array}_{gate}": shape for gate in "zrh" for array, shape in zip("WUb", [(d, h), (h, h), (h,)])}  # noqa: B905
    elif row in (KERAS_1_GPU, KERAS_1_GRU_GPU, KERAS_1_SIMPLE):
        shapes = {"W": (d, g * h), "U": (h, g * h), "b": (g * h,)}
    elif row is KERAS_EXTENDED:
        shapes = {"kernel": (d, 4 * h), "recurrent_kernel": (r, 4 * h)} | ({"bias": (4 * h,)} if bias else {})
        shapes |= {"peephole_kernel": (3, h)} if draw(st.booleans()) else {}
        shapes |= {"projection_kernel": (h, r)} if r != h else {}
    elif row.framework == "keras":
        shapes = {"kernel": (d, g * h), "recurrent_kernel": (h, g * h)}
        after = (2, 3 * h) if "reset_after" in row.name else (g * h,)
        shapes |= {"bias": (2 * g * h,) if "CuDNN" in row.name else after} if bias else {}
    else:
        shapes = {"weight_ih": (g * h, d), "weight_hh": (g * h, r)}
        shapes |= {"bias_ih": (g * h,), "bias_hh": (g * h,)} if bias else {}
        shapes |= {"weight_hr": (r, h)} if r != h else {}
    usual = {row.gate_option: "sigmoid", row.candidate_option: "tanh"}
    stated: dict[str, Any] = {option: name for option, name in usual.items() if option}
    if row is KERAS_EXTENDED:
        activations = {"recurrent_activation": HARD, "activation": RELU, "output_activation": TANH}
        stated = {**activations, "gate_clip": 0.5, "cell_clip": 0.0, "projection_clip": None, "coupled": True}
    arrays = {name: numbers(seed + place, dtype, shape) for place, (name, shape) in enumerate(shapes.items())}
    return Bundle(row.name, arrays, stated)


@ROWS
@given(data=st.data())
def test_a_cell_comes_back_bit_for_bit(row: Layout, data: st.DataObject) -> None:
    cell, arrays = data.draw(cells(row))
    before = bits(arrays)
    back = unpack(row, pack(row, cell))
    assert bits(back.arrays()) == bits(cell.arrays()) == before == bits(arrays)
    assert back.activations() == cell.activations()
    assert back.settings() == cell.settings()
    assert all(array.flags.writeable for array in arrays.values())


@ROWS
@given(data=st.data())
def test_a_bundle_comes_back_bit_for_bit_and_in_order(row: Layout, data: st.DataObject) -> None:
    bundle = data.draw(bundles(row))
    before = bits(bundle.arrays)
    cell = unpack(row, bundle)
    back = pack(row, cell)
    assert list(back.arrays) == list(bundle.arrays)
    assert bits(back.arrays) == before == bits(bundle.arrays)
    assert options(row, cell) == bundle.options
    assert all(array.flags.writeable for array in bundle.arrays.values())
    with patch.object(blocks, "BYTES", data.draw(st.integers(1, 500))):
        joined = {name: [*blocks.blocks_of(array)] for name, array in pack_arrays(row, cell).items()}
    assert bits({name: np.concatenate(rows) for name, rows in joined.items()}) == before
    assert all(block.flags.c_contiguous for rows in joined.values() for block in rows)


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
    assert bits(unpack(other, Bundle(other.name, arrays)).arrays()) == bits(cell.arrays())


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


def cell_of(**changes: Any) -> RecurrentCell:
    return replace(Cell(Gates(np.ones((4, 5, 3))), Gates(np.ones((4, 5, 5)))), **changes)


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
    b, b_rec = numbers(1, "float32", (4, 5)), numbers(2, "float32", (4, 5))
    stored = pack(KERAS_2, cell_of(b=Gates(b), b_rec=Gates(b_rec))).arrays["bias"]
    np.testing.assert_array_equal(stored, (b + b_rec).reshape(-1))


def test_one_bias_becomes_two_of_which_the_other_is_zero() -> None:
    b = numbers(1, "float32", (4, 5))
    arrays = pack(PYTORCH, cell_of(b=Gates(b))).arrays
    np.testing.assert_array_equal(arrays["bias_ih"], b.reshape(-1))
    assert not arrays["bias_hh"].any()


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


@pytest.mark.parametrize("gates", ["", "ifg", "ifgoo", "iifo", "ifgx", "cfgo", "IFGO"])
def test_a_row_that_does_not_name_each_gate_once_is_refused(gates: str) -> None:
    with pytest.raises(ValueError, match="does not name the gates"):
        replace(KERAS_3, gates=gates)


def test_axes_are_taken_apart_as_they_are_written() -> None:
    slot = Slot("kernel", "input (gate unit)")
    assert slot.groups == [["input"], ["gate", "unit"]]
    assert slot.shape({"input": 3, "gate": 4, "unit": 5}) == (3, 20)


@pytest.mark.parametrize("gates", ["zr", "zrc", "zrhh", "ifgo"])
def test_a_gru_s_row_names_the_gates_of_a_gru(gates: str) -> None:
    if gates == "zrc":
        assert replace(KERAS_3_GRU, gates=gates).permutation == [0, 1, 2]
    else:
        with pytest.raises(ValueError, match="does not name the gates z, r, g"):
            replace(KERAS_3_GRU, gates=gates)


RELU, HARD = Activation("relu"), Activation("hard_sigmoid", {"slope": 0.2, "offset": 0.5})
PROJECTED = {"U": Gates(np.ones((4, 5, 2))), "projection": np.ones((2, 5))}


@pytest.mark.parametrize(
    ("row", "changes", "reasons"),
    [
        (PYTORCH, {}, []),
        (PYTORCH, PROJECTED, []),
        (KERAS_2, {"gate": HARD}, []),
        (PYTORCH, {"gate": HARD}, [f"gate activation {HARD}: pytorch nn.LSTM computes only sigmoid"]),
        (
            KERAS_3,
            {"gate": HARD},
            [f"gate activation {HARD}: keras 3 has no such activation"],
        ),
        (
            KERAS_3,
            {"candidate": RELU},
            ["keras 3 has one activation for candidate and output, not relu and tanh"],
        ),
        (KERAS_3, {"candidate": RELU, "output": RELU}, []),
        (KERAS_CUDNN, {"gate": HARD}, [f"gate activation {HARD}: keras CuDNNLSTM computes only sigmoid"]),
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


def gru_of(**changes: Any) -> GRUCell:
    return replace(GRUCell.of({"W": np.ones((3, 5, 3)), "U": np.ones((3, 5, 5))}), **changes)


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
        (PYTORCH_GRU, gru_of(gate=HARD), [f"gate activation {HARD}: pytorch nn.GRU computes only sigmoid"]),
        (PYTORCH_RNN, SimpleRNNCell.of({"W": np.ones((1, 5, 3)), "U": np.ones((1, 5, 5))}, candidate=RELU), []),
        (
            PYTORCH_RNN,
            SimpleRNNCell.of({"W": np.ones((1, 5, 3)), "U": np.ones((1, 5, 5))}, candidate=HARD),
            [f"candidate activation {HARD}: pytorch nn.RNN has no such activation"],
        ),
        (PYTORCH, gru_of(), ["a cell of the kind GRU: pytorch nn.LSTM holds the kind LSTM"]),
    ],
)
def test_what_a_layout_of_another_cell_cannot_hold_is_refused_too(
    row: Layout, cell: RecurrentCell, reasons: list[str]
) -> None:
    assert row.refusals(cell) == reasons


@pytest.mark.parametrize("biases", [("b",), ("b", "b_rec")])
def test_a_gru_s_old_hard_sigmoid_is_rescaled_its_two_biases_apart(biases: tuple[str, ...]) -> None:
    arrays = {name: np.full((3, 5), 0.5) for name in biases}
    cell = rescaled(KERAS_3_GRU_AFTER, gru_of(gate=HARD).with_arrays(arrays))
    assert cell is not None
    for name in ("W", "U", *biases):
        found, before = np.asarray(getattr(cell, name)), 0.5 if name in biases else 1.0
        for gate, factor in zip(found, (1.2, 1.2, 1.0), strict=True):
            np.testing.assert_allclose(gate, before * factor, rtol=1e-15)
    assert (cell.b_rec is None) == (len(biases) == 1)


def test_hard_sigmoid_of_old_is_rescaled_but_for_the_candidate() -> None:
    biases = {"b": Gates(np.full((4, 5), 0.5)), "b_rec": Gates(np.full((4, 5), 1.5))}
    cell = rescaled(KERAS_3, cell_of(gate=HARD, peephole=np.ones((3, 5)), **biases))
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
        (KERAS_3, {"gate": HARD, "gate_clip": 1.0}),
        (PYTORCH, {"gate": HARD}),
    ],
    ids=["sigmoid", "its own", "another offset", "clipped", "no hard_sigmoid"],
)
def test_what_scaling_does_not_make_exact_is_left_alone(row: Layout, changes: dict[str, Any]) -> None:
    assert rescaled(row, cell_of(**changes)) is None

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_convert.bundle import Bundle
from lstm_convert.canonical import Activation, Cell, Gates
from lstm_convert.errors import LayoutMismatch, Unsupported
from lstm_convert.layout import Layout, Slot, pack, unpack, whereabouts
from lstm_convert.table import KERAS_1, KERAS_1_GPU, KERAS_2, KERAS_3, LAYOUTS, PYTORCH, PYTORCH_CELL

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
def cells(draw: st.DrawFn, row: Layout) -> tuple[Cell, dict[str, Any]]:
    """Draw a cell that a row can hold as it is, and the arrays it was made of."""
    units, inputs, dtype, seed = draw(SIZES), draw(SIZES), draw(DTYPES), draw(st.integers(0, 2**32))
    outputs = draw(SIZES) if row.projection and draw(st.booleans()) else None
    shapes: dict[str, tuple[int, ...]] = {"W": (4, units, inputs), "U": (4, units, outputs or units)}
    if draw(st.booleans()):
        shapes |= {"b": (4, units)} | ({"b_rec": (4, units)} if row.recurrent_bias else {})
    if outputs:
        shapes["projection"] = (outputs, units)
    arrays = {name: numbers(seed + place, dtype, shape) for place, (name, shape) in enumerate(shapes.items())}
    fields: dict[str, Any] = {name: array if name == "projection" else Gates(array) for name, array in arrays.items()}
    return Cell(**fields), arrays


@st.composite
def bundles(draw: st.DrawFn, row: Layout) -> Bundle:
    """Draw a bundle as a row's framework would store it, its shapes written out here and not taken from the row."""
    h, d, dtype, seed = draw(SIZES), draw(SIZES), draw(DTYPES), draw(st.integers(0, 2**32))
    r = draw(SIZES) if row is PYTORCH and draw(st.booleans()) else h
    bias = row in (KERAS_1, KERAS_1_GPU) or draw(st.booleans())
    shapes: dict[str, tuple[int, ...]]
    if row is KERAS_1:
        shapes = {f"{array}_{gate}": shape for gate in "icfo" for array, shape in zip("WUb", [(d, h), (h, h), (h,)])}  # noqa: B905
    elif row is KERAS_1_GPU:
        shapes = {"W": (d, 4 * h), "U": (h, 4 * h), "b": (4 * h,)}
    elif row in (KERAS_2, KERAS_3):
        shapes = {"kernel": (d, 4 * h), "recurrent_kernel": (h, 4 * h)} | ({"bias": (4 * h,)} if bias else {})
    else:
        shapes = {"weight_ih": (4 * h, d), "weight_hh": (4 * h, r)}
        shapes |= {"bias_ih": (4 * h,), "bias_hh": (4 * h,)} if bias else {}
        shapes |= {"weight_hr": (r, h)} if r != h else {}
    options = {name: value for name, value in ((row.gate_option, "sigmoid"), (row.candidate_option, "tanh")) if name}
    arrays = {name: numbers(seed + place, dtype, shape) for place, (name, shape) in enumerate(shapes.items())}
    return Bundle(row.name, arrays, options)


@ROWS
@given(data=st.data())
def test_a_cell_comes_back_bit_for_bit(row: Layout, data: st.DataObject) -> None:
    cell, arrays = data.draw(cells(row))
    before = bits(arrays)
    back = unpack(row, pack(row, cell))
    assert bits(back.arrays()) == bits(cell.arrays()) == before == bits(arrays)
    assert (back.gate, back.candidate, back.output) == (cell.gate, cell.candidate, cell.output)
    assert all(array.flags.writeable for array in arrays.values())


@ROWS
@given(data=st.data())
def test_a_bundle_comes_back_bit_for_bit_and_in_order(row: Layout, data: st.DataObject) -> None:
    bundle = data.draw(bundles(row))
    before = bits(bundle.arrays)
    back = pack(row, unpack(row, bundle))
    assert list(back.arrays) == list(bundle.arrays)
    assert bits(back.arrays) == before == bits(bundle.arrays)
    assert back.options == bundle.options
    assert all(array.flags.writeable for array in bundle.arrays.values())


@pytest.mark.parametrize(
    ("row", "gates"),
    [
        (KERAS_1, {"W_i": "i", "W_c": "g", "W_f": "f", "W_o": "o"}),
        (KERAS_1_GPU, "ifgo"),
        (KERAS_2, "ifgo"),
        (KERAS_3, "ifgo"),
        (PYTORCH, "ifgo"),
        (PYTORCH_CELL, "ifgo"),
    ],
    ids=LAYOUTS,
)
def test_each_gate_lies_where_the_framework_has_it(row: Layout, gates: Any) -> None:
    """The kernel of gate number k is k everywhere; which number lies where is written out by hand."""
    number = {"i": 1, "f": 2, "g": 3, "o": 4}
    kernel = np.ones((4, 5, 3)) * np.arange(1, 5).reshape(4, 1, 1)
    arrays = pack(row, Cell(Gates(kernel), Gates(np.zeros((4, 5, 5))))).arrays
    if isinstance(gates, dict):
        assert {name: set(arrays[name].flat) for name in gates} == {
            name: {number[gate]} for name, gate in gates.items()
        }
        return
    flat = next(iter(arrays.values()))
    blocks = np.split(flat, 4, axis=flat.shape.index(20))
    assert [set(block.flat) for block in blocks] == [{number[gate]} for gate in gates]


@pytest.mark.parametrize("row", [KERAS_1, KERAS_3, PYTORCH], ids=lambda row: row.name)
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
        (KERAS_3, "recurrent_kernel", "columns 0:5 i, 5:10 f, 10:15 c, 15:20 o"),
        (PYTORCH, "weight_ih", "rows 0:5 i, 5:10 f, 10:15 g, 15:20 o"),
        (PYTORCH, "weight_hr", ""),
        (PYTORCH, "kernel", ""),
    ],
)
def test_where_each_gate_lies_is_said_in_words(row: Layout, stored: str, words: str) -> None:
    assert whereabouts(row, stored, units=5) == words


def cell_of(**changes: Any) -> Cell:
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
    arrays: dict[str, Any] = dict(pack(row, cell_of()).arrays)
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
            [f"gate activation {HARD}: keras 3 computes only sigmoid and hard_sigmoid(slope=0.1667, offset=0.5)"],
        ),
        (
            KERAS_3,
            {"candidate": RELU},
            [
                "candidate activation relu: keras 3 computes only tanh",
                "keras 3 has one activation for candidate and output, not relu and tanh",
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
        assert unpack(row, pack(row, cell)).gate == cell.gate

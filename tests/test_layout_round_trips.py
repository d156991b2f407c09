"""What a row of the table packs and unpacks comes back bit for bit, for cells and arrays of any size and type."""

from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from helpers import HARD_2
from hypothesis import given
from hypothesis import strategies as st

from lstm_convert import blocks
from lstm_convert.bundle import Bundle
from lstm_convert.canonical import TANH, Activation, Cell, GRUCell, RecurrentCell, SimpleRNNCell
from lstm_convert.layout import Layout
from lstm_convert.packing import options, pack, pack_arrays, unpack
from lstm_convert.table import (
    KERAS_1,
    KERAS_1_GPU,
    KERAS_1_GRU,
    KERAS_1_GRU_GPU,
    KERAS_1_SIMPLE,
    KERAS_EXTENDED,
    LAYOUTS,
    PYTORCH,
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
        activations = {"recurrent_activation": HARD_2, "activation": Activation("relu"), "output_activation": TANH}
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

"""The float64 reference against torch's own LSTM, and against the equations written out number by number."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lstm_convert.canonical import LSTM, Activation, Cell, Gates
from lstm_convert.errors import Unsupported
from lstm_convert.reference import run

SIZES = st.integers(1, 5)


def cell_of(module: torch.nn.LSTM, suffix: str) -> Cell:
    """Return a cell of a module; torch documents its rows as (W_ii|W_if|W_ig|W_io)."""

    def gates(name: str) -> Gates | None:
        tensor = getattr(module, f"{name}_{suffix}", None)
        return None if tensor is None else Gates(np.stack([part.detach().numpy() for part in tensor.chunk(4)]))

    projection = getattr(module, f"weight_hr_{suffix}", None)
    W, U = gates("weight_ih"), gates("weight_hh")  # noqa: N806 (the fields' own letters)
    assert W
    assert U
    projected = None if projection is None else projection.detach().numpy()
    return Cell(W, U, gates("bias_ih"), gates("bias_hh"), projected)


@settings(deadline=None, max_examples=60)
@given(
    sizes=st.tuples(SIZES, SIZES, SIZES, SIZES),
    bidirectional=st.booleans(),
    bias=st.booleans(),
    projection=st.integers(0, 3),
    initial=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_it_computes_what_torch_computes(
    *, sizes: tuple[int, ...], bidirectional: bool, bias: bool, projection: int, initial: bool, seed: int
) -> None:
    inputs, units, steps, batch = sizes
    proj_size = projection if projection < units else 0
    torch.manual_seed(seed)
    module = torch.nn.LSTM(
        inputs,
        units,
        batch_first=True,
        bidirectional=bidirectional,
        bias=bias,
        proj_size=proj_size,
        dtype=torch.float64,
    )
    directions, outputs = 1 + bidirectional, proj_size or units
    x = torch.randn(batch, steps, inputs, dtype=torch.float64)
    states = [torch.randn(directions, batch, size, dtype=torch.float64) for size in (outputs, units)]
    with torch.no_grad():
        y, (h, c) = module(x, tuple(states)) if initial else module(x)
    layer = LSTM("", cell_of(module, "l0"), cell_of(module, "l0_reverse") if bidirectional else None)
    found = run(layer, x.numpy(), *(list(state.numpy()) if initial else None for state in states))
    assert found.sequence.dtype == np.float64
    for ours, theirs in [(found.sequence, y), (np.stack(found.h), h), (np.stack(found.c), c)]:
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=0, atol=1e-14)


def test_the_last_step_is_each_directions_own_last() -> None:
    one, other = (Cell(Gates(np.ones((4, 2, 3)) / n), Gates(np.ones((4, 2, 2)) / n)) for n in (2, 3))
    found = run(LSTM("", one, other, return_sequences=False), np.random.default_rng(0).normal(size=(2, 7, 3)))
    np.testing.assert_array_equal(found.output, np.concatenate(found.h, axis=-1))
    np.testing.assert_array_equal(found.output, np.hstack([found.sequence[:, -1, :2], found.sequence[:, 0, 2:]]))
    assert run(LSTM("", one, other), np.ones((2, 7, 3))).output.shape == (2, 7, 4)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


@pytest.mark.parametrize(
    ("gate", "function"),
    [
        (Activation("sigmoid"), sigmoid),
        (Activation("hard_sigmoid", {"slope": 0.2, "offset": 0.5}), lambda x: min(1, max(0, 0.2 * x + 0.5))),
        (Activation("hard_sigmoid", {"slope": 1 / 6, "offset": 0.5}), lambda x: min(1, max(0, x / 6 + 0.5))),
    ],
    ids=["sigmoid", "hard_sigmoid before Keras 3", "hard_sigmoid of Keras 3"],
)
def test_one_unit_computes_the_equations_number_by_number(gate: Activation, function: Any) -> None:
    w = {"i": 0.7, "f": -0.3, "g": 1.1, "o": 0.5}
    u = {"i": -0.2, "f": 0.9, "g": 0.4, "o": -1.3}
    b = {"i": 0.1, "f": 1.0, "g": -0.6, "o": 0.3}
    r = {"i": 0.05, "f": -0.4, "g": 0.2, "o": 2.0}
    xs, h, c = [0.5, -1.5, 2.5, 9.0, -0.25], 0.3, -0.8
    W, U = (Gates(np.array([[[number]] for number in part.values()])) for part in (w, u))  # noqa: N806 (the fields' own letters)
    bias, recurrent_bias = (Gates(np.array([[number] for number in part.values()])) for part in (b, r))
    cell = Cell(W, U, bias, recurrent_bias, gate=gate)
    found = run(LSTM("", cell), np.array(xs).reshape(1, -1, 1), [np.array([[h]])], [np.array([[c]])])
    expected = []
    for x in xs:
        z = {name: w[name] * x + b[name] + u[name] * h + r[name] for name in "ifgo"}
        c = function(z["f"]) * c + function(z["i"]) * math.tanh(z["g"])
        h = function(z["o"]) * math.tanh(c)
        expected.append(h)
    np.testing.assert_allclose(found.sequence[0, :, 0], expected, rtol=0, atol=1e-15)
    np.testing.assert_allclose([found.h[0][0, 0], found.c[0][0, 0]], [h, c], rtol=0, atol=1e-15)


def test_huge_inputs_saturate_without_a_warning() -> None:
    cell = Cell(Gates(np.full((4, 1, 1), 1e4)), Gates(np.ones((4, 1, 1))))
    found = run(LSTM("", cell), np.array([[[1e300], [-1e300]]]))
    assert np.isfinite(found.sequence).all()


CELL = Cell(Gates(np.ones((4, 2, 3))), Gates(np.ones((4, 2, 2))))


@pytest.mark.parametrize(
    "layer",
    [
        LSTM("a", CELL, CELL, merge="sum"),
        LSTM("a", CELL, go_backwards=True),
        LSTM("a", CELL, masked_by="mask"),
        LSTM("a", Cell(CELL.W, CELL.U, candidate=Activation("relu"))),
    ],
    ids=["merge", "go_backwards", "mask", "relu"],
)
def test_what_it_does_not_compute_is_refused(layer: LSTM) -> None:
    with pytest.raises(Unsupported):
        run(layer, np.ones((2, 7, 3)))

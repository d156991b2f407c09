"""The float64 reference against torch's own LSTM, and against the equations written out number by number."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from helpers import Array
from hypothesis import given, settings
from hypothesis import strategies as st

from lstm_convert.canonical import LSTM, Activation, Gates, LSTMCell
from lstm_convert.errors import Unsupported
from lstm_convert.reference import run

SIZES = st.integers(1, 5)


def cell_of(module: torch.nn.LSTM, suffix: str) -> LSTMCell:
    """Return a cell of a module; torch documents its rows as (W_ii|W_if|W_ig|W_io)."""

    def gates(name: str) -> Gates | None:
        tensor = getattr(module, f"{name}_{suffix}", None)
        return None if tensor is None else Gates(np.stack([part.detach().numpy() for part in tensor.chunk(4)]))

    projection = getattr(module, f"weight_hr_{suffix}", None)
    W, U = gates("weight_ih"), gates("weight_hh")  # noqa: N806 (the fields' own letters)
    assert W
    assert U
    projected = None if projection is None else projection.detach().numpy()
    return LSTMCell(W, U, gates("bias_ih"), gates("bias_hh"), projected)


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
    h0, c0 = (list(state.numpy()) if initial else None for state in states)
    found = run(layer, x.numpy(), h0, c0)
    assert found.output.dtype == np.float64
    for ours, theirs in [(found.output, y), (np.stack(found.h), h), (np.stack(found.c), c)]:
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=0, atol=1e-14)


def test_the_last_step_is_each_directions_own_last() -> None:
    one, other = (LSTMCell(Gates(np.ones((4, 2, 3)) / n), Gates(np.ones((4, 2, 2)) / n)) for n in (2, 3))
    found = run(LSTM("", one, other, return_sequences=False), np.random.default_rng(0).normal(size=(2, 7, 3)))
    np.testing.assert_array_equal(found.output, np.concatenate(found.h, axis=-1))
    every_step = run(LSTM("", one, other), np.random.default_rng(0).normal(size=(2, 7, 3))).output
    assert every_step.shape == (2, 7, 4)
    np.testing.assert_array_equal(found.output, np.hstack([every_step[:, -1, :2], every_step[:, 0, 2:]]))


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
    cell = LSTMCell(W, U, bias, recurrent_bias, gate=gate)
    found = run(LSTM("", cell), np.array(xs).reshape(1, -1, 1), [np.array([[h]])], [np.array([[c]])])
    expected = []
    for x in xs:
        z = {name: w[name] * x + b[name] + u[name] * h + r[name] for name in "ifgo"}
        c = function(z["f"]) * c + function(z["i"]) * math.tanh(z["g"])
        h = function(z["o"]) * math.tanh(c)
        expected.append(h)
    np.testing.assert_allclose(found.output[0, :, 0], expected, rtol=0, atol=1e-15)
    np.testing.assert_allclose([found.h[0][0, 0], found.c[0][0, 0]], [h, c], rtol=0, atol=1e-15)


def test_huge_inputs_saturate_without_a_warning() -> None:
    cell = LSTMCell(Gates(np.full((4, 1, 1), 1e4)), Gates(np.ones((4, 1, 1))))
    found = run(LSTM("", cell), np.array([[[1e300], [-1e300]]]))
    assert np.isfinite(found.output).all()


CELL = LSTMCell(Gates(np.ones((4, 2, 3))), Gates(np.ones((4, 2, 2))))


def reversed_in_time(x: Array) -> Array:
    return x[:, ::-1]


X = np.random.default_rng(0).normal(size=(2, 7, 3))
OTHER = LSTMCell(Gates(np.ones((4, 2, 3)) / 3), Gates(np.ones((4, 2, 2)) / 3))
FORWARD, BACKWARD = run(LSTM("", CELL), X).output, reversed_in_time(run(LSTM("", OTHER), reversed_in_time(X)).output)


@pytest.mark.parametrize(
    ("merge", "wanted"),
    [
        ("concat", (np.concatenate([FORWARD, BACKWARD], axis=-1),)),
        ("sum", (FORWARD + BACKWARD,)),
        ("ave", ((FORWARD + BACKWARD) / 2,)),
        ("mul", (FORWARD * BACKWARD,)),
        (None, (FORWARD, BACKWARD)),
    ],
    ids=str,
)
def test_two_directions_are_two_runs_merged(merge: str | None, wanted: tuple[Array, ...]) -> None:
    for found, output in zip(run(LSTM("", CELL, OTHER, merge=merge), X).outputs, wanted, strict=True):
        np.testing.assert_array_equal(found, output)


def test_going_backwards_is_reading_the_sequence_turned_round() -> None:
    found = run(LSTM("", CELL, go_backwards=True), X)
    np.testing.assert_array_equal(found.output, run(LSTM("", CELL), reversed_in_time(X)).output)
    both = run(LSTM("", CELL, OTHER, go_backwards=True, merge=None), X).outputs
    np.testing.assert_array_equal(both[0], found.output)
    np.testing.assert_array_equal(both[1], reversed_in_time(run(LSTM("", OTHER), X).output))


@pytest.mark.parametrize("backwards", [False, True])
def test_a_masked_step_is_as_if_it_were_not_there(backwards: bool) -> None:  # noqa: FBT001 (a parameter of the test)
    layer = LSTM("", CELL, go_backwards=backwards)
    mask = np.array([[0, 1, 1, 0, 1, 0, 0], [1, 1, 1, 1, 1, 1, 1]], bool)
    found, kept = run(layer, X, mask=mask), run(layer, X[:1, mask[0]])
    whole = run(layer, X[1:])
    np.testing.assert_allclose(found.h[0], np.vstack([kept.h[0], whole.h[0]]), rtol=0, atol=1e-15)
    np.testing.assert_allclose(found.c[0], np.vstack([kept.c[0], whole.c[0]]), rtol=0, atol=1e-15)
    np.testing.assert_allclose(found.output[1], whole.output[0], rtol=0, atol=1e-15)
    order = mask[0][::-1] if backwards else mask[0]
    np.testing.assert_allclose(found.output[0][order], kept.output[0], rtol=0, atol=1e-15)


@pytest.mark.parametrize("zeros", [False, True])
def test_a_masked_step_repeats_the_output_before_it_or_returns_zero(zeros: bool) -> None:  # noqa: FBT001 (the same)
    mask = np.array([[0, 1, 0, 1, 0, 0, 0], [0] * 7], bool)
    h0 = [np.ones((2, 2))]
    found = run(LSTM("", CELL, zero_output_for_mask=zeros), X, h0, h0, mask)
    one, two = found.output[0, 1], found.output[0, 3]
    nothing = np.zeros(2)
    repeated = [nothing, one, one, two, two, two, two]
    np.testing.assert_array_equal(found.output[0], [nothing, one, nothing, two, *[nothing] * 3] if zeros else repeated)
    assert not found.output[1].any(), "a row that is all masked returns zeros, whatever its states"
    np.testing.assert_array_equal([found.h[0][1], found.c[0][1]], np.ones((2, 2)))


@pytest.mark.parametrize(
    "layer",
    [
        LSTM("a", CELL, CELL, merge="largest"),
        LSTM("a", replace(CELL, candidate=Activation("my_activation"))),
        LSTM("a", replace(CELL, gate=Activation("hard_sigmoid"))),
        LSTM("a", replace(CELL, gate=Activation("sigmoid", {"slope": 2.0}))),
    ],
    ids=["merge", "activation", "too few numbers", "too many numbers"],
)
def test_what_it_does_not_compute_is_refused(layer: LSTM) -> None:
    with pytest.raises(Unsupported):
        run(layer, X)

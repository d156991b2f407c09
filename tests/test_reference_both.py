"""Two layers that are run at once each compute what they compute alone."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from helpers import Array

from lstm_convert.canonical import Activation, Cell, GRUCell, Recurrent, RecurrentCell, SimpleRNNCell
from lstm_convert.reference import Run, run, run_both

INPUTS, UNITS, PROJECTED = 3, 5, 2
HARD = Activation("hard_sigmoid", {"slope": 0.2, "offset": 0.5})
KINDS: dict[str, tuple[type[RecurrentCell], dict[str, Any]]] = {
    "LSTM": (Cell, {}),
    "clipped": (Cell, {"gate_clip": 0.4, "cell_clip": 0.3, "projection_clip": 0.1, "coupled": True, "gate": HARD}),
    "GRU": (GRUCell, {}),
    "GRU, reset before": (GRUCell, {"reset_after": False}),
    "SimpleRNN": (SimpleRNNCell, {}),
}


def _cell(seed: int, kind: str, *biases: str, projection: bool = False, peephole: bool = False) -> RecurrentCell:
    random = np.random.default_rng(seed)
    cell, options = KINDS[kind]
    gates, outputs = len(cell.letters), PROJECTED if projection else UNITS
    arrays = {"W": random.normal(size=(gates, UNITS, INPUTS)), "U": random.normal(size=(gates, UNITS, outputs))}
    arrays |= {name: random.normal(size=(gates, UNITS)) for name in biases}
    arrays |= {"projection": random.normal(size=(PROJECTED, UNITS))} if projection else {}
    arrays |= {"peephole": random.normal(size=(3, UNITS))} if peephole else {}
    return cell.of({name: array.astype(np.float32) for name, array in arrays.items()}, **options)


def _layer(
    seed: int, kind: str, *biases: str, two: bool, cell: dict[str, Any] | None = None, **options: Any
) -> Recurrent:
    cells = [_cell(seed + number, kind, *biases, **(cell or {})) for number in range(1 + two)]
    return Recurrent.of("x", *cells, **options)


def _inputs(layer: Recurrent) -> tuple[Array, list[Array], list[Array], Array]:
    random = np.random.default_rng(7)
    cells = layer.cells.values()
    h0, c0 = (
        [random.normal(size=(2, size)) for size in sizes]
        for sizes in zip(*((c.outputs, c.units) for c in cells), strict=True)
    )
    return random.normal(size=(2, 7, INPUTS)), h0, c0, random.random((2, 7)) < 0.6


def _same(one: Run, other: Run) -> bool:
    pairs = zip((*one.outputs, *one.h, *one.c), (*other.outputs, *other.h, *other.c), strict=True)
    return all(a.shape == b.shape and np.allclose(a, b, rtol=1e-13, atol=1e-13) for a, b in pairs)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("two", [False, True])
@pytest.mark.parametrize(
    ("kind", "cell"),
    [
        *((kind, {}) for kind in KINDS),
        ("LSTM", {"projection": True}),
        ("LSTM", {"peephole": True}),
        ("clipped", {"projection": True, "peephole": True}),
    ],
)
def test_each_computes_what_it_computes_alone(kind: str, cell: dict[str, Any], *, two: bool, masked: bool) -> None:
    for options in (
        {},
        {"go_backwards": True, "zero_output_for_mask": True},
        {"return_sequences": False, "merge": None},
    ):
        one = _layer(0, kind, "b", "b_rec", two=two, cell=cell, **options)
        other = _layer(10, kind, "b", two=two, cell=cell, **options)
        x, h0, c0, mask = _inputs(one)
        both = run_both(one, other, x, h0, c0, mask if masked else None)
        alone = [run(layer, x, h0, c0, mask if masked else None) for layer in (one, other)]
        assert [_same(*pair) for pair in zip(both, alone, strict=True)] == [True, True]
        assert not _same(*both)


@pytest.mark.parametrize("steps", [0, 1])
@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_so_it_is_where_there_are_hardly_any_steps(kind: str, steps: int) -> None:
    one, other = (_layer(seed, kind, two=False) for seed in (0, 10))
    x, h0, c0, _ = _inputs(one)
    both = run_both(one, other, x[:, :steps], h0, c0)
    assert all(_same(ran, run(layer, x[:, :steps], h0, c0)) for ran, layer in zip(both, (one, other), strict=True))


def test_equal_layers_compute_the_same_to_the_last_bit_wherever_their_numbers_lie() -> None:
    one = _layer(0, "LSTM", "b", "b_rec", two=True)
    turned = {name: cell.with_arrays({"W": map(np.asfortranarray, cell.W)}) for name, cell in one.cells.items()}
    x, h0, c0, mask = _inputs(one)
    first, second = run_both(one, one.with_cells(turned), x, h0, c0, mask)
    assert all(np.array_equal(a, b) for a, b in zip(first.outputs, second.outputs, strict=True))


def test_layers_that_compute_in_other_ways_are_run_each_by_itself() -> None:
    one = _layer(0, "LSTM", "b", two=True)
    cells = {name: cell.with_activations({"gate": HARD}) for name, cell in one.cells.items()}
    x, h0, c0, mask = _inputs(one)
    for other in (one.with_cells(cells), replace(one, go_backwards=True), replace(one, return_sequences=False)):
        first, second = run_both(one, other, x, h0, c0, mask)
        assert _same(first, run(one, x, h0, c0, mask))
        assert _same(second, run(other, x, h0, c0, mask))
        assert not np.array_equal(first.output, second.output)


def test_so_are_layers_whose_kernels_are_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = (_layer(seed, "LSTM", "b", two=True) for seed in (0, 10))
    x, h0, c0, mask = _inputs(one)
    expected = [run(layer, x, h0, c0, mask) for layer in (one, other)]
    monkeypatch.setattr("lstm_convert.kernels._MOST_HELD", 1)
    assert [_same(*pair) for pair in zip(run_both(one, other, x, h0, c0, mask), expected, strict=True)] == [True, True]

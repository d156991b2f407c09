"""Gate statistics, proven ranges, unit flags and the certificate: against hand-set tensors and random nets."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from analyzing import OPEN, bistable, cell_of, leaky, one, random_cell, shut, with_entries
from helpers import FIXTURES

import lstm_convert
from lstm_convert.analysis.certificate import certificate
from lstm_convert.analysis.gates import read_gates
from lstm_convert.analysis.inventory import features, gates, inventory, weights
from lstm_convert.analysis.jacobian import lag_jacobian
from lstm_convert.analysis.ranges import ranges
from lstm_convert.analysis.saturation import Activity
from lstm_convert.analysis.stacks import Stack
from lstm_convert.analysis.traces import trace
from lstm_convert.analysis.units import measured_rows, proven_rows, static_rows, time_constants
from lstm_convert.canonical import LSTM, Activation, Cell, GRUCell, Model, Recurrent, SimpleRNNCell
from lstm_convert.errors import Unsupported


def test_the_blocks_of_a_hand_set_cell_have_their_known_statistics() -> None:
    cell = with_entries(cell_of(2, 2, b=(1.0, 2.0, 3.0, 4.0)), W={(1, 0, 0): 3.0, (1, 1, 1): 4.0})
    table = gates([LSTM("lstm", cell)])
    (row,) = table.rows(gate="f", kind="W")
    wanted = {"rows": 2, "cols": 2, "mean": 1.75, "min": 0.0, "max": 4.0, "fro": 5.0, "spectral": 4.0,
              "stable_rank": 25 / 16, "zero_frac": 0.5, "direction": "fwd", "basis": "proven"}  # fmt: skip
    assert {name: row[name] for name in wanted} == pytest.approx(wanted)
    assert [row["mean"] for row in table.rows(kind="b")] == [1.0, 2.0, 3.0, 4.0]
    assert [row["stable_rank"] for row in table.rows(kind="U")] == [0.0] * 4
    assert len(weights([LSTM("lstm", cell)])) == 4 * 2 * (2 + 2 + 1)


def test_only_the_sum_of_two_biases_counts() -> None:
    cell = random_cell(np.random.default_rng(0), 3, 2)
    arrays = cell.arrays()
    moved = cell.with_arrays({"b": arrays["b"] + 1.0, "b_rec": arrays["b_rec"] - 1.0})
    first, second = (gates([LSTM("lstm", each)]) for each in (cell, moved))
    np.testing.assert_allclose(first["mean"], second["mean"], rtol=0, atol=1e-15)


def test_the_inventory_counts_what_is_no_number() -> None:
    cell = with_entries(random_cell(np.random.default_rng(0), 3, 2), W={(0, 0, 0): np.nan}, U={(1, 0, 0): np.inf})
    (row,) = inventory([LSTM("lstm", cell)]).rows()
    assert (row["nan"], row["inf"], row["units"], row["parameters"]) == (1, 1, 3, 4 * 3 * (2 + 3 + 2))
    assert len(gates([LSTM("lstm", cell)])) == 12


@pytest.mark.parametrize("pair", [
    ("keras-3.15.1/plain.h5", "plain.pt"), ("keras-1.2.2/plain.h5", "plain.keras"),
], ids=["to torch", "keras 1 to 3"])  # fmt: skip
def test_a_converted_model_has_the_same_table(pair: tuple[str, str], tmp_path: Path) -> None:
    source, target = FIXTURES / pair[0], tmp_path / pair[1]
    lstm_convert.convert(source, target)
    first, second = (gates(lstm_convert.load(path).layers) for path in (source, target))
    assert first["gate"] == second["gate"]
    for column in ("mean", "std", "min", "max", "fro", "spectral", "stable_rank"):
        np.testing.assert_allclose(first[column], second[column], rtol=0, atol=1e-7)


def test_a_shut_gate_reports_its_bound_and_not_the_size_of_what_is_behind_it() -> None:
    cell: Any = shut().layers[0].forward
    rows = proven_rows(ranges(cell, -np.ones(1), np.ones(1)))
    assert [row["high_i"] for row in rows] == pytest.approx([1 / (1 + np.exp(40.0))] * 2, rel=1e-9, abs=0)
    assert all(row["flags"].split() == ["never_written"] for row in rows)
    wired = with_entries(cell, W={(0, 0, 0): 2.0})
    assert proven_rows(ranges(wired, -np.ones(1), np.ones(1)))[0]["high_i"] == pytest.approx(
        4.248e-18 * np.exp(2.0), rel=1e-3, abs=0
    )


VARIANTS: list[dict[str, Any]] = [
    {}, {"peepholes": True, "scale": 0.3}, {"coupled": True}, {"outputs": 3}, {"cell_clip": 0.4, "gate_clip": 1.0},
    {"gate": Activation("hard_sigmoid", {"slope": 0.2, "offset": 0.5}), "scale": 0.2},
]  # fmt: skip


@pytest.mark.parametrize("options", VARIANTS, ids=str)
@pytest.mark.parametrize("seed", range(5))
def test_no_input_of_the_box_leaves_the_proven_ranges(seed: int, options: dict[str, Any]) -> None:
    rng = np.random.default_rng(seed)
    cell = random_cell(rng, 5, 2, **options)
    low, high = np.array([-1.0, 0.0]), np.array([2.0, 0.5])
    bounds = ranges(cell, low, high, steps=30)
    x = low + (high - low) * rng.integers(0, 2, size=(50, 30, 2))
    traced = trace(one(cell), x).layers[0].cells[0]
    for gate in "ifgo":
        values = getattr(traced.steps, gate)
        assert (values >= bounds.gates[gate].low - 1e-12).all()
        assert (values <= bounds.gates[gate].high + 1e-12).all()
    assert (np.abs(traced.c) <= bounds.c + 1e-12).all()
    assert (np.abs(traced.h) <= bounds.h + 1e-12).all()


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("options", VARIANTS, ids=str)
@pytest.mark.parametrize("seed", range(3))
def test_no_jacobian_exceeds_the_certificate(seed: int, options: dict[str, Any], layers: int) -> None:
    rng = np.random.default_rng(seed)
    options = {"scale": 0.15} | options
    first = random_cell(rng, 5, 2, **options)
    cells = [first, random_cell(rng, 5, first.outputs, **options)][:layers]
    stack = Stack(tuple(LSTM(f"l{n}", cell) for n, cell in enumerate(cells)))
    bounds = certificate(stack, -np.ones(2), np.ones(2), lags=8, steps=8)
    jacobian = lag_jacobian(stack, rng.uniform(-1, 1, size=(40, 8, 2))).values
    largest = np.abs(jacobian).max(axis=0)[:, ::-1].transpose(1, 0, 2)
    assert (largest <= bounds.bounds).all()
    assert largest.max() > 0


def test_the_certificate_of_a_leaky_integrator_is_exact() -> None:
    found = certificate(leaky(20.0), -np.ones(1), np.ones(1), lags=10)
    assert found.certified
    assert found.rho == pytest.approx(0.95, rel=1e-6)
    np.testing.assert_allclose(found.bounds[1:] / found.bounds[:-1], 0.95, rtol=1e-6)
    assert "PROVEN" in found.text


def test_a_bistable_net_has_no_certificate() -> None:
    found = certificate(bistable(), -np.ones(1), np.ones(1), lags=3)
    assert not found.certified
    assert found.text == f"no certificate (rho = {found.rho:.3g})"


@pytest.mark.parametrize(("stack", "reason"), [
    (one(cell_of(2, 1, candidate=Activation("relu"))), "the candidate activation is relu"),
    (one(cell_of(2, 1), backward=cell_of(2, 1)), "reads the sequence from its end"),
    (one(cell_of(2, 1, b=(0.0, 3.0, 1.0, 0.0), gate=Activation("hard_sigmoid", {"slope": 0.2, "offset": 0.5}))),
     "c has no bound"),
], ids=["relu", "both", "open"])  # fmt: skip
def test_what_has_no_bounds_is_refused(stack: Stack, reason: str) -> None:
    with pytest.raises(Unsupported, match=reason):
        certificate(stack, -np.ones(1), np.ones(1), lags=3)


def test_three_time_constants_have_three_names() -> None:
    found: dict[str, Any] = {
        name: values.tolist() for name, values in time_constants(np.array([0.5, 0.0, 1.0])).items()
    }
    assert found["tau_life"] == [2.0, 1.0, np.inf]
    assert found["tau_e"] == pytest.approx([1.4427, 0.0, np.inf], rel=1e-4)
    assert found["half_life"] == pytest.approx([1.0, 0.0, np.inf])


def test_a_gate_beyond_one_keeps_for_ever_and_one_below_zero_by_its_size() -> None:
    found = time_constants(np.array([1.5, -0.5]))
    assert found["tau_life"].tolist() == [np.inf, 2.0]


def test_the_time_constant_uses_the_models_own_gate() -> None:
    hard = cell_of(1, 1, b=(0.0, 1.0, 0.0, 0.0), gate=Activation("hard_sigmoid", {"slope": 0.2, "offset": 0.5}))
    (row,) = static_rows(hard)
    assert row["tau_life"] == pytest.approx(1 / 0.3)
    assert row["basis"] == "at_rest"


def test_dead_units_and_doubles_are_named() -> None:
    rng = np.random.default_rng(3)
    arrays = {name: np.array(array) for name, array in random_cell(rng, 4, 2).arrays().items()}
    for array in arrays.values():
        array[:, 2] = array[:, 0]
    arrays["U"][:, :, 1] = 0.0
    reads = np.array([1.0, 0.0, 1.0, 1.0])
    cell = cell_of(4, 2).with_arrays(arrays)
    assert [row["flags"] for row in static_rows(cell, reads)] == ["", "never_read", "same_weights_as_0", ""]
    activity = Activity(4, 4)
    activity.add(trace(one(cell), rng.normal(size=(20, 6, 2))).layers[0].cells[0])
    assert [row["flags"] for row in measured_rows(activity)] == ["", "", "same_as_0", ""]


def test_the_statistics_of_batches_are_those_of_all() -> None:
    rng = np.random.default_rng(4)
    stack = one(random_cell(rng, 5, 2, scale=2.0))
    x = rng.normal(size=(30, 8, 2))
    whole, parts = Activity(5, 5), Activity(5, 5)
    whole.add(trace(stack, x).layers[0].cells[0])
    for start in (0, 7, 20):
        parts.add(trace(stack, x[start : {0: 7, 7: 20, 20: 30}[start]]).layers[0].cells[0])
    for first, second in zip(measured_rows(whole), measured_rows(parts), strict=True):
        assert (first.pop("flags"), first.pop("basis")) == (second.pop("flags"), second.pop("basis"))
        assert first == pytest.approx(second, rel=1e-10)
    traced = trace(stack, x).layers[0].cells[0]
    np.testing.assert_allclose(whole.sd_h, traced.h.std(axis=(0, 1)), rtol=1e-10)
    np.testing.assert_allclose(
        np.asarray(whole.geometric_mean), np.exp(np.log(traced.steps.f).mean(axis=(0, 1))), rtol=1e-12
    )
    np.testing.assert_allclose(whole.left["i"], (traced.steps.i < 0.1).mean(axis=(0, 1)))


def test_a_gate_that_opens_once_keeps_less_than_its_mean_says() -> None:
    """Nineteen steps of .99 and one of .01: the mean says 16 steps, what is kept says 4."""
    tau = time_constants(np.exp([np.log([0.99] * 19 + [0.01]).mean()]))["tau_e"]
    assert tau[0] == pytest.approx(4.2, abs=0.05)


def test_a_feature_counts_by_its_spread() -> None:
    cell = with_entries(cell_of(1, 2, b=(0, 0, 0, OPEN)), W={(0, 0, 0): 100.0, (0, 0, 1): 1.0})
    table = features(LSTM("lstm", cell), sd=np.array([0.001, 1.0]))
    assert [row["strength"] for row in table.rows(gate="i")] == pytest.approx([0.1, 1.0])
    assert features(LSTM("lstm", cell))["strength"] == [None] * 8


def without_column(cell: Cell, name: str, column: int) -> Cell:
    array = np.array(cell.arrays()[name])
    array[:, :, column] = 0.0
    return cell.with_arrays({name: array})


def test_the_weights_alone_give_the_tables_of_all_layers() -> None:
    rng = np.random.default_rng(5)
    lower = LSTM("a", random_cell(rng, 4, 2), random_cell(rng, 4, 2))
    upper = LSTM("b", without_column(random_cell(rng, 3, 8), "W", 6), follows="a")
    assert lower.backward is not None
    unread = without_column(lower.backward, "U", 2)
    model = Model((lower.with_cells({"forward": lower.forward, "backward": unread}), upper, LSTM("c", cell_of(2, 1))))
    found = read_gates(model, name="m")
    assert [(row["layer"], row["direction"], row["unit"]) for row in found["units"].rows(flags="never_read")] == [
        ("a", "bwd", 2)
    ]
    assert len(found["inventory"]) == 4
    assert set(found["units"]["basis"]) == {"at_rest"}
    boxed = read_gates(Model(model.layers[:2]), box=(-np.ones(2), np.ones(2)))
    assert len(boxed["units"].rows(basis="proven", layer="b")) == 3


@pytest.mark.parametrize(("cell", "found"), [
    (GRUCell, [("z", "W"), ("r", "W"), ("g", "W"), ("z", "b_rec")]),
    (SimpleRNNCell, [("g", "W"), ("g", "U"), ("g", "b")]),
], ids=["GRU", "SimpleRNN"])  # fmt: skip
def test_the_blocks_of_other_kinds_of_cells_have_their_own_gates(cell: Any, found: list[tuple[str, str]]) -> None:
    rng = np.random.default_rng(0)
    gated = len(cell.letters)
    shapes = {"W": (gated, 4, 2), "U": (gated, 4, 4), "b": (gated, 4), "b_rec": (gated, 4)}
    arrays = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    tables = read_gates(Model((Recurrent.of("rnn", cell.of(arrays)),)))
    for gate, kind in found:
        (row,) = tables["gates"].rows(gate=gate, kind=kind)
        wanted = arrays["b"] + arrays["b_rec"] if kind == "b" else arrays[kind]
        assert row["mean"] == pytest.approx(wanted[cell.letters.index(gate)].mean())
    assert tables["inventory"]["kind"] == [cell.kind]
    assert tables["inventory"]["output_activation"] == [None]
    assert [row["open_r"] for row in tables["units"].rows()] == (
        pytest.approx(1 / (1 + np.exp(-(arrays["b"] + arrays["b_rec"])[1]))) if cell is GRUCell else [None] * 4
    )

"""The whole analysis in one call: its answers on planted models, its grades, and that it can be repeated."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from analyzing import OPEN, Float64, bistable, cell_of, delay, leaky, one, random_cell, shut, with_entries
from helpers import FIXTURES

import lstm_convert
from lstm_convert.analysis.before import Data
from lstm_convert.analysis.engine import Analysis, analyze
from lstm_convert.analysis.measuring import Sample, jacobians
from lstm_convert.analysis.readout import Readout, identity
from lstm_convert.analysis.stacks import Stack
from lstm_convert.analysis.tables import COLUMNS, Table
from lstm_convert.canonical import LSTM, Activation, Model
from lstm_convert.errors import LayoutMismatch

GRADES = {"proven", "at_rest", "measured"}


def uniform(count: int, steps: int, inputs: int = 1) -> Float64:
    return np.random.default_rng(21).uniform(-1, 1, size=(count, steps, inputs))


def analyzed(stack: Stack, data: Float64, **options: Any) -> Analysis:
    return analyze(Model(stack.layers), data, **options)


def value(table: Table, **wanted: Any) -> Any:
    (row,) = table.rows(**wanted)
    return row["value"]


def text(found: Analysis, topic: str) -> str:
    return " ".join(sentence.text for sentence in found.sentences if sentence.topic == topic)


@pytest.fixture(scope="module")
def delayed() -> Analysis:
    stack, readout = delay(5)
    return analyzed(stack, uniform(300, 12), readout=readout, name="delay")


def test_a_delay_of_five_shows_at_lag_five_in_every_method(delayed: Analysis) -> None:
    assert delayed.headline.startswith("MEASURED: 99 % of the effect lies within k = 5 on your data (n = 300")
    lags = delayed.tables["lags"]
    whole: dict[str, Any] = {"output": "0", "feature": "*"}
    for method, stat, least in [
        ("history_swap", "share_at_or_beyond", 0.9), ("resample", "total_effect", 0.9),
        ("occlusion", "square_over_variance", 0.9), ("integrated_gradients", "square_over_variance", 0.9),
    ]:  # fmt: skip
        assert value(lags, method=method, stat=stat, lag=5, **whole) > least
        assert value(lags, method=method, stat=stat, lag=6, **whole) < 1e-3
    for method, stat in [("jacobian", "median_abs"), ("rest_response", "derivative")]:
        assert value(lags, method=method, stat=stat, lag=5, output="0", feature="0") == pytest.approx(1.0, abs=0.01)
    assert value(lags, method="cell_path", lag=5) == pytest.approx(0.0, abs=1e-12)
    assert delayed.tables["disagreement"].rows(flagged=True) == []


def test_the_grades_stand_in_every_table_and_are_never_mixed(delayed: Analysis) -> None:
    for name, table in delayed.tables.items():
        assert tuple(table.columns) == COLUMNS[name]
        assert len(table)
        assert set(table["basis"]) <= GRADES
    by_method: dict[str, set[str]] = {}
    for row in delayed.tables["lags"].rows():
        by_method.setdefault(row["method"], set()).add(row["basis"])
    assert all(len(grades) == 1 for grades in by_method.values())
    assert {next(iter(grades)) for grades in by_method.values()} == GRADES
    units = delayed.tables["units"]
    assert all(row["mean_i"] is None for row in units.rows(basis="at_rest"))
    assert all(row["b_i"] is None for row in units.rows(basis="measured"))


def test_it_never_says_that_a_lag_does_not_matter(delayed: Analysis) -> None:
    said = " ".join(sentence.text for sentence in delayed.sentences)
    assert "irrelevant" not in said
    assert "total effect of lag 6 and beyond <=" in said
    assert {sentence.basis for sentence in delayed.sentences} == GRADES


def test_the_write_time_of_a_delay_is_now_and_says_so(delayed: Analysis) -> None:
    table = delayed.tables["decomposition"]
    assert value(table, unit=None, write_lag=0) == pytest.approx(1.0, abs=1e-6)
    assert set(table["label"]) == {"write time, not input time"}
    assert "write time, not input time" in text(delayed, "write_time")


def test_what_weights_alone_say_of_a_delay_misses_it_and_says_so(delayed: Analysis) -> None:
    assert "U_g has spectral radius 0 and norm 1" in text(delayed, "recurrent_norm")
    assert "median tau_life of 1 steps" in text(delayed, "forget_bias")
    assert "99 % of the effect lies within k = 5" in text(delayed, "forget_bias")


def test_a_leaky_integrator_has_a_certificate_and_its_memory_in_the_cell() -> None:
    found = analyzed(leaky(5.0), uniform(100, 10))
    lags = found.tables["lags"]
    for lag in range(9):
        near, far = (value(lags, method="certificate", lag=each) for each in (lag, lag + 1))
        assert far / near == pytest.approx(0.8, rel=1e-6)
        assert value(lags, method="jacobian", stat="max_abs", lag=lag, feature="0") <= near
        assert value(lags, method="cell_path", lag=lag) == pytest.approx(1.0, rel=1e-6)
    assert "PROVEN" in text(found, "certificate")


def test_a_bistable_net_has_neither_rest_nor_certificate_and_both_are_said() -> None:
    found = analyzed(bistable(), uniform(40, 8))
    assert "no certificate (rho = " in text(found, "certificate")
    assert "settles where it started from" in text(found, "rest_response")
    assert not found.tables["lags"].rows(method="certificate")
    assert not found.tables["lags"].rows(method="rest_response")
    assert len(found.tables["rest"]) == 0


def test_a_shut_gate_is_said_with_its_bound() -> None:
    found = analyzed(shut(), uniform(40, 8))
    assert "the size of W_g (up to 100) says nothing while the input gate is shut" in text(found, "shut_gate")


def test_a_saturated_latch_is_flagged_where_its_gradient_vanishes() -> None:
    """A unit that a large input sets high or low and that stays so: gradients see nothing, the swap sees all."""
    cell = cell_of(1, 1, b=(OPEN, -OPEN, 0.0, OPEN))
    latch = one(with_entries(cell, W={(2, 0, 0): 8.0}, U={(2, 0, 0): 12.0}))
    data = uniform(200, 8) * 0.05
    data[:, 0] = np.sign(data[:, 0]) * 5.0
    found = analyzed(latch, data)
    assert value(found.tables["lags"], method="history_swap", lag=7) > 0.9
    assert found.tables["disagreement"].rows(flagged=True)
    assert "trust neither alone" in text(found, "disagreement")


def test_the_same_seed_gives_the_same_tables_and_another_does_not() -> None:
    stack = one(random_cell(np.random.default_rng(3), 4, 2))
    data = uniform(30, 6, 2)
    first, second, third = (analyzed(stack, data, seed=seed) for seed in (1, 1, 2))
    for name, table in first.tables.items():
        assert table.columns == second.tables[name].columns
    assert first.tables["lags"].columns != third.tables["lags"].columns


def test_stacks_of_both_directions_with_a_hard_gate_are_analyzed() -> None:
    rng = np.random.default_rng(4)
    hard: dict[str, Any] = {"gate": Activation("hard_sigmoid", {"slope": 0.2, "offset": 0.5})}
    lower = LSTM("a", random_cell(rng, 4, 2, **hard), random_cell(rng, 4, 2, **hard))
    upper = LSTM("b", random_cell(rng, 3, 8), random_cell(rng, 3, 8), follows="a", masked_by="mask", stateful=True)
    data = uniform(20, 7, 2) * [1.0, 10.0]
    data[:, 1:] = data[:, :1] + 0.1 * data[:, 1:]
    told: list[str] = []
    found = analyzed(Stack((lower, upper)), data, progress=lambda what, _: told.append(what))
    assert {row["direction"] for row in found.tables["units"].rows()} == {"fwd", "bwd"}
    assert set(found.traces) == {"a", "b"}
    for topic, words in {
        "hard_sigmoid": "hard_sigmoid(slope=0.2, offset=0.5)", "layers": "a -> b", "feature_units": "from",
        "autocorrelation": "neighbouring steps", "readout": "effects are on h of b itself",
        "operating_point": "AT REST x =",
        "certificate": "reads the sequence from its end",
    }.items():  # fmt: skip
        assert words in text(found, topic)
    directions = text(found, "directions")
    assert all(words in directions for words in ("the future", "stateful"))
    assert "the model masks steps" in text(found, "data")
    assert {row["feature"] for row in found.tables["lags"].rows(method="resample")} == {"*", "0", "1"}
    assert {"traces", "lag Jacobian", "history swap"} <= set(told)


def test_a_layer_that_reads_backwards_has_lags_into_the_future() -> None:
    cell = random_cell(np.random.default_rng(5), 3, 1)
    found = analyzed(one(cell, go_backwards=True, return_sequences=False), uniform(20, 6))
    assert sorted(set(found.tables["lags"]["offset"])) == [0, 1, 2, 3, 4, 5]
    assert "reads the sequence from its end" in text(found, "history_swap")
    assert "not measured" in found.headline


def test_many_outputs_are_looked_at_together() -> None:
    rng = np.random.default_rng(6)
    stack = one(random_cell(rng, 20, 2))
    found = analyzed(stack, uniform(20, 5, 2))
    assert set(row["output"] for row in found.tables["lags"].rows(basis="measured")) == {"*"}  # noqa: C401 (reads as a set)
    few = analyzed(stack, uniform(20, 5, 2), readout=Readout(rng.normal(size=(2, 20))))
    assert {row["output"] for row in few.tables["lags"].rows(method="jacobian")} == {"0", "1", "*"}


def test_a_batch_of_any_size_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    stack = one(random_cell(np.random.default_rng(7), 4, 2))
    data = uniform(23, 6, 2)
    whole = analyzed(stack, data)
    monkeypatch.setattr("lstm_convert.analysis.measuring._BATCH_BYTES", 1 << 15)
    parts = analyzed(stack, data)
    for name in ("units", "lags", "decomposition"):
        for one_row, other in zip(whole.tables[name].rows(), parts.tables[name].rows(), strict=True):
            numbers = {key for key, each in one_row.items() if isinstance(each, float)}
            assert {key: one_row[key] for key in numbers} == pytest.approx(
                {key: other[key] for key in numbers}, rel=1e-9, abs=1e-12
            )


def test_effort_gives_the_costly_methods_more_sequences() -> None:
    stack = one(random_cell(np.random.default_rng(8), 4, 2))
    data = uniform(400, 5, 2)
    sizes = [len(jacobians(Sample(stack, identity(4), Data.plain(data), effort=effort))[0]) for effort in (1e-9, 1.0)]
    assert sizes == [32, 400]


@pytest.mark.parametrize(("data", "reason"), [
    (np.ones((4, 3, 2)), r"data: expected \(sequences, steps, 1\), found \(4, 3, 2\)"),
    (np.ones((1, 9, 1)), "at least 2 sequences"),
    (np.full((4, 3, 1), np.nan), "expected finite numbers"),
], ids=["width", "one", "nan"])  # fmt: skip
def test_data_that_cannot_be_read_is_refused(data: Float64, reason: str) -> None:
    with pytest.raises(LayoutMismatch, match=reason):
        analyzed(leaky(5.0), data)


def test_a_readout_of_another_width_and_weights_that_are_no_numbers_are_refused_together() -> None:
    cell = leaky(5.0).layers[0].forward
    broken = replace(leaky(5.0).layers[0], forward=with_entries(cell, W={(0, 0, 0): np.nan}))
    with pytest.raises(LayoutMismatch, match=r"(?s)readout: expected \(outputs, 1\).*lstm forward: weights"):
        analyze(Model((broken,)), uniform(3, 3), readout=Readout(np.ones((1, 2))))


def test_an_output_that_never_varies_is_said() -> None:
    found = analyzed(one(cell_of(2, 1)), uniform(10, 4))
    assert "the output does not vary on your data" in found.headline


def test_a_row_with_an_unknown_column_is_an_error() -> None:
    with pytest.raises(KeyError, match="lags has no column colour"):
        Table.of("lags", [{"colour": 1}])


@pytest.mark.parametrize("source", ["keras-1.2.2/plain.h5", "keras-3.15.1/plain.keras", "torch-2.13/plain.pt"])
def test_a_model_gives_the_same_tables_whatever_file_it_is_in(source: str, tmp_path: Path) -> None:
    target = tmp_path / ("plain.keras" if source.endswith(".pt") else "plain.pt")
    lstm_convert.convert(FIXTURES / source, target)
    models = [lstm_convert.load(path) for path in (FIXTURES / source, target)]
    data = uniform(30, 7, models[0].layers[0].forward.inputs)
    first, second = (analyze(model, data, readout="h", layer=model.layers[0].name).tables for model in models)
    for name in ("gates", "units", "lags", "disagreement"):
        assert len(first[name])
        for column, values in first[name].columns.items():
            numbers = [(a, b) for a, b in zip(values, second[name][column], strict=True) if isinstance(a, float)]
            np.testing.assert_allclose([a for a, _ in numbers], [b for _, b in numbers], rtol=1e-7, atol=1e-7)


def test_directions_of_other_widths_are_analyzed() -> None:
    rng = np.random.default_rng(9)
    stack = Stack((LSTM("lstm", random_cell(rng, 5, 2), random_cell(rng, 3, 2)),))
    units = analyzed(stack, uniform(20, 5, 2)).tables["units"]
    assert [len(units.rows(basis="at_rest", direction=each)) for each in ("fwd", "bwd")] == [5, 3]

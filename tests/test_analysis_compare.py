"""Matching, normal form and comparison: planted signed permutations, and what must not be moved."""

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from analyzing import Float64, random_cell
from test_analysis_trace import VARIANTS

from lstm_convert.analysis.assignment import assigned
from lstm_convert.analysis.comparing import compare
from lstm_convert.analysis.matching import matched
from lstm_convert.analysis.moving import Units, moved_cell, moved_model, unmoved
from lstm_convert.analysis.normal import moves_of, normalize
from lstm_convert.analysis.outputs import readout_of
from lstm_convert.analysis.readout import Readout, from_file, outputs_of
from lstm_convert.analysis.stacks import stack_of
from lstm_convert.analysis.traces import last_output, trace
from lstm_convert.canonical import (
    LSTM,
    Activation,
    Call,
    Feed,
    Input,
    Layer,
    Model,
    Network,
    RecurrentCell,
)
from lstm_convert.errors import InvalidFile, LayoutMismatch


def planted(rng: np.random.Generator, count: int) -> Units:
    return Units(rng.permutation(count), rng.choice([-1.0, 1.0], count))


def noisy(rng: np.random.Generator, cell: RecurrentCell, part: float) -> RecurrentCell:
    return cell.with_arrays({
        name: array + part * array.std() * rng.normal(size=array.shape) for name, array in cell.arrays().items()
    })  # fmt: skip


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_the_assignment_is_the_best_of_all(size: int) -> None:
    rng = np.random.default_rng(size)
    for scores in (rng.normal(size=(size, size)), rng.integers(0, 3, (size, size)).astype(float)):
        order = assigned(scores)
        assert sorted(order) == list(range(size))
        best = max(scores[range(size), list(each)].sum() for each in itertools.permutations(range(size)))
        assert scores[range(size), order].sum() == pytest.approx(best)


@pytest.mark.parametrize("noise", [0.0, 0.3, 0.6])
@pytest.mark.parametrize("size", [8, 32, 64])
def test_a_planted_signed_permutation_is_found(size: int, noise: float) -> None:
    rng = np.random.default_rng(size)
    cell, wanted = random_cell(rng, size, 3), planted(rng, size)
    found = matched(cell, noisy(rng, moved_cell(cell, wanted.inverse, unmoved(3)), noise), rng)
    assert (found.units.order == wanted.order).all()
    assert (found.units.signs == wanted.signs).all()
    assert found.aligned > 0.8 > found.null
    assert found.margins.min() > 0


def test_units_that_did_not_move_are_left_where_they_are() -> None:
    rng = np.random.default_rng(1)
    cell = random_cell(rng, 16, 2)
    found = matched(cell, noisy(rng, cell, 0.05), rng)
    assert found.units.still
    assert found.raw == found.aligned > 0.99


def test_matching_is_never_worse_than_not_matching() -> None:
    rng = np.random.default_rng(2)
    for _ in range(10):
        found = matched(random_cell(rng, 6, 2), random_cell(rng, 6, 2), rng)
        assert found.aligned >= found.raw


def test_no_sign_is_flipped_where_the_candidate_is_not_odd() -> None:
    rng = np.random.default_rng(3)
    cell = random_cell(rng, 8, 2, candidate=Activation("sigmoid"))
    order = Units(rng.permutation(8), np.ones(8))
    found = matched(cell, moved_cell(cell, order.inverse, unmoved(2)), rng)
    assert (found.units.order == order.order).all()
    assert (found.units.signs == 1).all()
    assert (normalize(Model((LSTM("lstm", cell),))).moves["lstm"][0].signs == 1).all()


def stacked(rng: np.random.Generator, *, both: bool = True, **options: Any) -> Model:
    width = options.get("outputs", 6)
    lower = LSTM("a", random_cell(rng, 6, 3, **options), random_cell(rng, 6, 3, **options) if both else None)
    upper = LSTM("b", random_cell(rng, 5, width * (1 + both)), follows="a", return_sequences=False)
    return Model((lower, upper))


@pytest.mark.parametrize("variant", sorted(set(VARIANTS)))
def test_the_normal_form_computes_the_same_and_can_be_undone(variant: str) -> None:
    rng = np.random.default_rng(4)
    model = stacked(rng, **VARIANTS[variant])
    normal = normalize(model)
    assert not all(units.still for each in normal.moves.values() for units in each)
    x = rng.normal(size=(4, 9, 3))
    wanted, found = (last_output(trace(stack_of(each), x)) for each in (model, normal.model))
    np.testing.assert_allclose(normal.original_output("b", found), wanted, rtol=0, atol=1e-12)
    for before, after in zip(model.layers, normal.original().layers, strict=True):
        for one, other in zip(before.cells.values(), after.cells.values(), strict=True):
            assert all((array == other.arrays()[name]).all() for name, array in one.arrays().items())
    saved = moves_of(normal.model, normal.arrays())
    assert [units.order.tolist() for units in saved["a"]] == [units.order.tolist() for units in normal.moves["a"]]


def test_every_signed_permutation_has_one_normal_form() -> None:
    rng = np.random.default_rng(5)
    model = stacked(rng)
    moved = moved_model(model, {"a": (planted(rng, 6), planted(rng, 6)), "b": (planted(rng, 5),)})
    for one, other in zip(normalize(model).model.layers, normalize(moved).model.layers, strict=True):
        for cell, twin in zip(one.cells.values(), other.cells.values(), strict=True):
            assert all((array == twin.arrays()[name]).all() for name, array in cell.arrays().items())


def test_moves_of_another_model_are_refused() -> None:
    normal = normalize(stacked(np.random.default_rng(6)))
    with pytest.raises(LayoutMismatch, match="b forward: expected an order and signs of 5 units"):
        moves_of(normal.model, normal.arrays() | {"b.forward.order": np.zeros(5)})


def with_dense(model: Model, *, activation: str = "linear", outputs: tuple[int, ...] = ()) -> Model:
    """The model's layers, dropout between them, and a dense layer of two outputs on top."""
    rng = np.random.default_rng(0)
    arrays = {"kernel": rng.normal(size=(2, 5)), "bias": rng.normal(size=2)}
    network = Network(
        (Input("x", (None, 3)),),
        {
            "a": Layer("a", "recurrent", recurrent=model["a"]),
            "drop": Layer("drop", "dropout", {"form": "dropout", "rate": 0.5}),
            "b": Layer("b", "recurrent", recurrent=model["b"]),
            "out": Layer("out", "dense", {"activation": Activation(activation)}, arrays),
        },
        tuple(Call(name, (Feed(step),)) for step, name in enumerate(("a", "drop", "b", "out"))),
        tuple(Feed(step) for step in (4, *outputs)),
    )
    return replace(model, network=network)


def test_a_dense_layer_that_reads_moved_units_moves_with_them() -> None:
    model = with_dense(stacked(np.random.default_rng(8)))
    normal = normalize(model)
    assert not normal.stayed
    assert normal.model.network is not None
    assert [each.name for each in normal.model.network.recurrent] == ["a", "b"]
    x = np.random.default_rng(9).normal(size=(3, 7, 3))
    outputs = [
        outputs_of(readout_of(each, stack_of(each), 7).readout, trace(stack_of(each), x))
        for each in (model, normal.model)
    ]
    np.testing.assert_allclose(outputs[0], outputs[1], rtol=0, atol=1e-12)


def test_a_layer_whose_output_is_the_networks_stays() -> None:
    normal = normalize(with_dense(stacked(np.random.default_rng(10)), outputs=(3,)))
    assert normal.stayed == ("b: its output is the network's",)
    assert normal.moves["b"][0].still
    assert not normal.moves["a"][0].still


def values(table: Any, measure: str) -> list[float]:
    return [row["value"] for row in table.rows(measure=measure)]


def test_a_model_whose_units_were_moved_is_the_same_model() -> None:
    rng = np.random.default_rng(11)
    model = stacked(rng)
    moved = moved_model(model, {"a": (planted(rng, 6), planted(rng, 6)), "b": (planted(rng, 5),)})
    found = compare(model, moved, rng.normal(size=(8, 9, 3)))
    assert found.same
    assert "once units are put in the other's order and sign" in found.headline
    assert values(found.tables["distances"], "output_largest_difference")[0] > 0.01
    assert values(found.tables["distances"], "aligned_output_largest_difference")[0] < 1e-12
    assert values(found.tables["distances"], "weights_aligned_cosine") == pytest.approx([1.0] * 3)
    assert max(values(found.tables["distances"], "state_largest_difference")) < 1e-12
    assert set(found.tables["distances"]["basis"]) <= {"proven", "at_rest", "measured"}


def test_weights_that_are_nearly_the_same_can_remember_differently() -> None:
    """The forget bias alone is other: nearly one vector of weights, twice the memory."""
    rng = np.random.default_rng(12)
    model = Model((LSTM("lstm", random_cell(rng, 12, 2)),))
    arrays = {name: np.array(array) for name, array in model.layers[0].forward.arrays().items()}
    arrays["b"][1] += 0.3
    tuned = Model((LSTM("lstm", random_cell(rng, 12, 2).with_arrays(arrays)),))
    found = compare(model, tuned)
    assert not found.same
    assert values(found.tables["distances"], "weights_cosine")[0] > 0.98
    assert values(found.tables["distances"], "output_rms_difference_of_spread")[0] > 0.05
    assert "not your data" in found.headline


def test_models_of_other_sizes_are_compared_by_what_they_compute() -> None:
    rng = np.random.default_rng(13)
    one, other = (Model((LSTM("lstm", random_cell(rng, size, 2)),)) for size in (4, 6))
    found = compare(one, other, readouts=(Readout(np.ones((1, 4))), Readout(np.ones((1, 6)))))
    assert len(found.tables["matches"]) == 0
    assert "other sizes" in found.sentences[-1].text
    with pytest.raises(LayoutMismatch, match="outputs: 4 and 6"):
        compare(one, other)


def test_other_activations_are_said() -> None:
    rng = np.random.default_rng(14)
    cell = random_cell(rng, 4, 2)
    hard = replace(cell, gate=Activation("hard_sigmoid", {"slope": 0.2, "offset": 0.5}))
    found = compare(Model((LSTM("lstm", cell),)), Model((LSTM("lstm", hard),)))
    assert any("other activations" in sentence.text for sentence in found.sentences)


def test_a_readout_is_read_from_a_file_of_numbers_alone(tmp_path: Any) -> None:
    matrix: Float64 = np.arange(6.0).reshape(2, 3)
    np.save(tmp_path / "v.npy", matrix)
    assert (from_file(tmp_path / "v.npy").matrix == matrix).all()
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.save(tmp_path / "nan.npy", np.full((1, 2), np.nan))
    (tmp_path / "text.npy").write_text("nothing")
    for name in ("objects", "nan", "text", "absent"):
        with pytest.raises(InvalidFile, match=f"{name}.npy"):
            from_file(tmp_path / f"{name}.npy")
    np.save(tmp_path / "row.npy", np.ones(3))
    with pytest.raises(LayoutMismatch, match="no readout"):
        from_file(tmp_path / "row.npy")

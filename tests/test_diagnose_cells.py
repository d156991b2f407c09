"""`diagnose` names mistakes in one cell of a real file: alone, in pairs, and every order of gates."""

import itertools
from typing import Any

import numpy as np
import pytest
from helpers import Array
from planting import (
    NOTHING,
    PLANTS,
    doubled,
    gates_everywhere,
    loaded,
    names,
    only,
    permuted,
    planted,
    stored_as,
    swapped,
    with_arrays,
    worst,
)

from lstm_convert import Cell, diagnose
from lstm_convert.diagnosis import orders


def case(model: str, place: int, direction: str) -> Any:
    return pytest.param(model, place, direction, id=f"{model} {place} {direction}")


CELLS = [case("plain", 0, "forward"), case("two_layer", 1, "backward"), case("bidirectional", 0, "backward")]

# Pairs whose traces cover each other, in the order in which they are made: no weights can tell them apart.
AMBIGUOUS = {
    ("swap", "onnx"): "gates reordered twice are reordered once",
    ("onnx", "swap"): "the same; here it leaves i and g swapped",
    ("recurrent", "cudnn"): "a square block of cuDNN's is one transposed, and twice transposed is as before",
    ("cudnn", "recurrent"): "the same",
    ("doubled", "dropped"): "what is dropped was never doubled",
    ("dropped", "doubled"): "twice nothing is nothing",
    ("misplaced", "dropped"): "what is dropped was nowhere",
    ("dropped", "misplaced"): "nothing is nothing on any gate",
    ("missing", "dropped"): "what is dropped lacked nothing",
    ("twice", "dropped"): "what is dropped has no 1 too many",
    ("missing", "twice"): "one undoes the other",
    ("twice", "missing"): "the same",
}


@pytest.mark.parametrize(("model", "place", "direction"), CELLS)
@pytest.mark.parametrize("plant", PLANTS)
def test_a_mistake_is_named(plant: str, model: str, place: int, direction: str) -> None:
    right = loaded(model)
    name, make = PLANTS[plant]
    answer = diagnose(right, planted(right, [make], place, direction))
    assert [mistake.name for mistake in answer.mistakes] == [name]
    assert (answer.mistakes[0].layer, answer.mistakes[0].direction) == (right.layers[place].name, direction)
    assert not answer.same
    assert worst(answer) < NOTHING


@pytest.mark.parametrize(("model", "place", "direction"), CELLS[:2])
@pytest.mark.parametrize(("first", "second"), list(itertools.permutations(PLANTS, 2)))
def test_two_mistakes_are_both_named(first: str, second: str, model: str, place: int, direction: str) -> None:
    right = loaded(model)
    expected = {PLANTS[first][0], PLANTS[second][0]}
    answer = diagnose(right, planted(right, [PLANTS[first][1], PLANTS[second][1]], place, direction))
    if (first, second) in AMBIGUOUS:
        assert answer.same or "unrelated" not in names(answer)
    else:
        assert names(answer) == expected
    assert answer.same or worst(answer) < (5e-3 if {first, second} & {"float16", "bfloat16"} else NOTHING)


# Gates and their orders.


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations("ifgo", 2)))
def test_any_two_gates_swapped_are_named(one: str, other: str) -> None:
    """Swapping f and g is what taking TensorFlow 1's order for PyTorch's does: it has that name, and says so."""
    found = only(diagnose(loaded("plain"), planted(loaded("plain"), [swapped(one, other)])))
    assert found.name == ("foreign_gate_order" if {one, other} == {"f", "g"} else "gates_swapped")
    assert f"{one} and {other}" in found.detail
    assert found.residual == 0


@pytest.mark.parametrize(
    ("order", "who"), [("iofg", "ONNX"), ("igfo", "Keras 1"), ("gfoi", "DL4J"), ("gifo", "Chainer")]
)
def test_a_foreign_order_is_named_with_its_owner(order: str, who: str) -> None:
    found = only(diagnose(loaded("plain"), planted(loaded("plain"), [stored_as(order)])))
    assert (found.name, found.residual) == ("foreign_gate_order", 0)
    assert who in found.detail
    backwards = ["ifgo"[order.index(gate)] for gate in "ifgo"]
    assert names(diagnose(loaded("plain"), planted(loaded("plain"), [stored_as("".join(backwards))]))) == {
        "foreign_gate_order"
    }


def chainer(cell: Cell) -> Cell:
    """Chainer stores a, i, f, o of the first unit, then those of the second."""

    def stored(array: Array) -> Array:
        a_i_f_o = [array[2], array[0], array[1], array[3]]
        rows = np.stack([gate[unit] for unit in range(cell.units) for gate in a_i_f_o])
        return rows.reshape(array.shape)

    return gates_everywhere(cell, stored)


def test_chainers_interleaved_gates_are_one_mistake() -> None:
    found = only(diagnose(loaded("plain"), planted(loaded("plain"), [chainer])))
    assert (found.name, found.residual) == ("foreign_gate_order", 0)
    assert "Chainer, the gates of each unit side by side" in found.detail
    pair = diagnose(loaded("plain"), planted(loaded("plain"), [permuted, chainer, doubled]))
    assert names(pair) == {"units_permuted", "foreign_gate_order", "bias_doubled"}


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_every_order_of_gates_has_a_name(order: orders.Order) -> None:
    changes = orders.explained(order)
    done = orders.STRAIGHT
    for change in changes:
        done = orders.after(done, change.order)
    assert done == order
    assert len(changes) <= 2


def test_gates_swapped_in_one_kernel_alone_are_named() -> None:
    def kernel_only(cell: Cell) -> Cell:
        return with_arrays(cell, W=np.asarray(cell.W)[[0, 3, 2, 1]])

    found = only(diagnose(loaded("plain"), planted(loaded("plain"), [kernel_only])))
    assert found.name == "gates_swapped"
    assert "in the kernel only" in found.detail

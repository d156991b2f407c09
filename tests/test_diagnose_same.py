"""What `diagnose` calls the same, and what it calls unrelated: not every difference is a mistake that is known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers import FIXTURES, HARD_2, HARD_3, KERAS_2, KERAS_3, TORCH
from planting import (
    FILES,
    biases,
    doubled,
    everywhere,
    gates_everywhere,
    loaded,
    names,
    only,
    planted,
    random_model,
    rounded,
    swapped,
)

import lstm_convert
from lstm_convert import Cell, Diagnosis, Gates, diagnose


def test_a_network_is_the_same_as_itself() -> None:
    for name in FILES:
        assert diagnose(loaded(name), loaded(name)) == Diagnosis(same=True)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (TORCH / "plain.pt", TORCH / "plain.safetensors"),
        (KERAS_3 / "plain.keras", KERAS_3 / "plain.h5"),
        (FIXTURES / "tf-2.15/float16.keras", FIXTURES / "tf-2.15/float16.h5"),
    ],
    ids=lambda path: f"{path.parent.name}/{path.name}",
)
def test_files_of_one_network_are_the_same(one: Path, other: Path) -> None:
    assert diagnose(one, other).same
    assert diagnose(str(other), lstm_convert.load(one)).same


def test_how_two_biases_share_their_sum_does_not_count() -> None:
    assert diagnose(loaded("two_layer"), planted(loaded("two_layer"), [lambda cell: biases(cell, np.copy)])).same
    random = np.random.default_rng(3)

    def shared(cell: Cell) -> Cell:
        b = np.asarray(cell.b)
        share = random.normal(size=b.shape).astype(b.dtype)
        return replace(cell, b=Gates(b - share), b_rec=Gates(share))

    assert diagnose(loaded("plain"), planted(loaded("plain"), [shared])).same


def test_weights_scaled_for_keras_3_compute_the_same_hard_sigmoid() -> None:
    right = lstm_convert.load(KERAS_2 / "hard.h5")
    assert right.layers[0].forward.activations()["gate"] == HARD_2

    def scaled(cell: Cell) -> Cell:
        factors = np.array([1.2, 1.2, 1.0, 1.2], np.float32)
        done = gates_everywhere(cell, lambda array: (array.T * factors[:, None].T).T if array.ndim == 1 else
                                array * factors.reshape(-1, *[1] * (array.ndim - 1)))  # fmt: skip
        return replace(done, gate=HARD_3)

    assert diagnose(right, planted(right, [scaled])).same
    half = only(diagnose(right, planted(right, [lambda cell: replace(scaled(cell), gate=HARD_2)])))
    assert half.name == "wrong_gate_activation"
    assert "scaled by 1.2" in half.detail
    both = diagnose(right, planted(right, [scaled, doubled]))
    assert names(both) == {"bias_doubled"}
    assert names(diagnose(right, planted(right, [swapped("f", "g"), scaled]))) == {"foreign_gate_order"}


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_file_of_half_precision_is_itself_and_not_rounded(dtype: str) -> None:
    model = lstm_convert.load(KERAS_3 / f"{dtype}.keras")
    wider = planted(planted(model, [rounded(np.float32)], 0), [rounded(np.float32)], 1)
    assert diagnose(model, model).same
    assert diagnose(model, wider).same
    assert diagnose(wider, model).same
    assert names(diagnose(model, planted(model, [swapped("i", "g")]))) == {"gates_swapped"}


def test_float64_kept_as_float32_is_the_same() -> None:
    model = lstm_convert.load(KERAS_3 / "float64.keras")
    assert diagnose(model, planted(model, [rounded(np.float32)])).same


# What no mistake explains.


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("units", "inputs"), [(1, 1), (2, 1), (5, 3), (7, 7), (3, 12)])
def test_another_training_is_not_explained(units: int, inputs: int, seed: int) -> None:
    right, other = (random_model(units, inputs, 2, number, both=True) for number in (seed, 100 + seed))
    found = only(diagnose(right, other))
    assert (found.name, found.layer) == ("unrelated", None)
    assert found.residual is not None
    assert found.residual > 0.01
    half = planted(other, [rounded(np.float16)])
    assert names(diagnose(right, half)) == {"unrelated"}


def test_one_more_step_of_training_is_not_explained() -> None:
    random = np.random.default_rng(0)

    def trained(cell: Cell) -> Cell:
        return everywhere(cell, lambda array: array * (1 + 1e-3 * random.normal(size=array.shape)).astype(array.dtype))

    found = only(diagnose(loaded("plain"), planted(loaded("plain"), [trained])))
    assert (found.name, found.layer, found.direction) == ("unrelated", "lstm_a", "forward")


def test_numbers_in_places_that_no_mistake_explains_are_unrelated() -> None:
    random = np.random.default_rng(0)

    def shuffled(cell: Cell) -> Cell:
        return gates_everywhere(cell, lambda array: random.permuted(array.reshape(4, -1), axis=1).reshape(array.shape))

    assert names(diagnose(loaded("plain"), planted(loaded("plain"), [shuffled]))) == {"unrelated"}


def test_an_unrelated_layer_hides_no_mistake_in_another() -> None:
    right = loaded("plain")
    stranger = random_model(7, 5, 1, 3).layers[0].forward
    answer = diagnose(right, planted(planted(right, [doubled], 0), [lambda _: stranger], 1))
    assert [(mistake.name, mistake.layer) for mistake in answer.mistakes] == [
        ("bias_doubled", "lstm_a"),
        ("unrelated", "lstm_b"),
    ]


def test_networks_of_other_sizes_are_unrelated() -> None:
    found = only(diagnose(random_model(5, 3, 1, 0), random_model(7, 3, 1, 0)))
    assert (found.name, found.residual) == ("unrelated", None)
    assert "units: 5 in the right one, 7 in the other" in found.detail
    assert (
        "cell clip: None in the right one, 3.0 in the other"
        in only(
            diagnose(
                random_model(5, 3, 1, 0), planted(random_model(5, 3, 1, 0), [lambda cell: replace(cell, cell_clip=3.0)])
            )
        ).detail
    )

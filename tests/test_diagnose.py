"""`diagnose` names mistakes planted in real files: alone, in pairs, and as the real ports in peers.md made them."""

import itertools
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from helpers import FIXTURES
from numpy.typing import NDArray

import lstm_convert
from lstm_convert import LSTM, Activation, Cell, Diagnosis, Gates, Model, cli, diagnose, reference
from lstm_convert.diagnosis import orders

Array = NDArray[Any]
Plant = Callable[[Any], Any]

TORCH = FIXTURES / "torch-2.13"
KERAS_3 = FIXTURES / "keras-3.15.1"
KERAS_2 = FIXTURES / "keras-2.2.0"

HARD_2 = Activation("hard_sigmoid", {"slope": 0.2, "offset": 0.5})
HARD_3 = Activation("hard_sigmoid", {"slope": 1 / 6, "offset": 0.5})

# What undoing a mistake may leave: float64 against weights that were rounded to float32 once more.
NOTHING = 1e-6


def with_arrays(cell: Cell, **arrays: Any) -> Cell:
    gated = ("W", "U", "b", "b_rec")
    wrapped: dict[str, Any] = {key: Gates(value) if key in gated else value for key, value in arrays.items()}
    return replace(cell, **wrapped)


def everywhere(cell: Cell, change: Callable[[Array], Array]) -> Cell:
    return with_arrays(cell, **{key: change(np.asarray(array)) for key, array in cell.arrays().items()})


def gates_everywhere(cell: Cell, change: Callable[[Array], Array]) -> Cell:
    arrays = cell.arrays()
    return with_arrays(cell, **{key: change(arrays[key]) for key in ("W", "U", "b", "b_rec") if key in arrays})


def biases(cell: Cell, change: Callable[[Array], Array]) -> Cell:
    """Change the sum of the biases, and leave it on the input side."""
    zeros = np.zeros((4, cell.units), cell.W.dtype)
    both = [zeros if bias is None else np.asarray(bias) for bias in (cell.b, cell.b_rec)]
    return replace(cell, b=Gates(change(both[0] + both[1])), b_rec=None)


def swapped(one: str, other: str) -> Plant:
    order = ["ifgo".index({one: other, other: one}.get(gate, gate)) for gate in "ifgo"]
    return lambda cell: gates_everywhere(cell, lambda array: array[order])


def stored_as(order: str) -> Plant:
    """Gates stored in a foreign order and taken for i, f, g, o."""
    return lambda cell: gates_everywhere(cell, lambda array: array[["ifgo".index(gate) for gate in order]])


def chainer(cell: Cell) -> Cell:
    """Chainer stores a, i, f, o of the first unit, then those of the second."""

    def stored(array: Array) -> Array:
        a_i_f_o = [array[2], array[0], array[1], array[3]]
        rows = np.stack([gate[unit] for unit in range(cell.units) for gate in a_i_f_o])
        return rows.reshape(array.shape)

    return gates_everywhere(cell, stored)


def keras_kernel(array: Array) -> Array:
    """A kernel as Keras has it: (inputs, 4 * units)."""
    return np.concatenate(list(array.transpose(0, 2, 1)), axis=1)


def torch_weight(array: Array) -> Array:
    """A kernel as PyTorch has it: (4 * units, inputs)."""
    return np.concatenate(list(array), axis=0)


def from_torch_weight(array: Array) -> Array:
    return np.stack(np.split(array, 4, axis=0))


def from_keras_kernel(array: Array) -> Array:
    return np.stack(np.split(array, 4, axis=1)).transpose(0, 2, 1)


def kernel_reshaped(cell: Cell) -> Cell:
    W = np.asarray(cell.W)  # noqa: N806 (the field's own letter)
    return with_arrays(cell, W=from_torch_weight(keras_kernel(W).reshape(torch_weight(W).shape)))


def recurrent_reshaped(cell: Cell) -> Cell:
    U = np.asarray(cell.U)  # noqa: N806 (the field's own letter)
    return with_arrays(cell, U=from_keras_kernel(torch_weight(U).reshape(keras_kernel(U).shape)))


def recurrent_transposed(cell: Cell) -> Cell:
    return with_arrays(cell, U=np.asarray(cell.U).transpose(0, 2, 1))


def cudnn(cell: Cell) -> Cell:
    """What CuDNNLSTM stores, by the formula of Keras's own converter, taken for an LSTM's."""

    def stored(array: Array) -> Array:
        blocks = [kernel.T.reshape(kernel.shape, order="C") for kernel in array.transpose(0, 2, 1)]
        return np.stack([block.T for block in blocks])

    return with_arrays(cell, W=stored(np.asarray(cell.W)), U=stored(np.asarray(cell.U)))


def doubled(cell: Cell) -> Cell:
    return biases(cell, lambda b: 2 * b)


def dropped(cell: Cell) -> Cell:
    return replace(cell, b=None, b_rec=None)


def misplaced(cell: Cell) -> Cell:
    return biases(cell, lambda b: b[[2, 1, 0, 3]])


def forget(number: float) -> Plant:
    return lambda cell: biases(cell, lambda b: b + np.array([0, number, 0, 0], b.dtype)[:, None])


def computed_with(gate: Activation) -> Plant:
    return lambda cell: replace(cell, gate=gate)


def rounded(dtype: Any) -> Plant:
    return lambda cell: everywhere(cell, lambda array: array.astype(dtype))


def permuted(cell: Cell) -> Cell:
    """The same LSTM with its units in another order, some flipped: only for whoever reads its units so."""
    random = np.random.default_rng(5)
    order = np.roll(random.permutation(cell.units), 1)
    signs = np.where(np.arange(cell.units) % 2, -1.0, 1.0).astype(np.float32)
    done = {key: array[:, order].copy() for key, array in cell.arrays().items() if key != "projection"}
    for key in ("W", "U", "b", "b_rec"):
        if key in done:
            done[key][2] = (done[key][2].T * signs).T
    if cell.projection is None:
        done["U"] = done["U"][:, :, order] * signs
    else:
        done["projection"] = np.asarray(cell.projection)[:, order] * signs
    return with_arrays(cell, **done)


PLANTS: dict[str, tuple[str, Plant]] = {
    "swap": ("gates_swapped", swapped("f", "o")),
    "onnx": ("foreign_gate_order", stored_as("iofg")),
    "kernel": ("kernel_transposed", kernel_reshaped),
    "recurrent": ("kernel_transposed", recurrent_transposed),
    "recurrent reshaped": ("kernel_transposed", recurrent_reshaped),
    "doubled": ("bias_doubled", doubled),
    "dropped": ("bias_dropped", dropped),
    "misplaced": ("bias_misplaced", misplaced),
    "missing": ("forget_bias_missing", forget(-1.0)),
    "twice": ("forget_bias_twice", forget(1.0)),
    "hard 2": ("wrong_gate_activation", computed_with(HARD_2)),
    "hard 3": ("wrong_gate_activation", computed_with(HARD_3)),
    "cudnn": ("cudnn_layout", cudnn),
    "permuted": ("units_permuted", permuted),
    "float16": ("precision_lost", rounded(np.float16)),
    "bfloat16": ("precision_lost", rounded(ml_dtypes.bfloat16)),
}

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


def planted(model: Model, plants: Sequence[Plant], place: int = 0, direction: str = "forward") -> Model:
    layers = list(model.layers)
    for plant in plants:
        done = layers[place].cells | {direction: plant(layers[place].cells[direction])}
        layers[place] = layers[place].with_cells(done)
    return replace(model, layers=tuple(layers))


def names(diagnosis: Diagnosis) -> set[str]:
    return {mistake.name for mistake in diagnosis.mistakes}


def worst(diagnosis: Diagnosis) -> float:
    residuals = [np.inf if mistake.residual is None else mistake.residual for mistake in diagnosis.mistakes]
    return max(residuals)


def random_model(units: int, inputs: int, layers: int, seed: int, *, both: bool = False) -> Model:
    random = np.random.default_rng(seed)

    def cell(width: int) -> Cell:
        W, U, b = (  # noqa: N806 (the fields' own letters)
            (random.normal(size=size) * 0.3).astype(np.float32)
            for size in ((4, units, width), (4, units, units), (4, units))
        )
        return Cell(Gates(W), Gates(U), Gates(b))

    found, width = [], inputs
    for place in range(layers):
        found.append(LSTM("lstm", cell(width), cell(width) if both else None, depth=place))
        width = units * (1 + both)
    return Model(tuple(found))


@pytest.fixture(scope="module")
def models() -> dict[str, Model]:
    files = [TORCH / "two_layer.pt", KERAS_3 / "plain.keras", KERAS_2 / "bidirectional.h5"]
    return {path.stem: lstm_convert.load(path) for path in files}


def case(model: str, place: int, direction: str) -> Any:
    return pytest.param(model, place, direction, id=f"{model} {place} {direction}")


CELLS = [case("plain", 0, "forward"), case("two_layer", 1, "backward"), case("bidirectional", 0, "backward")]


@pytest.mark.parametrize(("model", "place", "direction"), CELLS)
@pytest.mark.parametrize("plant", PLANTS)
def test_a_mistake_is_named(models: dict[str, Model], plant: str, model: str, place: int, direction: str) -> None:
    right = models[model]
    name, make = PLANTS[plant]
    answer = diagnose(right, planted(right, [make], place, direction))
    assert [mistake.name for mistake in answer.mistakes] == [name]
    assert (answer.mistakes[0].layer, answer.mistakes[0].direction) == (right.layers[place].name, direction)
    assert not answer.same
    assert worst(answer) < NOTHING


@pytest.mark.parametrize(("model", "place", "direction"), CELLS[:2])
@pytest.mark.parametrize(("first", "second"), list(itertools.permutations(PLANTS, 2)))
def test_two_mistakes_are_both_named(
    models: dict[str, Model], first: str, second: str, model: str, place: int, direction: str
) -> None:
    right = models[model]
    expected = {PLANTS[first][0], PLANTS[second][0]}
    answer = diagnose(right, planted(right, [PLANTS[first][1], PLANTS[second][1]], place, direction))
    if (first, second) in AMBIGUOUS:
        assert answer.same or "unrelated" not in names(answer)
    else:
        assert names(answer) == expected
    assert answer.same or worst(answer) < (5e-3 if {first, second} & {"float16", "bfloat16"} else NOTHING)


# Whole networks: pairs of layers, directions, and of mistakes in different places.


def exchanged(model: Model, place: int) -> Model:
    layer = model.layers[place]
    assert layer.backward is not None
    other = replace(layer, forward=layer.backward, backward=layer.forward)
    return replace(model, layers=(*model.layers[:place], other, *model.layers[place + 1 :]))


def only(diagnosis: Diagnosis) -> lstm_convert.Mistake:
    (mistake,) = diagnosis.mistakes
    return mistake


@pytest.mark.parametrize("place", [0, 1])
def test_exchanged_directions_are_named(models: dict[str, Model], place: int) -> None:
    found = only(diagnose(models["two_layer"], exchanged(models["two_layer"], place)))
    assert (found.name, found.layer, found.direction) == ("directions_exchanged", f"lstm.l{place}", None)
    assert found.residual == 0


def test_a_sequence_read_from_the_wrong_end_is_named() -> None:
    """Measured in peers.md, A5: go_backwards lost by the hand recipe, 5.7e-01."""
    right = lstm_convert.load(KERAS_3 / "variant_go_backwards.keras")
    place = next(place for place, layer in enumerate(right.layers) if layer.go_backwards)
    layers = list(right.layers)
    layers[place] = replace(layers[place], go_backwards=False)
    found = only(diagnose(right, replace(right, layers=tuple(layers))))
    assert (found.name, found.layer) == ("directions_exchanged", right.layers[place].name)
    assert "from its end and is read from its start" in found.detail


def test_another_merge_of_directions_is_no_mistake_with_weights() -> None:
    right = lstm_convert.load(KERAS_3 / "variant_sum.keras")
    other = replace(right, layers=(replace(right.layers[0], merge="concat"),))
    found = only(diagnose(right, other))
    assert (found.name, found.residual) == ("unrelated", None)
    assert "merged by sum in the right one, by concat in the other" in found.detail


def test_exchanged_layers_are_named() -> None:
    right = lstm_convert.load(KERAS_3 / "eleven.keras")
    layers = list(right.layers)
    layers[3], layers[7] = layers[7], layers[3]
    found = only(diagnose(right, replace(right, layers=tuple(layers))))
    assert (found.name, found.layer, found.residual) == ("layers_exchanged", right.layers[3].name, 0)
    assert right.layers[7].name in found.detail


def test_two_pairs_of_layers_exchanged_are_two_mistakes() -> None:
    right = lstm_convert.load(TORCH / "three_layer.pt")
    layers = right.layers
    circled = diagnose(right, replace(right, layers=(layers[0], layers[2], layers[1])))
    assert only(circled).name == "layers_exchanged"
    eleven = lstm_convert.load(KERAS_3 / "eleven.keras")
    order = [0, 2, 1, 3, 5, 4, 6, 7, 8, 9, 10]
    found = diagnose(eleven, replace(eleven, layers=tuple(eleven.layers[place] for place in order)))
    assert [mistake.name for mistake in found.mistakes] == ["layers_exchanged"] * 2


@pytest.mark.parametrize("place", [0, 5, 10])
def test_a_missing_layer_is_named(place: int) -> None:
    right = lstm_convert.load(KERAS_3 / "eleven.keras")
    other = replace(right, layers=(*right.layers[:place], *right.layers[place + 1 :]))
    found = only(diagnose(right, other))
    assert (found.name, found.layer, found.residual) == ("layer_missing", right.layers[place].name, 0)
    added = only(diagnose(other, right))
    assert (added.name, added.layer) == ("layer_missing", right.layers[place].name)
    assert "added" in added.detail


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_a_missing_direction_is_named(models: dict[str, Model], direction: str) -> None:
    right = models["bidirectional"]
    layers = list(right.layers)
    layers[0] = replace(layers[0], forward=layers[0].cells[direction], backward=None)
    found = diagnose(right, replace(right, layers=tuple(layers)))
    missing = {"forward": "backward", "backward": "forward"}[direction]
    assert [(mistake.name, mistake.direction) for mistake in found.mistakes] == [("layer_missing", missing)]


@pytest.mark.parametrize("plant", ["swap", "doubled", "permuted", "float16", "hard 2", "cudnn"])
def test_a_layer_missing_or_exchanged_hides_no_other_mistake(plant: str) -> None:
    right = lstm_convert.load(KERAS_3 / "eleven.keras")
    name, make = PLANTS[plant]
    wrong = planted(right, [make], 4).layers
    lacking = diagnose(right, replace(right, layers=(*wrong[:2], *wrong[3:])))
    assert names(lacking) == {"layer_missing", name}
    moved = diagnose(right, replace(right, layers=(*wrong[:3], wrong[4], wrong[3], *wrong[5:])))
    assert names(moved) == {"layers_exchanged", name}
    assert worst(lacking) < 1e-3
    assert worst(moved) < 1e-3


@pytest.mark.parametrize("plant", PLANTS)
def test_exchanged_directions_hide_no_other_mistake(models: dict[str, Model], plant: str) -> None:
    name, make = PLANTS[plant]
    answer = diagnose(models["two_layer"], exchanged(planted(models["two_layer"], [make], 1, "backward"), 1))
    assert names(answer) == {"directions_exchanged", name}
    assert worst(answer) < NOTHING


def test_each_layer_and_direction_has_its_own_mistakes(models: dict[str, Model]) -> None:
    right = models["two_layer"]
    other = planted(right, [doubled], 0, "backward")
    other = planted(other, [swapped("i", "o")], 1, "forward")
    answer = diagnose(right, other)
    assert [(mistake.name, mistake.layer, mistake.direction) for mistake in answer.mistakes] == [
        ("bias_doubled", "lstm.l0", "backward"),
        ("gates_swapped", "lstm.l1", "forward"),
    ]


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_a_layer_that_follows_permuted_units_is_right(models: dict[str, Model], direction: str) -> None:
    right = models["bidirectional"]
    cell: Any = right.layers[0].cells[direction]
    numbered = with_arrays(cell, W=np.broadcast_to(np.arange(1.0, cell.units + 1)[:, None], cell.W.shape))
    moved = np.asarray(permuted(numbered).W)[2, :, 0]  # the candidate's rows show the sign too
    columns, signs = np.arange(2 * cell.units), np.ones(2 * cell.units, np.float32)
    start = cell.units * (direction == "backward")
    columns[start : start + cell.units] = start + np.abs(moved).astype(int) - 1
    signs[start : start + cell.units] = np.sign(moved)
    other = planted(right, [permuted], 0, direction)
    for above in ("forward", "backward"):
        other = planted(
            other, [lambda upper: with_arrays(upper, W=np.asarray(upper.W)[:, :, columns] * signs)], 1, above
        )
    found = only(diagnose(right, other))
    assert (found.name, found.layer, found.direction) == ("units_permuted", "bi_a", direction)


# Not every difference is a mistake, and not every mistake is known.


def test_a_network_is_the_same_as_itself(models: dict[str, Model]) -> None:
    for model in models.values():
        assert diagnose(model, model) == Diagnosis(same=True)


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


def test_how_two_biases_share_their_sum_does_not_count(models: dict[str, Model]) -> None:
    assert diagnose(models["two_layer"], planted(models["two_layer"], [lambda cell: biases(cell, np.copy)])).same
    random = np.random.default_rng(3)

    def shared(cell: Cell) -> Cell:
        b = np.asarray(cell.b)
        share = random.normal(size=b.shape).astype(b.dtype)
        return replace(cell, b=Gates(b - share), b_rec=Gates(share))

    assert diagnose(models["plain"], planted(models["plain"], [shared])).same


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


def test_one_more_step_of_training_is_not_explained(models: dict[str, Model]) -> None:
    random = np.random.default_rng(0)

    def trained(cell: Cell) -> Cell:
        return everywhere(cell, lambda array: array * (1 + 1e-3 * random.normal(size=array.shape)).astype(array.dtype))

    found = only(diagnose(models["plain"], planted(models["plain"], [trained])))
    assert (found.name, found.layer, found.direction) == ("unrelated", "lstm_a", "forward")


def test_numbers_in_places_that_no_mistake_explains_are_unrelated(models: dict[str, Model]) -> None:
    random = np.random.default_rng(0)

    def shuffled(cell: Cell) -> Cell:
        return gates_everywhere(cell, lambda array: random.permuted(array.reshape(4, -1), axis=1).reshape(array.shape))

    assert names(diagnose(models["plain"], planted(models["plain"], [shuffled]))) == {"unrelated"}


def test_an_unrelated_layer_hides_no_mistake_in_another(models: dict[str, Model]) -> None:
    right = models["plain"]
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


# Gates and their orders.


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations("ifgo", 2)))
def test_any_two_gates_swapped_are_named(models: dict[str, Model], one: str, other: str) -> None:
    """Swapping f and g is what taking TensorFlow 1's order for PyTorch's does: it has that name, and says so."""
    found = only(diagnose(models["plain"], planted(models["plain"], [swapped(one, other)])))
    assert found.name == ("foreign_gate_order" if {one, other} == {"f", "g"} else "gates_swapped")
    assert f"{one} and {other}" in found.detail
    assert found.residual == 0


@pytest.mark.parametrize(
    ("order", "who"), [("iofg", "ONNX"), ("igfo", "Keras 1"), ("gfoi", "DL4J"), ("gifo", "Chainer")]
)
def test_a_foreign_order_is_named_with_its_owner(models: dict[str, Model], order: str, who: str) -> None:
    found = only(diagnose(models["plain"], planted(models["plain"], [stored_as(order)])))
    assert found.name == "foreign_gate_order"
    assert who in found.detail
    backwards = ["ifgo"[order.index(gate)] for gate in "ifgo"]
    assert names(diagnose(models["plain"], planted(models["plain"], [stored_as("".join(backwards))]))) == {
        "foreign_gate_order"
    }


def test_chainers_interleaved_gates_are_one_mistake(models: dict[str, Model]) -> None:
    found = only(diagnose(models["plain"], planted(models["plain"], [chainer])))
    assert (found.name, found.residual) == ("foreign_gate_order", 0)
    assert "Chainer, the gates of each unit side by side" in found.detail
    pair = diagnose(models["plain"], planted(models["plain"], [permuted, chainer, doubled]))
    assert names(pair) == {"units_permuted", "foreign_gate_order", "bias_doubled"}


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_every_order_of_gates_has_a_name(order: orders.Order) -> None:
    changes = orders.explained(order)
    done = orders.STRAIGHT
    for change in changes:
        done = orders.after(done, change.order)
    assert done == order
    assert len(changes) <= 2


def test_gates_swapped_in_one_kernel_alone_are_named(models: dict[str, Model]) -> None:
    def kernel_only(cell: Cell) -> Cell:
        return with_arrays(cell, W=np.asarray(cell.W)[[0, 3, 2, 1]])

    found = only(diagnose(models["plain"], planted(models["plain"], [kernel_only])))
    assert found.name == "gates_swapped"
    assert "in the kernel only" in found.detail


# Real mistakes, as peers.md reports them.


def test_bias_copied_into_both_torch_biases() -> None:
    """peers.md A5 and B26, code 15960620687: the Keras bias in bias_ih and in bias_hh, 4.7e-01."""
    right = lstm_convert.load(KERAS_3 / "plain.keras")
    found = diagnose(right, planted(right, [lambda cell: replace(cell, b_rec=cell.b)]))
    assert only(found).name == "bias_doubled"


def test_one_torch_bias_dropped() -> None:
    """peers.md 2.4: two biases against one, discuss.pytorch 110741."""
    right = lstm_convert.load(TORCH / "checkpoint.pt")
    found = only(diagnose(right, planted(right, [lambda cell: replace(cell, b_rec=None)])))
    assert found.name == "bias_dropped"
    assert "recurrent side's bias is dropped" in found.detail


def test_onnx_order_read_as_pytorch() -> None:
    """peers.md 2.6: gate order and layout of each framework."""
    right = lstm_convert.load(TORCH / "checkpoint.pt")
    found = only(diagnose(right, planted(right, [stored_as("iofg")])))
    assert (found.name, found.residual) == ("foreign_gate_order", 0)
    assert "ONNX" in found.detail


def test_keras_1_list_concatenated() -> None:
    """layouts.md 1: a list in the order i, c, f, o, concatenated as if it were i, f, c, o."""
    right = lstm_convert.load(FIXTURES / "keras-1.2.2/plain.h5")

    def concatenated(cell: Cell) -> Cell:
        return gates_everywhere(cell, lambda array: np.stack([array[0], array[2], array[1], array[3]]))

    found = diagnose(right, planted(right, [concatenated]))
    assert only(found).name == "foreign_gate_order"
    assert "Keras 1" in only(found).detail


@pytest.mark.parametrize("gate", [Activation("sigmoid"), HARD_3], ids=str)
def test_hard_sigmoid_loaded_as_another(gate: Activation) -> None:
    """peers.md A3 and rnnmorph: a hard_sigmoid file in nn.LSTM, or by the popular workaround in Keras 3, 5.6e-02."""
    right = lstm_convert.load(KERAS_2 / "hard.h5")
    found = only(diagnose(right, planted(right, [computed_with(gate)])))
    assert (found.name, found.residual) == ("wrong_gate_activation", 0)


def test_cudnn_weights_loaded_as_lstm() -> None:
    """peers.md 2.10, keras#8860: CuDNNLSTM's file holds transposed blocks; also where its two biases are one half."""
    right = lstm_convert.load(FIXTURES / "tf-2.15/variant_cudnn.h5")
    other = planted(right, [cudnn])
    for direction in ("forward", "backward"):
        other = planted(other, [cudnn], 1, direction)
    answer = diagnose(right, other)
    assert [mistake.name for mistake in answer.mistakes] == ["cudnn_layout"] * 3
    assert worst(answer) == 0


def test_no_transpose_for_weight_ih() -> None:
    """peers.md B26, code 4593912650: a kernel reshaped to weight_ih's shape, where it had to be transposed."""
    right = lstm_convert.load(KERAS_3 / "plain.keras")
    found = only(diagnose(right, planted(right, [kernel_reshaped])))
    assert (found.name, found.residual) == ("kernel_transposed", 0)
    assert "reshaped" in found.detail


def test_no_transpose_for_a_kernel_as_wide_as_four_gates() -> None:
    right = random_model(3, 12, 1, 0)

    def untransposed(cell: Cell) -> Cell:
        return with_arrays(cell, W=from_torch_weight(keras_kernel(np.asarray(cell.W))))

    found = only(diagnose(right, planted(right, [untransposed])))
    assert (found.name, found.residual) == ("kernel_transposed", 0)


def test_relu_lost() -> None:
    """peers.md A5: a relu layer in nn.LSTM, 7.1e-01."""
    right = lstm_convert.load(KERAS_3 / "variant_relu.keras")
    tanh = Activation("tanh")
    found = diagnose(right, planted(right, [lambda cell: replace(cell, candidate=tanh, output=tanh)]))
    assert only(found).name == "wrong_gate_activation"


def test_projected_units_permuted() -> None:
    right = lstm_convert.load(TORCH / "variant_proj.pt")
    assert only(diagnose(right, planted(right, [permuted]))).name == "units_permuted"


# The work that is done, and the command.


def test_a_diagnosis_runs_each_cell_a_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """The weights tell what was done; running the reference is kept for the proof. Seconds: benchmarks/diagnose.py."""
    right = random_model(64, 40, 2, 0, both=True)
    other = random_model(64, 40, 2, 1, both=True)
    runs: list[LSTM] = []

    def counted(layer: LSTM, *arguments: Any) -> reference.Run:
        runs.append(layer)
        return reference.run(layer, *arguments)

    monkeypatch.setattr("lstm_convert.diagnosis.cells.run", counted)
    for wrong in (other, planted(right, [permuted, swapped("i", "g"), doubled], 1, "backward")):
        runs.clear()
        diagnose(right, wrong)
        assert len(runs) < 60


@pytest.fixture
def saved(tmp_path: Path, models: dict[str, Model]) -> tuple[Path, Path]:
    one, other = tmp_path / "right.npz", tmp_path / "wrong.npz"
    lstm_convert.save(models["plain"], one)
    lstm_convert.save(planted(models["plain"], [doubled, swapped("i", "o")]), other)
    return one, other


def answer_of(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["lstm-convert", "diagnose", *map(str, arguments)])
    try:
        cli.main()
    except SystemExit as leaving:
        return int(leaving.code or 0)
    return 0


def test_the_command_names_mistakes(
    saved: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert answer_of(monkeypatch, *saved) == 1
    out = capsys.readouterr().out
    assert "bias_doubled in lstm_a forward: the bias counts twice" in out
    assert "gates_swapped in lstm_a forward: i and o are swapped" in out


def test_the_command_answers_in_json(
    saved: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert answer_of(monkeypatch, *saved, "--json") == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer.keys() == {"same", "mistakes"}
    assert answer["same"] is False
    assert [mistake.keys() for mistake in answer["mistakes"]] == [
        {"name", "layer", "direction", "detail", "residual"}
    ] * 2
    assert answer_of(monkeypatch, saved[0], saved[0], "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"same": True, "mistakes": []}


def test_the_command_says_what_is_the_same(
    saved: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert answer_of(monkeypatch, saved[0], saved[0]) == 0
    assert capsys.readouterr().out.startswith("the same")


def test_the_command_that_could_not_says_why(
    saved: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert answer_of(monkeypatch, saved[0], "nowhere.npz") == 2
    printed = capsys.readouterr()
    assert "nowhere.npz" in printed.err
    assert not printed.out


@pytest.mark.parametrize(("folder", "ending"), [("keras-3.15.1", ".keras"), ("tf-2.15", ".h5"), ("tf-2.15", ".keras")])
def test_the_last_step_taken_from_the_wrong_end_is_named(folder: str, ending: str) -> None:
    """The same weights; the wrong one takes x[:, -1] of all steps, where the backward direction reads its first."""
    right, wrong = (FIXTURES / "models" / folder / f"{name}{ending}" for name in ("last_step", "last_step_wrong_end"))
    (mistake,) = diagnose(right, wrong).mistakes
    assert (mistake.name, mistake.layer, mistake.direction) == ("directions_exchanged", "both", "backward")
    assert "wrong end" in mistake.detail
    assert mistake.residual == 0
    assert diagnose(right, right).same
    assert diagnose(wrong, wrong).same

from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest

from lstm_convert.canonical import LSTM, Activation, Cell, Gates, Layer, Model
from lstm_convert.errors import LayoutMismatch


def cell(**changes: Any) -> Cell:
    shapes: dict[str, Any] = {"W": (4, 5, 3), "U": (4, 5, 5), "b": (4, 5), "b_rec": (4, 5)} | changes
    fields: dict[str, Any] = {name: Gates(np.zeros(shape)) for name, shape in shapes.items() if shape is not None}
    if "projection" in fields:
        fields["projection"] = fields["projection"].array
    return Cell(**fields)


def test_a_gate_is_reached_by_its_letter() -> None:
    array = np.arange(60.0).reshape(4, 5, 3)
    gates = Gates(array)
    for place, (letter, gate) in enumerate(zip("ifgo", gates, strict=True)):
        for reached in (gate, gates[letter], getattr(gates, letter)):
            np.testing.assert_array_equal(reached, array[place])
            assert np.shares_memory(reached, array)
    assert (gates.shape, gates.dtype) == ((4, 5, 3), np.dtype("float64"))


@pytest.mark.parametrize("letter", ["c", "j", "", "if", "I", "ifgo"])
def test_what_is_no_gate_is_a_key_error_that_names_the_gates(letter: str) -> None:
    with pytest.raises(KeyError, match=f"'{letter}' is no gate; the gates are i, f, g .* and o"):
        Gates(np.zeros((4, 5)))[letter]


def test_numpy_takes_all_gates_at_once() -> None:
    array = np.arange(20, dtype="float32").reshape(4, 5)
    gates = Gates(array)
    assert np.shares_memory(np.asarray(gates), array)
    assert not np.shares_memory(np.array(gates), array)
    assert np.asarray(gates, "float64").dtype == "float64"
    np.testing.assert_array_equal(np.array(gates), array)


def test_gates_are_read_only_and_the_callers_array_is_not() -> None:
    array = np.zeros((4, 5))
    gates = Gates(array)
    for view in (gates.i, np.asarray(gates), next(iter(gates))):
        with pytest.raises(ValueError, match="read-only"):
            view[...] = 1
    with pytest.raises(FrozenInstanceError):
        gates.array = array  # type: ignore[misc]
    array[0] = 7
    assert gates.i.tolist() == [7] * 5


def test_sizes_are_those_of_the_arrays() -> None:
    plain, projected = cell(), cell(U=(4, 5, 2), projection=(2, 5))
    assert (plain.inputs, plain.units, plain.outputs) == (3, 5, 5)
    assert (projected.inputs, projected.units, projected.outputs) == (3, 5, 2)
    assert list(plain.arrays()) == ["W", "U", "b", "b_rec"]
    assert list(cell(b=None, b_rec=None).arrays()) == ["W", "U"]


@pytest.mark.parametrize(
    ("changes", "details"),
    [
        ({"U": (4, 5, 3)}, ("U: expected (4, 5, 5), found (4, 5, 3)",)),
        ({"W": (3, 5, 3)}, ("W: expected (4, 5, 3), found (3, 5, 3)",)),
        ({"b": (5, 4), "b_rec": (20,)}, ("b: expected (4, 5), found (5, 4)", "b_rec: expected (4, 5), found (20,)")),
        ({"projection": (2, 5)}, ("U: expected (4, 5, 2), found (4, 5, 5)",)),
        (
            {"U": (5, 5), "b": (4, 7), "projection": (2, 7)},
            (
                "U: expected (4, 5, 2), found (5, 5)",
                "b: expected (4, 5), found (4, 7)",
                "projection: expected (2, 5), found (2, 7)",
            ),
        ),
        ({"W": (20, 3)}, ("W: expected (4, units, inputs), found (20, 3)",)),
        (
            {"W": (20, 3), "projection": (5,)},
            ("W: expected (4, units, inputs), found (20, 3)", "projection: expected (outputs, units), found (5,)"),
        ),
        ({"projection": ()}, ("projection: expected (outputs, units), found ()",)),
    ],
)
def test_every_array_that_does_not_belong_is_listed(changes: dict[str, Any], details: tuple[str, ...]) -> None:
    with pytest.raises(LayoutMismatch) as caught:
        cell(**changes)
    assert caught.value.details == details


@pytest.mark.parametrize(
    ("path", "depth", "name"), [("rnn", None, "rnn"), ("a.b", 1, "a.b.l1"), ("", None, "lstm"), ("", 0, "lstm.l0")]
)
def test_a_layers_name_is_its_path_and_its_place_in_the_stack(path: str, depth: int | None, name: str) -> None:
    assert LSTM(path, cell(), depth=depth).name == name


def test_a_layer_gives_its_cells_by_direction() -> None:
    one, other = cell(), cell()
    assert LSTM("a", one).cells == {"forward": one}
    both = LSTM("a", one, other)
    assert both.cells == {"forward": one, "backward": other}
    turned = both.with_cells({"forward": other, "backward": one})
    assert (turned.forward, turned.backward, turned.path) == (other, one, "a")


def test_a_layer_has_one_of_the_forms_of_its_kind() -> None:
    with pytest.raises(LayoutMismatch) as caught:
        Layer("noise", "dropout", {"form": "strange", "rate": 0.1})
    expected = "dropout or spatial_dropout or gaussian_dropout or gaussian_noise or alpha_dropout"
    assert caught.value.details == (f"noise: form: expected {expected}, found 'strange'",)


def test_a_model_gives_a_layer_by_name_and_says_which_there_are() -> None:
    model = Model((LSTM("a", cell()), LSTM("b", cell(), depth=1)))
    assert model["b.l1"] is model.layers[1]
    with pytest.raises(KeyError, match=r"no recurrent layer 'c'; there are a, b\.l1"):
        model["c"]


@pytest.mark.parametrize(
    ("activation", "text"),
    [
        (Activation("tanh"), "tanh"),
        (Activation("hard_sigmoid", {"slope": 0.2, "offset": 0.5}), "hard_sigmoid(slope=0.2, offset=0.5)"),
        (Activation("hard_sigmoid", {"slope": 1 / 6}), "hard_sigmoid(slope=0.1667)"),
    ],
)
def test_an_activation_says_its_numbers(activation: Activation, text: str) -> None:
    assert str(activation) == text
    assert activation == Activation(activation.name, dict(activation.parameters))
    assert activation != Activation(activation.name, {"slope": 0.25})

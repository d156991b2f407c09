"""How the layers of a live Keras model are joined: masks, states and names that pass through models inside models."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

import lstm_convert
from lstm_convert import InvalidFile, Model, Unsupported, from_keras

# Keras 3.15 itself says this where it saves TensorFlow's variables with NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def lstm(name: str, **options: Any) -> Any:
    return layers.LSTM(4, return_sequences=True, name=name, **options)


def nested(inner: Any, name: str) -> Any:
    x = keras.Input((None, 4))
    return keras.Model(x, inner(x), name=name)


def saved(model: Any, folder: Path, ending: str) -> Path:
    path = folder / f"model{ending}"
    model.save(path) if ending != ".weights.h5" else model.save_weights(path)
    return path


def test_layers_of_one_name_in_models_inside_models_keep_their_own_weights() -> None:
    x = keras.Input((None, 4))
    inner = keras.Model(x, lstm("deep")(x), name="inner")
    middle = keras.Model(x, lstm("deep")(inner(x)), name="middle")
    model = nested(middle, "outer")
    found = from_keras(model)
    for name, layer in {"middle.inner.deep": inner.get_layer("deep"), "middle.deep": middle.get_layer("deep")}.items():
        assert np.array_equal(np.asarray(found[name].forward.W.f), layer.cell.kernel.numpy()[:, 4:8].T)


def test_a_subclassed_model_with_two_layers_of_one_name_is_refused() -> None:
    class Same(keras.Model):  # type: ignore[misc]  # keras is not followed
        def __init__(self) -> None:
            super().__init__()
            self.one, self.other = lstm("same"), lstm("same")

        def call(self, x: Any) -> Any:
            return self.other(self.one(x))

    model = Same()
    model(np.zeros((1, 2, 4), "float32"))
    with pytest.raises(InvalidFile, match=r"layers of one name\n  same\n"):
        from_keras(model)


@pytest.mark.filterwarnings("ignore:.*does not support masking")  # said of what comes after the inner model
@pytest.mark.parametrize("ending", [".keras", ".h5"])
@pytest.mark.parametrize(
    "inner",
    [
        lambda: nested(lstm("rnn"), "inner"),
        lambda: keras.Sequential([keras.Input((None, 4)), lstm("rnn")], name="inner"),
    ],
    ids=["functional", "sequential"],
)
def test_a_mask_reaches_into_a_model_inside_a_model(inner: Callable[[], Any], ending: str, tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((None, 4)), layers.Masking(name="mask"), inner()])
    source = saved(model, tmp_path, ending)
    assert lstm_convert.load(source)["inner.rnn"].masked_by == "mask"
    with pytest.raises(Unsupported, match="knows no masks"):
        lstm_convert.convert(source, tmp_path / "result.pt", lstm_only=True)


def test_a_mask_is_named_after_the_layer_that_makes_it(tmp_path: Path) -> None:
    x = keras.Input((None, 4))
    masked = layers.Dense(4)(layers.Dropout(0.1)(layers.Masking(name="mask")(x)))
    found = lstm_convert.load(saved(keras.Model(x, lstm("rnn")(masked)), tmp_path, ".keras"))
    assert found["rnn"].masked_by == "mask"


@pytest.mark.parametrize("ending", [".keras", ".h5", ".weights.h5"])
def test_a_stack_of_cells_in_each_direction_is_a_layer_a_cell(ending: str, tmp_path: Path) -> None:
    x = keras.Input((None, 4))
    stack = layers.RNN([layers.LSTMCell(4), layers.LSTMCell(4)], return_sequences=True)
    model = keras.Model(x, layers.Bidirectional(stack, name="both")(x))
    found = lstm_convert.load(saved(model, tmp_path, ending)).layers
    assert [layer.name for layer in found] == [
        f"both.{way}.{place}" for way in ("forward", "backward") for place in (0, 1)
    ]
    assert [layer.go_backwards for layer in found] == [False, False, True, False]
    assert [layer.follows for layer in found] == [None, "both.forward.0", None, "both.backward.0"]
    for layer, kernel in zip(found, model.get_weights()[::3], strict=True):
        np.testing.assert_array_equal(layer.forward.W.i, kernel[:, :4].T)


STARTS: dict[str, tuple[Callable[[Any, Any], Any], str | None]] = {
    "h and c": (lambda one, _: one, "one"),
    "c and h": (lambda one, _: one[::-1], None),
    "h of one and a Dense": (lambda one, dense: [one[0], dense], None),
    "a Dense alone": (lambda _, dense: [dense, dense], None),
}


@pytest.mark.parametrize("case", STARTS)
def test_a_layer_starts_from_another_only_with_all_its_states_in_order(case: str, tmp_path: Path) -> None:
    choose, expected = STARTS[case]
    x, z = keras.Input((None, 4)), keras.Input((3,))
    _, *states = layers.LSTM(4, return_state=True, name="one")(x)
    y = lstm("two")(x, initial_state=choose(states, layers.Dense(4)(z)))
    found = lstm_convert.load(saved(keras.Model([x, z], y), tmp_path, ".keras"))
    assert found["two"].starts_from == expected
    assert [note.partition(":")[0] for note in found.notes] == ([] if expected else ["two"])
    assert expected is None or any("last states of one" in line for line in usage(found, tmp_path))


def test_a_time_distributed_is_said_to_be_left_out(tmp_path: Path) -> None:
    each = layers.TimeDistributed(lstm("one"), name="each")
    around = layers.TimeDistributed(nested(lstm("deep"), "inner"), name="around")
    model = keras.Sequential([keras.Input((3, 5, 4)), each, around, layers.Reshape((15, 4)), lstm("plain")])
    for ending in (".keras", ".h5"):
        found = lstm_convert.load(saved(model, tmp_path, ending))
        assert [note.partition(":")[0] for note in found.notes] == ["each", "around.deep"]
        assert all("TimeDistributed" in note for note in found.notes)


def usage(model: Model, folder: Path) -> tuple[str, ...]:
    lstm_convert.save(model, folder / "again.npz")
    return lstm_convert.convert(folder / "again.npz", folder / "result.pt").usage


@pytest.mark.parametrize("first", [1, 3])
def test_states_of_one_direction_are_not_those_of_both(first: int, tmp_path: Path) -> None:
    x = keras.Input((None, 4))
    both = layers.Bidirectional(layers.LSTM(4, return_state=True), name="both")(x)
    model = keras.Model(x, lstm("two")(x, initial_state=both[first : first + 2]))
    assert lstm_convert.load(saved(model, tmp_path, ".keras"))["two"].starts_from is None


def test_the_second_sequence_of_a_pair_is_no_state(tmp_path: Path) -> None:
    x = keras.Input((None, 4))
    _, second = layers.Bidirectional(lstm("half"), merge_mode=None, name="pair")(x)
    found = lstm_convert.load(saved(keras.Model(x, lstm("two")(second)), tmp_path, ".keras"))
    assert (found["two"].starts_from, found["two"].follows, found.notes) == (None, None, ())


def test_a_layer_that_reads_backwards_is_not_stacked_on_another(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((None, 4)), lstm("one"), lstm("two", go_backwards=True)])
    done = lstm_convert.convert(
        saved(model, tmp_path, ".keras"), tmp_path / "result.pt", stack=True, allow=["go_backwards"]
    )
    assert [layer.path for layer in done.result.layers] == ["one", "two"]


class LSTM(layers.LSTM):  # type: ignore[misc]  # keras is not followed
    """A class of the user's own, which has the name of Keras's and computes something else."""


class Cell(layers.LSTMCell):  # type: ignore[misc]
    """A cell of that kind."""


@pytest.mark.parametrize(("build", "own"), [(lambda: LSTM(4), "LSTM"), (lambda: layers.RNN(Cell(4)), "Cell in RNN")])
def test_a_class_of_the_user_s_own_is_not_taken_for_keras_s(build: Callable[[], Any], own: str, tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((None, 4)), build()])
    with pytest.raises(Unsupported, match=rf"recurrent layers that are not read\n.*test_joints\.{own}"):
        lstm_convert.load(saved(model, tmp_path, ".keras"))
    with pytest.raises(Unsupported, match=rf"recurrent layers that are not read\n.*test_joints\.{own}"):
        from_keras(model.layers[0])


def test_a_layer_named_as_an_input_would_be_opens_in_keras(tmp_path: Path) -> None:
    x = keras.Input((None, 4))
    model = keras.Model(x, lstm("a_input")(layers.Dense(4)(lstm("a")(x))))
    for ending in (".keras", ".h5"):
        target = tmp_path / f"result{ending}"
        lstm_convert.convert(saved(model, tmp_path, ending), target)
        again = keras.models.load_model(target, compile=False)
        for name in ("a", "a_input"):
            assert np.array_equal(*(found.get_layer(name).cell.kernel.numpy() for found in (again, model)))


@pytest.mark.parametrize("ending", [".keras", ".h5", ".weights.h5"])
def test_a_name_that_keras_does_not_take_is_refused(ending: str, tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((None, 4)), lstm("a")])
    with pytest.raises(
        Unsupported, match="Keras 3 has no layer with / in its name\n  b/c: expected a name without /\n"
    ):
        lstm_convert.save(from_keras(model), tmp_path / f"result{ending}", rename={"a": "b/c"})


@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_a_mask_reaches_on_in_a_sequential_of_the_user_s_own_class(ending: str, tmp_path: Path) -> None:
    class Mine(keras.Sequential):  # type: ignore[misc]
        """A Sequential under another name."""

    model = Mine([keras.Input((None, 4)), layers.Masking(name="mask"), lstm("rnn")])
    assert lstm_convert.load(saved(model, tmp_path, ending))["rnn"].masked_by == "mask"
    assert from_keras(model)["rnn"].masked_by == "mask"


def test_what_only_a_subclassed_model_s_code_says_is_assumed_aloud() -> None:
    class Masked(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.mask, self.rnn = layers.Masking(), lstm("rnn")

        def call(self, x: Any) -> Any:
            return self.rnn(self.mask(x))

    model = Masked()
    model(np.zeros((1, 2, 4), "float32"))
    assert [sentence for sentence in from_keras(model).assumed if "no mask reaches a recurrent layer" in sentence]
    assert from_keras(nested(lstm("rnn"), "plain")).assumed == ()


def test_two_masks_along_a_chain_stay_two(tmp_path: Path) -> None:
    below, above = from_keras(keras.Sequential([keras.Input((None, 4)), lstm("below"), lstm("above")])).layers
    masked = Model((replace(below, masked_by="one"), replace(above, masked_by="other")))
    lstm_convert.save(masked, tmp_path / "result.keras")
    result = keras.models.load_model(tmp_path / "result.keras")
    assert [tensor.name for tensor in result.inputs] == ["below_input", "below_mask", "above_mask"]

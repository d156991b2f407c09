"""Recurrent layers inside networks, and the masks that reach each call, against Keras's own."""

from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest
from helpers import Array
from keras import layers
from keras_layers import CASES, F64, LINEAR, Case, random, with_random_weights

from lstm_convert.canonical import LSTM, Call, Cell, Feed, Gates, Input, Layer, Network
from lstm_convert.errors import Unsupported
from lstm_convert.network.masks import Given, Joined, Made, mask_of_feed, reaching
from lstm_convert.network.reference import every_step, mask_array, run_network


def cell_of(layer: Any) -> Cell:
    """Return the cell of a Keras LSTM, whose columns are i, f, g, o."""
    kernel, recurrent, bias = (np.asarray(weight) for weight in layer.weights)
    W, U, b = (Gates(np.stack([part.T for part in np.split(array, 4, -1)])) for array in (kernel, recurrent, bias))  # noqa: N806 (the fields' own letters)
    return Cell(W, U, b)


def recurrent_of(layer: Any, name: str = "it") -> Layer:
    both = isinstance(layer, layers.Bidirectional)
    one = layer.forward_layer if both else layer
    lstm = LSTM(
        name, cell_of(one), cell_of(layer.backward_layer) if both else None,
        merge=layer.merge_mode if both else "concat", go_backwards=one.go_backwards,
        return_sequences=one.return_sequences, zero_output_for_mask=one.zero_output_for_mask,
    )  # fmt: skip
    return Layer(name, "recurrent", recurrent=lstm)


def lstm(units: int = 5, **options: Any) -> Any:
    return layers.LSTM(units, **F64, **options)


def bidirectional(merge: str | None, **options: Any) -> Any:
    return layers.Bidirectional(lstm(return_state=True, **options), merge_mode=merge, **F64)


RECURRENT = {
    "last step": lstm(return_state=True),
    "backwards": lstm(return_state=True, return_sequences=True, go_backwards=True),
    "zeros": lstm(return_state=True, return_sequences=True, zero_output_for_mask=True),
    "every step": lstm(return_state=True, return_sequences=True),
    "bidirectional": bidirectional("concat", return_sequences=True),
    "bidirectional last step": bidirectional("ave"),
    "two outputs": bidirectional(None, return_sequences=True),
}


@pytest.mark.parametrize("name", RECURRENT)
@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("initial", [True, False])
def test_a_recurrent_layer_returns_its_sequences_and_then_its_states(name: str, *, masked: bool, initial: bool) -> None:
    layer, x = RECURRENT[name], random(4, 7, 3)
    with_random_weights(layer, x)
    count = 4 if name.startswith(("bi", "two")) else 2
    states = [random(4, 5, seed=number) for number in range(count)] if initial else []
    mask = np.random.default_rng(0).random((4, 7)) < 0.6
    expected = layer(x, initial_state=states or None, mask=keras.ops.convert_to_tensor(mask) if masked else None)
    inputs = (
        Input("x", (None, 3)), Input("mask", (None,), "bool"),
        *(Input(f"state{number}", (5,)) for number in range(len(states))),
    )  # fmt: skip
    call = Call("it", (Feed(0),), tuple(Feed(2 + number) for number in range(len(states))), Feed(1) if masked else None)
    network = Network(inputs, {"it": recurrent_of(layer)}, (call,), (Feed(len(inputs)),))
    found = every_step(network, [x, mask, *states])[-1]
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, np.asarray(theirs), rtol=0, atol=1e-12)


def test_a_recurrent_layer_starts_from_the_states_of_another() -> None:
    x, y = random(2, 7, 3), random(2, 5, 3)
    encoder, decoder = lstm(return_state=True), lstm(return_sequences=True)
    with_random_weights(encoder, x)
    with_random_weights(decoder, y)
    _, h, c = encoder(x)
    network = Network(
        (Input("x", (None, 3)), Input("y", (None, 3))),
        {"encoder": recurrent_of(encoder, "encoder"), "decoder": recurrent_of(decoder, "decoder")},
        (Call("encoder", (Feed(0),)), Call("decoder", (Feed(1),), (Feed(2, 1), Feed(2, 2)))),
        (Feed(3), Feed(2)),
    )
    found, last = run_network(network, [x, y])
    np.testing.assert_allclose(found, np.asarray(decoder(y, initial_state=[h, c])), rtol=0, atol=1e-12)
    np.testing.assert_allclose(last, np.asarray(h), rtol=0, atol=1e-12)


def masked_by_zeros(layer: Layer, *shape: int | None) -> Network:
    """A network whose first layer masks the steps that are zero, and whose second is the layer."""
    makes = Layer("masking", "masking", {"value": 0.0})
    calls = (Call("masking", (Feed(0),)), Call(layer.name, (Feed(1),)))
    return Network((Input("x", shape),), {"masking": makes, layer.name: layer}, calls, (Feed(2),))


def padded(*shape: int) -> Array:
    x = random(*shape)
    x[0, :2], x[0, 4], x[1, 5:] = 0, 0, 0
    return x


# A Softmax layer reached by a mask of other axes than its input's fails in Keras.
OF_SEQUENCES = [case for case in CASES if list(map(len, case.shapes)) == [3] and case.kind != "softmax"]
OF_SEQUENCES = [case for case in OF_SEQUENCES if case.options.get("channels") != "first"]


@pytest.mark.filterwarnings("ignore:Layer .* does not support masking")
@pytest.mark.parametrize("case", OF_SEQUENCES, ids=str)
def test_a_mask_passes_and_ends_as_it_does_in_keras(case: Case) -> None:
    (shape,) = case.shapes
    x = padded(*shape)
    with_random_weights(case.layer, x)
    expected = case.layer(layers.Masking(**F64)(x))
    network = masked_by_zeros(case.canonical(), *shape[1:])
    values = every_step(network, [x])
    np.testing.assert_allclose(values[-1][0], np.asarray(expected), rtol=0, atol=case.tolerance)
    assert_same_mask(mask_array(network, reaching(network)[-1], values), expected)


def keras_mask(tensor: Any) -> Any:
    return getattr(tensor, "_keras_mask", None)


def assert_same_mask(found: Array | None, tensor: Any) -> None:
    expected = keras_mask(tensor)
    assert (found is None) == (expected is None)
    if found is not None:
        np.testing.assert_array_equal(found, np.asarray(expected))


@pytest.mark.parametrize("name", RECURRENT)
def test_a_recurrent_layer_passes_a_mask_on_with_its_sequences_alone(name: str) -> None:
    layer, x = RECURRENT[name], padded(2, 7, 3)
    with_random_weights(layer, x)
    network = masked_by_zeros(recurrent_of(layer), 7, 3)
    values, reached = every_step(network, [x]), reaching(network)
    for output, (ours, theirs) in enumerate(zip(values[-1], layer(layers.Masking(**F64)(x)), strict=True)):
        np.testing.assert_allclose(ours, np.asarray(theirs), rtol=0, atol=1e-12)
        assert_same_mask(mask_array(network, mask_of_feed(network, Feed(2, output), reached), values), theirs)


WORDS = np.array([[1, 0, 2, 0, 5], [0, 3, 0, 0, 4]]), np.array([[0, 0, 5, 1, 3], [1, 1, 0, 0, 2]])


def joining(form: str, *, second: bool, joins: str, axis: int = -1) -> Network:
    """A network that merges two embeddings of words, of which the second may have no mask."""
    kernels = {name: random(6, 3, seed=number) for number, name in enumerate(("one", "other"))}
    known = {
        name: Layer(name, "embedding", {"mask_zero": name == "one" or second}, {"kernel": kernel})
        for name, kernel in kernels.items()
    }
    known["merge"] = Layer("merge", "merge", {"form": form, "axis": axis, "axes": 2, "normalize": False})
    calls = (Call("one", (Feed(0),)), Call("other", (Feed(1),)), Call("merge", (Feed(2), Feed(3))))
    return Network((Input("a", (None,)), Input("b", (None,))), known, calls, (Feed(4),), joins)


FORMS = {
    "add": layers.Add, "subtract": layers.Subtract, "multiply": layers.Multiply, "average": layers.Average,
    "maximum": layers.Maximum, "minimum": layers.Minimum, "concatenate": layers.Concatenate, "dot": layers.Dot,
}  # fmt: skip


@pytest.mark.parametrize("axis", [-1, 1])
@pytest.mark.parametrize("second", [True, False])
@pytest.mark.parametrize("form", FORMS)
def test_merged_masks_and_masked_numbers_are_those_of_keras(form: str, *, second: bool, axis: int) -> None:
    network = joining(form, second=second, joins="any", axis=axis)
    options = {"axis": axis} if form == "concatenate" else {"axes": 2} if form == "dot" else {}
    embedded = []
    for name, words in zip(("one", "other"), WORDS, strict=True):
        ours = network.layers[name]
        embedding = layers.Embedding(6, 3, mask_zero=ours.options["mask_zero"], **F64)
        embedding.build()
        embedding.set_weights([ours.arrays["kernel"]])
        embedded.append(embedding(words))
    expected = FORMS[form](**options, **F64)(embedded)
    values = every_step(network, WORDS)
    np.testing.assert_allclose(values[-1][0], np.asarray(expected), rtol=0, atol=1e-12)
    found = mask_array(network, reaching(network)[-1], values)
    if form == "concatenate" and axis == -1 and not second:
        assert found is None  # Keras has a mask there of which all steps count
        assert np.asarray(keras_mask(expected)).all()
    else:
        assert_same_mask(found, expected)


@pytest.mark.parametrize("form", [form for form in FORMS if form != "dot"])
@pytest.mark.parametrize("second", [True, False])
def test_before_keras_3_4_a_step_counts_where_it_does_in_all_masks(form: str, *, second: bool) -> None:
    """As Keras 2.15 joins them."""
    network = joining(form, second=second, joins="all")
    values = every_step(network, WORDS)
    joined = [[0, 0, 1, 0, 1], [0, 1, 0, 0, 1]] if second else [[1, 0, 1, 0, 1], [0, 1, 0, 0, 1]]
    np.testing.assert_array_equal(mask_array(network, reaching(network)[-1], values), np.array(joined, bool))
    makers = {
        name: layer if layer.kind == "merge" else replace(layer, options={"mask_zero": False})
        for name, layer in network.layers.items()
    }
    np.testing.assert_array_equal(values[-1][0], run_network(replace(network, layers=makers), WORDS)[0])


def test_masks_one_after_another_are_so_in_keras_2_too() -> None:
    network = joining("concatenate", second=True, joins="all", axis=1)
    mask = mask_array(network, reaching(network)[-1], every_step(network, WORDS))
    np.testing.assert_array_equal(mask, np.hstack([words != 0 for words in WORDS]))


def test_a_mask_that_reaches_a_merge_twice_is_that_mask() -> None:
    network = joining("add", second=True, joins="all")
    same = replace(network, calls=(*network.calls[:2], Call("merge", (Feed(2), Feed(2)))))
    assert reaching(same)[-1] == Made(2)
    assert reaching(network)[-1] == Joined("all", (Made(2), Made(3)))


def test_a_mask_that_is_handed_over_comes_before_that_of_the_input() -> None:
    network = masked_by_zeros(Layer("drop", "dropout", {"form": "dropout", "rate": 0.5}), 7, 3)
    given = replace(network, calls=(network.calls[0], Call("drop", (Feed(1),), mask=Feed(0))))
    assert reaching(given)[-1] == Given(Feed(0))


def test_a_mask_passes_layers_of_each_step_by() -> None:
    x = padded(2, 7, 3)
    dense = with_random_weights(layers.TimeDistributed(layers.Dense(5, **F64), **F64), x)
    arrays = {"kernel": np.asarray(dense.layer.kernel).T, "bias": np.asarray(dense.layer.bias)}
    network = masked_by_zeros(Layer("it", "dense", {"activation": LINEAR}, arrays, each_step=True), 7, 3)
    values, expected = every_step(network, [x]), dense(layers.Masking(**F64)(x))
    np.testing.assert_allclose(values[-1][0], np.asarray(expected), rtol=0, atol=1e-12)
    assert_same_mask(mask_array(network, reaching(network)[-1], values), expected)


def of_sentences(*, masked: bool) -> tuple[Network, Any]:
    """A network of sentences of words, and the same in Keras: a model for each sentence, and one over them."""
    words = keras.Input((5,))
    embedding, reader = layers.Embedding(11, 3, mask_zero=True, **F64), lstm(7)
    model = keras.Model(words, reader(embedding(words)))
    for layer in (embedding, reader):
        layer.set_weights([random(*weight.shape, seed=number) for number, weight in enumerate(layer.weights)])
    kernel = {"kernel": np.asarray(embedding.embeddings)}
    known = {
        "embedding": Layer("embedding", "embedding", {"mask_zero": True}, kernel, each_step=True),
        "it": replace(recurrent_of(reader), each_step=True),
    }
    calls: tuple[Call, ...] = (Call("embedding", (Feed(0),)), Call("it", (Feed(1),)))
    if masked:
        known["masking"] = Layer("masking", "masking", {"value": 0.0})
        calls = (Call("masking", (Feed(0),)), Call("embedding", (Feed(1),)), Call("it", (Feed(2),)))
    return Network((Input("words", (None, 5)),), known, calls, (Feed(len(calls)),)), model


def test_a_mask_of_the_words_of_each_sentence_ends_with_the_sentence() -> None:
    network, model = of_sentences(masked=False)
    words = np.random.default_rng(0).integers(0, 3, (2, 4, 5))
    (found,) = run_network(network, [words])
    expected = np.stack([np.asarray(model(words[:, sentence])) for sentence in range(4)], axis=1)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    assert reaching(network) == [None, Made(1), None]


def test_a_mask_over_the_sentences_beside_one_of_their_words_is_refused() -> None:
    with pytest.raises(Unsupported, match="makes a mask for each entry"):
        reaching(of_sentences(masked=True)[0])

"""The float64 reference of networks against Keras's own layers, kind by kind."""

from dataclasses import replace

import numpy as np
import pytest
from keras import layers
from keras_layers import CASES, F64, WITH_WINDOW, Case, called, one_layer, random, with_random_weights

from lstm_convert.canonical import Layer
from lstm_convert.canonical.kinds import KINDS
from lstm_convert.errors import LayoutMismatch
from lstm_convert.network.reference import run_network


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_layer_computes_what_keras_computes(case: Case) -> None:
    xs = [random(*shape, seed=number) for number, shape in enumerate(case.shapes)]
    expected = called(with_random_weights(case.layer, *xs), *xs)
    (found,) = run_network(one_layer(case.canonical(), *(shape[1:] for shape in case.shapes)), xs)
    assert found.dtype == np.float64
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=case.tolerance)


@pytest.mark.parametrize("case", WITH_WINDOW, ids=str)
def test_channels_that_come_first_are_those_that_come_last_moved(case: Case) -> None:
    """TensorFlow has no such layers without a graphics card."""
    (shape,) = case.shapes
    x = random(*shape)
    expected = np.moveaxis(called(with_random_weights(case.layer, x), x), -1, 1)
    layer = replace(case.canonical(), options={**case.options, "channels": "first"})
    moved = np.moveaxis(x, -1, 1)
    (found,) = run_network(one_layer(layer, moved.shape[1:]), [moved])
    np.testing.assert_allclose(found, expected, rtol=0, atol=case.tolerance)


def test_an_embedding_returns_the_row_of_each_word() -> None:
    words = np.array([[0, 3, 1], [4, 4, 0]])
    layer = with_random_weights(layers.Embedding(5, 3, **F64), words)
    canonical = Layer("it", "embedding", {"mask_zero": False}, {"kernel": np.asarray(layer.weights[0])})
    (found,) = run_network(one_layer(canonical, (None,)), [words])
    np.testing.assert_array_equal(found, called(layer, words))


@pytest.mark.parametrize("word", [-1, 5])
def test_a_word_outside_the_vocabulary_is_refused(word: int) -> None:
    canonical = Layer("it", "embedding", {"mask_zero": False}, {"kernel": random(5, 3)})
    with pytest.raises(LayoutMismatch, match="expected words from 0 to 4"):
        run_network(one_layer(canonical, (None,)), [np.array([[word]])])


@pytest.mark.parametrize("value", [0.0, -1.0, 0.1])
def test_masking_makes_the_steps_zero_that_do_not_count(value: float) -> None:
    x = random(2, 7, 3).astype(np.float32)
    x[0, 2:4], x[1, 6], x[1, 0, 1] = value, value, value
    (found,) = run_network(one_layer(Layer("it", "masking", {"value": value}), (None, 3)), [x])
    np.testing.assert_array_equal(found, called(layers.Masking(value), x))
    np.testing.assert_array_equal(np.argwhere((found == 0).all(-1)), [[0, 2], [0, 3], [1, 6]])


@pytest.mark.parametrize(("axis", "index"), [(1, -1), (1, 2), (-1, 0)])
def test_take_is_an_index_along_its_axis(axis: int, index: int) -> None:
    x = random(2, 7, 3)
    (found,) = run_network(one_layer(Layer("it", "take", {"axis": axis, "index": index}), (7, 3)), [x])
    np.testing.assert_array_equal(found, x[:, index] if axis == 1 else x[..., index])


@pytest.mark.parametrize("axis", [1, -1])
def test_flip_is_an_axis_turned_around(axis: int) -> None:
    x = random(2, 7, 3)
    (found,) = run_network(one_layer(Layer("it", "flip", {"axis": axis}), (7, 3)), [x])
    np.testing.assert_array_equal(found, x[:, ::-1] if axis == 1 else x[..., ::-1])


def test_transpose_moves_the_batch_too() -> None:
    x = random(2, 7, 3)
    (found,) = run_network(one_layer(Layer("it", "transpose", {"order": (1, 0, 2)}), (7, 3)), [x])
    np.testing.assert_array_equal(found, x.transpose(1, 0, 2))


def test_every_kind_is_compared() -> None:
    assert {case.kind for case in CASES} | {"embedding", "flip", "masking", "take", "transpose", "recurrent"} == set(
        KINDS
    )


PER_STEP = [case for case in CASES if case.kind not in ("merge", "prelu", "dropout", "activation", "relu")][::3]


@pytest.mark.parametrize("case", PER_STEP, ids=str)
def test_a_layer_of_each_step_computes_what_time_distributed_computes(case: Case) -> None:
    (shape,) = case.shapes
    x = random(shape[0], 3, *shape[1:])
    wrapped = with_random_weights(layers.TimeDistributed(case.layer, **F64), x)
    (found,) = run_network(one_layer(replace(case.canonical(), each_step=True), x.shape[1:]), [x])
    np.testing.assert_allclose(found, called(wrapped, x), rtol=0, atol=case.tolerance)


# What does not fit


def test_inputs_of_other_shapes_are_refused_all_at_once() -> None:
    layer = Layer("it", "merge", {"form": "add", "axis": -1, "axes": None, "normalize": False})
    with pytest.raises(LayoutMismatch, match=r"(?s)x0: expected shape \(batch, None, 3\).*x1: expected"):
        run_network(one_layer(layer, (None, 3), (3,)), [random(2, 7, 4), random(2, 7)])
    with pytest.raises(LayoutMismatch, match="expected 2 inputs, found 1"):
        run_network(one_layer(layer, (None, 3), (3,)), [random(2, 7, 3)])


@pytest.mark.parametrize("kind", ["conv", "pool"])
def test_a_window_longer_than_its_input_is_refused(kind: str) -> None:
    case = next(case for case in WITH_WINDOW if case.kind == kind and case.options["padding"] == "valid")
    (shape,) = case.shapes
    with_random_weights(case.layer, random(*shape))
    with pytest.raises(LayoutMismatch, match="expected at least"):
        run_network(one_layer(case.canonical(), (None, *shape[2:])), [random(2, 1, *shape[2:])])


def test_a_merge_that_is_not_known_is_refused() -> None:
    with pytest.raises(LayoutMismatch, match=r"it: form: expected .* found 'cross'"):
        Layer("it", "merge", {"form": "cross", "axis": -1, "axes": None, "normalize": False})

"""Theano turns its kernels around, and pads otherwise: whether a Keras file is of it, and what then is read."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import Array
from keras_networks import MODELS, architecture_of, opened, read, recorded, stem, title

from lstm_convert import Model
from lstm_convert.containers import Contents
from lstm_convert.frameworks import ReadOptions, keras
from lstm_convert.network.reference import run_network

CONV = MODELS / "keras-2.2.0/conv1d_lstm.h5"


@contextmanager
def said_backend(path: Path, backend: Any) -> Iterator[Contents]:
    """A file that says another backend, or none where that is None."""
    with opened(path) as contents:
        places = {}
        for place, values in contents.attributes.items():
            others = {name: value for name, value in values.items() if name != "backend"}
            places[place] = others | ({"backend": backend} if "backend" in values and backend else {})
        yield Contents(contents.arrays, places)


def first_kernel(model: Model) -> Array:
    assert model.network is not None
    return next(layer.arrays["kernel"] for layer in model.network.layers.values() if layer.kind == "conv")


def test_the_kernels_of_theano_are_turned_around() -> None:
    with said_backend(CONV, "theano") as contents:
        theano = first_kernel(keras.read(contents, ReadOptions()))
    with said_backend(CONV, "tensorflow") as contents:
        others = first_kernel(keras.read(contents, ReadOptions()))
    np.testing.assert_array_equal(theano, others[..., ::-1])


@pytest.mark.parametrize("backend", ["plaidml", None])
def test_a_backend_that_is_not_known_may_turn_kernels_around(backend: str | None) -> None:
    with said_backend(CONV, backend) as contents:
        model = keras.read(contents, ReadOptions())
    assert any("does not say whether Theano wrote it" in line for line in model.not_understood)


SAME = [MODELS / f"keras-{version}/conv{rank}d_same.h5" for version in ("1.2.2", "2.2.0") for rank in (1, 2)]


@pytest.mark.parametrize("path", SAME, ids=title)
def test_what_theano_pads_otherwise_is_padded_so_before_a_convolution(path: Path) -> None:
    """The poolings of these models are not ported; without them the rest is."""
    architecture = architecture_of(path)
    outputs = architecture["config"]["output_layers"]
    convolutions = [place for place, (name, _, _) in enumerate(outputs) if name.startswith("conv")]
    architecture["config"]["output_layers"] = [outputs[place] for place in convolutions]
    network = read(path, architecture).network
    assert network is not None
    expected = recorded(path, "y")
    for output, place in zip(run_network(network, recorded(path, "x")), convolutions, strict=True):
        np.testing.assert_allclose(output, expected[place], rtol=0, atol=1e-5 * max(1.0, np.abs(expected[place]).max()))


@pytest.mark.parametrize("path", SAME, ids=title)
def test_a_pooling_that_theano_pads_otherwise_is_named(path: Path) -> None:
    reason = "max_2_2: padding 'same' of a pooling, which Theano pads otherwise than others"
    assert reason in read(path).not_understood


BY_BACKEND = [MODELS / f"keras-1.2.2/{name}.h5" for name in ("conv1d_lstm", "conv2d_lstm")]


@pytest.mark.parametrize("path", BY_BACKEND, ids=title)
def test_keras_1_on_tensorflow_is_known_by_the_names_of_its_weights(path: Path) -> None:
    with opened(path) as contents:
        attributes = {
            place: {
                **values,
                **(
                    {"weight_names": [f"{name}:0" for name in values["weight_names"]]}
                    if "weight_names" in values
                    else {}
                ),
            }
            for place, values in contents.attributes.items()
        }
        arrays = {f"{key}:0": stored for key, stored in contents.arrays.items()}
        network = keras.read(Contents(arrays, attributes), ReadOptions()).network
        assert network is not None
        outputs = run_network(network, recorded(path, "x"))
    with np.load(path.with_name(f"{stem(path)}.expected.npz")) as file:
        for number, output in enumerate(outputs):
            y = file[f"tensorflow/y{number}"]
            np.testing.assert_allclose(output, y, rtol=0, atol=1e-5 * max(1.0, np.abs(y).max()))

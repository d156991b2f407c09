"""Live models across frameworks: a module becomes the Keras model that computes the same, and the other way round."""

from typing import Any

import keras
import numpy as np
import pytest
import torch
from test_tracing import Several, flat, made
from torch import nn
from traced_modules import MODULES

from lstm_convert import Unsupported, from_torch, to_keras, to_torch

# What Keras has no layer for is refused: an LSTM's projection, hard_shrink.
IN_KERAS = [name for name in MODULES if name not in ("kinds", "activations")]


def close(found: Any, wanted: Any) -> bool:
    one, other = np.asarray(found, np.float64), wanted.double().numpy()
    return one.shape == other.shape and bool(np.abs(one - other).max() <= 1e-5 * np.abs(other).max())


@pytest.mark.parametrize("name", IN_KERAS)
def test_a_module_computes_the_same_as_a_keras_model(name: str) -> None:
    module, example = made(name, torch.float32)
    model = to_keras(module, example=example)
    module.eval()
    with torch.no_grad():
        wanted = flat(module(*example))
    found = model([x.numpy() for x in example])
    found = list(found) if isinstance(found, list | tuple) else [found]
    assert len(found) == len(wanted)
    assert all(close(one, other) for one, other in zip(found, wanted, strict=True))


@pytest.mark.parametrize("name", ["tagger", "time first", "image", "convolutions", "shapes"])
def test_a_traced_model_can_be_made_a_module_again(name: str) -> None:
    module, example = made(name, torch.float64)
    again = to_torch(from_torch(module, example=example))
    assert not again.training
    module.eval()
    with torch.no_grad():
        wanted, found = flat(module(*example)), flat(again(*example))
    assert all(torch.allclose(one, other, 1e-12, 1e-12) for one, other in zip(found, wanted, strict=True))


def keras_model() -> keras.Model:
    inputs = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(11, 3)(inputs)
    x = keras.layers.Bidirectional(keras.layers.LSTM(5))(x)
    return keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(x))


def test_a_keras_model_computes_the_same_as_a_module() -> None:
    model = keras_model()
    words = np.arange(14).reshape(2, 7) % 11
    with torch.no_grad():
        found = to_torch(model)(torch.from_numpy(words))
    np.testing.assert_allclose(found.numpy(), np.asarray(model(words)), rtol=1e-5)


def test_the_recurrent_layers_alone_can_be_asked_for() -> None:
    assert isinstance(to_torch(keras_model(), lstm_only=True), torch.nn.LSTM)
    module, example = made("tagger", torch.float32)
    names = [layer.name for layer in to_keras(module, example=example, lstm_only=True).layers]
    assert not {"emb", "head"} & set(names)


def test_layers_can_be_renamed() -> None:
    module, example = made("last step", torch.float32)
    model = to_keras(module, example=example, rename={"head": "top"})
    assert "top_0" in [layer.name for layer in model.layers]  # Keras takes no dot in a name


def test_what_is_not_ported_is_refused_rather_than_left_out() -> None:
    with pytest.raises(Unsupported, match=r"norm \(nn.GroupNorm\)") as refused:
        to_keras(Several())
    assert refused.value.next_step == "lstm_only=True ports the recurrent layers alone."


def test_what_keras_has_no_layer_for_is_refused() -> None:
    module, example = made("activations", torch.float32)
    with pytest.raises(Unsupported, match="hard_shrink"):
        to_keras(module, example=example)


@pytest.mark.parametrize("make", [to_keras, to_torch])
def test_anything_else_is_a_type_error(make: Any) -> None:
    with pytest.raises(TypeError, match="found int"):
        make(7)


def test_a_sequential_without_a_recurrent_layer_becomes_a_keras_model_too() -> None:
    net = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2)).eval()
    x = torch.randn(4, 3)
    found = to_keras(net, example=x)([x.numpy()])
    assert np.abs(np.asarray(found) - net(x).detach().numpy()).max() < 1e-6

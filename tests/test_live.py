"""Live objects: what comes out of one framework computes the same in the other, and what went in is left as it was."""

import sys
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import torch
from comparing import assert_close, assert_recorded, assert_same_bits
from helpers import TOLERANCE, Array, Recorded, chains
from running import keras_name, modules_of, run_keras, run_reference, run_torch
from torch import nn

import lstm_convert
from lstm_convert import (
    LSTM,
    Cell,
    Gates,
    InvalidFile,
    MissingFramework,
    Model,
    Recurrent,
    Unsupported,
    from_keras,
    from_torch,
    to_keras,
    to_torch,
)

BATCH, STEPS, INPUTS = 4, 7, 3


def random(*shape: int, dtype: str = "float32") -> Array:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(dtype)


def recorded_of(layer: Recurrent, dtype: str = "float32") -> Recorded:
    """A random sequence and a random state for each direction, to be run through two frameworks."""
    x = random(BATCH, STEPS, layer.forward.inputs, dtype=dtype)
    h0, c0 = (
        random(len(layer.cells), BATCH, size, dtype=dtype) for size in (layer.forward.outputs, layer.forward.units)
    )
    return Recorded(layer.path, x, x, h0, c0)


# PyTorch


class Several(nn.Module):  # type: ignore[misc]  # torch is not followed
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.LSTM(INPUTS, 5, bidirectional=True)
        self.inner = nn.ModuleDict({"deep": nn.LSTM(10, 7, num_layers=2, dropout=0.5), "gru": nn.GRU(7, 5)})
        self.cell = nn.LSTMCell(7, 5)
        self.head = nn.Linear(5, 2)


MODULES: dict[str, Callable[[], nn.Module]] = {
    "one layer": lambda: nn.LSTM(INPUTS, 5),
    "three layers": lambda: nn.LSTM(INPUTS, 5, num_layers=3, batch_first=True),
    "two bidirectional layers": lambda: nn.LSTM(INPUTS, 7, num_layers=2, bidirectional=True),
    "without bias": lambda: nn.LSTM(INPUTS, 5, bias=False, bidirectional=True),
    "a cell": lambda: nn.LSTMCell(INPUTS, 5),
    "a cell without bias": lambda: nn.LSTMCell(INPUTS, 5, bias=False),
    "several among others": Several,
    "a GRU": lambda: nn.GRU(INPUTS, 5, num_layers=2, bidirectional=True),
    "a simple RNN": lambda: nn.RNN(INPUTS, 5),
    "a GRU cell": lambda: nn.GRUCell(INPUTS, 5),
    "a simple RNN's cell": lambda: nn.RNNCell(INPUTS, 5, bias=False),
}
DTYPES = {
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "float32": torch.float32,
    "float64": torch.float64,
}


def bits(module: nn.Module) -> dict[str, Any]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def lstm_bits(module: nn.Module) -> dict[str, Any]:
    return {name: tensor for name, tensor in bits(module).items() if not name.startswith("head")}


@pytest.mark.parametrize("build", MODULES.values(), ids=MODULES)
@pytest.mark.parametrize("dtype", DTYPES.values(), ids=DTYPES)
def test_torch_to_canonical_and_back_is_the_same_module(build: Callable[[], nn.Module], dtype: torch.dtype) -> None:
    module = build().to(dtype)
    before = bits(module)
    back = to_torch(from_torch(module))
    assert_same_bits(bits(back), lstm_bits(module))
    assert_same_bits(bits(module), before)
    assert {
        name: type(part) for name, part in back.named_modules() if isinstance(part, nn.RNNBase | nn.RNNCellBase)
    } == {name: type(part) for name, part in module.named_modules() if isinstance(part, nn.RNNBase | nn.RNNCellBase)}


@pytest.mark.parametrize("build", MODULES.values(), ids=MODULES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_torch_module_computes_the_same_in_the_reference_and_in_keras(
    build: Callable[[], nn.Module], dtype: str
) -> None:
    module = build().to(DTYPES[dtype])
    model = from_torch(module)
    in_keras = to_keras(model)
    modules = modules_of(lstm_bits(module), DTYPES[dtype])
    for path, chain in chains(model.layers).items():
        given = recorded_of(chain[0], dtype)
        rows = sum(len(layer.cells) for layer in chain)
        state = random(rows, BATCH, chain[0].forward.units, dtype=dtype)
        given = Recorded(path, given.x, given.y, state, state[::-1].copy(), hn=state, cn=state)
        computed = run_torch([modules[path]], given)
        wanted = Recorded(path, given.x, computed["y"], given.h0, given.c0, computed["hn"], computed.get("cn"))
        assert_recorded(run_reference(chain, wanted), wanted)
        y = run_keras([in_keras.get_layer(keras_name(layer.name)) for layer in chain], wanted)["y"]
        assert_close(y, wanted.y, TOLERANCE[dtype])


def test_a_module_made_shares_no_memory_with_the_model() -> None:
    model = from_torch(nn.LSTM(INPUTS, 5))
    before = np.array(model.layers[0].forward.W)
    made = to_torch(model)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.zero_()
    np.testing.assert_array_equal(model.layers[0].forward.W, before, strict=True)


class Own(nn.Module):  # type: ignore[misc]  # torch is not followed
    def __init__(self) -> None:
        super().__init__()
        for name, tensor in nn.LSTM(INPUTS, 5).named_parameters():
            self.register_parameter(name, tensor)


@pytest.mark.parametrize(
    ("module", "error", "reason"),
    [
        (nn.Conv3d(INPUTS, 5, 2), InvalidFile, "Conv3d has no LSTM"),
        (nn.Sequential(Own()), Unsupported, "none of PyTorch's own"),
    ],
    ids=["convolution", "somebody's own"],
)
def test_a_module_that_is_no_lstm_is_refused(module: nn.Module, error: type[Exception], reason: str) -> None:
    with pytest.raises(error, match=reason):
        from_torch(module)


# Keras


def sequence(*layers: Any) -> keras.Model:
    return keras.Sequential([keras.Input((STEPS, INPUTS)), *layers])


def lstm(units: int, **settings: Any) -> Any:
    return keras.layers.LSTM(units, bias_initializer="random_normal", **settings)


def functional() -> keras.Model:
    left, right = keras.Input((STEPS, INPUTS)), keras.Input((STEPS, INPUTS))
    shared = lstm(5, return_sequences=True, name="shared")
    return keras.Model([left, right], lstm(7, name="last")(keras.layers.Concatenate()([shared(left), shared(right)])))


def nested() -> keras.Model:
    inner = sequence(
        lstm(5, return_sequences=True, trainable=False, name="frozen"), lstm(7, return_sequences=True, name="deep")
    )
    return sequence(keras.Model(inner.inputs[0], inner.outputs[0], name="inner"), lstm(5, name="top"))


def layer_alone() -> Any:
    layer = lstm(5, return_sequences=True, name="alone")
    layer.build((None, STEPS, INPUTS))
    return layer


KERAS: dict[str, Callable[[], Any]] = {
    "a layer alone": layer_alone,
    "sequential": lambda: sequence(lstm(5, return_sequences=True, name="a"), keras.layers.Dense(2), lstm(7, name="b")),
    "functional": functional,
    "nested": nested,
    "bidirectional": lambda: sequence(keras.layers.Bidirectional(lstm(5, return_sequences=True), name="both")),
    "without bias": lambda: sequence(keras.layers.LSTM(5, use_bias=False, return_sequences=True, name="bare")),
    "a cell": lambda: sequence(keras.layers.RNN(keras.layers.LSTMCell(5), return_sequences=True, name="one")),
    "two cells": lambda: sequence(
        keras.layers.RNN([keras.layers.LSTMCell(5), keras.layers.LSTMCell(7)], return_sequences=True, name="two")
    ),
}


@pytest.mark.parametrize("build", KERAS.values(), ids=KERAS)
def test_a_keras_model_computes_the_same_in_the_reference_in_torch_and_made_again(build: Callable[[], Any]) -> None:
    source = build()
    before = {weight.path: weight.numpy() for weight in source.weights}
    model = from_keras(source)
    again, module = to_keras(model), to_torch(model)
    single = len(model.layers) == 1
    for layer in model.layers:
        recorded = recorded_of(layer)
        y = run_keras([again.get_layer(keras_name(layer.name))], recorded)["y"]
        assert_close(run_reference([layer], recorded)["y"], y, TOLERANCE["float32"])
        part = module if single else module.get_submodule(layer.name)
        last_only = Recorded(layer.path, recorded.x, y, recorded.h0, recorded.c0)
        assert_close(run_torch([part], last_only)["y"], y, TOLERANCE["float32"])
    assert_same_bits({weight.path: weight.numpy() for weight in source.weights}, before)


@pytest.mark.parametrize("name", ["a layer alone", "bidirectional", "without bias", "a cell", "two cells"])
def test_the_whole_keras_layer_computes_the_same_in_the_reference(name: str) -> None:
    source = KERAS[name]()
    x = random(BATCH, STEPS, INPUTS)
    [chain] = chains(from_keras(source).layers).values()
    wanted = np.asarray(source(x))
    assert_close(run_reference(chain, Recorded("", x, wanted))["y"], wanted, TOLERANCE["float32"])


@pytest.mark.parametrize("dtype", DTYPES)
def test_keras_to_torch_and_back_is_the_same_weights(dtype: str) -> None:
    layer = lstm(5, dtype=dtype, recurrent_initializer="glorot_uniform", return_sequences=True, name="lstm")
    source = sequence(keras.layers.Bidirectional(layer, dtype=dtype, name="both"))
    back = to_keras(from_torch(to_torch(from_keras(source), rename={"both": "there.both"})))
    assert_same_bits(
        {str(place): array for place, array in enumerate(back.get_weights())},
        {str(place): array for place, array in enumerate(source.get_weights())},
    )


def test_stack_joins_two_bidirectional_layers_of_one_size() -> None:
    both = [keras.layers.Bidirectional(lstm(5, return_sequences=True), name=name) for name in "ab"]
    source = sequence(*both)
    stacked = to_torch(from_keras(source), stack=True)
    assert isinstance(stacked, nn.LSTM)
    assert (stacked.num_layers, stacked.bidirectional, stacked.batch_first) == (2, True, True)
    x = random(BATCH, STEPS, INPUTS)
    wanted = np.asarray(source(x))
    assert_close(run_torch([stacked], Recorded("", x, wanted))["y"], wanted, TOLERANCE["float32"])


def test_a_keras_model_without_weights_says_how_to_get_them() -> None:
    with pytest.raises(InvalidFile, match="no weights yet") as refused:
        from_keras(keras.Sequential([keras.layers.LSTM(5)]))
    assert refused.value.next_step == "Build it, or call it once."


# What the caller hands over stays the caller's.


def by_hand() -> tuple[Model, dict[str, Array]]:
    arrays = {"W": random(4, 5, INPUTS), "U": random(4, 5, 5), "b": random(4, 5)}
    cell = Cell(Gates(arrays["W"]), Gates(arrays["U"]), Gates(arrays["b"]))
    return Model((LSTM("lstm", cell),)), arrays


@pytest.mark.parametrize("ending", [".pt", ".safetensors", ".keras", ".weights.h5", ".h5", ".npz", ".lstm.safetensors"])
def test_writing_leaves_the_caller_s_arrays_as_they_were(ending: str, tmp_path: Any) -> None:
    model, arrays = by_hand()
    before = {name: array.copy() for name, array in arrays.items()}
    lstm_convert.save(model, tmp_path / f"weights{ending}")
    assert_same_bits(arrays, before)
    assert all(array.flags.writeable for array in arrays.values())


@pytest.mark.parametrize("make", [to_torch, to_keras])
def test_making_a_module_leaves_the_caller_s_arrays_as_they_were(make: Callable[[Model], Any]) -> None:
    model, arrays = by_hand()
    before = {name: array.copy() for name, array in arrays.items()}
    make(model)
    assert_same_bits(arrays, before)
    assert all(array.flags.writeable for array in arrays.values())


# A framework that is not there.


@pytest.mark.parametrize(
    ("framework", "make", "command"),
    [("torch", to_torch, "pip install torch"), ("keras", to_keras, "pip install keras tensorflow")],
)
def test_a_missing_framework_is_named_with_the_command_that_brings_it(
    framework: str, make: Callable[[Model], Any], command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, framework, None)
    with pytest.raises(MissingFramework) as missing:
        make(by_hand()[0])
    assert missing.value.next_step == command
    assert isinstance(missing.value, ImportError)


@pytest.mark.parametrize("read", [from_torch, from_keras])
def test_something_else_than_a_live_object_is_a_type_error(read: Callable[[Any], Model]) -> None:
    with pytest.raises(TypeError, match="found dict"):
        read({})

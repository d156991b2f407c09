"""Whole networks written as Keras 3 files: real Keras 3 opens them in safe mode, computes the same, trains, saves."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from helpers import Array
from networks import (
    JOINED,
    NETWORKS,
    OLD_HARD_SIGMOID,
    PLAIN,
    call,
    chain,
    dense,
    embedding,
    graph,
    layer,
    lstm,
    odd_names,
    unread,
    words,
)

import lstm_convert
from lstm_convert import Activation, Model, Unsupported
from lstm_convert.canonical import Feed, Input, Network
from lstm_convert.canonical.kinds import KINDS
from lstm_convert.formats import for_writing
from lstm_convert.frameworks import WriteOptions
from lstm_convert.frameworks import keras as adapter
from lstm_convert.frameworks.keras.opening import strange_classes
from lstm_convert.network.inputs import network_inputs
from lstm_convert.network.reference import run_network

pytestmark = [
    # TensorFlow's variables have not the newest signature of NumPy's protocol.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
    # A layer that ends a mask says so.
    pytest.mark.filterwarnings("ignore:Layer .* does not support masking:UserWarning"),
    # So does a model that has nothing to learn.
    pytest.mark.filterwarnings("ignore:The model does not have any trainable weights:UserWarning"),
]

TOLERANCE = 2e-6
# Each network is computed by real Keras on both backends: the joined ones in every form, of the others half in each.
TRAINED, OTHER_FORMS = ([*list(PLAIN)[number::2], *JOINED] for number in range(2))

# Opens all files of a folder, and compares with what lies beside them.
ALL_OF_A_FOLDER = """
import sys
from pathlib import Path
import keras, numpy as np
assert keras.backend.backend() == "torch"
for path in sorted(Path(sys.argv[1]).glob("*.keras")):
    with np.load(path.with_suffix(".npz")) as file:
        inputs, outputs = ([file[name] for name in file if name[0] == side] for side in "xy")
    model = keras.models.load_model(path, safe_mode=True)
    model.compile("sgd", "mse")
    for again in range(2):
        found = model.predict(inputs if inputs[1:] else inputs[0], verbose=0)
        for one, other in zip(found if outputs[1:] else [found], outputs, strict=True):
            assert one.shape == other.shape, path
            assert np.abs(one - other).max() <= TOLERANCE * max(1.0, np.abs(other).max()), path
        if not again:
            model.save(path)
            model = keras.models.load_model(path)
    model.compile("sgd", "mse")
    model.fit(inputs if inputs[1:] else inputs[0], outputs if outputs[1:] else outputs[0], verbose=0)
    print(path.name)
"""


def saved(network: Network, path: Path, **options: Any) -> Path:
    entry, extension = for_writing(path)
    chosen = WriteOptions(extension, **options)
    assert not adapter.network_refusals(network, chosen)
    entry.opener.write(path, adapter.write(Model(network.recurrent, network=network), chosen))
    return path


def usage(network: Network, **options: Any) -> list[str]:
    return adapter.usage(Model(network.recurrent, network=network), WriteOptions(".keras", **options))


def refused(network: Network, extension: str = ".keras") -> str:
    return "\n".join(adapter.network_refusals(network, WriteOptions(extension)))


def listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def fed(arrays: list[Array]) -> Any:
    return arrays if arrays[1:] else arrays[0]


def assert_computes(model: Any, inputs: list[Array], outputs: list[Array]) -> None:
    found = [np.asarray(array) for array in listed(model(inputs, training=False))]
    for one, other in zip(found, outputs, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=0, atol=TOLERANCE * max(1.0, np.abs(other).max()))


@pytest.mark.parametrize("name", TRAINED)
def test_keras_computes_the_network_trains_it_and_saves_it(name: str, tmp_path: Path) -> None:
    network = NETWORKS[name]
    inputs = network_inputs(network)
    outputs = run_network(network, inputs)
    model = keras.models.load_model(saved(network, tmp_path / "a.keras"), safe_mode=True)
    assert_computes(model, inputs, outputs)
    model.save(tmp_path / "again.keras")
    assert_computes(keras.models.load_model(tmp_path / "again.keras"), inputs, outputs)
    model.compile("sgd", "mse", run_eagerly=True)
    assert np.isfinite(model.train_on_batch(inputs, fed(outputs))).all()


@pytest.mark.parametrize("name", OTHER_FORMS)
def test_the_other_forms_hold_the_same(name: str, tmp_path: Path) -> None:
    network = NETWORKS[name]
    inputs = network_inputs(network)
    outputs = run_network(network, inputs)
    model = keras.models.load_model(saved(network, tmp_path / "a.h5"), compile=False)
    assert_computes(model, inputs, outputs)
    model.set_weights([np.zeros_like(array) for array in model.get_weights()])
    model.load_weights(saved(network, tmp_path / "a.weights.h5"))
    assert_computes(model, inputs, outputs)


def test_keras_on_torch_computes_trains_and_saves_networks(tmp_path: Path) -> None:
    names = {f"{number}.keras": name for number, name in enumerate(NETWORKS)}
    for file, name in names.items():
        network = NETWORKS[name]
        inputs = network_inputs(network)
        arrays: dict[str, Any] = {f"x{number}": array for number, array in enumerate(inputs)}
        arrays |= {f"y{number}": array for number, array in enumerate(run_network(network, inputs))}
        np.savez(saved(network, tmp_path / file).with_suffix(".npz"), **arrays)
    script = ALL_OF_A_FOLDER.replace("TOLERANCE", str(TOLERANCE))
    environment = {**os.environ, "KERAS_BACKEND": "torch"}
    command = [sys.executable, "-c", script, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 (this very Python)
    assert not done.returncode, done.stderr
    assert set(done.stdout.split()) == set(names)


def test_verify_hands_every_network_to_keras() -> None:
    for network in NETWORKS.values():
        contents = adapter.write(Model(network.recurrent, network=network), WriteOptions(".keras"))
        assert not list(strange_classes(json.loads(contents.document("config.json") or "")))


APART = [
    name for name, network in NETWORKS.items()
    if any("all backends of Keras" in line for line in usage(network))
    and any(layer.arrays for layer in network.layers.values())
    and name != "average pool channels first"  # whose channels are put last before and first behind
]  # fmt: skip


@pytest.mark.parametrize("name", APART)
def test_what_is_written_as_several_layers_is_read_as_one(name: str, tmp_path: Path) -> None:
    assert len(APART) > 6
    network = NETWORKS[name]
    read = lstm_convert.load(saved(network, tmp_path / "a.keras")).network
    assert read is not None
    assert [call.layer for call in read.calls] == [call.layer for call in network.calls]
    assert [layer.kind for layer in read.layers.values()] == [layer.kind for layer in network.layers.values()]


def test_an_average_pooling_whose_padding_is_even_is_written_as_it_is(tmp_path: Path) -> None:
    pool = layer("pool", "pool", rank=2, form="average", size=(2, 3), strides=(2, 1), padding="same")
    network = chain([6, None, 3], pool)
    assert usage(network) == ["pool: AveragePooling2D(pool_size=[2, 3], strides=[2, 1], padding='same')"]
    computed = keras.models.load_model(saved(network, tmp_path / "a.keras")).layers
    assert [type(each).__name__ for each in computed] == ["InputLayer", "AveragePooling2D"]


def test_every_kind_is_written() -> None:
    assert {each.kind for network in NETWORKS.values() for each in network.layers.values()} == set(KINDS)


def test_the_form_of_weights_alone_keeps_the_architecture(tmp_path: Path) -> None:
    path = saved(NETWORKS["siamese"], tmp_path / "a.weights.h5")
    with for_writing(path)[0].opener.opened(path) as contents:
        document = json.loads(contents.attributes["lstm_convert"]["architecture"])
    assert {"left", "right", "words", "head"} < {entry["name"] for entry in document["config"]["layers"]}


def test_names_that_keras_does_not_take_become_others_and_it_is_said(tmp_path: Path) -> None:
    model = keras.models.load_model(saved(odd_names(), tmp_path / "a.keras"))
    names = [each.name for each in model.layers]
    assert {"inner_a_1", "inner_a_1__1", "take__1", "class", "layer_"} <= set(names)
    assert any(line.startswith("inner.a/1: is called inner_a_1") for line in usage(odd_names()))


def test_what_no_output_comes_of_is_named() -> None:
    assert any(line.startswith("nobody: no output comes of it") for line in usage(unread()))


def test_scaled_layers_and_left_out_wrappers_are_named() -> None:
    network = chain([7, 3], dense("a", 5, 3, activation=OLD_HARD_SIGMOID, each_step=True))
    said = "\n".join(usage(network))
    assert "a: is scaled" in said
    assert "a: computes the same without TimeDistributed" in said


def test_a_layer_of_any_kind_is_renamed(tmp_path: Path) -> None:
    network = chain([7, 3], lstm("inner.rnn", 3, 5), dense("inner.head", 2, 5))
    model, path = Model(network.recurrent, network=network), tmp_path / "a.keras"
    lstm_convert.save(model, path, rename={"inner": "outer", "inner.head": "top"})
    names = [each.name for each in keras.models.load_model(path).layers]
    assert names == ["x", "outer_rnn", "outer_head"]
    with pytest.raises(Unsupported, match="no layer has the path"):
        lstm_convert.save(model, path, rename={"nothing": "something"})


def test_two_layers_do_not_get_one_name(tmp_path: Path) -> None:
    network = chain([3], dense("a", 5, 3), dense("b", 2, 5))
    with pytest.raises(Unsupported, match="one name"):
        lstm_convert.save(Model((), network=network), tmp_path / "a.keras", rename={"a": "b"})


def test_the_recurrent_layers_are_written_alone_where_that_is_asked_for(tmp_path: Path) -> None:
    network = NETWORKS["lstm"]
    lstm_convert.save(Model(network.recurrent, network=network), tmp_path / "a.keras", lstm_only=True)
    classes = [type(each).__name__ for each in keras.models.load_model(tmp_path / "a.keras").layers]
    assert sorted(classes) == ["InputLayer", "InputLayer", "LSTM", "LSTM"]  # each by itself, as these say no more


def test_a_stateful_layer_keeps_its_states_between_batches(tmp_path: Path) -> None:
    rnn = lstm("rnn", 3, 5, stateful=True, batch_size=2)
    network = chain([7, 3], rnn, dense("a", 2, 5))
    model = keras.models.load_model(saved(network, tmp_path / "a.keras"))
    inputs = network_inputs(network)
    assert_computes(model, inputs, run_network(network, inputs))
    assert np.abs(np.asarray(model(inputs)) - run_network(network, inputs)[0]).max() > TOLERANCE


@pytest.mark.parametrize("activation", ["celu", "hard_shrink"])
def test_an_activation_that_keras_has_with_other_numbers_is_refused(activation: str) -> None:
    number = {"celu": "alpha", "hard_shrink": "threshold"}[activation]
    network = chain([3], dense("a", 5, 3, activation=Activation(activation, {number: 0.3})))
    assert f"a: Keras 3 has neither a name nor a layer for {activation}" in refused(network)


def test_all_reasons_are_given_at_once() -> None:
    strange = Activation("celu", {"alpha": 0.3})
    network = chain(
        [3, 3],
        dense("a", 3, 3, activation=strange),
        layer("up", "upsampling", rank=1, size=(2,), channels="first"),
        layer("r", "relu", threshold=-1.0),
        lstm("rnn", 3, 5, stateful=True),
    )
    said = refused(network)
    for name in ("a", "up", "r", "rnn"):
        assert f"{name}: " in said


def test_masked_numbers_that_keras_would_leave_out_are_refused() -> None:
    layers = [embedding("words", 11, 3, mask_zero=True), layer("join", "merge", form="multiply")]
    network = graph([words(7)], layers, [call("words", 0), call("join", 1, 1)], Feed(2))
    assert "multiply of masked inputs" in refused(network)
    assert not refused(replace(network, joins="any"))


def test_a_mask_along_time_that_keras_joins_otherwise_is_refused_where_it_is_read() -> None:
    layers = [embedding("words", 11, 3, mask_zero=True, each_step=True), lstm("rnn", 3, 5, each_step=True)]
    network = chain(words(5, 7), *layers)
    assert "rnn: is reached by a mask that Keras 3 cannot hand it" in refused(network)
    assert not refused(chain(words(5, 7), layers[0]))


def test_a_mask_that_keras_makes_of_all_steps_is_refused() -> None:
    layers = [embedding("words", 11, 3, mask_zero=True), layer("join", "merge", form="concatenate"), lstm("rnn", 6, 5)]
    calls = [call("words", 0), call("join", 2, 1), call("rnn", 3)]
    network = graph([words(7), Input("x", (7, 3))], layers, calls, Feed(4))
    assert not refused(network)
    assert "join: joins inputs with and without masks" in refused(replace(network, joins="any"))


@pytest.mark.parametrize(("form", "masked"), [("average", False), ("max", True)])
def test_a_pool_of_masked_steps_that_keras_does_otherwise_is_refused(form: str, *, masked: bool) -> None:
    pool = layer("pool", "global_pool", rank=1, form=form, masked=masked)
    assert "pool: masked steps" in refused(chain(words(7), embedding("e", 11, 3, mask_zero=True), pool))


def test_a_softmax_that_would_leave_out_masked_steps_is_refused() -> None:
    network = chain(words(7), embedding("e", 11, 3, mask_zero=True), layer("s", "softmax", axis=1))
    assert "s: a softmax along axis 1" in refused(network)


def test_bfloat16_is_refused_in_the_older_form_alone() -> None:
    import ml_dtypes  # noqa: PLC0415 (only this needs it)

    bare = dense("a", 5, 3)
    half = replace(bare, arrays={name: array.astype(ml_dtypes.bfloat16) for name, array in bare.arrays.items()})
    assert "a: bfloat16" in refused(chain([3], half), ".h5")
    assert not refused(chain([3], half))

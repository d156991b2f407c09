"""Whole networks of Keras files: each computes what its framework did, or every layer that is not ported is named."""

import copy
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import CASES, FIXTURES, Array

from lstm_convert import InvalidFile, Model
from lstm_convert.canonical import Activation, Feed
from lstm_convert.containers import Contents, Stored, hdf5, keras_zip
from lstm_convert.frameworks import ReadOptions, keras
from lstm_convert.network.reference import run_network

MODELS = FIXTURES / "models"
# What their expected values were recorded from, beside the inputs, is no part of the file.
FROM_STATES = ("stateful",)
REFUSED = ("refused_", "conv1d_same", "conv2d_same")
WITHOUT_NETWORK = ("subclassed", "gru", "sharded", "variant_convlstm", "variant_prelu", "variant_quantized")
TOLERANCE = {"float16": 5e-3, "bfloat16": 4e-2, "mixed": 5e-3}

WHOLE = [
    *(
        path
        for case in CASES
        if case.keras and case.name not in (*FROM_STATES, *WITHOUT_NETWORK)
        for path in case.whole_files
        if path.suffix in (".h5", ".keras") and path.parent.name != "onnx-cells"
    ),
    *(
        path
        for path in sorted([*MODELS.glob("*/*.h5"), *MODELS.glob("*/*.keras")])
        if not path.name.startswith(REFUSED) and ".weights_only." not in path.name
    ),
]
PAIRS = [
    path
    for path in sorted(MODELS.glob("*/*.weights_only.h5"))
    if path.with_name(f"{path.name.partition('.')[0]}.json").exists()
]


def title(path: Path) -> str:
    return str(path.relative_to(FIXTURES))


@contextmanager
def opened(path: Path) -> Iterator[Contents]:
    is_hdf5 = hdf5.sniff(path.read_bytes()[:8], path)  # as the .keras files of tf.keras 2.12 are
    with (hdf5 if is_hdf5 else keras_zip).opened(path) as contents:
        yield contents


def read(path: Path, architecture: Any = None) -> Model:
    with opened(path) as contents:
        return keras.read(contents, ReadOptions(architecture))


def stem(path: Path) -> str:
    return path.name.partition(".")[0]


def recorded(path: Path, letter: str) -> list[Array]:
    with np.load(path.with_name(f"{stem(path)}.expected.npz")) as file:
        names = [name for name in file.files if name[0] == letter and name[1:].isdigit()]
        return [file[name] for name in sorted(names, key=lambda name: int(name[1:]))]


def assert_computes_what_was_recorded(model: Model, path: Path) -> None:
    assert model.not_understood == ()
    assert model.network is not None
    outputs = run_network(model.network, recorded(path, "x"))
    expected = recorded(path, "y")
    assert [output.shape for output in outputs] == [y.shape for y in expected]
    for output, y in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(output, y, rtol=0, atol=TOLERANCE.get(stem(path), 1e-5) * max(1.0, np.abs(y).max()))


@pytest.mark.parametrize("path", WHOLE, ids=title)
def test_a_network_computes_what_its_framework_did(path: Path) -> None:
    assert_computes_what_was_recorded(read(path), path)


@pytest.mark.parametrize("path", PAIRS, ids=title)
def test_weights_and_their_architecture_make_the_network(path: Path) -> None:
    architecture = json.loads(path.with_name(f"{stem(path)}.json").read_text())
    assert_computes_what_was_recorded(read(path, architecture), path)


def test_weights_alone_tell_no_network() -> None:
    model = read(FIXTURES / "keras-3.15.1/plain.weights.h5")
    assert (model.network, model.not_understood) == (None, ())


@pytest.mark.parametrize(
    ("file", "reasons"),
    [
        ("models/tf-2.15/refused_lambda.keras", ["twice: Lambda holds code of its own, which is never run"]),
        ("models/keras-3.15.1/refused_lambda.h5", ["twice: Lambda holds code of its own, which is never run"]),
        (
            "models/keras-3.15.1/refused_layers.keras",
            [
                "separable: SeparableConv1D is not a layer that is ported",
                "heads: MultiHeadAttention is not a layer that is ported",
                "attention: Attention is not a layer that is ported",
            ],
        ),
        (
            "models/keras-3.15.1/refused_operations.h5",
            ["mean: Mean is not", "multiply: Multiply is not", "add: Add is not a layer that is ported"],
        ),
        ("keras-3.15.1/subclassed.keras", ["subclassed: Subclassed is no model of layers that are joined in the file"]),
        ("variants/tf-2.15/variant_prelu.h5", ["lstm: its activation PReLU"]),
    ],
)
def test_all_that_is_not_ported_is_named_and_the_recurrent_layers_are_read(file: str, reasons: list[str]) -> None:
    model = read(FIXTURES / file)
    assert model.layers
    assert model.network is None
    assert len(model.not_understood) == len(reasons)
    for line, reason in zip(model.not_understood, reasons, strict=True):
        assert line.startswith(reason)


# Architectures that were changed, with the arrays of a real file.


def architecture_of(path: Path) -> Any:
    with opened(path) as contents:
        return json.loads(contents.document("model_config") or contents.document("config.json"))


def layers_of(architecture: Any) -> list[Any]:
    config = architecture["config"]
    return config if isinstance(config, list) else config["layers"]


PLAIN = FIXTURES / "tf-2.15/plain.h5"
FUNCTIONAL = FIXTURES / "tf-2.15/functional.h5"


def changed(path: Path, layer: str, **settings: Any) -> Model:
    architecture = architecture_of(path)
    (entry,) = (entry for entry in layers_of(architecture) if entry["config"].get("name") == layer)
    entry["config"] |= settings
    return read(path, architecture)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"units": 3}, "head: kernel: expected (?, 3), found (7, 2)"),
        ({"use_bias": False}, "head: expected the arrays head kernel, found head/kernel:0, head/bias:0"),
        ({"activation": "my_own"}, "head: its activation my_own is not known"),
        ({"lora_rank": 4}, "head: lora_rank=4 is not ported"),
        ({"dtype": "int8_from_float32"}, "head: its numbers are of the type int8_from_float32, which is not ported"),
        ({"units": "many"}, "head: units is many, expected a number"),
        ({"units": 1e400}, "head: units is inf, expected a number"),
    ],
)
def test_settings_that_are_not_ported_or_belie_the_arrays_are_named(settings: dict[str, Any], reason: str) -> None:
    model = changed(PLAIN, "head", **settings)
    assert model.not_understood == (reason, *model.not_understood[1:])
    assert len(model.layers) == 2


def test_settings_that_say_nothing_of_what_is_computed_are_none_of_ours() -> None:
    assert changed(PLAIN, "head", kernel_constraint={"class_name": "MaxNorm"}, lora_rank=None, seed=3).network


def test_a_class_of_the_users_own_is_named_whatever_its_name_ends_in() -> None:
    architecture = architecture_of(PLAIN)
    layers_of(architecture)[-1]["registered_name"] = "mine>Dense"
    assert read(PLAIN, architecture).not_understood == (
        "head: mine>Dense is a class of its own, which may compute anything",
    )


def test_a_model_of_the_users_own_class_may_compute_anything() -> None:
    architecture = {**architecture_of(PLAIN), "class_name": "Mine"}
    assert read(PLAIN, architecture).not_understood == (
        "the model: Mine is a class of its own, which may compute anything",
    )


def test_a_call_in_training_is_not_ported() -> None:
    architecture = architecture_of(FUNCTIONAL)
    joined = next(entry for entry in layers_of(architecture) if entry["name"] == "joined")
    joined["inbound_nodes"][0][0][3]["training"] = True
    assert read(FUNCTIONAL, architecture).not_understood == ("joined: it is called with training=True",)


def test_a_layer_that_reads_itself_is_no_architecture() -> None:
    architecture = architecture_of(FUNCTIONAL)
    joined = next(entry for entry in layers_of(architecture) if entry["name"] == "joined")
    joined["inbound_nodes"][0][0][0] = "last"
    with pytest.raises(InvalidFile, match="reads its own output"):
        read(FUNCTIONAL, architecture)


@pytest.mark.parametrize(("reference", "problem"), [(["gone", 0, 0, {}], "'gone'"), (["shared", 2, 0, {}], "call 2")])
def test_a_reference_to_what_is_not_there_is_no_architecture(reference: list[Any], problem: str) -> None:
    architecture = architecture_of(FUNCTIONAL)
    joined = next(entry for entry in layers_of(architecture) if entry["name"] == "joined")
    joined["inbound_nodes"][0][0] = reference
    with pytest.raises(InvalidFile, match=problem):
        read(FUNCTIONAL, architecture)


def test_a_mask_that_no_layer_hands_on_is_named() -> None:
    """Keras 3 writes masks as operations; one that says something else than the layers do is no such mask."""
    path = MODELS / "keras-3.15.1/shared.h5"
    architecture = architecture_of(path)
    operation = next(entry for entry in layers_of(architecture) if entry["name"] == "not_equal")
    operation["inbound_nodes"][0]["args"][1] = 1
    reason = "lstm: it is handed a mask that is computed apart, which is not ported"
    assert read(path, architecture).not_understood == (reason,)


def test_two_layers_of_one_name_are_named() -> None:
    architecture = architecture_of(PLAIN)
    layers_of(architecture).append(copy.deepcopy(layers_of(architecture)[-1]))
    assert "head: two layers have this name" in read(PLAIN, architecture).not_understood


def test_ten_thousand_layers_are_read_in_no_time() -> None:
    architecture = architecture_of(FUNCTIONAL)
    layers = layers_of(architecture)
    before = architecture["config"]["output_layers"][0][0]
    for number in range(10_000):
        config = {"name": f"drop_{number}", "rate": 0.5, "trainable": True}
        inbound = [[[before, 0, 0, {}]]]
        before = f"drop_{number}"
        layers.append({"class_name": "Dropout", "name": before, "config": config, "inbound_nodes": inbound})
    architecture["config"]["output_layers"] = [[before, 0, 0]]
    start = time.perf_counter()
    model = read(FUNCTIONAL, architecture)
    assert time.perf_counter() - start < 10
    assert model.network
    assert len(model.network.calls) == 10_005


def test_models_that_double_at_each_level_are_refused() -> None:
    """Thirty models, each called twice by the one around it, are a billion calls."""
    model: dict[str, Any] = {
        "class_name": "Functional",
        "config": {
            "name": "inner",
            "layers": [
                {"class_name": "InputLayer", "name": "x", "config": {"name": "x"}, "inbound_nodes": []},
                {
                    "class_name": "Dropout",
                    "name": "drop",
                    "config": {"name": "drop", "rate": 0.5},
                    "inbound_nodes": [[["x", 0, 0, {}]]],
                },
            ],
            "input_layers": [["x", 0, 0]],
            "output_layers": [["drop", 0, 0]],
        },
    }
    for level in range(30):
        inner = {**model, "name": "inner", "inbound_nodes": [[["x", 0, 0, {}]], [["inner", 1, 0, {}]]]}
        inner["config"] = {**model["config"], "name": "inner"}
        layers = [{"class_name": "InputLayer", "name": "x", "config": {"name": "x"}, "inbound_nodes": []}, inner]
        config = {
            "name": f"level_{level}",
            "layers": layers,
            "input_layers": [["x", 0, 0]],
            "output_layers": [["inner", 2, 0]],
        }
        model = {"class_name": "Functional", "config": config}
    with pytest.raises(InvalidFile, match="calls its layers more than 100000 times"):
        read(PLAIN, model)


# What the canonical layers are.


def network_of(file: str) -> Any:
    model = read(FIXTURES / file)
    assert model.network is not None
    return model.network


def test_a_shared_layer_is_one_layer_with_two_calls() -> None:
    network = network_of("tf-2.15/functional.h5")
    assert [call.inputs for call in network.calls if call.layer == "shared"] == [(Feed(0),), (Feed(1),)]
    assert list(network.layers) == ["shared", "joined", "last", network.calls[-1].layer]


def test_a_nested_model_is_taken_apart_and_its_frozen_arrays_found() -> None:
    network = network_of("keras-1.2.2/nested.h5")
    assert {"inner.frozen", "inner.deep", "outer_lstm"} <= set(network.layers)


def test_a_stack_of_cells_is_a_chain_of_layers() -> None:
    network = network_of("tf-2.15/rnn.h5")
    first, second = (call for call in network.calls if call.layer.startswith("stacked."))
    step = len(network.inputs) + network.calls.index(first)
    assert second.inputs == (Feed(step),)
    assert not second.states


def turned_around(config: dict[str, Any]) -> None:
    config["go_backwards"] = True


def time_first(config: dict[str, Any]) -> None:
    config.get("layer", {"config": config})["config"]["time_major"] = True


@pytest.mark.parametrize(
    ("file", "name", "change", "reason"),
    [
        ("text.h5", "both", time_first, "both: a mask with time_major=True is not ported"),
        ("stateful.h5", "lstm_a", time_first, "lstm_a: states that live on with time_major=True are not ported"),
        ("time_distributed_lstm.h5", "each", time_first, "each: time_major=True, or a stack of cells in each"),
        ("rnn_cells_masked.h5", "two_gru", turned_around, "two_gru: a mask of a stack of cells that reads backwards"),
    ],
)
def test_time_first_and_stacks_are_refused_where_they_are_not_ported(
    file: str, name: str, change: Callable[[dict[str, Any]], None], reason: str
) -> None:
    architecture = architecture_of(MODELS / "tf-2.15" / file)
    change(next(entry["config"] for entry in layers_of(architecture) if entry["config"].get("name") == name))
    found = read(MODELS / "tf-2.15" / file, architecture).not_understood
    assert [line[: len(reason)] for line in found] == [reason]


def test_states_of_a_stack_are_refused_of_versions_that_have_them_in_another_order() -> None:
    with opened(MODELS / "tf-2.15/rnn_cells_states.h5") as contents:
        attributes = {**contents.attributes, "": {**contents.attributes[""], "keras_version": "2.2.4"}}
        found = keras.read(replace(contents, attributes=attributes), ReadOptions()).not_understood
    assert [line.partition(", ")[0] for line in found] == ["two_gru: states of a stack of cells"]


def test_layers_with_time_first_one_after_the_other_are_turned_once() -> None:
    network = network_of("models/tf-2.15/time_major.h5")
    assert [call.layer for call in network.calls] == [
        "lstm_a.batch_first", "lstm_a", "lstm_b", "lstm_b.time_first", "head"
    ]  # fmt: skip


def test_states_and_outputs_of_states_are_joined() -> None:
    network = network_of("keras-3.15.1/initial_state.keras")
    (decoder,) = (call for call in network.calls if call.layer == "decoder")
    encoder = decoder.states[0].step
    assert decoder.states == (Feed(encoder, 1), Feed(encoder, 2))
    assert [feed.output for feed in network.outputs] == [0, 1, 2]


def test_what_a_time_distributed_wraps_works_on_each_step() -> None:
    network = network_of("tf-2.15/time_distributed.h5")
    assert {name: layer.each_step for name, layer in network.layers.items()} == {
        "time_distributed": True,
        "across": False,
    }


def test_words_are_whole_numbers_whatever_the_file_says_of_them() -> None:
    assert [entry.dtype for entry in network_of("keras-1.2.2/variant_mask_zero.h5").inputs] == ["int32"]


def test_an_average_over_time_counts_what_its_mask_counts() -> None:
    network = network_of("models/tf-2.15/masked_average.h5")
    masked = [layer.options["masked"] for layer in network.layers.values() if layer.kind == "global_pool"]
    assert True in masked


def test_hard_sigmoid_is_that_of_its_age() -> None:
    settings = {"activation": "hard_sigmoid"}
    old = changed(PLAIN, "head", **settings).network
    assert old is not None
    assert old.layers["head"].options["activation"] == Activation("hard_sigmoid", {"slope": 0.2, "offset": 0.5})


# Theano turns its kernels around, and pads otherwise.

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


def test_a_damaged_neighbour_leaves_the_recurrent_layers_readable() -> None:
    with opened(PLAIN) as contents:
        (key,) = (key for key in contents.arrays if key.startswith("model_weights/head/") and "kernel" in key)
        arrays = {**contents.arrays, key: Stored.of(np.zeros((7, 2, 1), np.float32))}
        model = keras.read(Contents(arrays, contents.attributes), ReadOptions())
    assert model.not_understood == ("head: kernel: expected (?, 2), found (7, 2, 1)",)
    assert [layer.name for layer in model.layers] == ["lstm_a", "lstm_b"]

"""Whole networks of Keras files: each computes what its framework did, or every layer that is not ported is named."""

import copy
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import CASES, FIXTURES
from keras_networks import (
    FUNCTIONAL,
    MODELS,
    PLAIN,
    architecture_of,
    assert_computes_what_was_recorded,
    changed,
    layers_of,
    opened,
    read,
    stem,
    title,
)

from lstm_convert import InvalidFile
from lstm_convert.containers import Contents, Stored
from lstm_convert.frameworks import ReadOptions, keras

# What their expected values were recorded from, beside the inputs, is no part of the file.
FROM_STATES = ("stateful",)
REFUSED = ("refused_", "conv1d_same", "conv2d_same")
WITHOUT_NETWORK = ("subclassed", "gru", "sharded", "variant_convlstm", "variant_prelu", "variant_quantized")
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
        ({"units": float("nan")}, "head: units is nan, expected a number"),
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


def test_a_damaged_neighbour_leaves_the_recurrent_layers_readable() -> None:
    with opened(PLAIN) as contents:
        (key,) = (key for key in contents.arrays if key.startswith("model_weights/head/") and "kernel" in key)
        arrays = {**contents.arrays, key: Stored.of(np.zeros((7, 2, 1), np.float32))}
        model = keras.read(Contents(arrays, contents.attributes), ReadOptions())
    assert model.not_understood == ("head: kernel: expected (?, 2), found (7, 2, 1)",)
    assert [layer.name for layer in model.layers] == ["lstm_a", "lstm_b"]

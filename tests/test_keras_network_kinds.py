"""What the layers of a Keras file are in the canonical network."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from helpers import FIXTURES
from keras_networks import MODELS, PLAIN, architecture_of, changed, layers_of, opened, read

from lstm_convert.canonical import Activation, Feed
from lstm_convert.frameworks import ReadOptions, keras


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

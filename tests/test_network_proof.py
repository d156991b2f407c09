"""Inputs made for networks, and the proof that two of them compute the same."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from helpers import FIXTURES

from lstm_convert import convert
from lstm_convert.activations import named
from lstm_convert.canonical import LSTM, Call, Cell, Feed, Gates, Input, Layer, Network
from lstm_convert.errors import InvalidFile
from lstm_convert.network.inputs import network_inputs
from lstm_convert.network.proof import prove_network
from lstm_convert.network.reference import run_network

LINEAR = named("linear")
VOCABULARY = 11


def random(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(np.float32)


def conv(rank: int = 1, padding: str = "valid", size: int = 3, inputs: int = 3) -> Layer:
    options = {
        "rank": rank, "strides": (1,) * rank, "padding": padding, "dilation": (1,) * rank, "groups": 1,
        "channels": "last", "activation": LINEAR,
    }  # fmt: skip
    return Layer("conv", "conv", options, {"kernel": random(5, inputs, *[size] * rank)})


def dense(inputs: int, units: int = 2) -> Layer:
    return Layer("dense", "dense", {"activation": LINEAR}, {"kernel": random(units, inputs), "bias": random(units)})


def lstm(inputs: int, *, every_step: bool = True) -> Layer:
    cell = Cell(Gates(random(4, 7, inputs)), Gates(random(4, 7, 7)), Gates(random(4, 7)))
    return Layer("lstm", "recurrent", recurrent=LSTM("lstm", cell, return_sequences=every_step))


def embedding(*, mask_zero: bool = True, words: int = VOCABULARY) -> Layer:
    return Layer("embedding", "embedding", {"mask_zero": mask_zero}, {"kernel": random(words, 3)})


def chain(shape: tuple[int | None, ...], *known: Layer) -> Network:
    calls = tuple(Call(layer.name, (Feed(number),)) for number, layer in enumerate(known))
    return Network((Input("x", shape),), {layer.name: layer for layer in known}, calls, (Feed(len(known)),))


# Inputs


def test_words_are_padded_in_front_inside_and_behind_where_zeros_are_masked() -> None:
    (words,) = network_inputs(chain((None,), embedding(), lstm(3)), seed=0, batch=4, time=40)
    assert words.shape == (4, 40)
    assert words.dtype.kind == "i"
    assert set(words.ravel()) == set(range(VOCABULARY))
    in_front, behind = words[::2, :10], words[1::2, 30:]
    assert not in_front.any()
    assert not behind.any()
    assert 0 < (words[:, 10:30] == 0).mean() < 0.5


def test_words_of_the_smallest_vocabulary_are_known_to_all_that_read_them() -> None:
    network = chain((None,), embedding(mask_zero=False, words=5))
    other = replace(embedding(mask_zero=False), name="other")
    flat = Layer("flat", "reshape", {"shape": (-1,)})
    both = replace(
        network,
        layers={**network.layers, "other": other, "flat": flat},
        calls=(*network.calls, Call("flat", (Feed(0),)), Call("other", (Feed(2),))),
    )
    (words,) = network_inputs(both, batch=8, time=40)
    assert set(words.ravel()) == set(range(5))


@pytest.mark.parametrize("value", [0.0, -1.0, 0.1])
def test_a_masked_input_has_steps_of_the_value_that_its_layer_knows(value: float) -> None:
    network = chain((None, 3), Layer("masking", "masking", {"value": value}), lstm(3))
    (x,) = network_inputs(network, batch=2, time=16)
    (masked,) = run_network(replace(network, outputs=(Feed(1),)), [x])
    padded = (masked == 0).all(-1)
    assert padded[0, :4].all()
    assert padded[1, 12:].all()
    assert 0 < padded[:, 4:12].mean() < 0.5


def test_a_mask_that_is_an_input_has_both_truths() -> None:
    network = chain((None, 3), lstm(3))
    given = replace(
        network,
        inputs=(*network.inputs, Input("mask", (None,), "bool")),
        calls=(Call("lstm", (Feed(0),), mask=Feed(1)),),
        outputs=(Feed(2),),
    )
    x, mask = network_inputs(given, batch=2, time=16)
    assert x.dtype == np.float64
    assert mask.dtype == bool
    assert 0 < mask.mean() < 1


def test_the_same_seed_gives_the_same_inputs() -> None:
    network = chain((None, 3), lstm(3))
    (one,), (same,), (other,) = (network_inputs(network, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_inputs_are_as_long_as_the_windows_are() -> None:
    network = chain((None, 3), conv(size=30), lstm(5))
    assert network_inputs(network)[0].shape == (2, 33, 3)


def test_a_network_that_runs_with_no_length_is_refused_with_the_reason() -> None:
    with pytest.raises(InvalidFile, match=r"(?s)no length.*expected at least \[2001\]"):
        network_inputs(chain((None, 3), conv(size=2001)))


# Shapes


# The proof

NETWORK = chain((None,), embedding(), lstm(3, every_step=False), dense(7))


def with_arrays(network: Network, name: str, **arrays: Any) -> Network:
    layer = network.layers[name]
    return replace(network, layers={**network.layers, name: replace(layer, arrays={**layer.arrays, **arrays})})


def test_equal_networks_do_not_differ() -> None:
    proof = prove_network(NETWORK, NETWORK)
    assert proof.max_abs_difference == 0
    assert (proof.layers, proof.steps) == (3, 11)


def test_names_and_order_of_layers_do_not_count() -> None:
    renamed = {"a": NETWORK.layers["lstm"], "b": NETWORK.layers["dense"], "c": NETWORK.layers["embedding"]}
    layers = {name: replace(layer, name=name) for name, layer in renamed.items()}
    calls = tuple(Call(name, call.inputs) for name, call in zip("cab", NETWORK.calls, strict=True))
    assert prove_network(NETWORK, replace(NETWORK, layers=layers, calls=calls)).max_abs_difference == 0


def test_what_is_reported_is_within_what_is_allowed(tmp_path: Path) -> None:
    """A layer may differ by more than a network whose outputs are tiny; each is held against its own bound."""
    source = tmp_path / "m.h5"
    source.write_bytes((FIXTURES / "keras-1.2.2/weather_hard_sigmoid.h5").read_bytes())
    with h5py.File(source, "r+") as file:
        for name in ("dense_2_W", "dense_2_b"):
            file[f"model_weights/dense_2/{name}"][...] *= 1e-9
    proof = convert(source, tmp_path / "m.keras").proof
    assert 0 < proof.max_abs_difference <= proof.tolerance < 1e-9


def test_weights_may_be_rounded_to_a_smaller_type() -> None:
    kernel = NETWORK.layers["dense"].arrays["kernel"]
    proof = prove_network(NETWORK, with_arrays(NETWORK, "dense", kernel=kernel.astype(np.float16)))
    assert 0 < proof.max_abs_difference <= proof.tolerance < 0.5


def test_rounding_is_no_excuse_where_no_type_is_smaller() -> None:
    kernel = NETWORK.layers["dense"].arrays["kernel"]
    rounded = with_arrays(NETWORK, "dense", kernel=kernel.astype(np.float16).astype(np.float32))
    with pytest.raises(InvalidFile, match=r"output 0: expected a difference of at most \d\.\de-0[56], found"):
        prove_network(NETWORK, rounded)


DENSE = NETWORK.layers["dense"].arrays
MISTAKES = {
    "a bias is lost": with_arrays(NETWORK, "dense", bias=np.zeros_like(DENSE["bias"])),
    "units are exchanged": with_arrays(NETWORK, "dense", kernel=DENSE["kernel"][::-1]),
    "zeros are not masked": replace(NETWORK, layers={**NETWORK.layers, "embedding": embedding(mask_zero=False)}),
    "another activation": replace(
        NETWORK, layers={**NETWORK.layers, "dense": replace(dense(7), options={"activation": named("sigmoid")})}
    ),
    "every step": replace(NETWORK, layers={**NETWORK.layers, "lstm": lstm(3)}),
    "another output": replace(NETWORK, outputs=(Feed(2),)),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_found(mistake: str) -> None:
    with pytest.raises(InvalidFile, match="does not compute the same"):
        prove_network(NETWORK, MISTAKES[mistake])


def test_the_number_of_outputs_counts() -> None:
    with pytest.raises(InvalidFile, match="the result has 2 outputs, the source 1"):
        prove_network(NETWORK, replace(NETWORK, outputs=(Feed(3), Feed(2))))


def test_merges_that_join_masks_in_other_ways_differ() -> None:
    both = Network(
        inputs=(Input("x", (None,)), Input("y", (None,))),
        layers={
            "embedding": embedding(),
            "merge": Layer("merge", "merge", {"form": "add", "axis": -1, "axes": None, "normalize": False}),
            "lstm": lstm(3, every_step=False),
        },
        calls=(
            Call("embedding", (Feed(0),)), Call("embedding", (Feed(1),)), Call("merge", (Feed(2), Feed(3))),
            Call("lstm", (Feed(4),)),
        ),
        outputs=(Feed(5),),
    )  # fmt: skip
    assert prove_network(both, both).max_abs_difference == 0
    with pytest.raises(InvalidFile, match="does not compute the same"):
        prove_network(both, replace(both, joins="any"))

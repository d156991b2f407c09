"""What a file keeps of a whole network, read back: every option is checked where it is read, before anything runs."""

import json
import math
import re
from collections.abc import Mapping
from typing import Any

import joined_networks
import pytest
import source_networks
from helpers import FIXTURES

import lstm_convert
from lstm_convert.canonical import Network
from lstm_convert.canonical.kinds import KINDS
from lstm_convert.errors import InvalidFile
from lstm_convert.frameworks.network_document import network_from_json, network_to_json

NETWORKS: Mapping[str, Network] = {
    **joined_networks.NETWORKS,
    **{f"{name} as source": network for name, network in source_networks.NETWORKS.items()},
}
PORTED = re.compile(r"(?!refused_).*(?<!_same)(?<!weights)(?<!weights_only)\.(h5|keras)")
MODELS = sorted(path for path in (FIXTURES / "models").rglob("*") if PORTED.fullmatch(path.name))

# What is of the wrong type, or no number to compute with, in any option whatever.
WRONG: Mapping[str, Any] = {
    "a text": "text", "an empty text": "", "an empty list": [], "a list of texts": ["a"], "nested lists": [[[1]]],
    "an object": {}, "an activation of no numbers": {"name": "hard_sigmoid", "parameters": {}},
    "an activation of texts": {"name": "hard_sigmoid", "parameters": {"slope": "x", "offset": 0.5}},
    "an activation of NaN": {"name": "hard_sigmoid", "parameters": {"slope": math.nan, "offset": 0.5}},
    "a huge number": 10**400, "a huge negative number": -(10**400), "NaN": math.nan, "infinity": math.inf,
    "None": None, "a list of None": [None], "a list of NaN": [math.nan, math.nan],
}  # fmt: skip
RIGHT = {
    ("relu", "max_value", "None"), ("merge", "axes", "None"), ("merge", "normalize", "None"),
    ("reshape", "shape", "an empty list"),
}  # fmt: skip

# What is of the right type and out of its range.
OUT_OF_RANGE = [
    ("batch_norm", "axis", 1.0), ("batch_norm", "axis", True), ("batch_norm", "axis", 64),
    ("batch_norm", "epsilon", -1), ("batch_norm", "momentum", True), ("conv", "rank", 0),
    ("conv", "strides", [0]), ("conv", "strides", [1, 1]), ("conv", "strides", 1), ("conv", "dilation", [-1]),
    ("conv", "groups", 0), ("conv", "channels", "middle"), ("conv", "padding", "full"), ("cropping", "amounts", [1]),
    ("cropping", "amounts", [[1, 1, 1]]), ("cropping", "amounts", [[-1, 1]]), ("dropout", "form", "cross"),
    ("dropout", "rate", -0.1), ("embedding", "mask_zero", 1), ("layer_norm", "axes", -1), ("merge", "axis", [1]),
    ("merge", "form", "cosine"), ("permute", "order", [0, 1]), ("permute", "order", [1, 1]),
    ("permute", "order", [2, 3]), ("pool", "form", "median"), ("repeat", "times", 0), ("repeat", "times", 2.0),
    ("reshape", "shape", [0, 3]), ("reshape", "shape", [-1, -1]), ("reshape", "shape", [-2]), ("softmax", "axis", 0.5),
    ("transpose", "order", [1, 2, 0, 4]), ("upsampling", "size", [0]), ("upsampling", "interpolation", "cubic"),
]  # fmt: skip


def arrays_of(network: Network) -> dict[str, Any]:
    return {f"{each.name}/{name}": array for each in network.layers.values() for name, array in each.arrays.items()}


def said_of(network: Network) -> Any:
    keys = {each.name: {name: f"{each.name}/{name}" for name in each.arrays} for each in network.layers.values()}
    return json.loads(json.dumps(network_to_json(network, keys)))


def read(said: Any, network: Network) -> Network:
    recurrent = {each.name: each for each in network.recurrent}
    return network_from_json(json.loads(json.dumps(said)), recurrent, arrays_of(network).__getitem__)


def with_kind(kind: str) -> tuple[Network, Any, Any]:
    """A network that has a layer of a kind, what a document says of it, and of that layer; a merge concatenates."""
    for network in NETWORKS.values():
        said = said_of(network)
        for layer in said["layers"]:
            if layer["kind"] == kind and (kind != "merge" or layer["options"]["form"] == "concatenate"):
                return network, said, layer
    raise AssertionError(f"no network has {kind}")


OPTIONS = [(kind, option) for kind in KINDS for option in KINDS[kind].options]


@pytest.mark.parametrize("name", NETWORKS)
def test_a_networks_document_is_read_as_it_was(name: str) -> None:
    network = NETWORKS[name]
    assert said_of(read(said_of(network), network)) == said_of(network)


@pytest.mark.parametrize("file", MODELS, ids=lambda path: str(path.relative_to(FIXTURES)))
def test_what_frameworks_write_is_what_options_may_be(file: Any) -> None:
    network = lstm_convert.load(file).network
    assert network is not None
    assert said_of(read(said_of(network), network)) == said_of(network)


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize(("kind", "option"), OPTIONS)
def test_an_option_of_the_wrong_type(kind: str, option: str, wrong: str) -> None:
    network, said, layer = with_kind(kind)
    layer["options"][option] = WRONG[wrong]
    if (kind, option, wrong) in RIGHT:
        assert KINDS[kind].options[option].holds(layer["options"][option], layer["options"])
    else:
        assert_refused(said, network, f"{layer['name']}: {option}: expected ")


@pytest.mark.parametrize(("kind", "option", "value"), OUT_OF_RANGE)
def test_an_option_out_of_its_range(kind: str, option: str, value: Any) -> None:
    network, said, layer = with_kind(kind)
    layer["options"][option] = value
    assert_refused(said, network, f"{layer['name']}: {option}: expected ")


def assert_refused(said: Any, network: Network, beginning: str) -> None:
    with pytest.raises(InvalidFile, match="set to what they cannot be") as refused:
        read(said, network)
    assert any(detail.startswith(beginning) for detail in refused.value.details)


def test_all_wrong_options_are_named_with_what_was_expected_and_found() -> None:
    network, said, layer = with_kind("conv")
    layer["options"].update(strides="x" * 100, groups=None)
    with pytest.raises(InvalidFile) as refused:
        read(said, network)
    whole = "a whole number from 1 to 9223372036854775807"
    assert refused.value.details == (
        f"{layer['name']}: strides: expected one an axis of the window, each {whole}, found '{'x' * 59}",
        f"{layer['name']}: groups: expected {whole}, found None",
    )


@pytest.mark.parametrize("option", ["axis", "axes", "normalize"])
def test_a_merge_has_what_its_form_needs(option: str) -> None:
    """Of a concatenation its axis is asked, of a dot product the two axes and whether it is of directions alone."""
    form = "concatenate" if option == "axis" else "dot"
    network = joined_networks.NETWORKS[form]
    said = said_of(network)
    layer = next(each for each in said["layers"] if each["options"].get("form") == form)
    layer["options"][option] = None
    assert_refused(said, network, f"{layer['name']}: {option}: expected ")


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("shape", [1.5, 3], "whole numbers"), ("shape", [None, -1], "whole numbers"), ("shape", [True], "whole"),
        ("shape", ["3"], "whole numbers"), ("shape", "34", "whole numbers"), ("shape", None, "whole numbers"),
        ("dtype", "text", "a type of number"), ("dtype", 32, "a type of number"), ("dtype", "int32\n", "a type"),
        ("dtype", "complex64", "a type of number"),
    ],
)  # fmt: skip
def test_an_input_is_of_sizes_and_a_type_of_number(option: str, value: Any, expected: str) -> None:
    network, said, _ = with_kind("dense")
    said["inputs"][0][option] = value
    assert_refused(said, network, f"input {said['inputs'][0]['name']}: {option}: expected {expected}")


@pytest.mark.parametrize("joins", ["some", "", None, ["all"], True])
def test_masks_are_joined_in_a_way_that_there_is(joins: Any) -> None:
    network, said, _ = with_kind("merge")
    said["joins"] = joins
    assert_refused(said, network, "joins: expected all or any")

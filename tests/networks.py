"""Networks made by hand: one for each kind of layer and option, with random arrays of different prime sizes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from helpers import Array

from lstm_convert import LSTM, Activation, Cell, Gates
from lstm_convert.activations import named
from lstm_convert.canonical import Call, Feed, Input, Layer, Network
from lstm_convert.canonical.kinds import KINDS

LINEAR = named("linear")
OLD_HARD_SIGMOID = Activation("hard_sigmoid", {"slope": 0.2, "offset": 0.5})

_USUAL: Mapping[str, Any] = {
    "activation": LINEAR, "channels": "last", "groups": 1, "padding": "valid", "keepdims": False, "masked": False,
    "epsilon": 1e-3, "momentum": 0.99, "axis": -1, "axes": None, "normalize": False, "interpolation": "nearest",
    "max_value": None, "negative_slope": 0.0, "threshold": 0.0, "rate": 0.25, "mask_zero": False,
}  # fmt: skip
_random = np.random.default_rng(7)


def array(*shape: int, dtype: str = "float32") -> Array:
    return _random.normal(0, 0.6, shape).astype(dtype)


def layer(name: str, kind: str, *, each_step: bool = False, **given: Any) -> Layer:
    """A layer whose options are the usual ones where none are given."""
    own = {key: given.pop(key) for key in list(given) if key in KINDS[kind].arrays}
    options = {option: given.pop(option, _USUAL.get(option)) for option in KINDS[kind].options}
    rank = options.get("rank") or 0
    for option in ("strides", "dilation"):
        if option in options and options[option] is None:
            options[option] = (1,) * rank
    assert not given
    return Layer(name, kind, options, own, each_step=each_step)


def dense(name: str, units: int, inputs: int, *, dtype: str = "float32", **given: Any) -> Layer:
    arrays = {"kernel": array(units, inputs, dtype=dtype), "bias": array(units, dtype=dtype)}
    return layer(name, "dense", **{**arrays, **given})


def embedding(name: str, words: int, features: int, **given: Any) -> Layer:
    return layer(name, "embedding", kernel=array(words, features), **given)


def cell(inputs: int, units: int, gate: Activation | None = None, dtype: str = "float32") -> Cell:
    W, U, b = array(4, units, inputs, dtype=dtype), array(4, units, units, dtype=dtype), array(4, units, dtype=dtype)  # noqa: N806 (as the gates are called)
    plain = Cell(Gates(W), Gates(U), Gates(b))
    return plain if gate is None else replace(plain, gate=gate)


def lstm(name: str, inputs: int, units: int, *, both: bool = False, each_step: bool = False, **options: Any) -> Layer:
    gate, dtype = options.pop("gate", None), options.pop("dtype", "float32")
    forward, backward = (cell(inputs, units, gate, dtype) for _ in range(2))
    recurrent = LSTM(name, forward, backward if both else None, **options)
    return Layer(name, "recurrent", recurrent=recurrent, each_step=each_step)


def chain(given: Input | Sequence[int | None], *layers: Layer) -> Network:
    """A network whose layers are called one after another."""
    first = given if isinstance(given, Input) else Input("x", tuple(given))
    calls = tuple(Call(each.name, (Feed(step),)) for step, each in enumerate(layers))
    return Network((first,), {each.name: each for each in layers}, calls, (Feed(len(layers)),))


def words(*shape: int | None) -> Input:
    return Input("words", shape, "int32")


def graph(inputs: Sequence[Input], layers: Sequence[Layer], calls: Sequence[Call], *outputs: Feed) -> Network:
    return Network(tuple(inputs), {each.name: each for each in layers}, tuple(calls), tuple(outputs))


def call(name: str, *steps: int, **given: Any) -> Call:
    return Call(name, tuple(map(Feed, steps)), **given)


def _conv(rank: int, filters: int, inputs: int, *window: int, **given: Any) -> Layer:
    kernel, bias = array(filters, inputs, *window), array(filters)
    return layer("conv", "conv", rank=rank, kernel=kernel, bias=bias, **given)


def _norm(features: int, **given: Any) -> Layer:
    arrays: dict[str, Any] = {name: array(features) for name in ("gamma", "beta", "mean")}
    return layer("norm", "batch_norm", **arrays, variance=np.abs(array(features)) + 0.5, **given)


def _pool(rank: int, form: str, size: Sequence[int], strides: Sequence[int], **given: Any) -> Layer:
    return layer("pool", "pool", rank=rank, form=form, size=size, strides=strides, **given)


def _activation(activation: Activation, **given: Any) -> Layer:
    return layer("act", "activation", activation=activation, **given)


def _edges(kind: str, *amounts: tuple[int, int], **given: Any) -> Layer:
    return layer("edges", kind, rank=len(amounts), amounts=amounts, **given)


def _up(*size: int, **given: Any) -> Layer:
    return layer("up", "upsampling", rank=len(size), size=size, **given)


def _leaky(slope: float) -> Activation:
    return Activation("leaky_relu", {"slope": slope})


def _threshold(value: float) -> Activation:
    return Activation("threshold", {"threshold": value, "value": 0.0})


def _merge(form: str, **given: Any) -> Network:
    """Two layers of one input, joined."""
    joined = layer("join", "merge", form=form, **given)
    layers = [dense("one", 5, 3), dense("two", 5, 3), joined]
    return graph([Input("x", (7, 3))], layers, [call("one", 0), call("two", 0), call("join", 1, 2)], Feed(3))


def _pool_all(rank: int, form: str, **given: Any) -> Layer:
    return layer("pool", "global_pool", rank=rank, form=form, **given)


# One network for each kind and option, of which Keras's answer is compared with the reference's.
PLAIN: Mapping[str, Network] = {
    "dense": chain([3], dense("a", 5, 3, activation=named("relu")), dense("b", 2, 5, activation=named("softmax"))),
    "dense without bias": chain([3], layer("a", "dense", kernel=array(5, 3))),
    "dense in time": chain([None, 3], dense("a", 5, 3, activation=named("tanh"))),
    "dense each step": chain([7, 3], dense("a", 5, 3, each_step=True)),
    "dense hard_sigmoid": chain([3], dense("a", 5, 3, activation=OLD_HARD_SIGMOID)),
    "dense leaky_relu": chain([3], dense("a", 5, 3, activation=_leaky(0.3)), dense("b", 2, 5)),
    "dense elu": chain([3], dense("a", 5, 3, activation=Activation("elu", {"alpha": 0.7}))),
    "dense threshold": chain([3], dense("a", 5, 3, activation=_threshold(0.4))),
    "hard_sigmoid": chain([None, 3], _activation(OLD_HARD_SIGMOID)),
    "keras 3 hard_sigmoid": chain([3], _activation(named("hard_sigmoid"))),
    "steep hard_sigmoid": chain(
        [3], dense("a", 5, 3, activation=Activation("hard_sigmoid", {"slope": 0.3, "offset": 0.4}))
    ),
    "leaky_relu": chain([3], _activation(_leaky(0.3))),
    "relu": chain([3], layer("act", "relu", max_value=0.8, negative_slope=0.1, threshold=0.2)),
    "softmax in time": chain([7, 3], layer("act", "softmax", axis=1)),
    "softmax": chain([7, 3], layer("act", "softmax", axis=2)),
    "prelu": chain([7, 3], layer("act", "prelu", alpha=array(7, 3))),
    "prelu shared": chain([None, 3], layer("act", "prelu", alpha=array(1, 3))),
    "batch_norm": chain([7, 3], _norm(3)),
    "batch_norm bare": chain([3], layer("n", "batch_norm", mean=array(3), variance=np.abs(array(3)) + 1, epsilon=1e-5)),
    "batch_norm without gamma": chain(
        [3], layer("n", "batch_norm", beta=array(3), mean=array(3), variance=np.abs(array(3)) + 1)
    ),
    "batch_norm in time": chain([7, 3], _norm(7, axis=1)),
    "layer_norm": chain([7, 3], layer("n", "layer_norm", axes=(-1,), gamma=array(3), beta=array(3))),
    "layer_norm bare": chain([7, 3], layer("n", "layer_norm", axes=(-1,))),
    "layer_norm in time": chain([7, 3], layer("n", "layer_norm", axes=(1,), gamma=array(7), beta=array(7))),
    "layer_norm of an image": chain(
        [5, 7, 3], layer("n", "layer_norm", axes=(2, 1), gamma=array(5, 7), beta=array(5, 7)), dense("a", 2, 3)
    ),
    "layer_norm each step": chain([2, 5, 3], layer("n", "layer_norm", axes=(1,), gamma=array(5), each_step=True)),
    "conv1d": chain([11, 3], _conv(1, 5, 3, 2, strides=(2,), activation=named("relu"))),
    "conv1d same": chain([11, 3], _conv(1, 5, 3, 4, padding="same", strides=(3,))),
    "conv1d causal": chain([None, 3], _conv(1, 5, 3, 3, padding="causal", dilation=(2,))),
    "conv1d hard_sigmoid": chain([11, 3], _conv(1, 5, 3, 2, activation=OLD_HARD_SIGMOID)),
    "conv2d": chain([7, 11, 3], _conv(2, 5, 3, 2, 3, padding="same", strides=(2, 1))),
    "conv2d channels first": chain([3, 7, 11], _conv(2, 5, 3, 2, 3, channels="first")),
    "conv2d groups": chain([7, 11, 4], _conv(2, 6, 2, 2, 3, groups=2)),
    "conv3d": chain([5, 7, 11, 2], _conv(3, 3, 2, 2, 2, 3)),
    "max pool": chain([11, 3], _pool(1, "max", (3,), (2,), padding="same")),
    "average pool": chain([11, 3], _pool(1, "average", (3,), (2,), padding="same")),
    "average pool of any length": chain([None, 3], _pool(1, "average", (4,), (3,), padding="same"), lstm("rnn", 3, 5)),
    "average pool uneven": chain([7, 3], _pool(1, "average", (2,), (2,), padding="same"), dense("a", 2, 3)),
    "average pool channels first": chain(
        [3, 7], _pool(1, "average", (4,), (3,), padding="same", channels="first"), dense("a", 2, 3)
    ),
    "average pool of an image": chain(
        [7, 11, 3], _pool(2, "average", (3, 2), (1, 3), padding="same"), dense("a", 2, 3)
    ),
    "average pool of an image channels first": chain(
        [3, 7, 11], _pool(2, "average", (3, 4), (2, 3), padding="same", channels="first"), dense("a", 2, 4)
    ),
    "average pool each step": chain(
        [5, 7, 3], replace(_pool(1, "average", (2,), (2,), padding="same"), each_step=True), dense("a", 2, 3)
    ),
    "pool2d": chain([7, 11, 3], _pool(2, "max", (2, 3), (2, 3))),
    "pool2d channels first": chain([3, 7, 11], _pool(2, "average", (2, 3), (1, 2), channels="first")),
    "global max": chain([7, 3], _pool_all(1, "max")),
    "global average": chain([7, 3], _pool_all(1, "average", keepdims=True)),
    "global average of an image": chain([7, 11, 3], _pool_all(2, "average")),
    "dropout": chain([7, 3], layer("d", "dropout", form="dropout")),
    "spatial_dropout": chain([7, 3], layer("d", "dropout", form="spatial_dropout")),
    "spatial_dropout of an image": chain([7, 11, 3], layer("d", "dropout", form="spatial_dropout")),
    "gaussian_dropout": chain([7, 3], layer("d", "dropout", form="gaussian_dropout")),
    "gaussian_noise": chain([7, 3], layer("d", "dropout", form="gaussian_noise")),
    "alpha_dropout": chain([7, 3], layer("d", "dropout", form="alpha_dropout")),
    "flatten": chain([7, 3], layer("f", "flatten")),
    "flatten channels first": chain([3, 5, 7], layer("f", "flatten", channels="first")),
    "reshape": chain([7, 3], layer("r", "reshape", shape=(-1, 7))),
    "permute": chain([7, 3], layer("p", "permute", order=(2, 1))),
    "repeat": chain([3], layer("r", "repeat", times=5)),
    "take last": chain([None, 3], layer("t", "take", axis=1, index=-1)),
    "take one": chain([None, 3], layer("t", "take", axis=1, index=2), dense("a", 2, 3)),
    "flip": chain([None, 3], layer("t", "flip", axis=1), dense("a", 2, 3)),
    "time first": chain(
        [7, 3],
        layer("to", "transpose", order=(1, 0, 2)),
        lstm("rnn", 3, 5),
        layer("from", "transpose", order=(1, 0, 2)),
        dense("a", 2, 5),
    ),
    "rescaling": chain([None, 3], layer("t", "rescaling", scale=1.2, offset=0.5), dense("a", 2, 3)),
    "take feature": chain([7, 3], layer("t", "take", axis=-1, index=-2)),
    "cropping": chain([11, 3], _edges("cropping", (1, 2))),
    "cropping2d": chain([7, 11, 3], _edges("cropping", (1, 2), (0, 3))),
    "zero_padding": chain([None, 3], _edges("zero_padding", (1, 2))),
    "zero_padding2d": chain([3, 7, 11], _edges("zero_padding", (1, 2), (0, 3), channels="first")),
    "upsampling": chain([7, 3], _up(2)),
    "upsampling2d": chain([5, 7, 3], _up(2, 3)),
    "upsampling bilinear": chain([5, 7, 3], _up(2, 3, interpolation="bilinear")),
    "embedding": chain(words(None), embedding("e", 11, 3)),
    "lstm": chain([None, 3], lstm("rnn", 3, 5), lstm("top", 5, 7, return_sequences=False), dense("a", 2, 7)),
    "lstm hard": chain([None, 3], lstm("rnn", 3, 5, gate=OLD_HARD_SIGMOID)),
    "bidirectional": chain([None, 3], lstm("rnn", 3, 5, both=True, merge="sum"), lstm("top", 5, 7, both=True)),
    "go_backwards": chain([None, 3], lstm("rnn", 3, 5, go_backwards=True)),
    "lstm each step": chain([5, 7, 3], lstm("rnn", 3, 5, each_step=True, return_sequences=False)),
    "bidirectional each step": chain([5, 7, 3], lstm("rnn", 3, 5, both=True, each_step=True, return_sequences=False)),
    "conv each step": chain(
        [5, 11, 3],
        replace(_conv(1, 2, 3, 4, activation=_leaky(0.1)), each_step=True),
        replace(_pool_all(1, "max"), each_step=True),
    ),
    "take each step": chain([5, 11, 3], layer("t", "take", axis=1, index=-2, each_step=True)),
    "flatten each step": chain([5, 11, 3], layer("t", "flatten", each_step=True), dense("a", 2, 33, each_step=True)),
    **{form: _merge(form) for form in ("add", "subtract", "multiply", "average", "maximum", "minimum")},
    "concatenate": _merge("concatenate", axis=-1),
    "concatenate in time": _merge("concatenate", axis=1),
    "dot": _merge("dot", axes=(2, 2)),
    "dot normalized": _merge("dot", axes=1, normalize=True),
    "masked words": chain(
        words(None),
        embedding("e", 11, 3, mask_zero=True),
        layer("d", "dropout", form="dropout"),
        lstm("rnn", 3, 5, return_sequences=False),
        dense("a", 2, 5),
    ),
    "masked both": chain(
        words(7),
        embedding("e", 11, 3, mask_zero=True),
        lstm("rnn", 3, 5, both=True, zero_output_for_mask=True),
        dense("a", 2, 10, activation=named("softmax"), each_step=True),
    ),
    "masking": chain(
        [None, 3], layer("m", "masking", value=-1.0), lstm("rnn", 3, 5), lstm("top", 5, 7, return_sequences=False)
    ),
    "masked softmax": chain(words(7), embedding("e", 11, 3, mask_zero=True), layer("s", "softmax"), lstm("rnn", 3, 5)),
    "masked average": chain(words(7), embedding("e", 11, 3, mask_zero=True), _pool_all(1, "average", masked=True)),
    "masked norm": chain(words(7), embedding("e", 11, 3, mask_zero=True), _norm(3), lstm("rnn", 3, 5)),
    "masked leaky_relu": chain(
        words(7),
        embedding("e", 11, 3, mask_zero=True),
        dense("a", 5, 3, activation=OLD_HARD_SIGMOID),
        layer("b", "activation", activation=OLD_HARD_SIGMOID),
        lstm("rnn", 5, 2),
    ),
    "mask ends": chain(words(7), embedding("e", 11, 3, mask_zero=True), _conv(1, 5, 3, 2), lstm("rnn", 5, 2)),
    "float64": chain(
        Input("x", (7, 3), "float64"),
        dense("a", 5, 3, dtype="float64"),
        lstm("rnn", 5, 2, dtype="float64"),
        layer("d", "dropout", form="dropout"),
    ),
}


def encoder_decoder() -> Network:
    """Two inputs; the decoder starts with the encoder's last states; a head is shared by both."""
    inputs = [Input("source", (None, 3)), Input("target", (None, 2))]
    layers = [lstm("encoder", 3, 5, return_state=True), lstm("decoder", 2, 5), dense("head", 7, 5)]
    calls = [
        call("encoder", 0), call("decoder", 1, states=(Feed(2, 1), Feed(2, 2))), call("head", 3), call("head", 2),
    ]  # fmt: skip
    return graph(inputs, layers, calls, Feed(4), Feed(5), Feed(2, 2))


def siamese() -> Network:
    """Layers that are called twice, a mask that both joined inputs have, and layers of one class at several depths."""
    layers = [
        embedding("words", 11, 3, mask_zero=True), lstm("rnn", 3, 5, return_sequences=False),
        dense("deep", 5, 5), dense("flat", 5, 5), layer("join", "merge", form="concatenate", axis=-1),
        dense("head", 2, 15),
    ]  # fmt: skip
    calls = [
        call("words", 0), call("words", 1), call("rnn", 2), call("rnn", 3), call("flat", 4), call("deep", 5),
        call("deep", 7), call("join", 8, 6, 5), call("head", 9),
    ]  # fmt: skip
    return graph([Input("left", (7,), "int32"), Input("right", (5,), "int32")], layers, calls, Feed(10), Feed(6))


def masked_sum() -> Network:
    """Two layers that pass one mask on, joined again; and a mask handed by name."""
    layers = [
        embedding("words", 11, 3, mask_zero=True), dense("one", 5, 3), dense("two", 5, 3),
        layer("join", "merge", form="add"), lstm("rnn", 5, 2), lstm("told", 3, 2, return_sequences=False),
    ]  # fmt: skip
    calls = [
        call("words", 0), call("one", 2), call("two", 2), call("join", 3, 4), call("rnn", 5),
        call("told", 2, mask=Feed(1)),
    ]  # fmt: skip
    return graph([words(7), Input("mask", (7,), "bool")], layers, calls, Feed(6), Feed(7))


def joined_masks(joins: str = "all") -> Network:
    """Masks of two embeddings that a merge joins, one of masked features too, and an input without one."""
    layers = [
        embedding("left", 11, 3, mask_zero=True), embedding("right", 13, 3, mask_zero=True), dense("bare", 3, 3),
        layer("both", "merge", form="average"), layer("half", "merge", form="concatenate", axis=-1),
        layer("mask", "masking", value=-1.0), layer("sum", "merge", form="add"),
        lstm("rnn", 3, 5), lstm("top", 5, 2), lstm("told", 6, 2),
        lstm("third", 3, 2, both=True, return_sequences=False),
        layer("pool", "global_pool", rank=1, form="average", masked=True),
    ]  # fmt: skip
    calls = [
        call("left", 0), call("right", 1), call("bare", 2), call("mask", 2),
        call("both", 3, 4), call("rnn", 7), call("top", 8),
        call("half", 3, 5 if joins == "all" else 4), call("told", 10), call("sum", 3, 6),
        call("third", 12), call("pool", 12),
    ]  # fmt: skip
    inputs = [Input("a", (7,), "int32"), Input("b", (7,), "int32"), Input("x", (7, 3))]
    return replace(graph(inputs, layers, calls, *map(Feed, (9, 11, 13, 14))), joins=joins)


def one_pool_of_two_lengths() -> Network:
    """Of which one alone is padded unevenly."""
    pool = _pool(1, "average", (3,), (2,), padding="same")
    calls = [call("pool", 0), call("pool", 1), call("a", 2)]
    return graph([Input("x", (7, 3)), Input("y", (8, 3))], [pool, dense("a", 2, 3)], calls, Feed(4), Feed(3))


def masked_norms() -> Network:
    """A mask that goes past a normalisation along time."""
    layers = [
        embedding("e", 11, 3, mask_zero=True), layer("norm", "layer_norm", axes=(1,), gamma=array(7)),
        lstm("rnn", 3, 5, return_sequences=False),
    ]  # fmt: skip
    return chain(words(7), *layers)


def two_directions_apart() -> Network:
    """Directions that are not merged, each read by a layer of its own, and all their states returned."""
    layers = [lstm("rnn", 3, 5, both=True, merge=None, return_state=True), dense("a", 2, 5), dense("b", 7, 5)]
    calls = [call("rnn", 0), Call("a", (Feed(1, 1),)), Call("b", (Feed(1, 0),))]
    return graph([Input("x", (7, 3))], layers, calls, Feed(2), Feed(3), *(Feed(1, number) for number in range(2, 6)))


def odd_names() -> Network:
    """Names that Keras does not take, and names that become one."""
    layers = [
        dense("inner.a/1", 5, 3),
        dense("inner_a_1", 5, 5),
        dense("take", 2, 5),
        layer("t", "take", axis=1, index=0),
    ]
    return chain(
        [7, 3], *layers, dense("class", 3, 2), dense("é" * 300, 3, 3), dense("é" * 301, 3, 3), dense("_", 3, 3)
    )


def unread() -> Network:
    """A layer that no output comes of, and an input that nobody reads."""
    layers = [dense("a", 5, 3), dense("nobody", 5, 3)]
    return graph([Input("x", (3,)), Input("y", (2,))], layers, [call("nobody", 0), call("a", 0)], Feed(3))


JOINED: Mapping[str, Network] = {
    "encoder and decoder": encoder_decoder(),
    "siamese": siamese(),
    "masked sum": masked_sum(),
    "joined masks": joined_masks(),
    "joined masks of keras 3": joined_masks("any"),
    "one pool of two lengths": one_pool_of_two_lengths(),
    "masked norms": masked_norms(),
    "two directions apart": two_directions_apart(),
    "odd names": odd_names(),
    "unread": unread(),
}
NETWORKS = {**PLAIN, **JOINED}

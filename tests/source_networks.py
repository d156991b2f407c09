"""The networks of which the tests of written source make modules: kinds and options in chains, and graphs."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from exporting import HARD, SAMPLES, cell, gru
from handmade_networks import LINEAR, chain, conv, dense, embedding, layer, lstm, pool, random, recurrent, series, words

from lstm_convert.activations import FUNCTIONS, named
from lstm_convert.canonical import GRU, LSTM, Call, Feed, Input, Layer, Network

IMAGE = Input("image", (6, 5, 4))
FEATURES = {"gamma": random(3), "beta": random(3, seed=1), "mean": random(3, seed=2), "variance": random(3, low=0.1)}
DROPOUTS = [
    layer("dropout", form=form, rate=0.25, name=form)
    for form in ("dropout", "spatial_dropout", "gaussian_dropout", "gaussian_noise", "alpha_dropout")
]


def batch_norm(*names: str, axis: int = -1, **more: Any) -> Layer:
    arrays = {name: array for name, array in FEATURES.items() if name in ("mean", "variance", *names)}
    return layer("batch_norm", arrays, axis=axis, epsilon=1e-3, momentum=0.99, **more)


def layer_norm(*names: str, axes: tuple[int, ...] = (-1,), shape: tuple[int, ...] = (3,)) -> Layer:
    arrays = {name: random(*shape, seed=len(name)) for name in names}
    return layer("layer_norm", arrays, axes=axes, epsilon=1e-3)


def relu(max_value: float | None = None, negative_slope: float = 0.0, threshold: float = 0.0) -> Layer:
    return layer("relu", max_value=max_value, negative_slope=negative_slope, threshold=threshold)


def global_pool(form: str, rank: int = 1, **options: Any) -> Layer:
    settings: dict[str, Any] = {"rank": rank, "form": form, "keepdims": False, "masked": True, "channels": "last"}
    return layer("global_pool", **(settings | options))


def upsampling(*size: int, interpolation: str = "nearest") -> Layer:
    return layer("upsampling", rank=len(size), size=size, channels="last", interpolation=interpolation)


def around(kind: str, *amounts: tuple[int, int], channels: str = "last") -> Layer:
    return layer(kind, rank=len(amounts), amounts=amounts, channels=channels)


CHAINS: dict[str, Network] = {
    "tagger": chain(
        words(), embedding(), DROPOUTS[0], lstm(5, 4, both=True), dense(8, 7, "relu"),
        dense(7, 4, "softmax", name="top"),
    ),
    "floats are words": chain(words(dtype="float32"), embedding(mask=False), lstm(5, 4)),
    "dense": chain(Input("x", (3,)), dense(3, 4, "tanh"), dense(4, 2, "softmax", bias=False, name="2")),
    "x is an input": chain(Input("x", (None, 3)), lstm(), dense(4, 2)),
    "ends in an LSTM": chain(series(), lstm(3, 4)),
    "is an LSTM's last step": chain(series(), lstm(3, 4, return_sequences=False)),
    "backwards": chain(series(), lstm(3, 4, go_backwards=True)),
    "bidirectional": chain(series(), lstm(both=True)),
    "bidirectional last": chain(series(), lstm(both=True, return_sequences=False)),
    "bidirectional sum": chain(series(), lstm(both=True, merge="sum"), dense(4, 2)),
    "bidirectional mul last": chain(series(), lstm(both=True, merge="mul", return_sequences=False)),
    "bidirectional ave backwards": chain(series(), lstm(both=True, merge="ave", go_backwards=True)),
    "hard": chain(series(), recurrent(LSTM("hard", cell(gate=HARD), return_sequences=False))),
    "unlike": chain(
        series(), recurrent(LSTM("unlike", cell(units=4), cell(units=5, gate=HARD), return_sequences=False)),
        dense(9, 2),
    ),
    "masked": chain(series(), layer("masking", value=0.5), lstm(return_sequences=False)),
    "masked backwards": chain(series(), layer("masking", value=0.5), lstm(go_backwards=True)),
    "masked zeros": chain(words(), embedding(), lstm(5, 4, both=True, zero_output_for_mask=True)),
    "masked unlike": chain(
        words(), embedding(), recurrent(LSTM("u", cell(5, 4), cell(5, 4, gate=HARD), merge="sum", go_backwards=True))
    ),
    "masked stack": chain(words(), embedding(), lstm(5, 4, name="one"), lstm(4, 4, name="two", return_sequences=False)),
    "masked mean": chain(words(), embedding(), global_pool("average"), dense(5, 2)),
    "masked mean kept": chain(words(), embedding(), global_pool("average", keepdims=True)),
    "masked but not counted": chain(words(), embedding(), global_pool("average", masked=False)),
    "maximum of steps": chain(words(), embedding(), global_pool("max")),
    "batch norm": chain(series(), batch_norm("gamma", "beta"), lstm()),
    "batch norm of rows": chain(Input("row", (3,)), batch_norm("gamma", "beta"), dense(3, 2)),
    "batch norm of images": chain(Input("image", (6, 5, 3)), batch_norm("gamma")),
    "batch norm first": chain(Input("image", (3, 5, 4)), batch_norm("beta", axis=1)),
    "batch norm between": chain(Input("image", (5, 3, 4)), batch_norm(axis=2)),
    "layer norm": chain(series(), layer_norm("gamma", "beta"), lstm()),
    "layer norm without scale": chain(series(), layer_norm("beta")),
    "layer norm without shift": chain(series(), layer_norm("gamma")),
    "layer norm bare": chain(series(), layer_norm()),
    "layer norm of two axes": chain(Input("image", (6, 5, 3)), layer_norm("gamma", "beta", axes=(2, 3), shape=(5, 3))),
    "layer norm of the first axis": chain(Input("image", (3, 5)), layer_norm("gamma", "beta", axes=(1,))),
    "layer norm of outer axes": chain(
        Input("image", (3, 5, 2)), layer_norm("gamma", "beta", axes=(1, 3), shape=(3, 2))
    ),
    "prelu of features": chain(series(), layer("prelu", {"alpha": random(1, 3)})),
    "prelu of places": chain(Input("series", (4, 3)), layer("prelu", {"alpha": random(4, 3)})),
    "prelu of one": chain(series(), layer("prelu", {"alpha": random(1, 1)})),
    "prelu first": chain(Input("image", (3, 5, 4)), layer("prelu", {"alpha": random(3, 1, 1)})),
    "relu": chain(series(), relu()),
    "relu with all": chain(series(), relu(0.4, 0.1, 0.2)),
    "relu with a slope": chain(series(), relu(None, 0.3)),
    "relu with a maximum": chain(series(), relu(0.5)),
    "relu with a threshold": chain(series(), relu(None, 0.0, -0.4)),
    "relu with maximum and slope": chain(series(), relu(0.4, 0.2)),
    "softmax over time": chain(series(), layer("softmax", axis=1), lstm()),
    "softmax over both": chain(series(), layer("softmax", axis=(1, 2))),
    "linear": chain(series(), layer("activation", activation=LINEAR), dense(3, 2)),
    "causal": chain(series(), conv(3, 4, padding="causal", dilation=(2,), activation=named("relu")), lstm(4, 4)),
    "same": chain(series(), conv(3, 4, padding="same"), conv(4, 4, (4,), padding="same", name="c2")),
    "same with strides": chain(series(), conv(3, 4, (4,), padding="same", strides=(3,)), lstm(4, 4)),
    "same of known length": chain(series(3, 8), conv(3, 4, (4,), padding="same", strides=(3,)), lstm(4, 4)),
    "valid": chain(series(), conv(3, 4, bias=False, strides=(2,)), pool("max"), conv(4, 2, (1,), name="c2")),
    "conv over units": chain(series(), conv(3, 4, activation=named("softmax")), lstm(4, 4)),
    "groups": chain(Input("series", (None, 4)), conv(4, 6, groups=2)),
    "conv first": chain(Input("series", (3, 9)), conv(3, 4, channels="first", activation=named("softmax"))),
    "image": chain(
        IMAGE, conv(4, 6, (3, 2), padding="same"), pool("max", (2, 2)), layer("flatten", channels="last"), dense(36, 3)
    ),
    "image same with strides": chain(
        Input("image", (None, None, 4)), conv(4, 6, (3, 2), padding="same", strides=(2, 1)), global_pool("max", 2)
    ),
    "image first": chain(
        Input("image", (4, 6, 5)),
        conv(4, 6, (3, 2), channels="first"),
        pool("average", (2, 2), channels="first"),
        layer("flatten", channels="first"),
    ),
    "average same uneven": chain(series(), pool("average", (4,), strides=(1,), padding="same")),
    "average same even": chain(series(), pool("average", (3,), strides=(1,), padding="same")),
    "average same of strides": chain(series(), pool("average", (3,), strides=(2,), padding="same"), lstm()),
    "max same": chain(series(), pool("max", (2,), strides=(2,), padding="same")),
    "max same even": chain(series(), pool("max", (3,), strides=(1,), padding="same")),
    "means of an image": chain(IMAGE, global_pool("average", 2, keepdims=True), conv(4, 2, (1, 1))),
    "cropping": chain(series(), around("cropping", (1, 2)), lstm()),
    "cropping of an image": chain(
        IMAGE, conv(4, 4, (1, 1)), around("cropping", (1, 0), (0, 2)), around("zero_padding", (1, 2), (0, 1))
    ),
    "zero padding": chain(series(), around("zero_padding", (1, 2)), lstm()),
    "zero padding first": chain(Input("image", (4, 6, 5)), around("zero_padding", (1, 2), (3, 4), channels="first")),
    "upsampling": chain(series(), upsampling(3), lstm()),
    "upsampling of an image": chain(IMAGE, upsampling(2, 3)),
    "bilinear": chain(IMAGE, upsampling(2, 3, interpolation="bilinear"), layer("flatten", channels="last")),
    "flip": chain(series(), layer("flip", axis=1), lstm(), layer("flip", axis=-1, name="features")),
    "rescaling": chain(series(), layer("rescaling", scale=0.25, offset=-1.0), lstm()),
    "time first": chain(
        series(), layer("transpose", order=(1, 0, 2)), lstm(), layer("transpose", order=(1, 0, 2), name="back")
    ),
    "all axes turned": chain(IMAGE, layer("transpose", order=(1, 2, 0, 3)), layer("flatten", channels="last")),
    "permute": chain(Input("image", (6, 5, 4)), layer("permute", order=(3, 1, 2))),
    "permute what is permuted": chain(series(3, 7), conv(3, 4), layer("permute", order=(2, 1)), lstm(5, 4)),
    "reshape": chain(Input("row", (12,)), layer("reshape", shape=(-1, 3)), lstm()),
    "reshape channels": chain(series(3, 9), conv(3, 4), layer("reshape", shape=(4, 7)), lstm(7, 4)),
    "repeat": chain(series(), lstm(return_sequences=False), layer("repeat", times=5), lstm(4, 3, name="decoder")),
    "take": chain(series(), layer("take", axis=1, index=-1), dense(3, 2)),
    "take a feature": chain(
        Input("image", (6, 5, 4)), layer("take", axis=2, index=1), layer("take", axis=-1, index=0, name="t")
    ),
    "each step dense": chain(Input("frames", (None, 4, 3)), dense(3, 2, "softmax", step=True)),
    "each step": chain(
        Input("frames", (None, 5, 4, 3)),
        replace(conv(3, 4, (2, 2), activation=named("relu")), each_step=True),
        replace(pool("max", (2, 2)), each_step=True),
        layer("flatten", channels="last", step=True),
        lstm(8, 4),
    ),
    "each step of known length": chain(
        Input("frames", (6, 5, 3)), recurrent(LSTM("inner", cell(3, 4), return_sequences=False), step=True), lstm(4, 3)
    ),
    "words of words": chain(
        Input("text", (None, 6), "int32"),
        embedding(step=True),
        recurrent(LSTM("letters", cell(5, 4), cell(5, 4, seed=1), return_sequences=False), step=True),
        lstm(8, 4),
    ),
}  # fmt: skip
CHAINS |= {
    f"layer {name}": chain(series(), *([layer("masking", value=0.5)] if each.masked_by else []), recurrent(each))
    for name, each in SAMPLES.items()
    if each.merge is not None
}
CHAINS |= {f"training {each.name}": chain(series(), each, lstm()) for each in DROPOUTS}
CHAINS |= {f"activation {name}": chain(series(), layer("activation", activation=named(name))) for name in FUNCTIONS}


def network(
    inputs: Sequence[Input], layers: Sequence[Layer], calls: Sequence[Call], outputs: Sequence[Feed], joins: str = "all"
) -> Network:
    return Network(tuple(inputs), {each.name: each for each in layers}, tuple(calls), tuple(outputs), joins)


def merged(
    form: str,
    *,
    masked: tuple[bool, ...] = (False, False),
    joins: str = "all",
    after: Layer | None = None,
    **options: Any,
) -> Network:
    """Series that are masked or not, merged."""
    inputs = [Input(f"series {number}", (None, 3)) for number in range(len(masked))]
    layers: list[Layer] = [
        layer("masking", value=0.5, name=f"masking_{number}") for number, each in enumerate(masked) if each
    ]
    calls = [Call(f"masking_{number}", (Feed(number),)) for number, each in enumerate(masked) if each]
    made = {call.inputs[0].step: Feed(len(inputs) + place) for place, call in enumerate(calls)}
    settings = {"axis": None, "axes": None, "normalize": False} | options
    layers += [layer("merge", form=form, **settings), after or lstm()]
    calls.append(Call("merge", tuple(made.get(number, Feed(number)) for number in range(len(inputs)))))
    calls.append(Call(layers[-1].name, (Feed(len(inputs) + len(calls) - 1),)))
    return network(inputs, layers, calls, [Feed(len(inputs) + len(calls) - 1)], joins)


def dot(
    first: tuple[int | None, ...], second: tuple[int | None, ...], axes: Any, *, normalize: bool = False
) -> Network:
    inputs = [Input("one", first), Input("other", second)]
    merge = layer("merge", form="dot", axis=None, axes=axes, normalize=normalize)
    return network(inputs, [merge], [Call("merge", (Feed(0), Feed(1)))], [Feed(2)])


SIAMESE = network(
    [words(), replace(words(), name="others")],
    [
        embedding(),
        lstm(5, 4, return_sequences=False),
        layer("merge", form="subtract", axis=None, axes=None, normalize=False),
        dense(4, 1, "sigmoid"),
    ],
    [
        Call("embedding", (Feed(0),)), Call("embedding", (Feed(1),)),
        Call("lstm", (Feed(2),)), Call("lstm", (Feed(3),)),
        Call("merge", (Feed(4), Feed(5))), Call("dense", (Feed(6),)),
    ],
    [Feed(7)],
)  # fmt: skip
TRANSLATOR = network(
    [words(), Input("target", (None, 3))],
    [
        embedding(),
        lstm(5, 4, return_sequences=False, return_state=True, name="encoder"),
        lstm(3, 4, return_state=True, name="decoder"),
        dense(4, 6, "softmax"),
    ],
    [
        Call("embedding", (Feed(0),)), Call("encoder", (Feed(2),)),
        Call("decoder", (Feed(1),), (Feed(3, 1), Feed(3, 2))), Call("dense", (Feed(4),)),
    ],
    [Feed(5), Feed(4, 1), Feed(4, 2)],
)  # fmt: skip
BOTH_WAYS = network(
    [series()],
    [lstm(both=True, merge=None, return_state=True), lstm(3, 4, both=True, name="second")],
    [Call("lstm", (Feed(0),)), Call("second", (Feed(0),), (Feed(1, 2), Feed(1, 3), Feed(1, 4), Feed(1, 5)))],
    [Feed(1, 0), Feed(1, 1), Feed(2), Feed(1, 5)],
)
UNLIKE_STATES = network(
    [series()],
    [
        recurrent(LSTM("one", cell(3, 4), cell(3, 5, gate=HARD), return_state=True, merge=None)),
        recurrent(LSTM("two", cell(3, 4, gate=HARD), cell(3, 5), return_sequences=False)),
    ],
    [Call("one", (Feed(0),)), Call("two", (Feed(0),), (Feed(1, 2), Feed(1, 3), Feed(1, 4), Feed(1, 5)))],
    [Feed(2), Feed(1, 0), Feed(1, 1), Feed(1, 2), Feed(1, 5)],
)
GRU_STATES = network(
    [series()],
    [
        recurrent(GRU("one", gru(3, 4), gru(3, 4, seed=1), return_state=True, merge=None)),
        recurrent(GRU("two", gru(3, 4), gru(3, 4, seed=1), return_sequences=False)),
        recurrent(GRU("three", gru(3, 4, reset_after=False), return_state=True)),
    ],
    [
        Call("one", (Feed(0),)),
        Call("two", (Feed(0),), (Feed(1, 2), Feed(1, 3))),
        Call("three", (Feed(0),), (Feed(1, 2),)),
    ],
    [Feed(2), Feed(1, 0), Feed(1, 1), Feed(3), Feed(3, 1)],
)
GIVEN_MASK = network(
    [series(), Input("counts", (None,), "bool")],
    [lstm(return_sequences=False)],
    [Call("lstm", (Feed(0),), (), Feed(1))],
    [Feed(2)],
)
READ_TWICE = network(
    [series()],
    [conv(3, 4), pool("max"), lstm(4, 4), global_pool("max")],
    [Call("conv", (Feed(0),)), Call("lstm", (Feed(1),)), Call("pool", (Feed(1),)), Call("global_pool", (Feed(3),))],
    [Feed(1), Feed(2), Feed(4)],
)
GRAPHS: dict[str, Network] = {
    "siamese": SIAMESE, "translator": TRANSLATOR, "both ways": BOTH_WAYS, "unlike states": UNLIKE_STATES,
    "states of GRUs": GRU_STATES,
    "given mask": GIVEN_MASK, "read twice": READ_TWICE,
    **{f"{form}": merged(form) for form in ("add", "subtract", "multiply", "average", "maximum", "minimum")},
    **{f"three by {form}": merged(form, masked=(False,) * 3) for form in ("add", "multiply", "average", "maximum")},
    **{
        f"masked {form}, {joins}, {sum(masked)}": merged(form, masked=masked, joins=joins)
        for form in ("add", "multiply", "maximum", "minimum")
        for joins in ("all", "any")
        for masked in ((True, True, False), (True, True, True), (False, True, True))
    },
    "concatenated": merged("concatenate", axis=-1, after=lstm(6, 4)),
    "concatenated in time": merged("concatenate", axis=1, masked=(True, False)),
    "dot of rows": dot((5,), (5,), 1),
    "cosine": dot((5,), (5,), -1, normalize=True),
    "dot of series": dot((None, 5), (None, 5), (2, 2)),
    "dot of both": dot((4, 5), (5, 6), (2, 1), normalize=True),
    "attention": dot((4,), (4, 6), (1, 1)),
}  # fmt: skip
NETWORKS = CHAINS | GRAPHS

"""Keras layers of each kind with the same in canonical form, what they read, and networks of one layer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from helpers import Array
from keras import layers

from lstm_convert.activations import named
from lstm_convert.canonical import Call, Feed, Input, Layer, Network

LINEAR = named("linear")


def random(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng([seed, *shape]).normal(size=shape)


def one_layer(layer: Layer, *shapes: tuple[int | None, ...]) -> Network:
    """A network of one layer that reads all inputs."""
    inputs = tuple(Input(f"x{number}", shape) for number, shape in enumerate(shapes))
    call = Call(layer.name, tuple(Feed(number) for number in range(len(shapes))))
    return Network(inputs, {layer.name: layer}, (call,), (Feed(len(shapes)),))


def with_random_weights(layer: Any, *xs: Array) -> Any:
    """Build a Keras layer and give it weights of which none is what Keras starts with."""
    layer(xs[0] if len(xs) == 1 else list(xs))
    weights = [
        np.abs(random(*weight.shape, seed=number)) + 0.5
        if "variance" in weight.path
        else random(*weight.shape, seed=number)
        for number, weight in enumerate(layer.weights)
    ]
    layer.set_weights(weights)
    return layer


def arrays_of(layer: Any, **turned: tuple[int, ...]) -> dict[str, Array]:
    """Return a Keras layer's arrays by their own names, some with their axes in another order."""
    arrays = {weight.name: np.asarray(weight) for weight in layer.weights}
    return {name: array.transpose(turned.get(name, range(array.ndim))) for name, array in arrays.items()}


def called(layer: Any, *xs: Array) -> Array:
    return np.asarray(layer(xs[0] if len(xs) == 1 else list(xs)))


@dataclass(frozen=True, eq=False)
class Case:
    """A Keras layer, what it reads, and the same layer in canonical form."""

    kind: str
    layer: Any
    shapes: Sequence[tuple[int, ...]]
    options: Mapping[str, Any]
    names: Mapping[str, str] | None = None
    turned: Mapping[str, tuple[int, ...]] | None = None
    tolerance: float = 1e-12

    def __str__(self) -> str:
        said = {name: getattr(value, "name", value) for name, value in self.options.items()}
        return f"{self.kind} {said} {self.shapes}"

    def canonical(self) -> Layer:
        arrays = arrays_of(self.layer, **(self.turned or {}))
        names = self.names or {}
        return Layer("it", self.kind, self.options, {names.get(name, name): array for name, array in arrays.items()})


F64 = {"dtype": "float64"}


def pooling(form: str, rank: int) -> Any:
    return getattr(layers, f"{'Max' if form == 'max' else 'Average'}Pooling{rank}D")


def dense_cases() -> list[Case]:
    return [
        Case(
            "dense", layers.Dense(5, activation=name, use_bias=bias, **F64), [shape], {"activation": named(name)},
            turned={"kernel": (1, 0)},
        )
        for name, bias, shape in [
            ("linear", True, (2, 3)), ("tanh", False, (2, 7, 3)), ("softmax", True, (2, 7, 3)),
            ("relu", True, (2, 4, 7, 3)),
        ]
    ]  # fmt: skip


def activation_cases() -> list[Case]:
    names = ("relu", "elu", "selu", "softplus", "softsign", "tanh", "sigmoid", "hard_sigmoid", "softmax", "exponential")
    # Keras keeps the numbers of selu and hard_sigmoid in float32.
    return [
        Case("activation", layers.Activation(name, **F64), [(2, 7, 3)], {"activation": named(name)}, tolerance=1e-7)
        for name in names
    ]


def relu_cases() -> list[Case]:
    numbers = [(None, 0.0, 0.0), (0.5, 0.0, 0.0), (6.0, 0.0, 0.0), (None, 0.3, 0.0), (0.7, 0.2, 0.1)]
    numbers += [(None, 0.0, 0.4), (None, 0.2, 0.5), (0.3, 0.0, 0.5)]
    return [
        Case(
            "relu", layers.ReLU(max_value=largest, negative_slope=slope, threshold=threshold, **F64), [(2, 7, 13)],
            {"max_value": largest, "negative_slope": slope, "threshold": threshold}, tolerance=1e-7,
        )
        for largest, slope, threshold in numbers
    ]  # fmt: skip


def row_cases() -> list[Case]:
    prelus = [Case("prelu", layers.PReLU(shared_axes=shared, **F64), [(2, 7, 3)], {}) for shared in (None, [1], [1, 2])]
    softmaxes = [
        Case("softmax", layers.Softmax(axis=axis, **F64), [(2, 7, 3)], {"axis": axis}) for axis in (-1, 1, [1, 2])
    ]
    drops = [
        Case("dropout", drop, [(2, 7, 3)], {"form": form, "rate": 0.5})
        for form, drop in [
            ("dropout", layers.Dropout(0.5, **F64)),
            ("spatial_dropout", layers.SpatialDropout1D(0.5, **F64)),
            ("gaussian_dropout", layers.GaussianDropout(0.5, **F64)),
            ("gaussian_noise", layers.GaussianNoise(0.5, **F64)),
            ("alpha_dropout", layers.AlphaDropout(0.5, **F64)),
        ]
    ]
    return [*prelus, *softmaxes, *drops]


def norm_cases() -> list[Case]:
    names = {"moving_mean": "mean", "moving_variance": "variance"}
    batch = [
        Case(
            "batch_norm", layers.BatchNormalization(axis=axis, epsilon=epsilon, scale=scale, center=center, **F64),
            [shape], {"axis": axis, "epsilon": epsilon, "momentum": 0.99}, names=names, tolerance=1e-7,
        )
        for axis, epsilon, scale, center, shape in [
            (-1, 1e-3, True, True, (2, 3)), (1, 0.1, False, True, (2, 7, 3)), (2, 1e-3, True, False, (2, 7, 3)),
            (1, 1e-3, True, True, (2, 7, 5, 3)), (-1, 1e-2, False, False, (2, 7, 5, 3)),
        ]
    ]  # fmt: skip
    by_layer = [
        Case(
            "layer_norm", layers.LayerNormalization(axis=axes, epsilon=epsilon, scale=scale, center=center, **F64),
            [shape], {"axes": axes, "epsilon": epsilon}, tolerance=1e-7,
        )
        for axes, epsilon, scale, center, shape in [
            ([-1], 1e-3, True, True, (2, 3)), ([2], 0.1, False, True, (2, 7, 3)), ([1, 2], 1e-3, True, True, (2, 7, 3)),
            ([1], 1e-3, True, False, (2, 7, 3)), ([1, 3], 1e-3, True, True, (2, 7, 5, 3)),
        ]
    ]  # fmt: skip
    return [*batch, *by_layer]


def moving_cases() -> list[Case]:
    last, first = {"channels": "last"}, {"channels": "first"}
    return [
        Case("flatten", layers.Flatten(**F64), [(2, 7, 5, 3)], last),
        Case("flatten", layers.Flatten("channels_first", **F64), [(2, 7, 5, 3)], first),
        Case("flatten", layers.Flatten("channels_first", **F64), [(2, 7)], first),
        Case("reshape", layers.Reshape((3, 14), **F64), [(2, 7, 6)], {"shape": (3, 14)}),
        Case("reshape", layers.Reshape((-1, 3), **F64), [(2, 7, 6)], {"shape": (-1, 3)}),
        Case("permute", layers.Permute((3, 1, 2), **F64), [(2, 7, 5, 3)], {"order": (3, 1, 2)}),
        Case("repeat", layers.RepeatVector(5, **F64), [(2, 3)], {"times": 5}),
        Case("rescaling", layers.Rescaling(0.375, 0.25, **F64), [(2, 7, 3)], {"scale": 0.375, "offset": 0.25}),
        *(
            Case(kind, make(amounts, **F64), [(2, 7, 3)], {"rank": 1, "amounts": (amounts,), **last})
            for kind, make in [("zero_padding", layers.ZeroPadding1D), ("cropping", layers.Cropping1D)]
            for amounts in [(2, 3), (1, 0)]
        ),
        *(
            Case(
                kind, make(amounts, data_format=f"channels_{where}", **F64), [(2, 7, 11, 13)],
                {"rank": 2, "amounts": amounts, "channels": where},
            )
            for kind, make in [("zero_padding", layers.ZeroPadding2D), ("cropping", layers.Cropping2D)]
            for amounts in [((1, 2), (3, 0)), ((0, 4), (1, 1))]
            for where in ("last", "first")
        ),
        Case(
            "upsampling", layers.UpSampling1D(3, **F64), [(2, 7, 3)],
            {"rank": 1, "size": (3,), "interpolation": "nearest", **last},
        ),
        *(
            Case(
                "upsampling", layers.UpSampling2D((2, 3), f"channels_{where}", interpolation, **F64), [(2, 7, 5, 3)],
                {"rank": 2, "size": (2, 3), "interpolation": interpolation, "channels": where},
                tolerance=5e-6,  # TensorFlow resizes in float32
            )
            for interpolation in ("nearest", "bilinear")
            for where in ("last", "first")
        ),
    ]  # fmt: skip


def conv_cases() -> list[Case]:
    return [
        *(
            Case(
                "conv",
                layers.Conv1D(
                    4, size, strides, padding, dilation_rate=dilation, groups=groups, activation="tanh", **F64
                ),
                [(2, length, 6)],
                {
                    "rank": 1, "strides": (strides,), "padding": padding, "dilation": (dilation,), "groups": groups,
                    "channels": "last", "activation": named("tanh"),
                },
                turned={"kernel": (2, 1, 0)},
            )
            for size, strides, padding, dilation, groups, length in [
                (3, 1, "valid", 1, 1, 11), (4, 3, "valid", 1, 1, 17), (3, 1, "valid", 2, 1, 11),
                (3, 1, "same", 1, 1, 11), (4, 1, "same", 1, 1, 11), (5, 2, "same", 1, 1, 11), (5, 2, "same", 1, 1, 12),
                (2, 5, "same", 1, 1, 13), (3, 1, "same", 3, 1, 11), (3, 1, "causal", 1, 1, 11),
                (4, 1, "causal", 2, 1, 11), (3, 2, "causal", 1, 1, 11), (3, 1, "valid", 1, 2, 11),
                (1, 1, "valid", 1, 1, 7),
            ]
        ),
        *(
            Case(
                "conv",
                layers.Conv2D(
                    4, size, strides, padding, dilation_rate=dilation, groups=groups, use_bias=bias, **F64
                ),
                [(2, 11, 13, 6)],
                {
                    "rank": 2, "strides": strides, "padding": padding, "dilation": dilation, "groups": groups,
                    "channels": "last", "activation": LINEAR,
                },
                turned={"kernel": (3, 2, 0, 1)},
            )
            for size, strides, padding, dilation, groups, bias in [
                ((3, 2), (1, 1), "valid", (1, 1), 1, True), ((3, 5), (2, 3), "valid", (1, 1), 1, False),
                ((3, 5), (2, 3), "same", (1, 1), 1, True), ((2, 4), (1, 1), "same", (1, 1), 1, True),
                ((2, 3), (1, 1), "same", (2, 3), 1, True), ((3, 3), (1, 1), "valid", (1, 1), 2, True),
            ]
        ),
    ]  # fmt: skip


def pool_cases() -> list[Case]:
    windows: list[tuple[tuple[int, ...], tuple[int, ...], str, tuple[int, ...]]] = [
        ((3,), (2,), "valid", (2, 11, 3)), ((3,), (2,), "same", (2, 12, 3)), ((4,), (4,), "same", (2, 11, 3)),
        ((2, 3), (2, 3), "valid", (2, 11, 13, 3)), ((2, 3), (1, 2), "same", (2, 11, 13, 3)),
        ((5, 4), (3, 3), "same", (2, 11, 13, 3)),
    ]  # fmt: skip
    pools = [
        Case(
            "pool", pooling(form, len(size))(size, strides, padding, **F64), [shape],
            {
                "rank": len(size), "size": size, "strides": strides, "padding": padding, "channels": "last",
                "form": form,
            },
        )
        for form in ("max", "average")
        for size, strides, padding, shape in windows
    ]  # fmt: skip
    whole = [
        Case(
            "global_pool",
            getattr(layers, f"Global{'Max' if form == 'max' else 'Average'}Pooling{rank}D")(
                data_format=f"channels_{where}", keepdims=keep, **F64
            ),
            [shape], {"rank": rank, "form": form, "keepdims": keep, "masked": rank == 1, "channels": where},
        )
        for form in ("max", "average")
        for rank, shape in [(1, (2, 7, 3)), (2, (2, 7, 5, 3))]
        for where in ("last", "first")
        for keep in (False, True)
    ]  # fmt: skip
    return [*pools, *whole]


def merge_cases() -> list[Case]:
    three: Sequence[tuple[int, ...]] = [(2, 7, 3)] * 3
    broadcast: Sequence[tuple[int, ...]] = [(2, 7, 3), (2, 3)]
    joined: list[tuple[int, Sequence[tuple[int, ...]]]] = [
        (-1, [(2, 7, 3), (2, 7, 5)]), (1, [(2, 7, 3), (2, 5, 3)]), (2, [(2, 7, 3), (2, 7, 1)]),
        (-1, [(2, 3), (2, 5), (2, 7)]),
    ]  # fmt: skip
    rest = {"axis": -1, "axes": None, "normalize": False}
    makers = {
        "add": layers.Add, "multiply": layers.Multiply, "average": layers.Average, "maximum": layers.Maximum,
        "minimum": layers.Minimum,
    }  # fmt: skip
    dots: list[tuple[Any, Sequence[tuple[int, ...]]]] = [
        (1, [(2, 3), (2, 3)]), (-1, [(2, 7, 3), (2, 5, 3)]), ((2, 1), [(2, 7, 3), (2, 3, 5)]),
        ((1, 2), [(2, 7, 3), (2, 5, 7)]), ((1, 2), [(2, 3), (2, 5, 3)]), ((2, 1), [(2, 5, 3), (2, 3)]),
        (1, [(2, 7, 3), (2, 7, 5)]), ((1, 3), [(2, 7, 3), (2, 5, 11, 7)]), ((-1, -2), [(2, 5, 11, 3), (2, 3, 7)]),
    ]  # fmt: skip
    return [
        *(
            Case("merge", make(**F64), shapes, {**rest, "form": form})
            for form, make in makers.items()
            for shapes in (three, broadcast)
        ),
        Case("merge", layers.Subtract(**F64), three[:2], {**rest, "form": "subtract"}),
        *(
            Case("merge", layers.Concatenate(axis=axis, **F64), shapes, {**rest, "form": "concatenate", "axis": axis})
            for axis, shapes in joined
        ),
        *(
            Case(
                "merge", layers.Dot(axes, normalize=normalize, **F64), shapes,
                {"axis": None, "form": "dot", "axes": axes, "normalize": normalize}, tolerance=1e-9,
            )
            for normalize in (False, True)
            for axes, shapes in dots
        ),
    ]  # fmt: skip


CASES = [
    *dense_cases(), *activation_cases(), *relu_cases(), *row_cases(), *norm_cases(), *moving_cases(), *conv_cases(),
    *pool_cases(), *merge_cases(),
]  # fmt: skip

WITH_WINDOW = [case for case in CASES if case.kind in ("conv", "pool")]

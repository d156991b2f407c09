"""Architectures of a few words that ask for memory or time without bounds, in a file whose weights are sound."""

import io
import json
import struct
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from attacks import Attack

_HUGE = 10**12
_UNITS, _INPUTS = 5, 3
_NESTED = 45


def _layer(class_name: str, **config: Any) -> dict[str, Any]:
    return {"class_name": class_name, "config": {"name": class_name.lower(), **config}}


def _lstm(**config: Any) -> dict[str, Any]:
    settings = {"units": _UNITS, "activation": "tanh", "recurrent_activation": "sigmoid", "return_sequences": True}
    return _layer("LSTM", **{**settings, **config})


def _input(*shape: int | None) -> dict[str, Any]:
    return _layer("InputLayer", batch_shape=[None, *shape])


_TANH = _layer("Activation", activation="tanh")

CHAINS: dict[str, tuple[list[dict[str, Any]], str]] = {
    "an input of a million million steps": ([_input(_HUGE, _INPUTS), _lstm(), _TANH], "is not stated"),
    "an input of many steps": ([_input(10**6, _INPUTS), _lstm(), _TANH], "too large to be run"),
    "a row repeated": ([_input(_INPUTS), _layer("RepeatVector", n=_HUGE), _lstm()], "too large to be run"),
    "zeros around": (
        [_input(7, _INPUTS), _layer("ZeroPadding1D", padding=[_HUGE, _HUGE]), _lstm()],
        "too large to be run",
    ),
    "steps doubled": ([_input(7, _INPUTS), _layer("UpSampling1D", size=_HUGE), _lstm()], "too large to be run"),
    "a wide pool": (
        [_input(7, _INPUTS), _layer("MaxPooling1D", pool_size=_HUGE, strides=1, padding="same"), _lstm()],
        "too large to be run",
    ),
    "more units than weights": ([_input(7, _INPUTS), _lstm(units=_HUGE)], "expected 1000000000000 units"),
    "a shape of other numbers": ([_input(7, _INPUTS), _layer("Reshape", target_shape=[_HUGE, -1]), _lstm()], ""),
    "an axis far away": ([_input(7, _INPUTS), _layer("Softmax", axis=_HUGE), _lstm()], ""),
    "negative sizes": ([_input(-7, -_INPUTS), _lstm()], ""),
}  # fmt: skip


def _chain(layers: list[dict[str, Any]]) -> dict[str, Any]:
    return {"class_name": "Sequential", "config": {"name": "sequential", "layers": layers}}


def _called(name: str, inner: list[dict[str, Any]], calls: list[list[Any]], last: list[Any]) -> dict[str, Any]:
    config = {"name": name, "layers": inner, "input_layers": [["in", 0, 0]], "output_layers": [last]}
    return {"class_name": "Functional", "name": name, "config": config, "inbound_nodes": calls}


def nested_calls() -> dict[str, Any]:
    """Return models that each call the one inside twice: 45 of them make 2 ** 45 calls of nothing."""
    entry = {"class_name": "InputLayer", "name": "in", "config": {"name": "in", "batch_shape": [None, 7, _INPUTS]}}
    model = _called("m0", [entry | {"inbound_nodes": []}], [], ["in", 0, 0])
    for depth in range(_NESTED):
        model["inbound_nodes"] = [[["in", 0, 0, {}]], [[f"m{depth}", 1, 0, {}]]]
        model = _called(f"m{depth + 1}", [entry | {"inbound_nodes": []}, model], [], [f"m{depth}", 2, 0])
    return model


def nested_deep() -> dict[str, Any]:
    """Return a model in a model, and so on."""
    model = _chain([_lstm()])
    for _ in range(_NESTED * 2):
        model = _chain([model])
    return model


def many_layers() -> dict[str, Any]:
    """Return a chain of more layers than any model has."""
    return _chain([_input(7, _INPUTS), *([_layer("Dropout", rate=0.5)] * 100_001), _lstm()])


def attacks() -> Iterator[Attack]:
    """Yield every architecture in a `.keras`, and shapes that lie in a safetensors file."""
    for name, (layers, said) in CHAINS.items():
        yield Attack(f"sizes: {name}", "a.keras", partial(_write, partial(_chain, layers)), said)
    yield Attack(
        "sizes: models that call models twice", "a.keras", partial(_write, nested_calls), "more than 100000 times"
    )
    yield Attack("sizes: models nested deep", "a.keras", partial(_write, nested_deep), "nested more than")
    yield Attack("sizes: too many layers", "a.keras", partial(_write, many_layers), "more than 100000")
    for name, (entries, numbers, said) in _TENSORS.items():
        yield Attack(f"safetensors: {name}", "a.safetensors", partial(_write_tensors, entries, numbers), said)


def _write(architecture: Callable[[], dict[str, Any]], folder: Path) -> None:
    weights = io.BytesIO()
    with h5py.File(weights, "w") as file:
        for number, shape in enumerate([(_INPUTS, 4 * _UNITS), (_UNITS, 4 * _UNITS), (4 * _UNITS,)]):
            file[f"layers/lstm/cell/vars/{number}"] = np.full(shape, 0.1, "f4")
    with zipfile.ZipFile(folder / "a.keras", "w") as archive:
        archive.writestr("metadata.json", '{"keras_version": "3.15.1"}')
        archive.writestr("config.json", json.dumps(architecture()))
        archive.writestr("model.weights.h5", weights.getvalue())


def _entry(shape: list[int], begin: int, end: int, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


_W, _U = "lstm.weight_ih_l0", "lstm.weight_hh_l0"
_TENSORS: dict[str, tuple[dict[str, Any], int, str]] = {
    "overlapping tensors": ({_W: _entry([20, 3], 0, 240), _U: _entry([20, 5], 100, 500)}, 500, f"{_U} should begin"),
    "one tensor inside another": ({_W: _entry([20, 3], 0, 240), _U: _entry([1], 4, 8)}, 240, f"{_U} should begin"),
    "a hole": ({_W: _entry([20, 3], 0, 240), _U: _entry([20, 5], 300, 700)}, 700, f"{_U} should begin"),
    "an end before the beginning": ({_W: _entry([20, 3], 240, 0)}, 240, _W),
    "offsets behind the end": ({_W: _entry([2**30, 2**20], 0, 2**52)}, 240, "the arrays take"),
    "a shape larger than its bytes": ({_W: _entry([20, 4], 0, 240)}, 240, _W),
    "a shape whose product is too large": ({_W: _entry([2**61, 2**61], 0, 240)}, 240, _W),
    "a shape that is nothing times too much": ({_W: _entry([0, 2**61, 2**61], 0, 0), _U: _entry([0, 5], 0, 0)}, 0, ""),
    "a shape below nothing": ({_W: _entry([-20, -3], 0, 240)}, 240, _W),
    "a type that is none": ({_W: _entry([20, 3], 0, 240, "F" * 100_000)}, 240, _W),
    "more than the header says": ({_W: _entry([20, 3], 0, 240)}, 1000, "follow the header"),
}  # fmt: skip


def _write_tensors(entries: dict[str, Any], numbers: int, folder: Path) -> None:
    header = json.dumps(entries).encode()
    (folder / "a.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(numbers))

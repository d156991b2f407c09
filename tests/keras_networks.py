"""What the tests of networks in Keras files share: how they are read, with any architecture, and what is recorded."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from helpers import FIXTURES, Array

from lstm_convert import Model
from lstm_convert.containers import Contents, hdf5, keras_zip
from lstm_convert.frameworks import ReadOptions, keras
from lstm_convert.network.reference import run_network

MODELS = FIXTURES / "models"
TOLERANCE = {"float16": 5e-3, "bfloat16": 4e-2, "mixed": 5e-3}


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

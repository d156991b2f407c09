"""What the fuzz driver found in whole networks, whose weights are sound and whose architecture is not."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from attacks.size_attacks import _chain, _input, _layer, _lstm, _write
from helpers import FIXTURES
from safetensors import safe_open
from safetensors.numpy import save_file

import lstm_convert
from lstm_convert.errors import InvalidFile, LayoutMismatch, Unsupported
from lstm_convert.frameworks.network_document import network_from_json, network_to_json

TANH = _layer("Activation", activation="tanh")


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([_input(7, 2), _lstm(), TANH], r"expected \{3\} features"),
        ([_input(0, 3), _lstm(), TANH], "cannot read what it gets"),
        ([_input(7, True), _lstm(), TANH], "is not stated"),
        ([_input(7, -3), _lstm(), TANH], "is not stated"),
    ],
)
def test_an_input_that_the_weights_cannot_read(tmp_path: Path, layers: list[Any], message: str) -> None:
    _write(lambda: _chain(layers), tmp_path)
    with pytest.raises((LayoutMismatch, Unsupported), match=message):
        lstm_convert.convert(tmp_path / "a.keras", tmp_path / "b.py")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.keras"]


def test_recurrent_layers_alone_of_a_model_that_has_none(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file["layers/dense/vars/0"], file["layers/dense/vars/1"] = np.ones((3, 2), "f4"), np.ones(2, "f4")
    dense = _layer("Dense", units=2, activation="linear")
    with zipfile.ZipFile(tmp_path / "a.keras", "w") as archive:
        archive.writestr("metadata.json", '{"keras_version": "3.15.1"}')
        archive.writestr("config.json", json.dumps(_chain([_input(3), dense])))
        archive.writestr("model.weights.h5", stream.getvalue())
    assert lstm_convert.load(tmp_path / "a.keras").network is not None
    for target, alone in (("b.py", True), ("b.npz", False)):
        with pytest.raises(Unsupported, match="the source has none"):
            lstm_convert.convert(tmp_path / "a.keras", tmp_path / target, lstm_only=alone)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda said: said.update(outputs=[[6, 1_000_000_000]]), "outputs: step 6, output 1000000000"),
        (lambda said: said.update(outputs=[[6, -1]]), "outputs: step 6, output -1"),
        (lambda said: said.update(outputs=[[2, 3]]), "outputs: step 2, output 3"),  # its sequence, h and c come before
        (lambda said: said["calls"][3].update(inputs=[[4, 1]]), "call 3 of last: reads step 4, output 1"),
        (lambda said: said["calls"][3].update(layer="none"), "call 3 of none: no such layer"),
    ],
)
def test_an_output_that_no_step_has(change: Callable[[Any], None], message: str) -> None:
    """Of two inputs, a layer that reads each, what joins them, and two more."""
    model = lstm_convert.load(FIXTURES / "keras-3.15.1/functional.keras")
    assert model.network is not None
    arrays = {
        f"{layer.name}/{name}": array for layer in model.network.layers.values() for name, array in layer.arrays.items()
    }
    keys = {
        layer.name: {name: f"{layer.name}/{name}" for name in layer.arrays} for layer in model.network.layers.values()
    }
    said = network_to_json(model.network, keys)
    recurrent = {layer.name: layer for layer in model.network.recurrent}
    assert network_from_json(said, recurrent, arrays.__getitem__).calls == model.network.calls
    change(said)
    with pytest.raises(InvalidFile, match="reads what is not there") as refused:
        network_from_json(said, recurrent, arrays.__getitem__)
    assert message in refused.value.details


def test_an_axis_that_is_a_text(tmp_path: Path) -> None:
    lstm_convert.convert(FIXTURES / "keras-3.15.1/functional.keras", tmp_path / "a.py")
    with safe_open(tmp_path / "a.safetensors", "np") as file:
        metadata, arrays = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no dict)
    axis = '"form": "concatenate", "axis": '
    damaged = {name: text.replace(f"{axis}-1", f'{axis}""') for name, text in metadata.items()}
    assert damaged != metadata
    save_file(arrays, tmp_path / "a.safetensors", damaged)
    with pytest.raises(InvalidFile, match=r"axis: expected a whole number from -64 to 63; .* found ''"):
        lstm_convert.load(tmp_path / "a.py")

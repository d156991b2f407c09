"""What must be equal: comparisons that raise."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np
import torch
from helpers import TOLERANCE, Array, Recorded

from lstm_convert import Model, Recurrent


def assert_close(found: Array, wanted: Array, atol: float) -> None:
    np.testing.assert_allclose(np.asarray(found, np.float64), np.asarray(wanted, np.float64), rtol=0, atol=atol)
    assert found.shape == wanted.shape, "broadcasting is no equality"


def assert_recorded(computed: Mapping[str, Array], recorded: Recorded, looser: float = 1.0) -> None:
    """What was computed is what was recorded, the last states too where there are any; large numbers relatively."""
    tolerance = looser * TOLERANCE[recorded.y.dtype.name]
    wanted = {name: getattr(recorded, name) for name in ("y", "hn", "cn") if getattr(recorded, name) is not None}
    for (name, found), (same_name, array) in zip(computed.items(), wanted.items(), strict=True):
        assert name == same_name
        assert_close(found, array, tolerance * max(1.0, np.abs(array).max(initial=0.0)))


def assert_same_bits(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """The same names in any order, and under each the same type, shape and bytes."""
    assert set(found) == set(wanted)
    for name in wanted:
        one, other = _array(found[name]), _array(wanted[name])
        assert (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes()), name


def _array(value: Any) -> Array:
    if isinstance(value, torch.Tensor):
        value = value.view(torch.int16) if value.dtype == torch.bfloat16 else value
        return np.asarray(value.detach().numpy())
    return np.asarray(value)


def assert_same_weights(found: Model, wanted: Model) -> None:
    """The same layers by name, in any order, with the same weights bit for bit."""
    assert {layer.name for layer in found.layers} == {layer.name for layer in wanted.layers}
    for layer in wanted.layers:
        others = found[layer.name].cells
        for (direction, cell), (same, other) in zip(layer.cells.items(), others.items(), strict=True):
            assert direction == same
            assert_same_bits(other.arrays(), cell.arrays())


def assert_same_model(found: Model, wanted: Model) -> None:
    """The same in every field, and bit for bit in every array."""
    assert_same_weights(found, wanted)
    for layer, other in zip(wanted.layers, found.layers, strict=True):
        for field in fields(Recurrent):
            if field.name not in ("forward", "backward"):
                assert getattr(other, field.name) == getattr(layer, field.name), f"{layer.name}.{field.name}"
        for cell, same in zip(layer.cells.values(), other.cells.values(), strict=True):
            assert (same.activations(), same.settings()) == (cell.activations(), cell.settings())
    assert (found.left_out, found.assumed, found.provenance) == (wanted.left_out, wanted.assumed, wanted.provenance)

"""The types of number that weights are kept in, and a model in another of them."""

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_convert.blocks import blocks_of, changed
from lstm_convert.canonical import Gates, Layer, Model, RecurrentCell
from lstm_convert.errors import InvalidFile, UnknownFormat

NAMES = ("float16", "bfloat16", "float32", "float64")


def dtype_named(name: str) -> np.dtype[Any]:
    """Return a type of number by name.

    Raises:
        UnknownFormat: it is none that weights are kept in.
    """
    if name not in NAMES:
        raise UnknownFormat(f"{name} is no type of number here", [f"expected one of {', '.join(NAMES)}"], "Choose one.")
    if name == "bfloat16":
        import ml_dtypes  # noqa: PLC0415 (only such models need it)

        bfloat16: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
        return bfloat16
    return np.dtype(name)


def check(model: Model) -> None:
    """Refuse a model with weights of another type of number.

    Args:
        model: the model.

    Raises:
        InvalidFile: some are; all such arrays are listed.
    """
    types = [(place, array.dtype.name) for place, arrays in model.arrays() for array in arrays[:1]]
    if others := [
        f"{place}: expected one of {', '.join(NAMES)}, found {name}" for place, name in types if name not in NAMES
    ]:
        raise InvalidFile(
            "has weights of a type of number that no layer computes in",
            others,
            "Save them as float32; what was quantised, as it was before.",
        )


@cache
def epsilon(dtype: np.dtype[Any]) -> float:
    """Return the relative distance between two neighbouring numbers of a type."""
    return 2.0**-7 if dtype.name == "bfloat16" else float(np.finfo(dtype).eps)


def cast(model: Model, name: str) -> Model:
    """Return a model with its weights rounded to another type of number.

    Args:
        model: the model.
        name: float16, bfloat16, float32 or float64.

    Raises:
        UnknownFormat: the type is none of these.
        InvalidFile: a weight is too large for the type; all such arrays are listed.
    """
    dtype = dtype_named(name)
    too_large = [
        f"{place}: the largest number is {max(np.abs(array).max() for array in arrays):.3g}"
        for place, arrays in model.arrays()
        if any(_is_beyond(array, dtype) for array in arrays)
    ]
    if too_large:
        raise InvalidFile(f"has weights too large for {name}", too_large, "Choose a type with a larger range.")
    layers = (
        layer.with_cells({direction: _cast_cell(cell, dtype) for direction, cell in layer.cells.items()})
        for layer in model.layers
    )
    network = model.network and replace(
        model.network, layers={name: _cast_layer(layer, dtype) for name, layer in model.network.layers.items()}
    )
    return replace(model, network=network).with_layers(layers)


def _cast_layer(layer: Layer, dtype: np.dtype[Any]) -> Layer:
    return replace(layer, arrays={name: _rounded(array, dtype) for name, array in layer.arrays.items()})


def _cast_cell(cell: RecurrentCell, dtype: np.dtype[Any]) -> RecurrentCell:
    return cell.with_arrays(
        {
            name: [_rounded(gate, dtype) for gate in array] if isinstance(array, Gates) else _rounded(array, dtype)
            for name, array in cell.held().items()
        }
    )


def _is_beyond(array: NDArray[Any], dtype: np.dtype[Any]) -> bool:
    """Return whether a number is too large for a type."""
    with np.errstate(over="ignore"):
        return not all(np.isfinite(block.astype(dtype)).all() for block in blocks_of(array))


def _rounded(array: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    with np.errstate(over="ignore"):
        return changed(array, dtype, lambda numbers: numbers.astype(dtype))

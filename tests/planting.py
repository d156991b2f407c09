"""Mistakes planted in models that are right, each as somebody makes it with real files; and what diagnose says."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import ml_dtypes
import numpy as np
from helpers import HARD_2, HARD_3, KERAS_2, KERAS_3, TORCH, Array

import lstm_convert
from lstm_convert import LSTM, Activation, Cell, Diagnosis, Gates, Model

Plant = Callable[[Any], Any]

FILES = {
    "two_layer": TORCH / "two_layer.pt",
    "plain": KERAS_3 / "plain.keras",
    "bidirectional": KERAS_2 / "bidirectional.h5",
}

# What undoing a mistake may leave: float64 against weights that were rounded to float32 once more.
NOTHING = 1e-6


@cache
def loaded(name: str) -> Model:
    """One of the right models."""
    return lstm_convert.load(FILES[name])


# Changes of a cell that plants are made of.


def with_arrays(cell: Cell, **arrays: Any) -> Cell:
    gated = ("W", "U", "b", "b_rec")
    wrapped: dict[str, Any] = {key: Gates(value) if key in gated else value for key, value in arrays.items()}
    return replace(cell, **wrapped)


def everywhere(cell: Cell, change: Callable[[Array], Array]) -> Cell:
    return with_arrays(cell, **{key: change(np.asarray(array)) for key, array in cell.arrays().items()})


def gates_everywhere(cell: Cell, change: Callable[[Array], Array]) -> Cell:
    arrays = cell.arrays()
    return with_arrays(cell, **{key: change(arrays[key]) for key in ("W", "U", "b", "b_rec") if key in arrays})


def biases(cell: Cell, change: Callable[[Array], Array]) -> Cell:
    """Change the sum of the biases, and leave it on the input side."""
    zeros = np.zeros((4, cell.units), cell.W.dtype)
    both = [zeros if bias is None else np.asarray(bias) for bias in (cell.b, cell.b_rec)]
    return replace(cell, b=Gates(change(both[0] + both[1])), b_rec=None)


# Gates.


def swapped(one: str, other: str) -> Plant:
    order = ["ifgo".index({one: other, other: one}.get(gate, gate)) for gate in "ifgo"]
    return lambda cell: gates_everywhere(cell, lambda array: array[order])


def stored_as(order: str) -> Plant:
    """Gates stored in a foreign order and taken for i, f, g, o."""
    return lambda cell: gates_everywhere(cell, lambda array: array[["ifgo".index(gate) for gate in order]])


# Kernels.


def keras_kernel(array: Array) -> Array:
    """A kernel as Keras has it: (inputs, 4 * units)."""
    return np.concatenate(list(array.transpose(0, 2, 1)), axis=1)


def torch_weight(array: Array) -> Array:
    """A kernel as PyTorch has it: (4 * units, inputs)."""
    return np.concatenate(list(array), axis=0)


def from_torch_weight(array: Array) -> Array:
    return np.stack(np.split(array, 4, axis=0))


def from_keras_kernel(array: Array) -> Array:
    return np.stack(np.split(array, 4, axis=1)).transpose(0, 2, 1)


def kernel_reshaped(cell: Cell) -> Cell:
    W = np.asarray(cell.W)  # noqa: N806 (the field's own letter)
    return with_arrays(cell, W=from_torch_weight(keras_kernel(W).reshape(torch_weight(W).shape)))


def recurrent_reshaped(cell: Cell) -> Cell:
    U = np.asarray(cell.U)  # noqa: N806 (the field's own letter)
    return with_arrays(cell, U=from_keras_kernel(torch_weight(U).reshape(keras_kernel(U).shape)))


def recurrent_transposed(cell: Cell) -> Cell:
    return with_arrays(cell, U=np.asarray(cell.U).transpose(0, 2, 1))


def cudnn(cell: Cell) -> Cell:
    """What CuDNNLSTM stores, by the formula of Keras's own converter, taken for an LSTM's."""

    def stored(array: Array) -> Array:
        blocks = [kernel.T.reshape(kernel.shape, order="C") for kernel in array.transpose(0, 2, 1)]
        return np.stack([block.T for block in blocks])

    return with_arrays(cell, W=stored(np.asarray(cell.W)), U=stored(np.asarray(cell.U)))


# Biases.


def doubled(cell: Cell) -> Cell:
    return biases(cell, lambda b: 2 * b)


def dropped(cell: Cell) -> Cell:
    return replace(cell, b=None, b_rec=None)


def misplaced(cell: Cell) -> Cell:
    return biases(cell, lambda b: b[[2, 1, 0, 3]])


def forget(number: float) -> Plant:
    return lambda cell: biases(cell, lambda b: b + np.array([0, number, 0, 0], b.dtype)[:, None])


# Activations, precision and units.


def computed_with(gate: Activation) -> Plant:
    return lambda cell: replace(cell, gate=gate)


def rounded(dtype: Any) -> Plant:
    return lambda cell: everywhere(cell, lambda array: array.astype(dtype))


def permuted(cell: Cell) -> Cell:
    """The same LSTM with its units in another order, some flipped: only for whoever reads its units so."""
    random = np.random.default_rng(5)
    order = np.roll(random.permutation(cell.units), 1)
    signs = np.where(np.arange(cell.units) % 2, -1.0, 1.0).astype(np.float32)
    done = {key: array[:, order].copy() for key, array in cell.arrays().items() if key != "projection"}
    for key in ("W", "U", "b", "b_rec"):
        if key in done:
            done[key][2] = (done[key][2].T * signs).T
    if cell.projection is None:
        done["U"] = done["U"][:, :, order] * signs
    else:
        done["projection"] = np.asarray(cell.projection)[:, order] * signs
    return with_arrays(cell, **done)


PLANTS: dict[str, tuple[str, Plant]] = {
    "swap": ("gates_swapped", swapped("f", "o")),
    "onnx": ("foreign_gate_order", stored_as("iofg")),
    "kernel": ("kernel_transposed", kernel_reshaped),
    "recurrent": ("kernel_transposed", recurrent_transposed),
    "recurrent reshaped": ("kernel_transposed", recurrent_reshaped),
    "doubled": ("bias_doubled", doubled),
    "dropped": ("bias_dropped", dropped),
    "misplaced": ("bias_misplaced", misplaced),
    "missing": ("forget_bias_missing", forget(-1.0)),
    "twice": ("forget_bias_twice", forget(1.0)),
    "hard 2": ("wrong_gate_activation", computed_with(HARD_2)),
    "hard 3": ("wrong_gate_activation", computed_with(HARD_3)),
    "cudnn": ("cudnn_layout", cudnn),
    "permuted": ("units_permuted", permuted),
    "float16": ("precision_lost", rounded(np.float16)),
    "bfloat16": ("precision_lost", rounded(ml_dtypes.bfloat16)),
}


# Models.


def planted(model: Model, plants: Sequence[Plant], place: int = 0, direction: str = "forward") -> Model:
    layers = list(model.layers)
    for plant in plants:
        done = layers[place].cells | {direction: plant(layers[place].cells[direction])}
        layers[place] = layers[place].with_cells(done)
    return replace(model, layers=tuple(layers))


def random_model(units: int, inputs: int, layers: int, seed: int, *, both: bool = False) -> Model:
    random = np.random.default_rng(seed)

    def cell(width: int) -> Cell:
        W, U, b = (  # noqa: N806 (the fields' own letters)
            (random.normal(size=size) * 0.3).astype(np.float32)
            for size in ((4, units, width), (4, units, units), (4, units))
        )
        return Cell(Gates(W), Gates(U), Gates(b))

    found, width = [], inputs
    for place in range(layers):
        found.append(LSTM("lstm", cell(width), cell(width) if both else None, depth=place))
        width = units * (1 + both)
    return Model(tuple(found))


# What diagnose says.


def names(diagnosis: Diagnosis) -> set[str]:
    return {mistake.name for mistake in diagnosis.mistakes}


def worst(diagnosis: Diagnosis) -> float:
    residuals = [np.inf if mistake.residual is None else mistake.residual for mistake in diagnosis.mistakes]
    return max(residuals)


def only(diagnosis: Diagnosis) -> lstm_convert.Mistake:
    (mistake,) = diagnosis.mistakes
    return mistake

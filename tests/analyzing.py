"""What the analysis tests share: planted models whose answers are known in closed form, and torch's own gradients."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lstm_convert.analysis.readout import Readout
from lstm_convert.analysis.stacks import Stack
from lstm_convert.canonical import LSTM, Cell, Model, Recurrent, RecurrentCell

Float64 = NDArray[np.float64]

OPEN = 30.0  # a bias that holds a gate open to the last bit


def cell_of(
    units: int, inputs: int, *, b: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0), **options: Any
) -> Cell:
    """A cell of zeros with these biases for i, f, g and o."""
    arrays = {
        "W": np.zeros((4, units, inputs)),
        "U": np.zeros((4, units, units)),
        "b": np.repeat(np.array(b)[:, None], units, axis=1),
    }
    return Cell.of(arrays, **options)


def with_entries(cell: Any, **entries: dict[Any, float]) -> Any:
    arrays = {name: np.array(array) for name, array in cell.arrays().items()}
    for name, values in entries.items():
        for place, value in values.items():
            arrays[name][place] = value
    return cell.with_arrays(arrays)


def model_of(*layers: Recurrent) -> Model:
    return Model(tuple(layers))


def one(cell: Cell, **options: Any) -> Stack:
    return Stack((LSTM("lstm", cell, **options),))


def leaky(tau: float, eps: float = 1e-4) -> Stack:
    """c decays by 1 - 1 / tau a step and sums up what it is given."""
    cell = cell_of(1, 1, b=(OPEN, float(np.log(tau - 1.0)), 0.0, OPEN))
    return one(with_entries(cell, W={(2, 0, 0): eps}))


def delay(k: int, eps: float = 0.02) -> tuple[Stack, Readout]:
    """Copies the input of k steps before: each unit hands on what the one before it read."""
    cell = cell_of(k + 1, 1, b=(OPEN, -OPEN, 0.0, OPEN))
    cell = with_entries(cell, W={(2, 0, 0): eps}, U={(2, unit + 1, unit): 1.0 for unit in range(k)})
    return one(cell), Readout(np.eye(1, k + 1, k) / eps)


def shut(b_i: float = -40.0, size: float = 100.0) -> Stack:
    """A large W_g that an input gate lets nothing through of."""
    cell = cell_of(2, 1, b=(b_i, 0.0, 0.0, OPEN))
    return one(with_entries(cell, W={(2, 0, 0): size, (2, 1, 0): size}))


def bistable(units: int = 16) -> Stack:
    """With no input its state settles high or low, as it started."""
    cell = cell_of(units, 1, b=(OPEN, -OPEN, 0.0, OPEN))
    arrays = {name: np.array(array) for name, array in cell.arrays().items()}
    arrays["U"][2] = 0.4
    return one(cell.with_arrays(arrays))


def random_cell(rng: np.random.Generator, units: int, inputs: int, *, scale: float = 0.5, **options: Any) -> Cell:
    outputs = options.pop("outputs", units)
    arrays = {
        "W": rng.normal(0, scale, (4, units, inputs)),
        "U": rng.normal(0, scale, (4, units, outputs)),
        "b": rng.normal(0, scale, (4, units)),
        "b_rec": rng.normal(0, scale, (4, units)),
    }
    if outputs != units:
        arrays["projection"] = rng.normal(0, scale, (outputs, units))
    if options.pop("peepholes", False):
        arrays["peephole"] = rng.normal(0, scale, (3, units))
    return Cell.of(arrays, **options)


def random_cell_of(
    kind: type[RecurrentCell], rng: np.random.Generator, units: int, inputs: int, *, scale: float, **options: Any
) -> RecurrentCell:
    """A cell of any kind, both biases random."""
    gates = len(kind.letters)
    shapes = {"W": (gates, units, inputs), "U": (gates, units, units), "b": (gates, units), "b_rec": (gates, units)}
    return kind.of({name: rng.normal(0, scale, shape) for name, shape in shapes.items()}, **options)


def torch_lstm(stack: Stack) -> torch.nn.LSTM:
    """The same stack as torch's own module, in float64."""
    first = stack.layers[0]
    module = torch.nn.LSTM(
        first.forward.inputs,
        first.forward.units,
        num_layers=len(stack.layers),
        bidirectional=first.backward is not None,
        proj_size=first.forward.outputs if "projection" in first.forward.arrays() else 0,
        batch_first=True,
        dtype=torch.float64,
    )
    state = {}
    for depth, layer in enumerate(stack.layers):
        for cell, suffix in zip(layer.cells.values(), ("", "_reverse"), strict=False):
            place = f"l{depth}{suffix}"
            assert cell.b is not None
            state[f"weight_ih_{place}"] = np.concatenate(list(cell.W))
            state[f"weight_hh_{place}"] = np.concatenate(list(cell.U))
            state[f"bias_ih_{place}"] = np.concatenate(list(cell.b))
            state[f"bias_hh_{place}"] = (
                np.zeros(4 * cell.units) if cell.b_rec is None else np.concatenate([*cell.b_rec])
            )
            if (projection := cell.arrays().get("projection")) is not None:
                state[f"weight_hr_{place}"] = projection
    module.load_state_dict({name: torch.tensor(array) for name, array in state.items()})
    return module


def torch_jacobian(stack: Stack, x: Float64, matrix: Float64, at: int = -1) -> Float64:
    """d (matrix output[at]) / d x by torch's autograd: (batch, outputs, time, inputs)."""
    inputs = torch.tensor(x, requires_grad=True)
    y = torch_lstm(stack)(inputs)[0][:, at] @ torch.tensor(matrix).T
    rows = [torch.autograd.grad(y[:, row].sum(), inputs, retain_graph=True)[0].numpy() for row in range(len(matrix))]
    return np.stack(rows, axis=1)

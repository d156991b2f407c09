"""What computes the layers of a fixture: the float64 reference, PyTorch's own modules and Keras's own layers."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from helpers import Array, Recorded
from torch import nn

from lstm_convert import Recurrent
from lstm_convert.reference import run

# A difference that no rounding makes.
VISIBLE = 1e-3


def run_reference(chain: Sequence[Recurrent], recorded: Recorded, *, as_stated: bool = True) -> dict[str, Array]:
    """What the float64 reference computes: output and last states, as configured or, for want of that, as recorded.

    The last states of a cell that has no c are h alone.
    """
    if not as_stated:
        chain = [*chain[:-1], replace(chain[-1], return_sequences=not recorded.last_only)]
    outputs: tuple[Array, ...] = (recorded.x,)
    states: list[tuple[Array, ...]] = []
    for layer in chain:
        h0, c0 = recorded.initial(len(states), len(layer.cells)) or (None, None)
        result = run(layer, outputs[0], h0, c0, recorded.mask)  # type: ignore[arg-type]  # rows are a sequence of arrays
        states += list(zip(*filter(None, (result.h, result.c)), strict=True))
        outputs = result.outputs
    computed = {"y": outputs[0] if len(outputs) == 1 else np.stack(outputs)}
    return computed | ({} if recorded.hn is None else _states(states))


def missed(layer: Recurrent, recorded: Recorded) -> float:
    """How far a layer is from what was recorded; infinitely where not even the shapes agree."""
    y = run_reference([layer], recorded)["y"]
    return float(np.abs(y - recorded.y).max()) if y.shape == recorded.y.shape else np.inf


def run_torch(chain: Sequence[nn.Module], recorded: Recorded) -> dict[str, Array]:
    """What PyTorch's recurrent modules compute, one after the other."""
    x = torch.from_numpy(recorded.x)
    states: list[tuple[Array, ...]] = []
    with torch.no_grad():
        for module in chain:
            cell = isinstance(module, nn.RNNCellBase)
            rows = 1 if cell else module.num_layers * (1 + module.bidirectional)
            given = recorded.initial(len(states), rows) or np.zeros(
                (2, rows, len(x), module.hidden_size), x.numpy().dtype
            )
            start = [torch.from_numpy(state) for state in given][: 1 + isinstance(module, nn.LSTM | nn.LSTMCell)]
            x, last_states = _steps(module, x, start) if cell else _sequence(module, x, start)
            states += list(zip(*(state.numpy() for state in last_states), strict=True))
    last = np.concatenate([h for h, *_ in states[-(1 + getattr(chain[-1], "bidirectional", False)) :]], axis=-1)
    computed = {"y": last if recorded.last_only else x.numpy()}
    return computed | ({} if recorded.hn is None else _states(states))


def _sequence(module: nn.Module, x: Any, start: list[Any]) -> tuple[Any, Any]:
    y, last = module(x, tuple(start) if len(start) > 1 else start[0])
    return y, last if len(start) > 1 else [last]


def _steps(cell: nn.Module, x: Any, start: list[Any]) -> tuple[Any, Any]:
    states = [state[0] for state in start]
    outputs = []
    for step in x.unbind(1):
        states = list(cell(step, tuple(states))) if len(states) > 1 else [cell(step, states[0])]
        outputs.append(states[0])
    return torch.stack(outputs, 1), [state[None] for state in states]


def modules_of(state: Mapping[str, torch.Tensor], dtype: torch.dtype = torch.float32) -> dict[str, nn.Module]:
    """Real modules made by what a state dict's keys and shapes say alone, every key loaded strictly."""
    modules: dict[str, nn.Module] = {}
    for path in dict.fromkeys(key.rpartition(".")[0] for key in state):
        own = {key.rpartition(".")[2]: tensor for key, tensor in state.items() if key.rpartition(".")[0] == path}
        cell = "weight_ih" in own
        kernel = own["weight_ih" if cell else "weight_ih_l0"]
        gates = 4 if "weight_hr_l0" in own else len(kernel) // own["weight_hh" if cell else "weight_hh_l0"].shape[1]
        sizes, kind = (kernel.shape[1], kernel.shape[0] // gates), {4: "LSTM", 3: "GRU", 1: "RNN"}[gates]
        if cell:
            module: nn.Module = getattr(nn, f"{kind}Cell")(*sizes, bias="bias_ih" in own, dtype=dtype)
        else:
            module = getattr(nn, kind)(
                *sizes,
                num_layers=sum(bool(re.fullmatch(r"weight_ih_l\d+", key)) for key in own),
                bias="bias_ih_l0" in own,
                bidirectional="weight_ih_l0_reverse" in own,
                **({"proj_size": len(own["weight_hr_l0"])} if "weight_hr_l0" in own else {}),
                batch_first=True,
                dtype=dtype,
            )
        module.load_state_dict(own, strict=True)
        modules[path] = module
    return modules


def keras_name(name: str) -> str:
    """What a layer is called in a written Keras file: dots are none of Keras's, with PyTorch below it."""
    return name.replace(".", "_")


def run_keras(chain: Sequence[Any], recorded: Recorded) -> dict[str, Array]:
    """What Keras's LSTM or Bidirectional layers compute in a row, and the states where the last of them returns any."""
    outputs: list[Any] = [recorded.x]
    states: list[Any] = []
    row = 0
    for layer in chain:
        rows = 2 if hasattr(layer, "backward_layer") else 1
        given = recorded.initial(row, rows)
        inner = type(getattr(layer, "forward_layer", layer)).__name__
        two = inner in ("LSTM", "RNN")  # states, of which others have one
        pairs = zip(*given, strict=True) if given else []
        start = [array for pair in pairs for array in pair[: 1 + two]] if given else None
        row += rows
        mask = {} if recorded.mask is None else {"mask": recorded.mask}
        result = layer(outputs[0], initial_state=start, **mask)
        outputs = list(result) if isinstance(result, (list, tuple)) else [result]
        count = 2 if getattr(layer, "merge_mode", "") is None else 1
        outputs, states = outputs[:count], outputs[count:]
    assert not (recorded.last_only and np.ndim(outputs[0]) == 3), "a layer that was recorded with its last step alone"
    computed = {"y": np.asarray(outputs[0]) if len(outputs) == 1 else np.stack([np.asarray(y) for y in outputs])}
    last = [(np.asarray(h), np.asarray(c)) for h, c in zip(states[::2], states[1::2], strict=True)]
    return computed | ({} if recorded.hn is None or not states else _states(last))


def _states(states: Sequence[tuple[Array, ...]]) -> dict[str, Array]:
    return {name: np.stack(parts) for name, parts in zip(("hn", "cn"), zip(*states, strict=True), strict=False)}

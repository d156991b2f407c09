"""PyTorch's own modules and cells on the tensors of a file, read by PyTorch itself with weights_only=True."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_convert.canonical import Model, Recurrent
from lstm_convert.containers import Contents
from lstm_convert.errors import MissingFramework, Unsupported
from lstm_convert.frameworks.pytorch.writing import is_cell, layout_of, module_name, settings
from lstm_convert.frameworks.running import Array, Engine, Ran, Runner
from lstm_convert.packages import needed
from lstm_convert.packing import pack_arrays

# What torch.save begins with: a zip archive, or a pickle before version 1.6.
_TORCH_SAVE = (b"PK", b"\x80")


def runner(model: Model, path: Path | None, contents: Contents | None) -> Runner:  # noqa: ARG001 (as every adapter's)
    """Return what runs a model's layers in PyTorch.

    Args:
        model: the layers as they were read.
        path: the file they were read from, or None.
        contents: that file, opened.

    Raises:
        MissingFramework: PyTorch is not installed.
    """
    torch = needed("torch", "running it")
    tensors, reason = _tensors(torch, path)

    def engine(number: int, return_sequences: bool) -> Engine:  # noqa: FBT001 (of two arguments, as all runners)
        layer = model.layers[number]
        _refuse_what_it_has_not(layer)
        found, why = _of_file(layer, tensors)
        parameters = found or _of_cells(torch, layer)
        module = _module(torch, layer, parameters)
        rebuilt = "" if found else reason or why

        def run(x: Array, h0: Sequence[Array], c0: Sequence[Array], mask: Array | None) -> Ran:  # noqa: ARG001 (never one)
            return _run(torch, module, (x, h0, c0), return_sequences=return_sequences)

        return Engine(f"PyTorch {torch.__version__}", rebuilt, run)

    return engine


def _tensors(torch: Any, path: Path | None) -> tuple[dict[str, Any], str]:
    """Return the tensors of a file by key, and why there are none."""
    if path is None:
        return {}, "the model is in memory"
    try:
        with warnings.catch_warnings(), path.open("rb") as file:
            warnings.simplefilter("ignore")  # the library never warns, and does not let PyTorch do so for it
            if file.read(2).startswith(_TORCH_SAVE):
                return dict(_flat(torch, torch.load(path, map_location="cpu", weights_only=True), "")), ""
            return dict(needed("safetensors.torch", "running it").load_file(path)), ""
    except MissingFramework as error:
        return {}, error.reason
    except Exception as error:  # noqa: BLE001 (whatever PyTorch says of a file it does not open)
        return {}, f"PyTorch does not open the file: {str(error).splitlines()[0]:.150}"


def _flat(torch: Any, value: Any, key: str) -> Iterator[tuple[str, Any]]:
    """Yield the tensors of nested dicts, keys joined by `/` as in the container's names."""
    if isinstance(value, torch.Tensor):
        yield key, value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _flat(torch, inner, f"{key}/{name}" if key else str(name))


def _refuse_what_it_has_not(layer: Recurrent) -> None:
    reasons = [reason for cell in layer.cells.values() for reason in layout_of(layer).refusals(cell)]
    module = module_name(layer)
    reasons += [f"{module} knows no masks"] * bool(layer.masked_by)
    reasons += [f"{module} does not read backwards alone"] * layer.go_backwards
    reasons += [f"{module} does not merge by {layer.merge}"] * bool(layer.backward and layer.merge != "concat")
    if reasons:
        raise Unsupported(f"{module} does not compute this: {'; '.join(reasons)}")


def _of_file(layer: Recurrent, tensors: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """Return a layer's parameters as the file has them, and why there are none."""
    row = layout_of(layer)
    directions = layer.origin.keys if layer.origin and layer.origin.layout == row.name else ()
    found: dict[str, Any] = {}
    for suffix, keys in zip(row.directions, directions, strict=False):
        for name, key in keys.items():
            if key not in tensors:
                return {}, f"the file has no tensor {key}; it is computed from others"
            found[row.key.format(array=name, depth=0, direction=suffix)] = tensors[key]
    return found, "" if found else "the layer is not from a file of PyTorch"


def _of_cells(torch: Any, layer: Recurrent) -> dict[str, Any]:
    row = layout_of(layer)
    return {
        row.key.format(array=name, depth=0, direction=suffix): _tensor(torch, np.asarray(array))
        for suffix, cell in zip(row.directions, layer.cells.values(), strict=False)
        for name, array in pack_arrays(row, cell).items()
    }


def _module(torch: Any, layer: Recurrent, parameters: Mapping[str, Any]) -> Any:
    name = module_name(layer)
    bias = any(parameter.startswith("bias") for parameter in parameters)
    arguments = {**settings([layer]), "bias": bias, "dtype": next(iter(parameters.values())).dtype}
    arguments |= {} if is_cell(layer) else {"batch_first": True}
    module = getattr(torch.nn, name.removeprefix("nn."))(**arguments)
    try:
        module.load_state_dict(parameters)
    except RuntimeError as error:
        raise Unsupported(f"{name} does not load the weights: {str(error).splitlines()[-1].strip()}") from error
    return module.eval()


def _run(
    torch: Any, module: Any, inputs: tuple[Array, Sequence[Array], Sequence[Array]], *, return_sequences: bool
) -> Ran:
    dtype = next(module.parameters()).dtype
    x, *states = (torch.from_numpy(np.array(array, np.float64)).to(dtype) for array in inputs)
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of slower ways to compute the same
            output, h, c = _called(torch, module, x, states)
    except RuntimeError as error:
        raise Unsupported(f"PyTorch does not run it in {dtype}: {str(error).splitlines()[0]}") from error
    last = torch.cat(list(h), -1)
    dtype_name = str(dtype).removeprefix("torch.")
    outputs = (in_float64(output if return_sequences else last),)
    return Ran(outputs, tuple(map(in_float64, h)), tuple(map(in_float64, c)), dtype_name)


def _called(torch: Any, module: Any, x: Any, states: Sequence[Any]) -> tuple[Any, Any, Any]:
    """Return every step's output and the last states, (directions, batch, units); a cell is called step by step."""
    two = isinstance(module, torch.nn.LSTM | torch.nn.LSTMCell)  # states, h and c; all others have h alone
    if isinstance(module, torch.nn.RNNBase):
        output, last = module(x, tuple(states) if two else states[0])
        return (output, *last) if two else (output, last, [])
    state = tuple(state[0] for state in states) if two else states[0][0]
    steps = []
    for step in x.unbind(1):
        state = module(step, state)
        steps.append(state[0] if two else state)
    return torch.stack(steps, 1), steps[-1][None], state[1][None] if two else []


def _tensor(torch: Any, array: Array) -> Any:
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.astype(np.float32)).to(torch.bfloat16)
    return torch.from_numpy(np.array(array))


def in_float64(tensor: Any) -> NDArray[np.float64]:
    """Return a tensor as a NumPy array.

    Args:
        tensor: of any floating type, on the CPU, without gradient.
    """
    return np.array(tensor.double().numpy())

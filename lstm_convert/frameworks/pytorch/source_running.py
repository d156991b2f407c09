"""A written-out module, run by PyTorch: the text that this version writes for its weights, and never the file's own.

The text is generated again from the document beside the weights. Only where the file says the very same is it taken for
what the file does; a text that was edited, or that another version wrote, is neither executed nor stood in for.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from lstm_convert.canonical import Model, Recurrent
from lstm_convert.containers import Contents
from lstm_convert.errors import Unsupported
from lstm_convert.export.network_state import network_keys
from lstm_convert.export.plan import Part, planned
from lstm_convert.export.state import keys
from lstm_convert.export.text import text_of
from lstm_convert.frameworks import ReadOptions
from lstm_convert.frameworks.pytorch.running import in_float64
from lstm_convert.frameworks.pytorch.source import read
from lstm_convert.frameworks.pytorch.source_module import module_of
from lstm_convert.frameworks.running import Array, Engine, NetworkEngine, Ran, Runner
from lstm_convert.packages import needed

_SOURCE = "source"
_ENDING = ".safetensors"


def runner(model: Model, path: Path | None, contents: Contents | None) -> Runner:  # noqa: ARG001 (as every adapter's)
    """Return what runs a written-out module's layers in PyTorch.

    Args:
        model: the layers as they were read.
        path: the source code or its weights, or None.
        contents: that file, opened.

    Raises:
        MissingFramework: PyTorch or safetensors is not installed.
        Unsupported: the source code is not what this version writes, or the weights do not fit it.
    """
    written, whole, rebuilt, torch = _opened(path, contents)
    places = _places(written)

    def engine(number: int, return_sequences: bool) -> Engine:  # noqa: FBT001 (of two arguments, as all runners)
        layer: Recurrent = replace(written.layers[number], return_sequences=return_sequences)
        part, made = _alone(layer, whole.state_dict(), places[layer.name])

        def run(x: Array, h0: Sequence[Array], c0: Sequence[Array], mask: Array | None) -> Ran:
            return _run(torch, made, part, (x, h0, c0, mask))

        return Engine(f"PyTorch {torch.__version__}", rebuilt, run)

    return engine


def network_engine(model: Model, path: Path | None, contents: Contents | None) -> NetworkEngine:  # noqa: ARG001 (as every adapter's)
    """Return a written-out network in PyTorch; what it takes and raises is what `runner` does."""
    _, whole, _, torch = _opened(path, contents)
    dtype = next((parameter.dtype for parameter in whole.parameters()), torch.float32)

    def run(inputs: Sequence[Array]) -> list[Array]:
        tensors = [torch.from_numpy(np.ascontiguousarray(array)) for array in inputs]
        given = [tensor.to(dtype) if tensor.is_floating_point() else tensor for tensor in tensors]
        try:
            with torch.no_grad(), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of slower ways to compute the same
                returned = whole(*given)
        except RuntimeError as error:
            raise Unsupported(f"PyTorch does not run it in {dtype}: {str(error).splitlines()[0]}") from error
        return [in_float64(tensor) for tensor in (returned if isinstance(returned, tuple) else (returned,))]

    return NetworkEngine(f"PyTorch {torch.__version__}", run, str(dtype).removeprefix("torch."))


def _opened(path: Path | None, contents: Contents | None) -> tuple[Model, Any, str, Any]:
    """Return what was written, its module with the weights of the file, why that was made anew or "", and PyTorch."""
    if path is None or contents is None:
        raise Unsupported("the model is in memory")
    torch, _ = (needed(name, "running its source") for name in ("torch", "safetensors.torch"))
    written = read(contents, ReadOptions())  # as it was written: what `load` adds stands in no source code
    module = module_of(written)
    found, rebuilt = contents.document(_SOURCE), ""
    if found is None:
        rebuilt = "the file holds the weights of source code, which is written anew for them"
    elif found != text_of(written):
        raise Unsupported(
            f"the text of {path.name} is not what this version of lstm_convert writes for its weights, "
            "so it is not executed"
        )
    whole = _loaded(module, path.resolve().with_suffix(_ENDING) if found is not None else path)
    return written, whole, rebuilt, torch


def _places(model: Model) -> dict[str, list[dict[str, str]]]:
    """Return for each direction of each layer, by its name, the key of each of its arrays."""
    if model.network is not None:
        return network_keys(model.network)[0]
    return {layer.name: places for layer, places in zip(model.layers, keys(model), strict=True)}


def _loaded(module: ModuleType, weights: Path) -> Any:
    """Return the model of a module with the weights of a file, as PyTorch reads them."""
    try:
        return module.load(weights)
    except Exception as error:
        last = (str(error).splitlines() or [""])[-1].strip()
        raise Unsupported(f"PyTorch does not load the weights: {last:.150}") from error


def _alone(layer: Recurrent, tensors: Mapping[str, Any], places: Sequence[Mapping[str, str]]) -> tuple[Part, Any]:
    """Return a layer as it is written where it stands alone, with its weights in a state dict, whose keys are given."""
    alone = Model((layer,))
    (part,) = planned(alone).parts
    made = module_of(alone).Model()
    names = zip(keys(alone)[0], places, strict=True)
    made.load_state_dict({key: tensors[old[name]] for new, old in names for name, key in new.items()}, assign=True)
    return part, getattr(made.eval(), part.name)


def _run(torch: Any, made: Any, part: Part, given: tuple[Array, Sequence[Array], Sequence[Array], Array | None]) -> Ran:
    x, h0, c0, mask = given
    dtype = next(made.parameters()).dtype
    axis = 0 if part.alike else -1  # states of one size lie behind one another, others side by side
    inputs, h, c = (
        torch.from_numpy(np.array(array, np.float64)).to(dtype)
        for array in (x, *(np.concatenate([state[None] for state in states], axis) for states in (h0, c0)))
    )
    masks = [None if mask is None else torch.from_numpy(np.array(mask, bool))] if part.masked else []
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of slower ways to compute the same
            output, last = made(inputs, (h, c) if part.two_states else h, *masks)
    except RuntimeError as error:
        raise Unsupported(f"PyTorch does not run it in {dtype}: {str(error).splitlines()[0]}") from error
    sizes = [[1] * len(part.sizes)] * 2 if part.alike else list(zip(*part.sizes, strict=True))
    states = [
        tuple(in_float64(state[0]) for state in torch.split(together, list(widths), axis))
        for together, widths in zip(last if part.two_states else (last,), sizes, strict=False)
    ]
    outputs = output if part.two_outputs else (output,)
    return Ran(
        tuple(map(in_float64, outputs)),
        states[0],
        states[1] if part.two_states else (),
        str(dtype).removeprefix("torch."),
    )

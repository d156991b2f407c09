"""A written-out module, run by PyTorch: the text that this version writes for its weights, and never the file's own.

The text is generated again from the document beside the weights. Only where the file says the very same is it taken for
what the file does; a text that was edited, or that another version wrote, is neither executed nor stood in for.
"""

import importlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from lstm_convert.canonical import Model, Recurrent
from lstm_convert.containers import Contents
from lstm_convert.errors import MissingFramework, Unsupported
from lstm_convert.export import keys, source
from lstm_convert.export.plan import Part, planned
from lstm_convert.frameworks import ReadOptions, WriteOptions
from lstm_convert.frameworks.pytorch.running import in_float64
from lstm_convert.frameworks.pytorch.source import read, refusals
from lstm_convert.frameworks.running import Array, Engine, Ran, Runner

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
    if path is None or contents is None:
        raise Unsupported("the model is in memory")
    try:
        torch, _ = (importlib.import_module(name) for name in ("torch", "safetensors.torch"))
    except ImportError as error:
        raise MissingFramework(
            f"PyTorch or safetensors is not installed ({error})", next_step="pip install torch safetensors"
        ) from error
    written = read(contents, ReadOptions())  # as it was written: what `load` adds stands in no source code
    module = _module(written)
    found, rebuilt = contents.document(_SOURCE), ""
    if found is None:
        rebuilt = "the file holds the weights of source code, which is written anew for them"
    elif found != source(written):
        raise Unsupported(
            f"the text of {path.name} is not what this version of lstm_convert writes for its weights, "
            "so it is not executed"
        )
    whole = _loaded(module, path.with_suffix(_ENDING) if found is not None else path)
    parts = {part.layer.name: part for part in planned(written).parts}

    def engine(number: int, return_sequences: bool) -> Engine:  # noqa: FBT001 (of two arguments, as all runners)
        part = parts[written.layers[number].name]
        made = getattr(whole, part.name)
        if part.layer.return_sequences != return_sequences:
            part, made = _returning(written, number, whole.state_dict(), return_sequences=return_sequences)

        def run(x: Array, h0: Sequence[Array], c0: Sequence[Array], mask: Array | None) -> Ran:
            return _run(torch, made, part, (x, h0, c0, mask))

        return Engine(f"PyTorch {torch.__version__}", rebuilt, run)

    return engine


def _module(model: Model) -> ModuleType:
    """Return the module whose source code is written for a model; no text of any file is in it."""
    if reasons := [reason for layer in model.layers for reason in refusals(layer, WriteOptions(".py"))]:
        raise Unsupported(f"this version does not write its source code: {'; '.join(reasons)}")
    module = ModuleType("lstm_convert_written")
    exec(compile(source(model), "<written by lstm_convert>", "exec"), module.__dict__)  # noqa: S102 (our own text)
    return module


def _loaded(module: ModuleType, weights: Path) -> Any:
    """Return the model of a module with the weights of a file, as PyTorch reads them."""
    try:
        return module.load(weights)
    except Exception as error:
        last = (str(error).splitlines() or [""])[-1].strip()
        raise Unsupported(f"PyTorch does not load the weights: {last:.150}") from error


def _returning(model: Model, number: int, tensors: Mapping[str, Any], *, return_sequences: bool) -> tuple[Part, Any]:
    """Return a layer as it is written where it returns every step, or the last alone, with its own weights."""
    layer: Recurrent = replace(model.layers[number], return_sequences=return_sequences)
    alone = Model((layer,))
    (part,) = planned(alone).parts
    made = _module(alone).Model()
    names = zip(keys(alone)[0], keys(model)[number], strict=True)
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

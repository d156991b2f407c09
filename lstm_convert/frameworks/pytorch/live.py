"""Live PyTorch modules: read where they stand, or made from a model. PyTorch is imported only to make one."""

import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lstm_convert.canonical import LSTM, Model, Provenance
from lstm_convert.containers import Contents, Stored
from lstm_convert.errors import InvalidFile, MissingFramework, Unsupported
from lstm_convert.frameworks import ReadOptions, WriteOptions
from lstm_convert.frameworks.pytorch import state_dict

if TYPE_CHECKING:
    from torch import nn


def from_torch(module: "nn.Module") -> Model:
    """Return the LSTM layers of a module: an nn.LSTM, an nn.LSTMCell, or whatever holds some.

    Args:
        module: it is read, not changed; its device does not matter.

    Returns:
        The model; its arrays are copies.

    Raises:
        InvalidFile: it holds no LSTM.
        Unsupported: it holds something else under an LSTM's names.
    """
    torch: Any = sys.modules.get("torch")
    if torch is None or not isinstance(module, torch.nn.Module):
        raise TypeError(f"expected a torch.nn.Module, found {type(module).__name__}")
    arrays = {name: Stored.of(_array(torch, tensor)) for name, tensor in module.state_dict().items()}
    model = state_dict.read(Contents(arrays), ReadOptions())
    if not model.layers:
        raise InvalidFile(f"{type(module).__name__} has no LSTM", [f"found {name}" for name in arrays])
    known = (torch.nn.LSTM, torch.nn.LSTMCell)
    owners = {
        key.rpartition(".")[0]
        for layer in model.layers
        if layer.origin
        for keys in layer.origin.keys
        for key in keys.values()
    }
    foreign = [
        f"{owner}: {type(module.get_submodule(owner)).__name__}"
        for owner in owners
        if not isinstance(module.get_submodule(owner), known)
    ]
    if foreign:
        raise Unsupported("modules with an LSTM's weights are neither nn.LSTM nor nn.LSTMCell", foreign)
    return Model(model.layers, model.left_out, provenance=Provenance("pytorch", torch.__version__))


def to_torch(
    model: Model | LSTM, *, stack: bool = False, rename: Mapping[str, str] | None = None, allow: Iterable[str] = ()
) -> "nn.Module":
    """Return a module with a model's LSTMs and their weights, in eval mode, batch first.

    Args:
        model: the layers.
        stack: whether consecutive layers of one size become one multi-layer nn.LSTM.
        rename: old path to new path.
        allow: what nn.LSTM cannot state and the caller's own module computes: `hard_sigmoid`.

    Returns:
        The nn.LSTM or nn.LSTMCell where there is one; else a module whose submodules lie under the layers' paths.

    Raises:
        MissingFramework: PyTorch is not installed.
        Unsupported: nn.LSTM cannot compute some layer exactly; each reason is listed.
    """
    try:
        import torch  # noqa: PLC0415 (only making a module needs it)
    except ImportError as error:
        raise MissingFramework("to_torch needs PyTorch", next_step="pip install torch") from error
    model = Model((model,)) if isinstance(model, LSTM) else model
    options = WriteOptions("", stack, dict(rename or {}), frozenset(allow))
    if reasons := [reason for layer in model.layers for reason in state_dict.refusals(layer, options)]:
        raise Unsupported("nn.LSTM cannot compute this model exactly", reasons)
    layers = state_dict.as_written(model.layers, options)
    paths = list(dict.fromkeys(layer.path for layer in layers))
    modules = {path: _module(torch, [layer for layer in layers if layer.path == path]) for path in paths}
    arrays = {name: _tensor(torch, stored.read()) for name, stored in state_dict.write(model, options).arrays.items()}
    for path, module in modules.items():
        prefix = f"{path}." if path else ""
        module.load_state_dict({name.removeprefix(prefix): arrays[name] for name in arrays if name.startswith(prefix)})
    whole = next(iter(modules.values())) if len(modules) == 1 else _tree(torch, modules)
    result: nn.Module = whole.eval()
    return result


def _array(torch: Any, tensor: Any) -> NDArray[Any]:
    tensor = tensor.detach().cpu()
    if tensor.dtype == torch.bfloat16:
        import ml_dtypes  # noqa: PLC0415 (only such modules need it)

        return np.array(tensor.view(torch.int16).numpy()).view(ml_dtypes.bfloat16)
    return np.array(tensor.numpy())


def _tensor(torch: Any, array: NDArray[Any]) -> Any:
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(np.array(array).view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(np.array(array))


def _module(torch: Any, layers: list[LSTM]) -> Any:
    dtype = getattr(torch, layers[0].forward.W.dtype.name)
    if state_dict.is_cell(layers[0]):
        return torch.nn.LSTMCell(**state_dict.settings(layers), dtype=dtype)
    return torch.nn.LSTM(**state_dict.settings(layers), batch_first=True, dtype=dtype)


def _tree(torch: Any, modules: Mapping[str, Any]) -> Any:
    root = torch.nn.Module()
    for path, module in modules.items():
        *parents, name = path.split(".")
        owner = root
        for parent in parents:
            if not hasattr(owner, parent):
                owner.add_module(parent, torch.nn.Module())
            owner = getattr(owner, parent)
        owner.add_module(name, module)
    return root

"""Live PyTorch modules: read where they stand, or made from a model. PyTorch is imported only to make one."""

import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lstm_convert.activations import named
from lstm_convert.canonical import TANH, Model, Provenance, Recurrent, SimpleRNN
from lstm_convert.containers import Contents, Stored
from lstm_convert.errors import InvalidFile, MissingFramework, Unsupported
from lstm_convert.frameworks import ReadOptions, WriteOptions
from lstm_convert.frameworks.pytorch import state_dict

if TYPE_CHECKING:
    from torch import nn


def from_torch(module: "nn.Module") -> Model:
    """Return the recurrent layers of a module: an nn.LSTM, nn.GRU, nn.RNN, one of their cells, or what holds some.

    Args:
        module: it is read, not changed; its device does not matter.

    Returns:
        The model; its arrays are copies.

    Raises:
        InvalidFile: it holds no recurrent layer.
        Unsupported: it holds something else under the names of such a layer.
    """
    torch: Any = sys.modules.get("torch")
    if torch is None or not isinstance(module, torch.nn.Module):
        raise TypeError(f"expected a torch.nn.Module, found {type(module).__name__}")
    arrays = {name: Stored.of(_array(torch, tensor)) for name, tensor in module.state_dict().items()}
    model = state_dict.read(Contents(arrays), ReadOptions())
    if not model.layers:
        raise InvalidFile(f"{type(module).__name__} has no LSTM, GRU or RNN", [f"found {name}" for name in arrays])
    owners = {layer.name: _owner(module, layer) for layer in model.layers}
    foreign = [
        f"{path}: {type(owner).__name__}, expected {_expected(layer)}"
        for layer in model.layers
        for path, owner in [owners[layer.name]]
        if not isinstance(owner, getattr(torch.nn, _expected(layer)))
    ]
    if foreign:
        raise Unsupported(
            "modules with a recurrent layer's weights are none of PyTorch's own", list(dict.fromkeys(foreign))
        )
    layers = tuple(_told(layer, owners[layer.name][1]) for layer in model.layers)
    return Model(layers, model.left_out, provenance=Provenance("pytorch", torch.__version__))


def to_torch(
    model: Model | Recurrent, *, stack: bool = False, rename: Mapping[str, str] | None = None, allow: Iterable[str] = ()
) -> "nn.Module":
    """Return a module with a model's recurrent layers and their weights, in eval mode, batch first.

    Args:
        model: the layers.
        stack: whether consecutive layers of one size become one multi-layer module.
        rename: old path to new path.
        allow: what PyTorch's module cannot state and the caller's own module computes: `hard_sigmoid`.

    Returns:
        The nn.LSTM, nn.GRU, … where there is one; else a module whose submodules lie under the layers' paths.

    Raises:
        MissingFramework: PyTorch is not installed.
        Unsupported: PyTorch's module cannot compute some layer exactly; each reason is listed.
    """
    try:
        import torch  # noqa: PLC0415 (only making a module needs it)
    except ImportError as error:
        raise MissingFramework("to_torch needs PyTorch", next_step="pip install torch") from error
    model = Model((model,)) if isinstance(model, Recurrent) else model
    options = WriteOptions("", stack, dict(rename or {}), frozenset(allow))
    if reasons := [reason for layer in model.layers for reason in state_dict.refusals(layer, options)]:
        raise Unsupported("PyTorch's own modules cannot compute this model exactly", reasons)
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


def _owner(module: Any, layer: Recurrent) -> tuple[str, Any]:
    """Return the submodule that holds a layer's weights, and its path."""
    key = next(iter(layer.origin.keys[0].values())) if layer.origin else ""
    path = key.rpartition(".")[0]
    return path, module.get_submodule(path)


def _expected(layer: Recurrent) -> str:
    """Return the name of the class of PyTorch's that has weights like a layer's."""
    return layer.origin.layout.rpartition(".")[2] if layer.origin else ""


def _told(layer: Recurrent, owner: Any) -> Recurrent:
    """Return a layer with the activation that its module says and its weights do not."""
    said = {"candidate": named(str(getattr(owner, "nonlinearity", TANH.name)))}
    if not isinstance(layer, SimpleRNN):
        return layer
    return layer.with_cells({name: cell.with_activations(said) for name, cell in layer.cells.items()})


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


def _module(torch: Any, layers: list[Recurrent]) -> Any:
    dtype = getattr(torch, layers[0].forward.W.dtype.name)
    made = getattr(torch.nn, state_dict.module_name(layers[0]).removeprefix("nn."))
    batch_first = {} if state_dict.is_cell(layers[0]) else {"batch_first": True}
    return made(**state_dict.settings(layers), **batch_first, dtype=dtype)


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

"""Live PyTorch modules: read where they stand, or made from a model. PyTorch is imported only to make one."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lstm_convert.activations import named
from lstm_convert.canonical import TANH, LeftOut, Model, Provenance, Recurrent, SimpleRNN
from lstm_convert.containers import Contents, Stored
from lstm_convert.errors import InvalidFile, Unsupported
from lstm_convert.export.network_state import network_state
from lstm_convert.frameworks import ReadOptions, WriteOptions, renamed_network
from lstm_convert.frameworks.live import model_of, whole_network
from lstm_convert.frameworks.pytorch import examples, state_dict, writing
from lstm_convert.frameworks.pytorch.source_module import module_of
from lstm_convert.frameworks.pytorch.tensors import array_of, tensor_of
from lstm_convert.frameworks.pytorch.traced import Traced, traced
from lstm_convert.packages import needed

if TYPE_CHECKING:
    import keras
    import torch
    from torch import nn


def from_torch(module: "nn.Module", *, example: "torch.Tensor | Sequence[torch.Tensor] | None" = None) -> Model:
    """Return a module as a model: its recurrent layers, and the whole network that it computes where that can be told.

    Args:
        module: it is read, not changed; its device does not matter.
        example: what its forward is given, batch first: a tensor, or one for each input. With it the module is traced
            by torch.export. Without it that is tried where its layers tell what it reads; if in vain, the model has
            the recurrent layers alone.

    Returns:
        The model; its arrays are copies.

    Raises:
        InvalidFile: it holds no recurrent layer, and what it computes cannot be told.
        Unsupported: it holds something else under the names of such a layer, or an example was given and what it
            computes is not understood; all of that is listed.
    """
    torch: Any = sys.modules.get("torch")
    if torch is None or not isinstance(module, torch.nn.Module):
        raise TypeError(f"expected a torch.nn.Module, found {type(module).__name__}")
    model = _understood(torch, module, example)
    if not model.layers and model.network is None:
        found = [f"found {entry.key}" for entry in model.left_out]
        raise InvalidFile(f"{type(module).__name__} has no LSTM, GRU or RNN", [*found, *model.not_understood])
    return model


def _understood(torch: Any, module: Any, example: Any) -> Model:
    """Return what a module's weights tell, and what tracing it does."""
    layers = _layers_alone(torch, module)
    if example is not None:
        given = (example,) if isinstance(example, torch.Tensor) else tuple(example)
        return _whole(module, traced(torch, module, given), layers)
    guessed = examples.guessed(torch, module)
    if isinstance(guessed, str):
        return replace(layers, not_understood=(f"{type(module).__name__}: {guessed}",) if guessed else ())
    try:
        found = traced(torch, module, guessed.inputs)
    except Unsupported as error:
        return replace(layers, not_understood=(error.what, *error.details))
    whole = _whole(module, found, layers)
    return replace(whole, assumed=(*whole.assumed, guessed.assumed))


def _layers_alone(torch: Any, module: Any) -> Model:
    """Return the recurrent layers of a module, which its weights tell."""
    arrays = {name: Stored.of(array_of(tensor)) for name, tensor in module.state_dict().items()}
    model = state_dict.read(Contents(arrays), ReadOptions())
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


def _whole(module: Any, found: Traced, layers: Model) -> Model:
    """Return the model of a whole network; what is left out is what the network does not read."""
    tensors = dict(module.state_dict(keep_vars=True))
    read = {id(tensor) for name, tensor in tensors.items() if name in found.used}
    unread = {name: tensor for name, tensor in tensors.items() if id(tensor) not in read}
    left_out = tuple(
        LeftOut(name, tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."), _purpose(name))
        for name, tensor in unread.items()
    )
    return replace(layers, layers=found.network.recurrent, left_out=left_out, notes=found.notes, network=found.network)


def _purpose(name: str) -> str:
    return "training state" if name.rpartition(".")[2] == "num_batches_tracked" else "weight"


def to_torch(
    model: "Model | Recurrent | keras.Model",
    *,
    stack: bool = False,
    rename: Mapping[str, str] | None = None,
    allow: Iterable[str] = (),
    lstm_only: bool = False,
) -> "nn.Module":
    """Return a module that computes what a model does, with its weights, in eval mode, batch first.

    Args:
        model: the model, one recurrent layer, or a live Keras model, which is read as `from_keras` does.
        stack: whether consecutive layers of one size become one multi-layer module.
        rename: old path to new path.
        allow: what PyTorch's module cannot state and the caller's own module computes: `hard_sigmoid`.
        lstm_only: whether only the recurrent layers are wanted where the whole network is known.

    Returns:
        Where the whole network is known, the module that `save` writes out as source code; else the nn.LSTM, nn.GRU, …
        where there is one, or a module whose submodules lie under the layers' paths.

    Raises:
        MissingFramework: PyTorch is not installed.
        Unsupported: PyTorch cannot compute some layer exactly, or the source holds layers that are not ported; each
            reason is listed.
    """
    torch = needed("torch", "to_torch")
    model = model_of(model)
    network = whole_network(model, lstm_only=lstm_only)
    result: nn.Module = (
        _of_layers(torch, model, WriteOptions("", stack, dict(rename or {}), frozenset(allow)))
        if network is None
        else _of_network(renamed_network(model, network, rename or {}))
    )
    return result


def _of_network(model: Model) -> Any:
    """Return the module that a network's source code is."""
    made = module_of(model).Model()
    arrays = network_state(model.network) if model.network else {}
    made.load_state_dict({key: tensor_of(np.asarray(array)) for key, array in arrays.items()}, assign=True)
    return made.eval()


def _of_layers(torch: Any, model: Model, options: WriteOptions) -> Any:
    model = replace(model, network=None)
    if reasons := [reason for layer in model.layers for reason in writing.refusals(layer, options)]:
        raise Unsupported("PyTorch's own modules cannot compute this model exactly", reasons)
    layers = writing.as_written(model.layers, options)
    paths = list(dict.fromkeys(layer.path for layer in layers))
    modules = {path: _module(torch, [layer for layer in layers if layer.path == path]) for path in paths}
    arrays = {name: tensor_of(stored.read()) for name, stored in writing.write(model, options).arrays.items()}
    for path, module in modules.items():
        prefix = f"{path}." if path else ""
        module.load_state_dict({name.removeprefix(prefix): arrays[name] for name in arrays if name.startswith(prefix)})
    whole = next(iter(modules.values())) if len(modules) == 1 else _tree(torch, modules)
    return whole.eval()


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


def _module(torch: Any, layers: list[Recurrent]) -> Any:
    dtype = getattr(torch, layers[0].forward.W.dtype.name)
    made = getattr(torch.nn, writing.module_name(layers[0]).removeprefix("nn."))
    batch_first = {} if writing.is_cell(layers[0]) else {"batch_first": True}
    return made(**writing.settings(layers), **batch_first, dtype=dtype)


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

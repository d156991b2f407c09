"""A live PyTorch module as a whole network: traced by torch.export, and once more with more steps to see what changes.

An LSTM is traced for one number of steps. Where a trace with another number is the same network, any number will do.

Source: torch 2.13.0, torch/export/__init__.py
"""

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from lstm_convert.canonical import Feed, Input, Layer, Network
from lstm_convert.errors import Unsupported
from lstm_convert.frameworks.pytorch.tracing.graph import Walk
from lstm_convert.frameworks.pytorch.tracing.network import Building
from lstm_convert.frameworks.pytorch.tracing.values import Known, Tensor, Value

_MORE_STEPS = 3


@dataclass(frozen=True, eq=False)
class Traced:
    """What a trace found.

    Args:
        network: the network.
        notes: what is left out of it that makes no difference once it is trained.
        used: the names of the parameters and buffers that the module's code reads.
    """

    network: Network
    notes: tuple[str, ...]
    used: frozenset[str]


def traced(torch: Any, module: Any, example: Sequence[Any]) -> Traced:
    """Return the network that a module computes in eval mode.

    Args:
        torch: PyTorch.
        module: it is read; its modes are as before in the end.
        example: a tensor for each input of its forward, batch first.

    Raises:
        Unsupported: it cannot be traced, or computes what the network has no layers for; all of that is listed.
    """
    example = [torch.cat([x, x]) if len(x) == 1 else x for x in example]  # of one, torch.export makes no batch
    with _in_eval_mode(module), torch.no_grad(), _silence():
        found = _once(torch, module, example)
        stepped = _with_more_steps(torch, example)
        if stepped is None:
            return found
        try:
            other = _once(torch, module, stepped)
        except Unsupported:
            return found
        network = _for_any_steps(found.network, other.network)
        return replace(found, network=network or found.network)


@contextmanager
def _silence() -> Iterator[None]:
    """Let PyTorch neither warn nor log: the library does not, and what is wrong with a trace is raised."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


@contextmanager
def _in_eval_mode(module: Any) -> Iterator[None]:
    modes = {each: each.training for each in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for each, training in modes.items():
            each.training = training


def _once(torch: Any, module: Any, example: Sequence[Any]) -> Traced:
    free = {0: torch.export.Dim.AUTO}
    try:
        program = torch.export.export(
            module, tuple(example), dynamic_shapes=tuple(free if x.ndim else None for x in example), strict=False
        )
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        given = ", ".join(f"{tuple(x.shape)} {str(x.dtype).removeprefix('torch.')}" for x in example)
        raise Unsupported(
            f"torch.export does not trace {type(module).__name__}",
            [f"given {given}: {reason:.300}"],
            "Give from_torch an example of its inputs: example=(tensor, …), batch first.",
        ) from error
    graph = list(program.graph.nodes)
    values = _known(program, graph)
    places = [node for node in graph if node.op == "placeholder" and node not in values]
    tensors = [node.meta["val"] for node in places]
    batches = frozenset(str(x.shape[0]) for x in tensors if x.ndim and type(x.shape[0]) is not int)
    if not batches or any(not x.ndim or str(x.shape[0]) not in batches for x in tensors):
        raise Unsupported(
            f"{type(module).__name__} computes with one batch size only",
            [f"{node.name}: {tuple(node.meta['val'].shape)}" for node in places],
            "Let its forward take any number of samples, the batch as the first axis of each input.",
        )
    inputs = tuple(
        Input(node.name, tuple(map(int, x.shape[1:])), str(x.dtype).removeprefix("torch."))
        for node, x in zip(places, tensors, strict=True)
    )
    building = Building(inputs, _dtype(module))
    for number, (node, read) in enumerate(zip(places, inputs, strict=True)):
        order = tuple(range(len(read.shape) + 1))
        values[node] = building.see(Tensor(Feed(number), order, (None, *read.shape), whole="int" in read.dtype))
    network = Walk(building, batches, values).network(graph)
    used = {value.name for node, value in values.items() if isinstance(value, Known) and node.users}
    return Traced(network, tuple(dict.fromkeys(building.notes)), frozenset(used))


def _known(program: Any, graph: Sequence[Any]) -> dict[Any, Value]:
    signature = program.graph_signature
    names: Mapping[str, str] = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
    constants: Mapping[str, str] = signature.inputs_to_lifted_tensor_constants
    values: dict[Any, Value] = {}
    for node in graph:
        if node.op == "placeholder" and node.name in names:
            name = names[node.name]
            held = program.state_dict if name in program.state_dict else program.constants
            values[node] = Known(held[name], name)
        elif node.op == "placeholder" and node.name in constants:
            values[node] = Known(program.constants[constants[node.name]])
    return values


def _dtype(module: Any) -> str:
    floating = (str(tensor.dtype) for tensor in module.parameters() if tensor.is_floating_point())
    return next(floating, "torch.float32").removeprefix("torch.")


def _with_more_steps(torch: Any, example: Sequence[Any]) -> list[Any] | None:
    """Return inputs with more steps along axis 1 where they have steps: sequences of words or of features."""
    sequences = [x for x in example if _is_sequence(x)]
    if not sequences:
        return None
    steps = sequences[0].shape[1]
    return [torch.cat([x, x[:, :_MORE_STEPS]], 1) if _is_sequence(x) and x.shape[1] == steps else x for x in example]


def _is_sequence(x: Any) -> bool:
    return bool(x.ndim == (3 if x.is_floating_point() else 2))


def _for_any_steps(one: Network, other: Network) -> Network | None:
    """Return the network that two traces with unlike numbers of steps agree on, or None."""
    if (one.calls, one.outputs, list(one.layers)) != (other.calls, other.outputs, list(other.layers)):
        return None
    layers = {name: _agreed(layer, other.layers[name]) for name, layer in one.layers.items()}
    if not all(layers.values()):
        return None
    inputs = tuple(
        replace(each, shape=tuple(a if a == b else None for a, b in zip(each.shape, twin.shape, strict=True)))
        for each, twin in zip(one.inputs, other.inputs, strict=True)
    )
    return replace(one, inputs=inputs, layers={name: layer for name, layer in layers.items() if layer})


def _agreed(one: Layer, other: Layer) -> Layer | None:
    if one.kind != other.kind or {k: v.shape for k, v in one.arrays.items()} != {
        k: v.shape for k, v in other.arrays.items()
    }:
        return None
    if one.options == other.options:
        return one
    if one.kind != "reshape" or len(one.options["shape"]) != len(other.options["shape"]):
        return None
    shape = [a if a == b else -1 for a, b in zip(one.options["shape"], other.options["shape"], strict=True)]
    return replace(one, options={"shape": tuple(shape)}) if shape.count(-1) == 1 else None

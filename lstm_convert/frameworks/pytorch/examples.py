"""What a module may be given to be traced, where the layers that it begins with tell what they read."""

import inspect
from dataclasses import dataclass
from typing import Any

_BATCH, _STEPS = 2, 7


@dataclass(frozen=True, eq=False)
class Guess:
    """Inputs that a module seems to take.

    Args:
        inputs: the tensors.
        assumed: what was taken for granted, one sentence.
    """

    inputs: tuple[Any, ...]
    assumed: str


def guessed(torch: Any, module: Any) -> Guess | str:
    """Return an input for a module whose forward takes one, told by its first layer, or why there is none.

    Args:
        torch: PyTorch.
        module: a recurrent module alone, or one without a forward, is no more than its layers: nothing to be said.
    """
    if isinstance(module, (torch.nn.RNNBase, torch.nn.RNNCellBase)) or not _has_forward(torch, module):
        return ""
    if not _takes_one(module):
        return "its forward takes other than one input; example=(tensor, …) says which"
    own = [each for each in module.modules() if next(each.parameters(recurse=False), None) is not None]
    first = own[0] if own else None
    parameter = next(module.parameters())
    if isinstance(first, torch.nn.Embedding):
        words = torch.arange(_BATCH * _STEPS, device=parameter.device).reshape(_BATCH, _STEPS) % first.num_embeddings
        return Guess((words,), _assumed("whole numbers", (_STEPS,)))
    features = {torch.nn.Linear: "in_features", torch.nn.RNNBase: "input_size"}
    name = next((name for cls, name in features.items() if isinstance(first, cls)), None)
    if name is None:
        return f"what it reads, its first layer ({type(first).__name__}) does not tell; example=tensor does"
    width = getattr(first, name)
    x = torch.zeros(_BATCH, _STEPS, width, dtype=parameter.dtype, device=parameter.device)
    return Guess((x,), _assumed("sequences", (_STEPS, width)))


def _assumed(what: str, shape: tuple[int, ...]) -> str:
    sizes = ", ".join(["batch", "steps", *map(str, shape[1:])])
    return f"its input is taken for {what}, ({sizes}), as its first layer reads them; example=… says otherwise"


def _has_forward(torch: Any, module: Any) -> bool:
    containers = (torch.nn.ModuleDict, torch.nn.ModuleList)
    return type(module).forward is not torch.nn.Module.forward and not isinstance(module, containers)


def _takes_one(module: Any) -> bool:
    """Return whether a module can be called with one argument."""
    try:
        inspect.signature(module.forward).bind(None)
    except (TypeError, ValueError):
        return False
    return True

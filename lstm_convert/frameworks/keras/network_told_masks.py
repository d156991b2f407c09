"""Masks that are computed in the written graph, for layers to which Keras by itself would hand another, or none.

Source: keras 3.0.5 and 3.15.1, keras/src/layers/core/embedding.py and masking.py (compute_mask), keras/src/ops/numpy.py
"""

from collections.abc import Callable
from typing import Any

from lstm_convert.canonical import Feed, Network
from lstm_convert.frameworks.keras.network_form import Form
from lstm_convert.frameworks.keras.network_graph import Tensor
from lstm_convert.network.masks import ALL, IN_TURN, Given, Joined, Made, Mask

# Makes an operation and calls it on some tensors.
Operate = Callable[[Form, tuple[Tensor, ...]], Tensor]


def can_be_told(mask: Mask) -> bool:
    """Return whether a mask can be computed in the graph; lengths that have no mask of their own cannot."""
    parts = mask.parts if isinstance(mask, Joined) else ()
    in_turn = isinstance(mask, Joined) and mask.how == IN_TURN
    return not in_turn and all(can_be_told(part) for part in parts if part is not None)


def computed(mask: Mask, network: Network, tensor: Callable[[Feed], Tensor], operate: Operate) -> Tensor:
    """Return a mask as an output of operations.

    Args:
        mask: what can be told.
        network: the layers and their calls.
        tensor: returns what makes an output.
        operate: makes an operation, calls it and returns its output.
    """
    if isinstance(mask, Given):
        return tensor(mask.feed)
    if isinstance(mask, Made):
        call = network.calls[mask.step - len(network.inputs)]
        layer, source = network.layers[call.layer], (tensor(call.inputs[0]),)
        if layer.kind == "embedding":
            return operate(_operation("NotEqual", given=(0,)), source)
        differs = operate(_operation("NotEqual", given=(float(layer.options["value"]),)), source)
        return operate(_operation("Any", axis=-1), (differs,))
    first, *others = (computed(part, network, tensor, operate) for part in mask.parts if part is not None)
    for other in others:
        first = operate(_operation("LogicalAnd" if mask.how == ALL else "LogicalOr"), (first, other))
    return first


def _operation(class_name: str, given: tuple[Any, ...] = (), **config: Any) -> Form:
    return Form(class_name, config, operation=True, given=given)

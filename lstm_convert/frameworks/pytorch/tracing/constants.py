"""What a handler reads of its node: arguments of the kind it expects, and known tensors as arrays."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_convert.frameworks.pytorch.tensors import array_of
from lstm_convert.frameworks.pytorch.tracing.site import NotUnderstood
from lstm_convert.frameworks.pytorch.tracing.values import Known, Tensor, Value


def tensor(value: Value) -> Tensor:
    """Return a tensor that the network makes; refuse any other value."""
    if isinstance(value, Tensor):
        return value
    raise NotUnderstood(
        "it reads a parameter or a constant" if isinstance(value, Known) else "it reads states as they lie"
    )


def known(value: Value) -> NDArray[Any]:
    """Return the array of a parameter, a buffer or a constant; refuse any other value."""
    if isinstance(value, Known):
        return array_of(value.tensor)
    raise NotUnderstood("its weights are computed from the input")


def arrays(**values: Value | None) -> dict[str, NDArray[Any]]:
    """Return the arrays by name, without those that there are none of."""
    return {name: np.ascontiguousarray(known(value)) for name, value in values.items() if value is not None}

"""What a handler reads of its node: arguments of the kind it expects, and known tensors as arrays."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_convert.frameworks.pytorch.tensors import array_of
from lstm_convert.frameworks.pytorch.tracing.site import Site
from lstm_convert.frameworks.pytorch.tracing.values import Known, Tensor, Value


def tensor(site: Site, value: Value) -> Tensor:
    """Return a tensor that the network makes; refuse any other value."""
    if isinstance(value, Tensor):
        return value
    site.refuse("it reads a parameter or a constant" if isinstance(value, Known) else "it reads states as they lie")


def known(site: Site, value: Value) -> NDArray[Any]:
    """Return the array of a parameter, a buffer or a constant; refuse any other value."""
    if isinstance(value, Known):
        return array_of(value.tensor)
    site.refuse("its weights are computed from the input")


def arrays(site: Site, **values: Value | None) -> dict[str, NDArray[Any]]:
    """Return the arrays by name, without those that there are none of."""
    return {name: np.ascontiguousarray(known(site, value)) for name, value in values.items() if value is not None}

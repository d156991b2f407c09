"""A file's whole network in the Keras that its version belongs to."""

import warnings
from collections.abc import Sequence
from pathlib import Path

from lstm_convert.canonical import Model
from lstm_convert.containers import Contents
from lstm_convert.errors import Unsupported
from lstm_convert.frameworks.keras.opening import (
    Opened,
    array_of,
    cell_of_ours,
    first_line,
    is_old,
    name_of,
    tensor_of,
)
from lstm_convert.frameworks.running import Array, NetworkEngine
from lstm_convert.packages import needed


def network_engine(model: Model, path: Path | None, contents: Contents | None) -> NetworkEngine:
    """Return a file's whole network in the Keras that its version belongs to.

    Args:
        model: the model as it was read.
        path: the file it was read from, or None.
        contents: that file, opened.

    Raises:
        MissingFramework: that Keras is not installed.
        Unsupported: it does not open the file, or would have to run code that is in it.
    """
    keras = needed("tf_keras" if is_old(model) else "keras", "running it")
    with cell_of_ours(keras):
        whole, reason = Opened(keras, path, contents).whole
    if whole is None:
        raise Unsupported(reason)
    computed = {getattr(layer, "compute_dtype", "") for layer in whole.layers}
    dtype = next(name for name in ("bfloat16", "float16", "float32", "float64") if name in computed)

    def run(inputs: Sequence[Array]) -> list[Array]:
        tensors = [tensor_of(keras, array) for array in inputs]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                returned = whole(tensors if len(tensors) > 1 else tensors[0], training=False)
        except Exception as error:
            raise Unsupported(f"{keras.__name__} does not run it: {first_line(error)}") from error
        return [array_of(keras, tensor) for tensor in (returned if isinstance(returned, list | tuple) else [returned])]

    return NetworkEngine(name_of(keras), run, dtype)

"""The packages that most of the work does without, each loaded only where it is needed, and how to get it."""

import warnings
from importlib import import_module
from typing import Any

from lstm_convert.errors import MissingFramework

_CALLED = {
    "keras": "Keras 3",
    "tf_keras": "tf_keras, that is Keras 2",
    "torch": "PyTorch",
    "fsspec.core": "fsspec",
    "distributed": "Dask",
}
_INSTALLED_BY = {
    "keras": "keras tensorflow",
    "tf_keras": "tf_keras tensorflow",
    "torch": "torch",
    "safetensors.torch": "safetensors",
    "matplotlib": '"lstm_convert[analysis]"',
    "pyarrow": '"lstm_convert[analysis]"',
    "fsspec.core": '"lstm_convert[batch]"',
    "distributed": '"lstm_convert[dask]"',
}


def needed(module: str, work: str) -> Any:
    """Return the module of a package that is needed now.

    Args:
        module: its name, such as `torch`.
        work: what needs it, the subject of the sentence that says that it is missing.

    Raises:
        MissingFramework: it is not installed, or cannot be loaded.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what it does itself when it is loaded
            return import_module(module)
    except ImportError as error:
        raise MissingFramework(
            f"{work} needs {_CALLED.get(module, module)}, which is not installed",
            [str(error)],
            f"pip install {_INSTALLED_BY[module]}",
        ) from error

"""What the tests of PyTorch's files share: what torch saves, what is read of it, and pickles made by hand."""

import io
import pickle
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from lstm_convert.containers import torch_legacy, torch_zip

KINDS = pytest.mark.parametrize("container", [torch_zip, torch_legacy], ids=["zip", "legacy"])


def save(value: Any, path: Path, container: ModuleType = torch_zip) -> Path:
    torch.save(value, path, _use_new_zipfile_serialization=container is torch_zip)
    return path


def read(path: Path, container: ModuleType = torch_zip) -> tuple[dict[str, Any], dict[str, Any]]:
    with container.opened(path) as contents:
        arrays = {name: (np.array(stored.read()), stored) for name, stored in contents.arrays.items()}
        for array, stored in arrays.values():
            assert (array.shape, array.dtype) == (stored.shape, stored.dtype)
        return {name: array for name, (array, _) in arrays.items()}, dict(contents.attributes)


def some(dtype: str) -> torch.Tensor:
    return torch.arange(-7, 8).reshape(3, 5).to(getattr(torch, dtype))


class TheStorage:
    """Pickled as a persistent id."""


class Rebuilt:
    """Pickled as a tensor in the storage."""

    def __init__(self, *layout: Any) -> None:
        self.layout = layout

    def __reduce__(self) -> tuple[Any, ...]:
        return torch._utils._rebuild_tensor, (TheStorage(), *self.layout)  # noqa: SLF001 (what such files name)


def pickled_with(identity: Any, value: Any) -> bytes:
    class Pickler(pickle.Pickler):
        def persistent_id(self, value: Any) -> Any:
            return identity if isinstance(value, TheStorage) else None

    stream = io.BytesIO()
    Pickler(stream, 2).dump(value)
    return stream.getvalue()

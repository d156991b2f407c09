"""From the object that a torch file holds to its tensors by name.

The levels of a dict or a list are joined by "/", those of a module and of other objects by ".", as `state_dict` does
it: `{"model": module}` gives `model/lstm.weight_ih_l0`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_convert.blocks import changed, owned
from lstm_convert.containers import Contents, Stored
from lstm_convert.containers.bounds import refuse_bomb
from lstm_convert.containers.pickled_values import Inert, shown
from lstm_convert.containers.pickles import NEXT_STEP, Loaded
from lstm_convert.containers.raw import byte_count, dtype_named
from lstm_convert.containers.torch_objects import KNOWN_NAMES, OPAQUE_TENSORS, Tensor
from lstm_convert.errors import InvalidFile

LEVEL, ATTRIBUTE = "/", "."

DEEPEST = 100
MOST_VALUES = 10_000_000
MOST_NAMES = 200_000
LONGEST_PATH = 2000
MOST_DIMENSIONS = 32
LARGEST_NUMBER = 2**62


@dataclass(frozen=True)
class Region:
    """The bytes of one storage, as they lie in the file."""

    size: int
    read: Callable[[], memoryview]
    swapped: bool = False
    """Their byte order is not this machine's."""


Regions = Callable[[str], Region | None]


def contents_of(loaded: Loaded, kind: str, regions: Regions) -> Contents:
    """Name every tensor of an unpickled object, and describe the objects around them.

    Args:
        loaded: what the pickle holds.
        kind: what the file calls itself, for `attributes[""]`.
        regions: where the bytes of a storage are, by its key.

    Raises:
        InvalidFile: a tensor does not lie inside its storage, two have one name, or the object has no bounds.
    """
    walk = _Walk(regions)
    walk.visit(loaded.value, "", LEVEL)
    refuse_bomb(sum(map(byte_count, walk.arrays.values())), sum(walk.storages.values()))
    own = {**walk.attributes.get("", {}), "kind": kind, "globals": sorted(loaded.names - KNOWN_NAMES)}
    return Contents(walk.arrays, {**walk.attributes, "": own})


@dataclass
class _Walk:
    regions: Regions
    arrays: dict[str, Stored] = field(default_factory=dict)
    attributes: dict[str, dict[str, Any]] = field(default_factory=dict)
    storages: dict[str, int] = field(default_factory=dict)
    """How many bytes each storage that is in use has."""
    ancestors: list[int] = field(default_factory=list)
    barren: set[int] = field(default_factory=set)
    """Containers in which there is nothing to name: however often they are met, they are entered once."""
    seen: int = 0

    def visit(self, value: Any, path: str, reached_by: str) -> None:
        if isinstance(value, Tensor):
            self.keep(value, path)
        elif id(value) not in self.ancestors and id(value) not in self.barren:
            named = self.named
            if isinstance(value, Inert):
                self.attributes[path] = _description(value)
            self.ancestors.append(id(value))
            self.enter(value, path, reached_by)
            self.ancestors.pop()
            if self.named == named:
                self.barren.add(id(value))

    @property
    def named(self) -> int:
        """How many tensors and objects have a name so far."""
        return len(self.arrays) + len(self.attributes)

    def enter(self, value: Any, path: str, reached_by: str) -> None:
        inert = isinstance(value, Inert)
        joint = reached_by if inert else LEVEL
        for name, part in _parts(value):
            self.seen += 1
            if isinstance(part, Tensor | dict | list | tuple | Inert):
                self.check_bounds(path)
                self.visit(part, f"{path}{joint}{name}" if path else name, ATTRIBUTE if inert else LEVEL)

    def check_bounds(self, path: str) -> None:
        crowded = self.seen > MOST_VALUES or self.named > MOST_NAMES
        if crowded or len(self.ancestors) > DEEPEST or len(path) > LONGEST_PATH:
            raise InvalidFile(f"the object has no bounds: it goes on behind {path[:60]!r}", next_step=NEXT_STEP)

    def keep(self, tensor: Tensor, path: str) -> None:
        if path in self.arrays:
            raise InvalidFile(f"two tensors have the name {path}", next_step=NEXT_STEP)
        region = self.regions(tensor.storage.key)
        self.arrays[path] = _stored(tensor, path, region)
        self.storages[tensor.storage.key] = region.size if region else 0


def _description(value: Inert) -> dict[str, Any]:
    if value.cls in OPAQUE_TENSORS:
        return {"opaque": value.cls}
    plain = {name: item for name, item in value.attributes.items() if isinstance(item, bool | int | float | str)}
    return {"class": value.cls, **plain}


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield what a container or an object holds, by name."""
    if isinstance(value, dict):
        yield from ((_label(key, index), part) for index, (key, part) in enumerate(value.items()))
    elif isinstance(value, list | tuple):
        yield from ((str(index), part) for index, part in enumerate(value))
    elif isinstance(value, Inert) and value.cls not in OPAQUE_TENSORS:
        attributes = value.attributes
        if {"_parameters", "_buffers", "_modules"} <= attributes.keys():
            yield from _module_parts(attributes)
        else:
            yield from _parts(attributes or value.state)
        yield from _parts(value.entries)
        yield from _parts(value.items)


def _module_parts(attributes: dict[Any, Any]) -> Iterator[tuple[str, Any]]:
    """Yield what `state_dict` would: parameters, the buffers that are meant to be saved, and modules.

    *Source:* torch 2.13, torch/nn/modules/module.py, `Module._save_to_state_dict`.
    """
    passing = attributes.get("_non_persistent_buffers_set") or ()
    yield from _parts(attributes["_parameters"])
    yield from ((name, buffer) for name, buffer in _parts(attributes["_buffers"]) if name not in passing)
    yield from _parts(attributes["_modules"])


def _label(key: Any, index: int) -> str:
    return str(key) if isinstance(key, str | int) else f"[{index}]"


def _stored(tensor: Tensor, name: str, region: Region | None) -> Stored:
    """Return a tensor as a stored array, once it is certain to lie inside the bytes of its storage."""
    storage = tensor.storage
    unit, dtype = dtype_named(storage.dtype).itemsize, dtype_named(tensor.dtype)
    start, size = storage.start * unit, storage.count * unit
    if region is None:
        raise InvalidFile(f"the tensor {name} lies in storage {storage.key}, which the file does not have")
    if start + size > region.size:
        raise InvalidFile(f"storage {storage.key} (tensor {name}) should have {start + size} bytes, has {region.size}")
    shape, stride = tuple(tensor.shape), tuple(tensor.stride)
    numbers = (tensor.offset, *shape, *stride)
    if not all(isinstance(number, int) and 0 <= number <= LARGEST_NUMBER for number in numbers):
        raise InvalidFile(
            f"the tensor {name} has no proper offset, shape and stride: {', '.join(map(shown, numbers))[:200]}"
        )
    if len(shape) != len(stride) or len(shape) > MOST_DIMENSIONS:
        raise InvalidFile(f"the tensor {name} has {len(shape)} dimensions and {len(stride)} strides")
    _check_inside(tensor, name, size // dtype.itemsize)

    def read() -> NDArray[Any]:
        if 0 in shape:
            return np.empty(shape, dtype)
        flat = np.frombuffer(region.read(), dtype, size // dtype.itemsize, start)[tensor.offset :]
        strides = [step * dtype.itemsize for step in stride]
        view = np.ndarray(shape, dtype, flat, strides=strides)
        return changed(view, dtype, np.ndarray.byteswap) if region.swapped else owned(view)

    return Stored(shape, dtype, read)


def _check_inside(tensor: Tensor, name: str, available: int) -> None:
    last = tensor.offset + sum((size - 1) * step for size, step in zip(tensor.shape, tensor.stride, strict=True))
    if 0 not in tensor.shape and last >= available:
        raise InvalidFile(f"the tensor {name} reaches to number {last} of a storage that has {available}")

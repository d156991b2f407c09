"""What the names in a torch pickle stand for: storages, tensors that are views of them, and a few plain containers.

*Source:* torch 2.13, torch/_utils.py, torch/_tensor.py and torch/serialization.py.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lstm_convert.containers.pickled_values import Global, Inert, hashable
from lstm_convert.containers.pickles import NEXT_STEP
from lstm_convert.errors import InvalidFile

STORAGE_DTYPES: Mapping[str, str] = {
    "FloatStorage": "float32",
    "DoubleStorage": "float64",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128",
    "UntypedStorage": "uint8",
    "QInt8Storage": "int8",
    "QUInt8Storage": "uint8",
    "QInt32Storage": "int32",
    "QUInt4x2Storage": "uint8",
    "QUInt2x4Storage": "uint8",
}
"""The numbers in each class of storage; a storage on a GPU has the same name in `torch.cuda`."""

STORAGE_MODULES = frozenset({"torch", "torch.cuda", "torch.storage"})

DTYPES: Mapping[str, str] = {
    f"torch.{name}": name
    for name in (
        *("float16", "float32", "float64", "bfloat16", "complex64", "complex128", "bool"),
        *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
        *("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz"),
    )
}
"""NumPy's name (ml_dtypes' for the last and for bfloat16) of each torch dtype."""

OPAQUE_TENSORS = frozenset(
    [
        *(f"torch._utils._rebuild_{kind}tensor" for kind in ("q", "sparse_", "sparse_csr_", "nested_", "xla_")),
        "torch._utils._rebuild_tensor_v2",
        "torch._utils._rebuild_tensor_v3",
        "torch._utils._rebuild_device_tensor_from_cpu_tensor",
        "torch._utils._rebuild_device_tensor_from_numpy",
        "torch._utils._rebuild_meta_tensor_no_storage",
        "torch._utils._rebuild_wrapper_subclass",
        "numpy.core.multiarray._reconstruct",
        "numpy._core.multiarray._reconstruct",
        "numpy.core.numeric._frombuffer",
        "numpy._core.numeric._frombuffer",
    ]
)
"""Calls that make an array of a kind that is not read here: quantised, sparse, nested, conjugated, NumPy's own."""

PATHS = ("Path", "PosixPath", "PurePath", "PurePosixPath", "PureWindowsPath", "WindowsPath")

INERT_CALLS = frozenset(
    [
        "_codecs.encode",
        *(f"builtins.{name}" for name in ("bool", "bytearray", "bytes", "complex", "float", "int", "range", "slice")),
        "builtins.str",
        *(f"datetime.{name}" for name in ("date", "datetime", "time", "timedelta", "timezone")),
        "decimal.Decimal",
        "fractions.Fraction",
        *("numpy.dtype", "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar"),
        *(f"{module}.{name}" for module in ("pathlib", "pathlib._local") for name in PATHS),
        "torch.device",
        "torch.serialization._get_layout",
    ]
)
"""Calls that make a plain value of no interest here: the value stays unmade, only what it was to be made of is kept."""


@dataclass(frozen=True)
class Storage:
    """A run of `count` numbers in the file's storage `key`, from number `start` on."""

    key: str
    dtype: str
    count: int
    start: int = 0


@dataclass(frozen=True)
class Tensor:
    """A view of a storage; offset and strides are counted in numbers of its own dtype, and not checked yet."""

    storage: Storage
    dtype: str
    offset: Any
    shape: Sequence[Any]
    stride: Sequence[Any]


@dataclass
class Storages:
    """The storages that a pickle refers to by its persistent ids."""

    roots: dict[str, Storage] = field(default_factory=dict)

    def resolve(self, persistent_id: Any) -> Storage | Global:
        """Return what a persistent id stands for: a storage, or a class whose source was saved beside it.

        *Source:* torch 2.13, torch/serialization.py, `_save` (five entries) and `_legacy_save` (six, the last one
        describing a view of a larger storage in files before 0.4).

        Raises:
            InvalidFile: it is neither.
        """
        match persistent_id:
            case ("module", Global() as cls, _, _):
                return cls
            case ("storage", Global(name), str(key), _, int(count), *rest) if name in STORAGE_CLASSES:
                root = self._root(name, key, count)
                return _view(root, rest[0]) if rest and rest[0] is not None else root
        raise InvalidFile("the pickle refers to something that is no storage of a known type", next_step=NEXT_STEP)

    def _root(self, name: str, key: str, count: int) -> Storage:
        if count < 0:
            raise InvalidFile(f"storage {key} has {count} numbers")
        storage = Storage(key, STORAGE_CLASSES[name], count)
        self.roots.setdefault(key, storage)
        return storage


def _view(root: Storage, view: Any) -> Storage:
    _, start, size = view
    if min(start, size) < 0 or start + size > root.count:
        raise InvalidFile(f"a view of storage {root.key} leaves it: {size} numbers from {start} on, of {root.count}")
    return Storage(root.key, root.dtype, size, start)


STORAGE_CLASSES: Mapping[str, str] = {
    f"{module}.{name}": dtype for module in STORAGE_MODULES for name, dtype in STORAGE_DTYPES.items()
}


def _tensor(storage: Any, offset: Any, shape: Any, stride: Any, *_: Any) -> Tensor:
    if not isinstance(storage, Storage) or not isinstance(shape, list | tuple) or not isinstance(stride, list | tuple):
        raise TypeError("a tensor is made of no storage")
    return Tensor(storage, storage.dtype, offset, shape, stride)


def _tensor_v2(storage: Any, offset: Any, shape: Any, stride: Any, *rest: Any) -> Tensor | Inert:
    """Return a tensor, unless it is to be read conjugated or negated, as the metadata behind its hooks may say."""
    metadata = rest[2] if len(rest) > 2 else None  # noqa: PLR2004 (requires_grad and the hooks come first)
    arguments = (storage, offset, shape, stride)
    return Inert("torch._utils._rebuild_tensor_v2", arguments) if metadata else _tensor(*arguments)


def _tensor_v3(*arguments: Any) -> Tensor | Inert:
    storage, offset, shape, stride, _, _, dtype, *metadata = arguments
    if any(metadata) or dtype.name not in DTYPES:
        return Inert("torch._utils._rebuild_tensor_v3", arguments)
    return Tensor(_tensor(storage, offset, shape, stride).storage, DTYPES[dtype.name], offset, shape, stride)


def _rebuilt_from_type(function: Any, _cls: Any, arguments: Any, *_: Any) -> Any:
    """Return the tensor that a subclass of tensor wraps; what the subclass adds is not kept."""
    return CALLS[function.name](*arguments)


def _first(value: Any = None, *_: Any) -> Any:
    """Return what a call wraps."""
    return value


def _list(values: Any = (), *_: Any) -> Any:
    """Return the values themselves, so that a thousand lists of one list take no more room than that."""
    return values or []


def _dict(values: Any = (), *_: Any) -> dict[Any, Any]:
    """Return a dict; Python 2 gave an OrderedDict's items as a list of pairs, which moves and is not copied."""
    if isinstance(values, dict):
        return values
    if not isinstance(values, list):
        return {}
    pairs = {hashable(key): value for key, value in values}
    values.clear()
    return pairs


def _inert(name: str) -> Callable[..., Inert]:
    return lambda *arguments: Inert(name, arguments)


READ: Mapping[str, Callable[..., Any]] = {
    "builtins.dict": _dict,
    **dict.fromkeys([f"builtins.{name}" for name in ("frozenset", "list", "set", "tuple")], _list),
    "collections.Counter": _dict,
    "collections.OrderedDict": _dict,
    "collections.defaultdict": lambda *_: {},
    "collections.deque": _list,
    "torch.Size": _list,
    "torch._tensor._rebuild_from_type": _rebuilt_from_type,
    "torch._tensor._rebuild_from_type_v2": _rebuilt_from_type,
    "torch._utils._rebuild_parameter": _first,
    "torch._utils._rebuild_parameter_with_state": _first,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor_v2,
    "torch._utils._rebuild_tensor_v3": _tensor_v3,
    **dict.fromkeys([f"torch.jit._pickle.build_{kind}list" for kind in ("bool", "double", "int", "tensor")], _first),
    "torch.jit._pickle.restore_type_tag": _first,
    "torch.nn.parameter.Buffer": _first,
    "torch.nn.parameter.Parameter": _first,
}
"""What each known call gives. The functions of torch.jit._pickle are what a TorchScript archive calls."""

CALLS: Mapping[str, Callable[..., Any]] = {
    **{name: _inert(name) for name in OPAQUE_TENSORS | INERT_CALLS},
    **READ,
}
"""Every call that a pickle may make."""

KNOWN_NAMES = frozenset([*READ, *DTYPES, *STORAGE_CLASSES])
"""Names that are understood, so that there is nothing to report about them."""

import struct
import warnings
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch_files import KINDS, Rebuilt, pickled_with, read, save, some

from lstm_convert.containers import Contents, Stored, torch_legacy, torch_zip
from lstm_convert.errors import LstmConvertError, Unsupported

DTYPES = ["float16", "bfloat16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool", "complex64"]


def numbers(tensor: torch.Tensor) -> Any:
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).detach().numpy()


@pytest.fixture
def lstm() -> torch.nn.Module:
    torch.manual_seed(7)
    return torch.nn.Sequential(torch.nn.LSTM(3, 5, batch_first=True, proj_size=2), torch.nn.Linear(2, 1))


# Written by torch, read here.


@KINDS
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_is_read(tmp_path: Path, container: ModuleType, dtype: str) -> None:
    arrays, _ = read(save({"a": some(dtype)}, tmp_path / "a.pt", container), container)
    assert arrays["a"].dtype.name == dtype
    np.testing.assert_array_equal(arrays["a"].astype(numbers(some(dtype)).dtype), numbers(some(dtype)))


@KINDS
@pytest.mark.parametrize("dtype", ["float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz"])
def test_numbers_of_eight_bits_are_read(tmp_path: Path, container: ModuleType, dtype: str) -> None:
    saved = some("float32").to(getattr(torch, dtype))
    arrays, _ = read(save({"a": saved}, tmp_path / "a.pt", container), container)
    assert arrays["a"].dtype.name == dtype
    np.testing.assert_array_equal(arrays["a"].astype("float32"), saved.float().numpy())


@KINDS
def test_views_of_one_storage_are_read_by_their_strides(tmp_path: Path, container: ModuleType) -> None:
    base = torch.arange(60.0).reshape(3, 4, 5)
    views = {
        "all": base,
        "transposed": base.permute(2, 0, 1),
        "part": base[1:, ::2, 3],
        "expanded": base[0, 0, :1].expand(7),
        "scalar": base[2, 3, 4],
        "empty": base[:0],
    }
    arrays, _ = read(save(views, tmp_path / "a.pt", container), container)
    assert list(arrays) == list(views)
    for name, view in views.items():
        np.testing.assert_array_equal(arrays[name], view.numpy())


@KINDS
def test_levels_are_joined_and_lists_numbered(tmp_path: Path, container: ModuleType) -> None:
    value = {
        "epoch": 3,
        "state_dict": {"lstm.w": torch.ones(2)},
        "more": [None, {"x": torch.zeros(1)}],
        5: torch.ones(3),
    }
    arrays, attributes = read(save(value, tmp_path / "a.pt", container), container)
    assert {name: array.shape for name, array in arrays.items()} == {
        "state_dict/lstm.w": (2,),
        "more/1/x": (1,),
        "5": (3,),
    }
    assert attributes == {"": {"kind": "zip" if container is torch_zip else "legacy", "globals": []}}


@KINDS
def test_a_pickled_module_is_read_as_its_state_dict_with_its_options(
    tmp_path: Path, container: ModuleType, lstm: torch.nn.Module
) -> None:
    lstm.register_buffer("passing", torch.ones(1), persistent=False)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Couldn't retrieve source code")  # torch's legacy writer looks for sources
        arrays, attributes = read(save({"model": lstm}, tmp_path / "a.pt", container), container)
    expected = {f"model/{name}": tensor for name, tensor in lstm.state_dict().items()}
    assert list(arrays) == list(expected)
    for name, tensor in expected.items():
        np.testing.assert_array_equal(arrays[name], tensor.numpy())
    assert attributes["model/0"]["class"] == "torch.nn.modules.rnn.LSTM"
    assert (attributes["model/0"]["batch_first"], attributes["model/0"]["proj_size"]) == (True, 2)
    assert "torch.nn.modules.linear.Linear" in attributes[""]["globals"]


def test_torchscript_is_read_attribute_by_attribute(tmp_path: Path) -> None:
    lstm = torch.nn.LSTM(3, 5)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*torch.jit.*is deprecated", DeprecationWarning)  # files of it remain
        torch.jit.script(torch.nn.Sequential(lstm)).save(tmp_path / "a.pt")
    arrays, attributes = read(tmp_path / "a.pt")
    np.testing.assert_array_equal(arrays["0.weight_hh_l0"], lstm.weight_hh_l0.detach().numpy())
    assert attributes[""]["kind"] == "torchscript"
    assert attributes["0"]["class"] == "__torch__.torch.nn.modules.rnn.LSTM"


def test_what_is_no_plain_tensor_is_named_and_the_rest_read(tmp_path: Path) -> None:
    value = {
        "plain": torch.ones(2),
        "parameter": torch.nn.Parameter(torch.ones(3)),
        "untyped": torch.ones(4, dtype=torch.uint16),
        "sparse": torch.ones(2, 2).to_sparse(),
        "conjugated": torch.ones(2, dtype=torch.complex64).conj(),
        "numpy": np.ones(3),
        "options": {
            "path": Path("x"),
            "set": {1, 2},
            "number": np.float64(1),
            "device": torch.device("cpu"),
            "type": int,
        },
    }
    arrays, attributes = read(save(value, tmp_path / "a.pt"))
    assert list(arrays) == ["plain", "parameter", "untyped"]
    assert {name for name, about in attributes.items() if "opaque" in about} == {"sparse", "conjugated", "numpy"}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_pickle_protocol_is_read(tmp_path: Path, protocol: int) -> None:
    torch.save({"a": [torch.ones(2)], "b": (1, b"x", {3}, 2**70)}, tmp_path / "a.pt", pickle_protocol=protocol)
    assert list(read(tmp_path / "a.pt")[0]) == ["a/0"]


def test_big_endian_storages_are_turned(tmp_path: Path) -> None:
    save({"a": some("float32"), "b": some("bfloat16")}, tmp_path / "a.pt")
    turned = {"a/byteorder": b"big", "a/data/0": swapped(some("float32")), "a/data/1": swapped(some("bfloat16"))}
    rewrite(tmp_path / "a.pt", tmp_path / "b.pt", turned)
    arrays, _ = read(tmp_path / "b.pt")
    for name, tensor in torch.load(tmp_path / "b.pt", weights_only=True).items():
        np.testing.assert_array_equal(arrays[name].astype("float32"), numbers(tensor).astype("float32"))
        assert arrays[name][0, 0] == -7


def swapped(tensor: torch.Tensor) -> bytes:
    unit = {2: torch.int16, 4: torch.int32}[tensor.element_size()]
    return bytes(tensor.view(unit).numpy().byteswap().tobytes())


def test_a_recompressed_archive_is_read(tmp_path: Path) -> None:
    save({"a": torch.arange(100.0)}, tmp_path / "a.pt")
    rewrite(tmp_path / "a.pt", tmp_path / "b.pt", {}, zipfile.ZIP_DEFLATED)
    np.testing.assert_array_equal(read(tmp_path / "b.pt")[0]["a"], np.arange(100.0, dtype="float32"))


def rewrite(source: Path, target: Path, changes: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", compression) as new:
        for name in old.namelist():
            new.writestr(name, changes.get(name, old.read(name)))
    return target


@KINDS
def test_sniffing_knows_its_own(tmp_path: Path, container: ModuleType) -> None:
    path = save({"a": torch.ones(1)}, tmp_path / "a.pt", container)
    heads = [(module, module.sniff(path.read_bytes()[:1024], path)) for module in (torch_zip, torch_legacy)]
    assert heads == [(module, module is container) for module in (torch_zip, torch_legacy)]


def test_the_old_tar_format_is_recognised(tmp_path: Path) -> None:
    (tmp_path / "a.pt").write_bytes(b"sys_info".ljust(257, b"\0") + b"ustar".ljust(255, b"\0"))
    assert torch_legacy.sniff((tmp_path / "a.pt").read_bytes(), tmp_path / "a.pt")
    with pytest.raises(LstmConvertError, match="tar file"), torch_legacy.opened(tmp_path / "a.pt"):
        pass


def test_views_of_the_time_before_torch_0_4_are_read(tmp_path: Path) -> None:
    """A storage could then be a view of another: the last entry of its persistent id."""
    identity = ("storage", torch.FloatStorage, "7", "cpu", 5, ("8", 2, 2))
    parts = [0x1950A86A20F9469CFC6C, 1001, {}, Rebuilt(0, (2,), (1,)), ["7"]]
    stored = b"".join(pickled_with(identity, part) for part in parts) + struct.pack("<q5f", 5, 0, 1, 2, 3, 4)
    (tmp_path / "a.pt").write_bytes(stored)
    np.testing.assert_array_equal(read(tmp_path / "a.pt", torch_legacy)[0][""], [2, 3])


# Written here, read by torch.


@pytest.mark.parametrize("mapped", [False, True])
def test_torch_opens_what_is_written(tmp_path: Path, mapped: bool) -> None:  # noqa: FBT001 (pytest's own way)
    tensors = {f"of.{dtype}": some(dtype) for dtype in DTYPES} | {
        "scalar": torch.tensor(3.5),
        "empty": torch.empty(0, 4),
        "transposed": some("float32").T,
        "größe": torch.ones(1),
    }
    with torch_zip.opened(save(tensors, tmp_path / "a.pt")) as contents:
        torch_zip.write(tmp_path / "b.pt", contents)
    loaded = torch.load(tmp_path / "b.pt", weights_only=True, mmap=mapped)
    assert list(loaded) == list(tensors)
    for name, tensor in tensors.items():
        assert loaded[name].dtype == tensor.dtype
        assert torch.equal(loaded[name], tensor)


def test_writing_is_reproducible_and_aligned(tmp_path: Path) -> None:
    contents = Contents({"a": Stored.of(np.arange(3.0)), "b": Stored.of(np.ones((2, 2), ">f4"))})
    for name in "ab":
        torch_zip.write(tmp_path / name, contents)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_bytes().index(np.arange(3.0).tobytes()) % 64 == 0
    np.testing.assert_array_equal(torch.load(tmp_path / "a", weights_only=True)["b"], np.ones((2, 2)))


def test_one_array_is_in_memory_at_a_time(tmp_path: Path) -> None:
    alive = 0

    class Counted(np.ndarray[Any, Any]):
        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    def made() -> Any:
        nonlocal alive
        assert alive == 0
        alive += 1
        return np.ones(4, "float32").view(Counted)

    stored = Stored((4,), np.dtype("float32"), made)
    torch_zip.write(tmp_path / "a.pt", Contents(dict.fromkeys("abc", stored)))
    assert len(torch.load(tmp_path / "a.pt", weights_only=True)) == 3


def test_a_type_that_torch_lacks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="the array a is of type uint16"):
        torch_zip.write(tmp_path / "a.pt", Contents({"a": Stored.of(np.ones(1, "uint16"))}))

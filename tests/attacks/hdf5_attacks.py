"""HDF5 files that lead elsewhere, claim more than they hold, unfold or are without end."""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from attacks import Attack

KEY = "layers/lstm/cell/vars/0"
SHAPE = (3, 20)
_OUTSIDE = "outside.h5"
_DEEP = 200
_DOUBLINGS = 60
_LARGE = 40_000_000


def _external_link(file: Any) -> None:
    file[KEY] = h5py.ExternalLink(_OUTSIDE, "x")


def _external_link_of_a_group(file: Any) -> None:
    del file["layers"]
    file["layers"] = h5py.ExternalLink(_OUTSIDE, "/")


def _soft_link(file: Any) -> None:
    file["elsewhere"] = np.ones(SHAPE, "f4")
    file[KEY] = h5py.SoftLink("/elsewhere")


def _soft_link_to_nothing(file: Any) -> None:
    file[KEY] = h5py.SoftLink("/../../outside.h5")


def _external_storage(file: Any) -> None:
    file.create_dataset(KEY, SHAPE, "f4", external=[("outside.raw", 0, h5py.h5f.UNLIMITED)])


def _external_storage_of_the_system(file: Any) -> None:
    file.create_dataset(KEY, SHAPE, "f4", external=[("/etc/passwd", 0, 240)])


def _virtual_dataset(file: Any) -> None:
    layout = h5py.VirtualLayout(SHAPE, "f4")
    layout[...] = h5py.VirtualSource(_OUTSIDE, "x", SHAPE)
    file.create_virtual_dataset(KEY, layout)


def _never_written(file: Any) -> None:
    file.create_dataset(KEY, (10**6, 10**6), "f4")


def _never_written_in_pieces(file: Any) -> None:
    file.create_dataset(KEY, (10**6, 10**6), "f4", chunks=(1000, 1000), compression="gzip")


def _one_piece_too_large(file: Any) -> None:
    dataset = file.create_dataset(KEY, SHAPE, "f4", maxshape=(None, None), chunks=(2**14, 2**15))
    dataset.id.write_direct_chunk((0, 0), bytes(4096))


def _bomb(file: Any) -> None:
    """Write 4 GB of zeros in pieces of 40 MB that are the same 40 kB each."""
    dataset = file.create_dataset(KEY, (100, _LARGE // 4), "f4", chunks=(1, _LARGE // 4), compression="gzip")
    packed = zlib.compress(bytes(_LARGE), 9)
    for row in range(100):
        dataset.id.write_direct_chunk((row, 0), packed)


def _many_bombs(file: Any) -> None:
    packed = zlib.compress(bytes(_LARGE), 9)
    for number in range(100):
        path = f"layers/lstm/cell/vars/{number}"
        dataset = file.create_dataset(path, (_LARGE // 4,), "f4", chunks=(_LARGE // 4,), compression="gzip")
        dataset.id.write_direct_chunk((0,), packed)


def _one_bomb_under_many_names(file: Any) -> None:
    file["x"] = np.zeros(1_000_000, "f4")
    for number in range(200):
        file[f"layers/lstm/cell/vars/{number}"] = file["x"]


def _doublings(file: Any) -> None:
    """Nest groups that each hold the next one twice: 60 groups have 2 ** 60 paths."""
    group = file.require_group("layers")
    for _ in range(_DOUBLINGS):
        inner = group.create_group("a")
        group["b"] = inner
        group = inner
    file[KEY] = np.ones(SHAPE, "f4")


def _cycle(file: Any) -> None:
    file[KEY] = np.ones(SHAPE, "f4")
    file["layers/lstm/again"] = file["layers"]


def _nested_deep(file: Any) -> None:
    file["/".join(["layers"] * _DEEP)] = np.ones(SHAPE, "f4")


def _large_attribute(file: Any) -> None:
    file[KEY] = np.ones(SHAPE, "f4")
    file.attrs.create("layer_names", np.zeros(70_000_000, "S1"))


def _texts_without_end(file: Any) -> None:
    """Let each of 4000 names be the same text of a megabyte."""
    file[KEY] = np.ones(SHAPE, "f4")
    file.attrs["layer_names"] = ["a" * 1_000_000, *["b"] * 3999]


def _without_a_value(file: Any) -> None:
    file[KEY] = h5py.Empty("f4")


def _references(file: Any) -> None:
    file[KEY] = np.array([file.ref, file.ref], h5py.ref_dtype)


def _records(file: Any) -> None:
    file[KEY] = np.zeros(SHAPE, [("a", "f4")])


def _texts(file: Any) -> None:
    file[KEY] = np.full(SHAPE, "a", h5py.string_dtype())


def _a_type_alone(file: Any) -> None:
    file[KEY] = np.dtype("f4")


def _weights_without_end(file: Any) -> None:
    file.attrs["layer_names"] = [b"x"] * 1000
    file.create_group("x").attrs["weight_names"] = [b"../../x"] * 1000


BUILDERS: dict[str, tuple[Callable[[Any], None], str]] = {
    "an external link": (_external_link, f"{KEY} is a link to somewhere else"),
    "an external link of a group": (_external_link_of_a_group, "layers is a link to somewhere else"),
    "a soft link": (_soft_link, f"{KEY} is a link to somewhere else"),
    "a soft link out of the file": (_soft_link_to_nothing, f"{KEY} is a link to somewhere else"),
    "external raw storage": (_external_storage, f"{KEY} keeps its numbers in another file"),
    "external raw storage of the system's": (_external_storage_of_the_system, f"{KEY} keeps its numbers in another"),
    "a virtual dataset": (_virtual_dataset, f"{KEY} keeps its numbers in another file"),
    "a shape that was never written": (_never_written, f"{KEY} claims"),
    "a shape that was never written, in pieces": (_never_written_in_pieces, f"{KEY} claims"),
    "a piece larger than memory": (_one_piece_too_large, "is stored in pieces of"),
    "a bomb": (_bomb, "would grow from"),
    "many bombs": (_many_bombs, "would grow from"),
    "one array under many names": (_one_bomb_under_many_names, "would grow from"),
    "groups that double": (_doublings, "groups and arrays"),
    "a group in itself": (_cycle, "contains itself"),
    "groups nested deep": (_nested_deep, "nested more than"),
    "an attribute of 70 MB": (_large_attribute, "attribute layer_names"),
    "texts that may be one long one": (_texts_without_end, "which may be all of them"),
    "an array without a value": (_without_a_value, "empty dataset"),
    "references for numbers": (_references, ""),
    "records for numbers": (_records, ""),
    "texts for numbers": (_texts, ""),
    "a type for numbers": (_a_type_alone, ""),
    "a list of weights that climbs": (_weights_without_end, "weights that it does not hold"),
}


def attacks() -> Iterator[Attack]:
    """Yield every file by itself, and as the weights inside a `.keras`."""
    for name, (build, said) in BUILDERS.items():
        yield Attack(f"h5: {name}", "a.weights.h5", partial(_write, build), said)
        yield Attack(f"keras: {name}", "a.keras", partial(_write_inside, build), said)
    yield Attack("h5: a heap without end", "a.h5", partial(_write_heap), "has no end")
    for claimed in (1 << 30, (1 << 32) - 1):
        yield Attack(
            f"h5: a text of {claimed} bytes", "a.h5", partial(_write_claim, claimed), f"a text of {claimed} bytes"
        )
    yield Attack("h5: addresses of four bytes", "a.h5", _write_short_addresses, "addresses have other than 8 bytes")
    yield Attack("keras: a file behind other bytes", "a.keras", _write_behind_others, "do not count from its beginning")


def _content(build: Callable[[Any], None]) -> bytes:
    stream = io.BytesIO()
    with h5py.File(stream, "w", libver="latest") as file:
        file["layers/lstm/cell/vars/1"] = np.ones((5, 20), "f4")
        if build is _many_bombs or build is _one_bomb_under_many_names:
            del file["layers/lstm/cell/vars/1"]
        build(file)
    return stream.getvalue()


def _write(build: Callable[[Any], None], folder: Path) -> None:
    (folder / "a.weights.h5").write_bytes(_content(build))
    with h5py.File(folder / _OUTSIDE, "w") as file:
        file["x"] = np.ones(SHAPE, "f4")
    (folder / "outside.raw").write_bytes(bytes(240))


def _write_inside(build: Callable[[Any], None], folder: Path) -> None:
    _write_archive(_content(build), folder)


def _write_archive(weights: bytes, folder: Path) -> None:
    with zipfile.ZipFile(folder / "a.keras", "w") as archive:
        for name, content in (("metadata.json", b"{}"), ("config.json", b"{}"), ("model.weights.h5", weights)):
            archive.writestr(name, content)


def _write_heap(folder: Path) -> None:
    """Make the first text of a heap free space of no length, at which HDF5 1.14.6 itself stays forever."""
    content = _with_a_text()
    start = content.index(b"GCOL") + 16
    content[start : start + 16] = bytes(16)
    (folder / "a.h5").write_bytes(content)


def _with_a_text() -> bytearray:
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file.attrs["backend"] = "tensorflow"
    return bytearray(stream.getvalue())


def _write_claim(claimed: int, folder: Path) -> None:
    """Let an attribute say that its text is longer than it is: HDF5 1.14.6 makes room for all of it."""
    content = _with_a_text()
    place = content.index(struct.pack("<IQI", len("tensorflow"), content.index(b"GCOL"), 1))
    struct.pack_into("<I", content, place, claimed)
    (folder / "a.h5").write_bytes(content)


def _write_short_addresses(folder: Path) -> None:
    made = h5py.h5p.create(h5py.h5p.FILE_CREATE)
    made.set_sizes(4, 4)
    with h5py.File(h5py.h5f.create(bytes(folder / "a.h5"), fcpl=made)) as file:
        file.attrs["backend"] = "tensorflow"


def _write_behind_others(folder: Path) -> None:
    with h5py.File(folder / "inner.h5", "w", userblock_size=512) as file:
        file.attrs["backend"] = "tensorflow"
    _write_archive((folder / "inner.h5").read_bytes(), folder)

"""PyTorch's zip files: what `torch.save` writes since 1.6, and TorchScript archives.

An archive holds one pickle, in which each tensor names a storage, and the storages:

    <name>/data.pkl      the object
    <name>/byteorder     "little" or "big"; where it is missing, little
    <name>/data/0        the numbers of storage "0", uncompressed
    <name>/version       "3"

A TorchScript archive also has `<name>/constants.pkl` and `<name>/code/`; neither is opened.

*Source:* torch 2.13, torch/serialization.py, `_save` and `_load`.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from lstm_convert.containers import Contents, zips
from lstm_convert.containers.pickles import NEXT_STEP, load
from lstm_convert.containers.raw import byte_count, little_endian
from lstm_convert.containers.torch_objects import CALLS, Storages
from lstm_convert.containers.torch_state_dict import pickled
from lstm_convert.containers.torch_walk import Region, contents_of
from lstm_convert.errors import InvalidFile

PICKLE = "data.pkl"
LARGEST_PICKLE = 2**28
BYTE_ORDERS = ("little", "big")


def sniff(head: bytes, path: Path) -> bool:
    """Tell whether a file is a zip archive with a torch pickle in it."""
    return head.startswith(zips.START) and any(_is_pickle(name) for name in zips.names(path))


def _is_pickle(name: str) -> bool:
    return name.endswith(f"/{PICKLE}") and name.count("/") == 1


@contextmanager
def opened(path: Path, *, own: bool = False) -> Iterator[Contents]:
    """Open a torch zip file or a TorchScript archive without executing anything in it.

    Args:
        path: the file.
        own: whether we made it where nobody else writes.

    Yields:
        The tensors by name. `attributes[""]` says whether it is "zip" or "torchscript" and which unknown classes it
        names; a module's attributes hang on its own name.

    Raises:
        InvalidFile: the archive is damaged, or its pickle asks for what no checkpoint needs.
    """
    with zips.opened(path, own=own) as archive:
        root = _root(archive)
        size = archive.members[root + PICKLE].size
        if size > LARGEST_PICKLE:
            raise InvalidFile(f"{PICKLE} has {size} bytes; at most {LARGEST_PICKLE} are read", next_step=NEXT_STEP)
        loaded = load(bytes(archive.read(root + PICKLE)), PICKLE, CALLS, Storages().resolve)
        kind = "torchscript" if f"{root}constants.pkl" in archive.members else "zip"
        swapped = _byte_order(archive, root) != sys.byteorder

        def region(key: str) -> Region | None:
            name = f"{root}data/{key}"
            member = archive.members.get(name)
            return Region(member.size, lambda: archive.read(name), swapped) if member else None

        yield replace(contents_of(loaded, kind, region), sha256=archive.map.sha256)


def _root(archive: zips.Archive) -> str:
    roots = [name.removesuffix(PICKLE) for name in archive.members if _is_pickle(name)]
    if len(roots) != 1:
        raise InvalidFile(f"expected one member <name>/{PICKLE}, found {len(roots)}", next_step=zips.COPY_AGAIN)
    return roots[0]


def _byte_order(archive: zips.Archive, root: str) -> str:
    name = f"{root}byteorder"
    if name not in archive.members:
        return "little"
    stated = bytes(archive.read(name)[:20]).decode("ascii", "replace").strip()
    if stated not in BYTE_ORDERS:
        raise InvalidFile(f'the byte order should be "little" or "big", is {stated!r}')
    return stated


def write(path: Path, contents: Contents) -> None:
    """Write the arrays as a state dict that `torch.load(path, weights_only=True)` opens, without torch.

    Args:
        path: the file, replaced if it is there.
        contents: arrays by their keys in the state dict; a state dict has no place for attributes.

    Raises:
        Unsupported: torch has no storage for an array's type.
    """
    storages = [
        zips.NewMember(f"archive/data/{key}", byte_count(stored), partial(little_endian, stored))
        for key, stored in enumerate(contents.arrays.values())
    ]
    zips.write(
        path,
        [
            zips.NewMember.of(f"archive/{PICKLE}", pickled(contents.arrays)),
            zips.NewMember.of("archive/byteorder", b"little"),
            *storages,
            zips.NewMember.of("archive/version", b"3\n"),
        ],
    )

"""Where the files of a collection are: paths of this machine, and URLs, which `remote` reaches."""

import glob
import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count, takewhile
from pathlib import Path

from lstm_convert import sources
from lstm_convert.errors import InvalidFile, not_written

_MAGIC = re.compile(r"[*?\[]")
_SHARDED = ".weights.json"


@dataclass(frozen=True, order=True, slots=True)
class Found:
    """A file that a pattern found.

    Args:
        place: its path or URL.
        below: its path below the folder that the fixed part of the pattern names.
        size: how many bytes it has.
    """

    place: str
    below: str
    size: int


def named(place: str | os.PathLike[str]) -> str:
    """Return a place as the functions here take it: of a `file://` URL, the path.

    Args:
        place: a path or URL.
    """
    return os.fspath(place).removeprefix("file://")


def is_url(place: str) -> bool:
    """Tell a URL from a path."""
    return "://" in place


def absolute(place: str, folder: str) -> str:
    """Return a place that is the same wherever it is read.

    Args:
        place: a path or URL.
        folder: the one that a relative path starts from.
    """
    return place if is_url(place) else str(Path(folder, place))


def unchained(place: str) -> tuple[str, str]:
    """Return a place without the archive that it leads into, and `::` with that archive's own place, or nothing.

    Args:
        place: a path or URL.
    """
    before, chain, archive = place.partition("::") if is_url(place) else (place, "", "")
    return before, chain + archive


def within(folder: str, name: str) -> str:
    """Return the place of a file in a folder.

    Args:
        folder: a path or URL.
        name: the file's path below it, of sound names.
    """
    if not is_url(folder):
        return str(Path(folder, name))
    before, archive = unchained(folder)
    return f"{before if before.endswith('://') else before.rstrip('/') + '/'}{name}{archive}"


def next_to(place: str, name: str) -> str:
    """Return the place of a file in the folder of another.

    Args:
        place: the other's.
        name: the file's name.
    """
    if not is_url(place):
        return str(Path(place).with_name(name))
    before, archive = unchained(place)
    return f"{before.rpartition('/')[0]}/{name}{archive}"


def matches(pattern: str) -> tuple[str, list[Found]]:
    """Return the folder that the fixed part of a pattern names, and all files that fit it, in the order of their names.

    Args:
        pattern: a path or URL; `*` stands for a part of a name, `**` for any folders.

    Raises:
        InvalidFile: it cannot be looked at.
        MissingFramework: what reaches such a URL is not installed.
    """
    if is_url(pattern):
        from lstm_convert.collection import remote  # noqa: PLC0415 (paths need no fsspec)

        folder, found = remote.matches(pattern)
    else:
        folder, found = _matches(Path(os.path.expanduser(pattern)).as_posix())  # noqa: PTH111 (which leaves ~x.h5 alone)
    return folder, sorted(found)


def fetched(place: str, folder: Path) -> list[Path]:
    """Return the files of this machine that a source consists of, itself first; those of a URL are brought here.

    Args:
        place: the source.
        folder: where to bring them.

    Raises:
        InvalidFile: it cannot be read.
        MissingFramework: what reaches such a URL is not installed.
    """
    if is_url(place):
        from lstm_convert.collection import remote  # noqa: PLC0415 (paths need no fsspec)

        return remote.fetched(place, folder)
    path = Path(place)
    return [path, *(path.with_name(name) for name in beside(path.name, lambda name: path.with_name(name).is_file()))]


def exists(place: str) -> bool:
    """Tell whether there is a file.

    Args:
        place: its path or URL.

    Raises:
        InvalidFile: it cannot be looked at.
        MissingFramework: what reaches such a URL is not installed.
    """
    if is_url(place):
        from lstm_convert.collection import remote  # noqa: PLC0415 (paths need no fsspec)

        return remote.exists(place)
    return Path(place).exists()


def watched(place: str) -> Callable[[], bool]:
    """Return what tells whether a file has changed since.

    Args:
        place: its path or URL, there or not.

    Raises:
        InvalidFile: it cannot be looked at.
        MissingFramework: what reaches such a URL is not installed.
    """
    if is_url(place):
        from lstm_convert.collection import remote  # noqa: PLC0415 (paths need no fsspec)

        return remote.watched(place)
    return sources.watched(Path(place))


def digest(place: str) -> str | None:
    """Return the SHA-256 of a file, or None where there is none.

    Args:
        place: its path or URL.

    Raises:
        InvalidFile: it cannot be read.
        MissingFramework: what reaches such a URL is not installed.
    """
    if is_url(place):
        from lstm_convert.collection import remote  # noqa: PLC0415 (paths need no fsspec)

        return remote.digest(place)
    try:
        with open(place, "rb", buffering=0) as file:  # noqa: PTH123 (a Path takes as long to make)
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InvalidFile(f"cannot be read: {error.strerror or error}", next_step="Name another file.") from error


@contextmanager
def workshop(place: str) -> Iterator[Path]:
    """Yield a folder to make a file in that is then `put` into its place; on this machine, of the same filesystem.

    Args:
        place: where the file is to be.

    Raises:
        InvalidFile: there is no such place.
    """
    near = None if is_url(place) else Path(place).resolve().parent
    try:
        if near is not None:
            near.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(dir=near, prefix=".lstm-convert-")
    except OSError as error:
        raise not_written(error).about(place) from error
    with folder as path:
        yield Path(path)


def put(made: Path, place: str) -> None:
    """Put a whole file of this machine into its place, over what is there; a link stays a link.

    Args:
        made: the file.
        place: where to; on this machine a path of the same filesystem.

    Raises:
        InvalidFile: it cannot be written.
        MissingFramework: what reaches such a URL is not installed.
    """
    if is_url(place):
        from lstm_convert.collection import remote  # noqa: PLC0415 (paths need no fsspec)

        remote.put(made, place)
        return
    try:
        path = os.path.realpath(place) if os.path.islink(place) else place  # noqa: PTH114 (a Path takes as long to make)
        try:
            made.replace(path)
        except FileNotFoundError:  # the first file of its folder
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            made.replace(path)
    except OSError as error:
        raise not_written(error) from error


def _matches(pattern: str) -> tuple[str, list[Found]]:
    folder, paths = pattern.rpartition("/")[0], [Path(pattern)]
    if not paths[0].is_file():
        folder, paths = fixed(pattern), [Path(path) for path in glob.iglob(pattern, recursive=True)]  # noqa: PTH207 (as a shell: nothing hidden)
    files = [path for path in paths if path.is_file()]
    return folder, [Found(str(path), below(path.as_posix(), folder), path.stat().st_size) for path in files]


def fixed(pattern: str) -> str:
    """Return the folders of a pattern before the first name with a `*` or its like in it."""
    magic = _MAGIC.search(pattern)
    return pattern[: magic.start() if magic else None].rpartition("/")[0]


def below(path: str, folder: str) -> str:
    """Return the part of a path that comes after a folder."""
    return path.removeprefix(folder).lstrip("/")


def beside(name: str, is_there: Callable[[str], bool]) -> Iterator[str]:
    """Return the names of the files that one may consist of besides, up to the first that is not there.

    The name alone says them: no name in a file is ever used.

    Args:
        name: a file's name.
        is_there: whether there is a file of some name in its folder.
    """
    if name.endswith(_SHARDED):
        return takewhile(is_there, (f"{name.removesuffix(_SHARDED)}_{number:05}.weights.h5" for number in count()))
    return filter(is_there, [f"{name.removesuffix('.py')}.safetensors"] * name.endswith(".py"))

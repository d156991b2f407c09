"""Files under URLs: s3, gs, hf, zip, memory and whatever else fsspec reaches."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from lstm_convert.collection.places import Found, below, beside, fixed, unchained
from lstm_convert.errors import InvalidFile, MissingFramework


def matches(pattern: str) -> tuple[str, list[Found]]:
    """Return the folder that the fixed part of a pattern names, and all files that fit it.

    Args:
        pattern: a URL; `zip://**/*.h5::https://…/models.zip` looks into an archive.

    Raises:
        InvalidFile: it cannot be looked at.
        MissingFramework: what reaches such a URL is not installed.
    """
    _, *archives = pattern.split("::")
    with _reached(pattern) as (system, path):
        system.invalidate_cache()  # what it saw when it was last asked is the past
        if system.isfile(path):
            folder, entries = path.rpartition("/")[0], [system.info(path)]
        else:
            folder, entries = fixed(path), system.glob(path, detail=True).values()

        def url(path: str) -> str:
            return "::".join([system.unstrip_protocol(path), *archives])

        return url(folder), [
            Found(url(entry["name"]), below(entry["name"], folder), entry["size"] or 0)
            for entry in entries
            if entry["type"] == "file"
        ]


def fetched(url: str, folder: Path) -> list[Path]:
    """Bring a source here, with the files it consists of besides; return them, itself first.

    Args:
        url: the source.
        folder: where to.

    Raises:
        InvalidFile: it cannot be read.
        MissingFramework: what reaches such a URL is not installed.
    """
    with _reached(url) as (system, path):
        parent, _, name = path.rpartition("/")
        names = [name, *beside(name, lambda other: system.isfile(f"{parent}/{other}"))]
        for each in names:
            system.get_file(f"{parent}/{each}", str(folder / each))
    return [folder / each for each in names]


def exists(url: str) -> bool:
    """Tell whether there is a file.

    Args:
        url: the file.

    Raises:
        InvalidFile: it cannot be looked at.
        MissingFramework: what reaches such a URL is not installed.
    """
    with _reached(url) as (system, path):
        return bool(system.exists(path))


def digest(url: str) -> str | None:
    """Return the SHA-256 of a file, or None where there is none.

    Args:
        url: the file.

    Raises:
        InvalidFile: it cannot be read.
        MissingFramework: what reaches such a URL is not installed.
    """
    with _reached(url) as (system, path), suppress(FileNotFoundError), system.open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
    return None


def put(made: Path, url: str) -> None:
    """Upload a whole file, over what is there.

    Args:
        made: the file.
        url: where to.

    Raises:
        InvalidFile: it cannot be written.
        MissingFramework: what reaches such a URL is not installed.
    """
    with _reached(url) as (system, path):
        before = _noted(system, path)
        try:
            system.put_file(str(made), path)
        except BaseException:
            if _noted(system, path) != before:  # an object store shows none before it is whole; others may
                with suppress(OSError):
                    system.rm_file(path)
            raise


def _noted(system: Any, path: str) -> Mapping[str, Any] | None:
    """Return what a system says of a file, its size and age among it, or None where it has none."""
    try:
        noted: Mapping[str, Any] = system.info(path)
    except OSError:
        return None
    return noted


@lru_cache(maxsize=1)
def _archive(archive: str, _as_it_is: str) -> Any:
    """Return the filesystem of an archive, whose directory is read once for all files that are wanted of it in turn."""
    from fsspec.core import url_to_fs  # noqa: PLC0415 (optional)

    system, _ = url_to_fs(f"zip://{archive}")
    return system


@contextmanager
def _reached(url: str) -> Iterator[tuple[Any, str]]:
    """Yield the filesystem of a URL and the path in it; whatever goes wrong there is said of the URL."""
    try:
        from fsspec.core import url_to_fs  # noqa: PLC0415 (optional)
    except ImportError as error:
        raise MissingFramework("URLs need fsspec", next_step='pip install "lstm_convert[batch]"') from error
    before, archive = unchained(url)
    try:
        if before.startswith("zip://"):
            outside, path = url_to_fs(archive[2:])
            yield _archive(archive, outside.ukey(path)), before.removeprefix("zip://").strip("/")
        else:
            yield url_to_fs(url)
    except ImportError as error:
        raise MissingFramework(f"{url.partition('://')[0]} URLs need another package", [str(error)]) from error
    except Exception as error:  # every filesystem has errors of its own
        raise InvalidFile(
            "cannot be reached",
            [f"{type(error).__name__}: {error}"],
            "Check the URL, and that you may use it.",
        ) from error

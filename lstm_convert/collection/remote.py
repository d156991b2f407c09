"""Files under URLs: s3, gs, hf, zip, memory and whatever else fsspec reaches.

What is public here does for a URL what its namesake in `places` does for any place, whose arguments and errors it has.
"""

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from lstm_convert.collection.places import Found, below, beside, fixed, unchained
from lstm_convert.errors import InvalidFile, MissingFramework
from lstm_convert.packages import needed

url_to_fs = needed("fsspec.core", "A URL").url_to_fs

_AT_ONCE = 1 << 20
_LOGIN = {
    "s3": "`aws configure`, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "gs": "`gcloud auth application-default login`, or GOOGLE_APPLICATION_CREDENTIALS",
    "hf": "`hf auth login`, or HF_TOKEN",
}

logging.getLogger("gcsfs").addHandler(logging.NullHandler())  # which logs what it raises, traceback and all


def matches(pattern: str) -> tuple[str, list[Found]]:
    """Find the files of a pattern; `zip://**/*.h5::https://…/models.zip` looks into an archive."""
    _, *archives = pattern.split("::")
    with _reached(pattern) as (system, path):
        system.invalidate_cache()  # what it saw when it was last asked is the past
        if system.isfile(path):
            folder, entries = path.rpartition("/")[0], [system.info(path)]
        else:
            folder, entries = fixed(path), system.glob(path, detail=True).values()
            if not entries:
                system.info(folder)  # which says so where not even a bucket is there

        def url(path: str) -> str:
            return "::".join([system.unstrip_protocol(path), *archives])

        return url(folder), [
            Found(url(entry["name"]), below(entry["name"], folder), entry["size"] or 0)
            for entry in entries
            if entry["type"] == "file"
        ]


def fetched(url: str, folder: Path) -> list[Path]:
    """Bring a source here, with the files it consists of besides."""
    with _reached(url) as (system, path):
        parent, _, name = path.rpartition("/")
        names = [name, *beside(name, lambda other: _noted(system, f"{parent}/{other}") is not None)]
        for each in names:
            system.get_file(f"{parent}/{each}", str(folder / each))
    return [folder / each for each in names]


def exists(url: str) -> bool:
    """Tell whether there is a file."""
    with _reached(url) as (system, path):
        return _noted(system, path) is not None


def watched(url: str) -> Callable[[], bool]:
    """Return what tells whether a file has changed since."""

    def noted() -> Mapping[str, Any] | None:
        with _reached(url) as (system, path):
            return _noted(system, path)

    before = noted()
    return lambda: noted() != before


def digest(url: str) -> str | None:
    """Return the SHA-256 of a file, or None where there is none."""
    with _reached(url) as (system, path), suppress(FileNotFoundError):
        system.invalidate_cache(path)
        with system.open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    return None


def put(made: Path, url: str) -> None:
    """Upload a whole file, over what is there."""
    with _reached(url, "written") as (system, path):
        before = _noted(system, path)
        try:
            _upload(system, made, path)
        except BaseException:
            with suppress(Exception):  # what went wrong first is told
                if _noted(system, path) != before and _is_half(system, path, made):
                    system.rm_file(path)  # an object store shows none before it is whole; others may
            raise


def _upload(system: Any, made: Path, path: str) -> None:
    if system.protocol == "hf" and not path.startswith("buckets/"):
        from lstm_convert.collection.hub import upload  # noqa: PLC0415 (its client is optional)

        upload(system, made, path)
    else:
        system.put_file(str(made), path)


def _noted(system: Any, path: str) -> Mapping[str, Any] | None:
    """Return what a system says of a file now, its size and age among it, or None where it has none."""
    system.invalidate_cache(path)
    try:
        noted: Mapping[str, Any] = system.info(path)
    except FileNotFoundError:
        return None
    return noted


def _is_half(system: Any, path: str, made: Path) -> bool:
    """Return whether what is there is the beginning of a file, and not the whole of it."""
    with system.open(path, "rb") as there, made.open("rb") as whole:
        for block in iter(partial(there.read, _AT_ONCE), b""):
            if whole.read(len(block)) != block:
                return False
        return bool(whole.read(1))


@lru_cache(maxsize=1)
def _archive(archive: str, _as_it_is: str) -> Any:
    """Return the filesystem of an archive, whose directory is read once for all files that are wanted of it in turn."""
    system, _ = url_to_fs(f"zip://{archive}")
    return system


@contextmanager
def _reached(url: str, done: str = "reached") -> Iterator[tuple[Any, str]]:
    """Yield the filesystem of a URL and the path in it; whatever goes wrong there is said of the URL."""
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
        raise InvalidFile(f"cannot be {done}", _said(error), _next_step(url)) from error


def _said(error: BaseException) -> list[str]:
    """Return what an error says in lines; a RuntimeError says that something failed, and its cause says why."""
    first, *more = str(error).strip().splitlines() or [""]
    why = _said(error.__cause__) if isinstance(error, RuntimeError) and error.__cause__ else []
    return [f"{type(error).__name__}: {first}", *filter(None, more), *why]


def _next_step(url: str) -> str:
    login = [f" ({how})" for protocol, how in _LOGIN.items() if f"{protocol}://" in url]
    return f"Check the URL, and that you may use it{''.join(login)}, and run the command again."

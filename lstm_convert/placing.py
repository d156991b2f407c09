"""Put files in their places: whole, or not at all, and never over another unless that is asked for."""

import os
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from lstm_convert.errors import InvalidFile

_ASKING = threading.Lock()  # the mask is known only by setting it, which two threads at once would do for good


def written(path: Path, beside: str) -> list[Path]:
    """Return the files that writing to a path makes: the one beside it first, the path itself last.

    Args:
        path: the file.
        beside: the ending of the second one, or nothing.
    """
    return [path.with_suffix(beside), path] if beside else [path]


def check_free(path: Path, *, force: bool) -> None:
    """Raise where a file cannot be written.

    Args:
        path: the file.
        force: whether an existing one is replaced.

    Raises:
        InvalidFile: it is a folder, exists already, or lies in no folder.
    """
    try:
        is_folder, exists, has_folder = path.is_dir(), path.exists(), path.parent.is_dir()
    except OSError as error:
        raise InvalidFile(f"cannot be written: {error.strerror}", next_step="Use another name.") from error
    if is_folder:
        raise InvalidFile("is a folder", next_step="Name a file.")
    if exists and not force:
        raise InvalidFile("exists already", next_step="Use another name, or --force to replace it.")
    if not has_folder:
        raise InvalidFile(f"lies in a folder that does not exist: {path.parent}", next_step="Make the folder first.")


def not_yet_beside(path: Path, texts: Mapping[str, str], *, force: bool) -> dict[Path, str]:
    """Return the texts that are to lie beside a file and do not lie there yet.

    Args:
        path: the file.
        texts: the texts by their files' names.
        force: whether another file of such a name is replaced.

    Raises:
        InvalidFile: another file lies there under such a name.
    """
    missing = {path.with_name(name): text for name, text in texts.items() if not _says(path.with_name(name), text)}
    for other in missing:
        if other.exists() and not (force and other.is_file()):
            raise InvalidFile(
                f"needs {other.name} beside it, and another file has that name already",
                next_step="Use another folder, or --force to replace it.",
            )
    return missing


@contextmanager
def replacing(path: Path, extension: str, beside: str = "") -> Iterator[Path]:
    """Yield a temporary file beside a path, and put it in the path's place if all goes well; a link stays a link.

    Args:
        path: where the file is to be.
        extension: how the temporary file's name ends.
        beside: the ending of a second file of the same name, which is put in its place first.

    Raises:
        InvalidFile: it cannot be written.
    """
    try:
        path = path.resolve()
        handle, name = tempfile.mkstemp(extension, ".lstm-convert-", path.parent)
    except OSError as error:
        raise InvalidFile(
            f"cannot be written: {error.strerror}", next_step="Choose a folder you may write to."
        ) from error
    temporary = Path(name)
    try:
        os.close(handle)
        yield temporary
        for made, final in zip(written(temporary, beside), written(path, beside), strict=True):
            with made.open("rb+") as file:
                os.fsync(file.fileno())
            made.chmod(0o666 & ~umask())
            made.replace(final)
    except OSError as error:
        raise InvalidFile(
            f"cannot be written: {error.strerror or error}", next_step="Free some space, or choose another folder."
        ) from error
    finally:
        for made in written(temporary, beside):
            with suppress(FileNotFoundError):
                made.unlink()


def _says(path: Path, text: str) -> bool:
    """Return whether a file holds just a text."""
    try:
        return path.read_bytes() == text.encode()
    except OSError:
        return False


def umask() -> int:
    """Return what a new file of this process may not be opened for."""
    with _ASKING:
        mask = os.umask(0)
        os.umask(mask)
    return mask

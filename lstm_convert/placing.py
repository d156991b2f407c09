"""Put files in their places: all of them whole, or none, and never over another unless that is asked for.

They are made in a hidden folder beside their places, `.lstm-convert-…`, which goes when they are there or could not be
made. A process that is killed leaves it behind; nothing reads it, and it may be deleted.
"""

import os
import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

from lstm_convert.beside import beside
from lstm_convert.errors import InvalidFile, not_written

PROOF, MOVES = ".proof.npz", ".moves.npz"

_LARGE = 1 << 24

_ASKING = threading.Lock()  # the mask is known only by setting it, which two threads at once would do for good


def place_of(path: Path) -> Path:
    """Return the file that a path leads to; all that belongs beside it lies there too.

    Args:
        path: the file, there or not, or a link to it.

    Raises:
        InvalidFile: it is a link that leads back to itself.
    """
    if not os.path.islink(path):  # noqa: PTH114 (Path's raises on long names)
        return path
    place = Path(os.path.realpath(path))
    if os.path.islink(place):  # noqa: PTH114 (as above)
        raise InvalidFile("is a link that leads back to itself", next_step="Name a file.")
    return place


def said_of(path: Path) -> list[Path]:
    """Return the files that say something of a file, and nothing of another one in its place: its proof, its moves."""
    return [path.with_name(path.name + ending) for ending in (PROOF, MOVES)]


def check_free(path: Path, *, force: bool) -> None:
    """Raise where a file cannot be written.

    Args:
        path: the file.
        force: whether an existing one is replaced.

    Raises:
        InvalidFile: it is a folder, exists already, or lies in no folder.
    """
    try:
        exists = path.exists()
        is_folder, has_folder = exists and path.is_dir(), exists or path.parent.is_dir()
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
def replacing(paths: Sequence[Path], *, force: bool, obsolete: Sequence[Path] = ()) -> Iterator[Path]:
    """Yield a folder to make files in, and put them in their places if all goes well.

    Args:
        paths: the files, of one folder, in the order in which they are put there: what belongs to another one first.
        force: whether existing ones are replaced.
        obsolete: files of the same folder that are gone before the first one is put there.

    Raises:
        InvalidFile: one cannot be written, or was written by somebody else meanwhile.
    """
    folder = paths[0].parent
    try:
        made = Path(tempfile.mkdtemp("", ".lstm-convert-", folder))
    except OSError as error:
        raise not_written(error) from error
    try:
        yield made
        for path in paths:
            _settle(made / path.name)
        with alone_in(folder):
            there = [path for path in (*paths, *obsolete) if path.exists()]
            if there and not force:
                raise InvalidFile(
                    f"{' and '.join(path.name for path in there)} exists already, written meanwhile",
                    next_step="Use another name, or --force to replace it.",
                )
            _place(made, paths, [path for path in obsolete if path in there], _kept(made, there))
    except OSError as error:
        raise not_written(error) from error
    finally:
        try:
            made.rmdir()  # all are in their places
        except OSError:
            shutil.rmtree(made, ignore_errors=True)


def _settle(path: Path) -> None:
    """Wait until a file of the hidden folder is on the disk, and open it for whom new files are open for."""
    _sync(path)
    path.chmod(0o666 & ~umask())


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def on_their_way(paths: Sequence[Path]) -> Iterator[None]:
    """Let files that are written go to the disk meanwhile, those that take long.

    Args:
        paths: the files.
    """
    with ExitStack() as stack:
        for path in paths:
            if path.stat().st_size >= _LARGE:
                stack.callback(beside(partial(_sync, path)))
        yield


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Let no other process of this package put files into a folder meanwhile, where the system can see to that.

    Windows and some network folders cannot: there two processes may both write one target at the same moment.

    Args:
        folder: the folder.
    """
    with ExitStack() as stack:
        with suppress(OSError, ImportError):
            import fcntl  # noqa: PLC0415 (Windows has none)

            handle = os.open(folder, os.O_RDONLY)
            stack.callback(os.close, handle)
            fcntl.flock(handle, fcntl.LOCK_EX)  # until it is closed, be it by the end of the process
        yield


def _place(made: Path, paths: Sequence[Path], obsolete: Sequence[Path], kept: Mapping[Path, Path]) -> None:
    """Put files in their places; where one cannot be, leave all as it was, of which a copy is kept."""
    placed: list[Path] = []
    try:
        for path in obsolete:
            path.unlink(missing_ok=True)
        for path in paths:
            placed.append(path)
            (made / path.name).replace(path)
    except BaseException:
        for path in placed:
            if path not in kept:
                with suppress(OSError):  # it did not come that far
                    path.unlink()
        for path, old in kept.items():
            old.replace(path)
        raise


def _kept(made: Path, paths: Sequence[Path]) -> dict[Path, Path]:
    """Return where files that are about to be replaced are kept until all are, by their paths."""
    folder = made / "old"
    kept = {path: folder / path.name for path in paths}
    if kept:
        folder.mkdir()
    for path, old in kept.items():
        try:
            os.link(path, old)
        except OSError:  # not every filesystem can
            shutil.copy2(path, old)
    return kept


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

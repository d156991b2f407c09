"""The folder: every file of an analysis, made beside it first and put in its place once all of them are there."""

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from lstm_convert.analysis.engine import Analysis
from lstm_convert.canonical import Recurrent
from lstm_convert.errors import InvalidFile, not_written
from lstm_convert.packages import needed
from lstm_convert.placing import alone_in, umask
from lstm_convert.plots import drawing
from lstm_convert.plots.gallery import pictures
from lstm_convert.report import tables
from lstm_convert.report.page import page

PAGE = "report.html"


def require() -> None:
    """Raise where what the files need is not installed.

    Raises:
        MissingFramework: pyarrow or matplotlib is missing.
    """
    needed("pyarrow", "Parquet")
    needed("matplotlib", "drawing")


def check_free(folder: Path, *, force: bool) -> None:
    """Raise where the folder cannot be written.

    Args:
        folder: the folder.
        force: whether files in it are replaced.

    Raises:
        InvalidFile: it is a file, holds files already, or lies in no folder.
    """
    try:
        if folder.exists() and not folder.is_dir():
            raise InvalidFile("is a file", next_step="Name a folder.")
        if not folder.absolute().parent.is_dir():
            raise InvalidFile(f"lies in a folder that does not exist: {folder.parent}", next_step="Make it first.")
        holds_files = folder.is_dir() and any(folder.iterdir())
    except OSError as error:
        raise InvalidFile(f"cannot be written: {error.strerror}", next_step="Use another name.") from error
    if holds_files and not force:
        raise InvalidFile(
            "is a folder that is not empty",
            next_step="Use another name, or --force to replace files of the same names.",
        )


def files(
    title: str, found: Analysis, layers: tuple[Recurrent, ...], provenance: Mapping[str, Any]
) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the bytes of every file, the page last.

    Args:
        title: what was analyzed.
        found: the analysis.
        layers: the layers that were analyzed.
        provenance: what the page says of where it is from, by name.
    """
    for name, table in found.tables.items():
        yield f"{name}.parquet", tables.parquet(table, provenance)
        yield f"{name}.csv", tables.comma_separated(table)
    yield "trace.npz", _traces(found)
    shown = []
    for picture in pictures(found, layers):
        made = drawing.drawn(picture)
        yield f"{picture.name}.png", made.png
        yield f"{picture.name}.svg", made.svg
        shown.append((picture, made.untitled))
    yield PAGE, page(title, found, shown, provenance).encode()


@contextmanager
def replacing(folder: Path, *, force: bool) -> Iterator[Path]:
    """Yield a temporary folder beside a folder, and put its files in the folder's place if all goes well.

    A folder that is there and empty is replaced as a whole. Into one that is not each file is moved; its page is gone
    before the first and there again after the last, so that no page lies among files of two analyses.

    Args:
        folder: where the files are to be.
        force: whether files in it are replaced.

    Raises:
        InvalidFile: it cannot be written.
    """
    check_free(folder, force=force)
    folder = folder.resolve()
    try:
        temporary = Path(tempfile.mkdtemp("", ".lstm-convert-", folder.parent))
    except OSError as error:
        raise not_written(error) from error
    try:
        yield temporary
        with alone_in(folder.parent):
            check_free(folder, force=force)  # another process may have been faster
            if folder.is_dir() and any(folder.iterdir()):
                _move(temporary, folder)
            else:
                temporary.chmod(0o777 & ~umask())
                temporary.replace(folder)
    except OSError as error:
        raise not_written(error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _move(made: Path, folder: Path) -> None:
    """Move files into a folder, the page last."""
    names = sorted((path.name for path in made.iterdir()), key=lambda name: name == PAGE)
    if folders := [name for name in names if (folder / name).is_dir()]:
        raise InvalidFile(
            f"has folders in it where files are to be: {', '.join(folders)}", next_step="Use another name."
        )
    (folder / PAGE).unlink(missing_ok=True)
    for name in names:
        (made / name).replace(folder / name)


def _traces(found: Analysis) -> bytes:
    """Return the traces: `<layer>.<variable>`, and the names of its axes as `<layer>.<variable>.dims`."""
    arrays: dict[str, Any] = {}
    for layer, dataset in found.traces.items():
        for name, variable in dataset["data_vars"].items():
            arrays[f"{layer}.{name}"] = variable["data"]
            arrays[f"{layer}.{name}.dims"] = np.array(variable["dims"])
        arrays[f"{layer}.direction"] = dataset["coords"]["direction"]["data"]
    file = BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()

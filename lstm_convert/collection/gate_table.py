"""The statistics of the gates of a whole collection: one table, which grows file by file."""

import csv
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Any

from lstm_convert.analysis.tables import COLUMNS
from lstm_convert.collection import places
from lstm_convert.collection.work import Outcome
from lstm_convert.errors import InvalidFile, UnknownFormat, naming
from lstm_convert.packages import needed
from lstm_convert.report import tables
from lstm_convert.sources import told

Add = Callable[[Mapping[str, list[Any]]], None]

_COLUMNS = COLUMNS["collection"]
_ROWS = 50_000  # of a group in a Parquet file, and in memory


def check(place: str, *, force: bool) -> None:
    """Raise where the table cannot be written; one that an earlier run wrote is replaced.

    Args:
        place: where to: `.parquet` or `.csv`.
        force: whether any other file is replaced.

    Raises:
        UnknownFormat: it has another ending.
        InvalidFile: another file is there.
        MissingFramework: pyarrow is needed and not installed.
    """
    with naming(place):
        if PurePath(place).suffix not in (".parquet", ".csv"):
            raise UnknownFormat("is neither .parquet nor .csv", next_step="Choose one of these endings.")
        if place.endswith(".parquet"):
            needed("pyarrow", "Parquet")
        if not force and places.exists(place) and _columns_of(place) != _COLUMNS:
            raise InvalidFile("exists already", next_step="Use another name, or --force to replace it.")


@contextmanager
def opened(place: str) -> Iterator[Callable[[Outcome], None]]:
    """Yield what adds the gates of a file; the table is put into its place when all of them are in it.

    Args:
        place: where to: `.parquet` or `.csv`.
    """
    with places.workshop(place) as folder:
        made = folder / PurePath(place).name
        with (_csv if made.suffix == ".csv" else _parquet)(made) as add:

            def add_file(outcome: Outcome) -> None:
                if outcome.gates:
                    names = [told(outcome.source)] * len(outcome.gates["model"])
                    add({"file": names, **outcome.gates})

            yield add_file
        with naming(place):
            places.put(made, place)


@contextmanager
def _csv(path: Path) -> Iterator[Add]:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_COLUMNS)
        yield lambda columns: writer.writerows(zip(*columns.values(), strict=True))


@contextmanager
def _parquet(path: Path) -> Iterator[Add]:
    import pyarrow as pa  # noqa: PLC0415 (optional; `check` asked for it)
    import pyarrow.parquet as pq  # noqa: PLC0415 (the same)

    types = tables.schema(_COLUMNS)
    held: dict[str, list[Any]] = {name: [] for name in _COLUMNS}
    with pq.ParquetWriter(path, types) as writer:

        def write() -> None:
            writer.write_table(pa.table(held, schema=types))
            for values in held.values():
                values.clear()

        def add(columns: Mapping[str, list[Any]]) -> None:
            for name, values in columns.items():
                held[name] += values
            if len(held["file"]) >= _ROWS:
                write()

        yield add
        write()


def _columns_of(place: str) -> tuple[str, ...]:
    """Return the columns of a table that is there, or none where it is something else."""
    with tempfile.TemporaryDirectory() as folder:
        path, *_ = places.fetched(place, Path(folder))
        try:
            if path.suffix == ".csv":
                with path.open(encoding="utf-8", newline="") as file:
                    return tuple(next(csv.reader(file), ()))
            import pyarrow.parquet as pq  # noqa: PLC0415 (optional)

            return tuple(pq.read_schema(path).names)
        except (OSError, ValueError, csv.Error):  # pyarrow's ArrowInvalid is a ValueError
            return ()

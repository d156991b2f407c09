"""Tables as Parquet and CSV, and as pyarrow's own."""

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from lstm_convert.analysis.tables import Table
from lstm_convert.packages import needed

if TYPE_CHECKING:
    import pyarrow as pa

# The columns that hold no float64; a column has its type even where all of it is empty.
_WHOLE = frozenset({
    "units", "inputs", "outputs", "parameters", "nan", "inf", "unit", "rows", "cols", "n", "lag", "offset", "write_lag",
    "steps", "unit_a", "unit_b", "sign",
})  # fmt: skip
_TRUTH = frozenset({"flagged", "certified"})
_NUMBER = frozenset({
    "value", "mean", "std", "min", "max", "fro", "spectral", "stable_rank", "zero_frac", "norm", "sd", "strength",
    "tau_life", "tau_e", "half_life", "tau_life_data_geo", "sd_h", "out_norm", "ci_low", "ci_high",
    "total_variation", "rho", "settle_residual", "spectral_radius", "spectral_radius_h", "score", "margin",
})  # fmt: skip
_BY_GATE = ("b_", "open_", "w_norm_", "u_norm_", "low_", "high_", "mean_", "sat_")


def schema(columns: Iterable[str], metadata: Mapping[str, Any] | None = None) -> "pa.Schema":
    """Return the types of a table's columns as pyarrow has them.

    Args:
        columns: the columns' names.
        metadata: what is said of the analysis, kept as text.

    Raises:
        MissingFramework: pyarrow is not installed.
    """
    pa = needed("pyarrow", "Parquet")
    types = {"whole": pa.int64(), "truth": pa.bool_(), "number": pa.float64(), "text": pa.string()}
    said = {name: value if isinstance(value, str) else json.dumps(value) for name, value in (metadata or {}).items()}
    return pa.schema([(name, types[_type(name)]) for name in columns], metadata=said)


def arrow(table: Table, metadata: Mapping[str, Any] | None = None) -> "pa.Table":
    """Return a table as pyarrow's; `.to_pandas()` makes it pandas's.

    Args:
        table: the table.
        metadata: what is said of the analysis, kept as text in the schema.

    Raises:
        MissingFramework: pyarrow is not installed.
    """
    types = schema(table.columns, metadata)
    import pyarrow as pa  # noqa: PLC0415 (optional)

    return pa.table(dict(table.columns), schema=types)


def parquet(table: Table, metadata: Mapping[str, Any]) -> bytes:
    """Return a table as a Parquet file.

    Args:
        table: the table.
        metadata: what is said of the analysis.

    Raises:
        MissingFramework: pyarrow is not installed.
    """
    rows = arrow(table, metadata)
    import pyarrow.parquet as pq  # noqa: PLC0415 (optional)

    file = io.BytesIO()
    pq.write_table(rows, file)
    return file.getvalue()


def comma_separated(table: Table) -> bytes:
    """Return a table as a CSV file: a header, every digit of every number, nothing where there is nothing.

    Args:
        table: the table.
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows(zip(*table.columns.values(), strict=True))
    return file.getvalue().encode()


def plain(value: Any) -> Any:
    """Return a value as JSON holds it: what is infinite or no number is None.

    Args:
        value: a value of a table's row, a row, or a list of rows.
    """
    if isinstance(value, Mapping):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _type(column: str) -> str:
    if column in _WHOLE:
        return "whole"
    if column in _TRUTH:
        return "truth"
    return "number" if column in _NUMBER or column.startswith(_BY_GATE) else "text"

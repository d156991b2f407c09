"""The tables that an analysis returns: long, one fact a row, columns as plain lists that any table library takes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

PROVEN, AT_REST, MEASURED = "proven", "at_rest", "measured"

_PLACE = ("model", "layer", "direction")
_GATES = (
    *_PLACE, "gate", "kind", "rows", "cols", "mean", "std", "min", "max", "fro", "spectral", "stable_rank", "zero_frac",
    "basis",
)  # fmt: skip

# The columns of every table; a row that has nothing to say in one of them has None there.
COLUMNS: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "inventory": (
        *_PLACE, "kind", "units", "inputs", "outputs", "parameters", "dtype", "gate_activation", "candidate_activation",
        "output_activation", "biases", "variants", "nan", "inf", "basis",
    ),
    "weights": (*_PLACE, "gate", "kind", "unit", "source", "value", "basis"),
    "gates": _GATES,
    "collection": ("file", *_GATES),  # the gates of many files
    "features": (*_PLACE, "gate", "feature", "norm", "sd", "strength", "basis"),
    # One row a unit and basis: what the biases say, what an input box proves, what the data showed.
    "units": (
        *_PLACE, "unit", "b_i", "b_f", "b_o", "open_i", "open_f", "open_o",
        "w_norm_i", "w_norm_f", "w_norm_g", "w_norm_o", "u_norm_i", "u_norm_f", "u_norm_g", "u_norm_o",
        "tau_life", "tau_e", "half_life", "tau_life_data_geo",
        "low_i", "high_i", "low_f", "high_f", "low_o", "high_o",
        "mean_i", "mean_f", "mean_o", "sat_left_i", "sat_left_f", "sat_left_o", "sat_right_i", "sat_right_f",
        "sat_right_o", "sd_h", "out_norm", "flags", "n", "basis",
    ),
    "lags": (
        "model", "output", "layer", "lag", "offset", "feature", "method", "basis", "stat", "value", "ci_low", "ci_high",
        "n", "baseline", "operating_point",
    ),
    "disagreement": ("model", "output", "method_a", "method_b", "total_variation", "flagged", "basis"),
    "decomposition": (*_PLACE, "unit", "write_lag", "stat", "value", "n", "label", "basis"),
    "certificate": ("model", "layer", "rho", "certified", "text", "basis"),
    "rest": ("model", "layer", "settle_residual", "steps", "spectral_radius", "operating_point", "basis"),
    "matches": ("model_a", "model_b", "layer", "direction", "unit_a", "unit_b", "sign", "score", "margin", "basis"),
    "distances": ("model_a", "model_b", "layer", "direction", "measure", "value", "n", "basis"),
})  # fmt: skip


@dataclass(frozen=True, eq=False)
class Table:
    """A table: its name and its columns, all of one length, in the order of `COLUMNS`.

    Args:
        name: a key of `COLUMNS`.
        columns: the values of each column.
    """

    name: str
    columns: Mapping[str, list[Any]]

    @classmethod
    def of(cls, name: str, rows: Iterable[Mapping[str, Any]]) -> "Table":
        """Return a table from its rows; what a row leaves out is None.

        Args:
            name: a key of `COLUMNS`.
            rows: mappings from columns to values; one with a column that the table has not is a KeyError.
        """
        columns: dict[str, list[Any]] = {column: [] for column in COLUMNS[name]}
        for row in rows:
            if unknown := row.keys() - columns.keys():
                raise KeyError(f"{name} has no column {', '.join(sorted(unknown))}")
            for column, values in columns.items():
                values.append(row.get(column))
        return cls(name, columns)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __getitem__(self, column: str) -> list[Any]:
        return self.columns[column]

    def rows(self, **wanted: Any) -> list[dict[str, Any]]:
        """Return the rows, as mappings, that have these values.

        Args:
            **wanted: values by column.
        """
        rows = (dict(zip(self.columns, values, strict=True)) for values in zip(*self.columns.values(), strict=True))
        return [row for row in rows if all(row[column] == value for column, value in wanted.items())]

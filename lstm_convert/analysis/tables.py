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


def _each(name: str, gates: str = "ifozr") -> tuple[str, ...]:
    """Return a column for each gate: those of an LSTM, then those of a GRU."""
    return tuple(f"{name}_{gate}" for gate in gates)


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
    # One row a unit and basis: what the biases say, what an input box proves, what the data showed. Time constants
    # are of the gate that keeps the state: f of an LSTM, z of a GRU.
    "units": (
        *_PLACE, "unit", *_each("b"), *_each("open"), *_each("w_norm", "ifgozr"), *_each("u_norm", "ifgozr"),
        "tau_life", "tau_e", "half_life", "tau_life_data_geo",
        *(column for gate in "ifozr" for column in (f"low_{gate}", f"high_{gate}")),
        *_each("mean"), *_each("sat_left"), *_each("sat_right"), "sd_h", "out_norm", "flags", "n", "basis",
    ),
    "lags": (
        "model", "output", "layer", "lag", "offset", "feature", "method", "basis", "stat", "value", "ci_low", "ci_high",
        "n", "baseline", "operating_point",
    ),
    "disagreement": ("model", "output", "method_a", "method_b", "total_variation", "flagged", "basis"),
    "decomposition": (*_PLACE, "unit", "write_lag", "stat", "value", "n", "label", "basis"),
    "certificate": ("model", "layer", "rho", "certified", "text", "basis"),
    "rest": (
        "model", "layer", "settle_residual", "steps", "spectral_radius", "spectral_radius_h", "operating_point",
        "basis",
    ),
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

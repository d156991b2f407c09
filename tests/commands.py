"""What the tests of the commands that read an LSTM share: the arguments' files, and the answers' tables."""

from typing import Any

import numpy as np
import pyarrow.parquet as pq
from helpers import FIXTURES
from numpy.typing import NDArray

Float64 = NDArray[np.float64]

WEATHER = FIXTURES / "keras-1.2.2/weather.h5"
GRU = FIXTURES / "keras-1.2.2/gru.h5"
TABLES = [
    "inventory", "gates", "features", "units", "lags", "disagreement", "decomposition", "rest", "certificate",
]  # fmt: skip
PICTURES = ["lag_curve", "lag_methods", "lag_features", "rest_response", "gates", "gate_maps", "saturation", "units"]


def weather_data(sequences: int = 60) -> Float64:
    """Walks that change slowly, as weather does."""
    steps = np.random.default_rng(0).normal(size=(sequences, 5, 4))
    return np.asarray(steps.cumsum(axis=1) * 0.5)


def saved(name: str, array: NDArray[Any]) -> str:
    np.save(name, array)
    return name


def rows(table: str, **wanted: Any) -> list[dict[str, Any]]:
    """Return rows of a table in the folder `out`."""
    found = pq.read_table(f"out/{table}.parquet").to_pylist()
    return [row for row in found if all(row[column] == value for column, value in wanted.items())]

"""Makes docs/weather.npy: what fixtures/keras-1.2.2/weather.h5 reads in the last 30 days, which it has not seen.

    python docs/weather.py

The weather is that of a place that does not exist: fixtures/keras-1.2.2/make.py trained the model on it and has the
same formulas, but needs the Keras of 2017. Needs NumPy alone.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

HOURS = 2 * 365 * 24
HELD_OUT = 30 * 24
STEPS = 5
FEATURES = ("temperature", "pressure", "humidity", "wind")


def series() -> NDArray[Any]:
    """Return temperature, pressure, humidity and wind, hour by hour, of mean 0 and spread 1: (hours, 4)."""
    rng = np.random.RandomState(1)  # the one the model was trained with
    noise = np.zeros((HOURS, 4))
    for hour in range(1, HOURS):
        noise[hour] = (0.95, 0.98, 0.9, 0.8) * noise[hour - 1] + (0.3, 0.2, 2.0, 0.6) * rng.standard_normal(4)
    day, year = (2 * np.pi * np.arange(HOURS) / period for period in (24, 24 * 365))
    temperature = 10 - 9 * np.cos(year) - 5 * np.cos(day - 0.8) + noise[:, 0]
    pressure = 1013 + 3 * np.cos(year) + 0.8 * np.sin(2 * day) + 4 * noise[:, 1]
    humidity = 70 + 10 * np.cos(year) + 12 * np.cos(day - 0.8) + noise[:, 2]
    wind = 4 + np.cos(year) - 1.5 * np.cos(day - 1.2) + noise[:, 3]
    found = np.stack([temperature, pressure, humidity, wind], axis=1)
    return ((found - found.mean(axis=0)) / found.std(axis=0)).astype(np.float32)


def windows() -> NDArray[Any]:
    """Return every five hours on end of the last 30 days: (720, 5, 4), of which the model forecasts the next."""
    hours = series()
    return np.stack([hours[start : start + STEPS] for start in range(HOURS - STEPS)])[-HELD_OUT:]


if __name__ == "__main__":
    np.save(Path(__file__).with_suffix(".npy"), windows())

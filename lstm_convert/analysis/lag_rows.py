"""Rows of the table `lags`, from what each method found."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_convert.analysis.bands import Band
from lstm_convert.analysis.certificate import Certificate
from lstm_convert.analysis.effects import Effects
from lstm_convert.analysis.replay import NAMED_OUTPUTS
from lstm_convert.analysis.rest import RestResponse
from lstm_convert.analysis.swap import SwapCurve
from lstm_convert.analysis.tables import AT_REST, MEASURED, PROVEN

Float64 = NDArray[np.float64]
Row = dict[str, Any]

DATA = "your data"
IN_SD = "inputs in standard deviations"


@dataclass(frozen=True)
class Place:
    """What every row of an analysis has in common.

    Args:
        model: the model's name.
        layer: the layer whose output is read.
        read_time: the step of the data that the output stands for.
    """

    model: str
    layer: str
    read_time: int

    def row(self, step: int, method: str, stat: str, basis: str, **others: Any) -> Row:
        """Return a row about one step of the data.

        Args:
            step: the step.
            method: how it was found.
            stat: what is stated.
            basis: the grade.
            **others: the other columns.
        """
        offset = int(step - self.read_time)
        fixed = {"model": self.model, "layer": self.layer, "lag": -offset, "offset": offset}
        return fixed | {"method": method, "stat": stat, "basis": basis, "operating_point": DATA} | others


def number(value: Any) -> float | None:
    """Return a number as a table holds it: None where there is none."""
    return float(value) if np.isfinite(value) else None


def banded(band: Band, row: int, column: int) -> Row:
    """Return the columns of a value and its band.

    Args:
        band: the values.
        row: the row of each.
        column: the output.
    """
    value, low, high = (number(part[row, column]) for part in band)
    return {"value": value, "ci_low": low, "ci_high": high}


def swap_rows(place: Place, curve: SwapCurve) -> Iterator[Row]:
    """Return the history-swap curve's rows: at lag k, what k steps back and beyond share in the variance."""
    for lag in range(len(curve.band.value)):
        for column, output in enumerate(curve.outputs):
            yield place.row(
                place.read_time - lag, "history_swap", "share_at_or_beyond", MEASURED, output=output, feature="*",
                n=curve.sequences, baseline="another sequence's history", **banded(curve.band, lag, column),
            )  # fmt: skip


def effect_rows(place: Place, found: Effects, method: str, stat: str, baseline: str) -> Iterator[Row]:
    """Return the rows of what single steps matter.

    Args:
        place: what all rows share.
        found: the effects.
        method: the method's name.
        stat: what its number is.
        baseline: what a step was replaced by, in words.
    """
    for row in range(found.steps * len(found.features)):
        step, which = divmod(row, len(found.features))
        feature = found.features[which]
        for column, output in enumerate(found.outputs):
            yield place.row(
                step, method, stat, MEASURED, output=output, feature="*" if feature is None else str(feature),
                n=found.sequences, baseline=baseline, **banded(found.band, row, column),
            )  # fmt: skip


def jacobian_rows(place: Place, values: Float64, sd: Float64) -> Iterator[Row]:
    """Return the rows of a lag Jacobian: of each feature in its own unit, and of all together in standard deviations.

    Args:
        place: what all rows share.
        values: (batch, outputs, time, inputs).
        sd: the spread of each feature, (inputs,).
    """
    few = values.shape[1] <= NAMED_OUTPUTS
    named = [(str(output), values[:, [output]]) for output in range(values.shape[1]) if few]
    named += [("*", values)] if values.shape[1] > 1 else []
    for output, part in named:
        sizes = np.sqrt((part**2).sum(axis=1))
        together = np.sqrt(((part * sd) ** 2).sum(axis=(1, 3)))
        for step in range(values.shape[2]):
            common = {"output": output, "n": len(values)}
            if part.shape[1] == 1:
                for feature, mean in enumerate(part[:, 0, step].mean(axis=0)):
                    yield place.row(
                        step, "jacobian", "mean", MEASURED, feature=str(feature), value=number(mean), **common
                    )
            for feature in range(values.shape[3]):
                yield from _sizes(place, step, sizes[:, step, feature], common | {"feature": str(feature)})
            yield from _sizes(place, step, together[:, step], common | {"feature": "*", "baseline": IN_SD})


def _sizes(place: Place, step: int, sizes: Float64, columns: Row) -> Iterator[Row]:
    low, middle, high = np.percentile(sizes, [5, 50, 95])
    found = {
        "rms": np.sqrt((sizes**2).mean()),
        "p5_abs": low,
        "median_abs": middle,
        "p95_abs": high,
        "max_abs": sizes.max(),
    }
    for stat, value in found.items():
        yield place.row(step, "jacobian", stat, MEASURED, value=number(value), **columns)


def cell_path_rows(place: Place, whole: Float64, inside: Float64, sd: Float64) -> Iterator[Row]:
    """Return of each step the part of its Jacobian that travelled inside c alone; with the rest it adds up to 1.

    Args:
        place: what all rows share.
        whole: the lag Jacobian, (batch, outputs, time, inputs).
        inside: that of the cell path.
        sd: the spread of each feature, (inputs,).
    """
    products, squares = ((each * whole * sd**2).sum(axis=(0, 1, 3)) for each in (inside, whole))
    for step, (product, square) in enumerate(zip(products, squares, strict=True)):
        value = number(product / square) if square > 0 else None
        yield place.row(
            step, "cell_path", "share", MEASURED, output="*", feature="*", value=value, n=len(whole), baseline=IN_SD
        )


def rest_rows(place: Place, found: RestResponse) -> Iterator[Row]:
    """Return the rows of a response at rest."""
    point = at_rest(found.operating_point)
    for output, lag, feature in np.ndindex(found.values.shape):
        yield place.row(
            place.read_time + int(found.offsets[lag]), "rest_response", "derivative", AT_REST, output=str(output),
            feature=str(feature), value=number(found.values[output, lag, feature]), operating_point=point,
        )  # fmt: skip


def at_rest(point: Float64) -> str:
    """Return an operating point in words."""
    shown = ", ".join(f"{value:.4g}" for value in point[:4])
    return f"AT REST x = ({shown}{', …' if len(point) > 4 else ''})"  # noqa: PLR2004 (more make no sentence)


def certificate_rows(place: Place, found: Certificate, box: str) -> Iterator[Row]:
    """Return the rows of a certificate, none where it certifies nothing.

    Args:
        place: what all rows share.
        found: the bounds.
        box: the box of inputs, in words.
    """
    if not found.certified:
        return
    for lag, output, feature in np.ndindex(found.bounds.shape):
        yield place.row(
            place.read_time - lag, "certificate", "upper_bound_abs", PROVEN, output=str(output), feature=str(feature),
            value=number(found.bounds[lag, output, feature]), operating_point=box,
        )  # fmt: skip


def decomposition_rows(columns: Row, shares: Float64, sequences: int, label: str, most: int) -> Iterator[Row]:
    """Return of each step what it wrote of the last c: of each unit where that is not too many rows, and their mean.

    Args:
        columns: model, layer and direction.
        shares: (time, units).
        sequences: on how many it was measured.
        label: what must be said of it.
        most: the most rows of single units.
    """
    units: Sequence[int] = range(shares.shape[1]) if shares.size <= most else ()
    fixed = columns | {"stat": "mean_abs_share", "n": sequences, "label": label, "basis": MEASURED}
    for step, row in enumerate(shares):
        lag = len(shares) - 1 - step
        yield fixed | {"unit": None, "write_lag": lag, "value": float(row.mean())}
        yield from (fixed | {"unit": unit, "write_lag": lag, "value": float(row[unit])} for unit in units)

"""All pictures of an analysis, in the order in which a reader wants them."""

from lstm_convert.analysis.engine import Analysis
from lstm_convert.canonical import Recurrent
from lstm_convert.plots.cells import cell_pictures
from lstm_convert.plots.lags import lag_pictures
from lstm_convert.plots.picture import Picture


def pictures(found: Analysis, layers: tuple[Recurrent, ...]) -> tuple[Picture, ...]:
    """Return the pictures: what the lags matter first, then each cell.

    Args:
        found: the analysis.
        layers: the layers that were analyzed.
    """
    return (*lag_pictures(found), *cell_pictures(found, layers))

"""The source code of a model: of its network, where it has one, else of its layers."""

from lstm_convert.canonical import Model
from lstm_convert.export.network import network_source
from lstm_convert.export.source import source


def text_of(model: Model) -> str:
    """Return the source code that is written for a model.

    Args:
        model: of its network, where it has one, else of its layers.
    """
    return source(model) if model.network is None else network_source(model)

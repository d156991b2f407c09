"""The canonical form: cells with their gates apart, the layers they make, and the network around those."""

from lstm_convert.canonical.cells import GATES, SIGMOID, TANH, Activation, Array, Cell, Gates
from lstm_convert.canonical.layers import LSTM, Origin
from lstm_convert.canonical.model import LeftOut, Model, Provenance
from lstm_convert.canonical.network import Call, Feed, Input, Layer, Network

__all__ = [
    "GATES",
    "LSTM",
    "SIGMOID",
    "TANH",
    "Activation",
    "Array",
    "Call",
    "Cell",
    "Feed",
    "Gates",
    "Input",
    "Layer",
    "LeftOut",
    "Model",
    "Network",
    "Origin",
    "Provenance",
]

"""The canonical form: cells with their gates apart, the layers they make, and the network around those."""

from lstm_convert.canonical.cells import (
    SIGMOID,
    TANH,
    Activation,
    Cell,
    GRUCell,
    RecurrentCell,
    SimpleRNNCell,
)
from lstm_convert.canonical.gates import GATES, Array, Gates
from lstm_convert.canonical.layers import GRU, LSTM, Origin, Recurrent, SimpleRNN
from lstm_convert.canonical.model import LeftOut, Model, Provenance
from lstm_convert.canonical.network import Call, Feed, Input, Layer, Network

__all__ = [
    "GATES",
    "GRU",
    "LSTM",
    "SIGMOID",
    "TANH",
    "Activation",
    "Array",
    "Call",
    "Cell",
    "Feed",
    "GRUCell",
    "Gates",
    "Input",
    "Layer",
    "LeftOut",
    "Model",
    "Network",
    "Origin",
    "Provenance",
    "Recurrent",
    "RecurrentCell",
    "SimpleRNN",
    "SimpleRNNCell",
]

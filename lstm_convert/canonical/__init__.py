"""The canonical form: cells with their gates apart, the layers they make, and the network around those."""

from lstm_convert.canonical.cells import (
    GATES,
    SIGMOID,
    TANH,
    Activation,
    Array,
    Cell,
    Gates,
    GRUCell,
    LSTMCell,
    SimpleRNNCell,
)
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
    "LSTMCell",
    "Layer",
    "LeftOut",
    "Model",
    "Network",
    "Origin",
    "Provenance",
    "Recurrent",
    "SimpleRNN",
    "SimpleRNNCell",
]

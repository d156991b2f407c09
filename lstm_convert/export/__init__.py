"""Readable source code for what no weights file can say: a PyTorch module that needs torch and safetensors only."""

from lstm_convert.export.loading import mark_of
from lstm_convert.export.network import network_source, network_usage
from lstm_convert.export.network_refusals import network_reasons
from lstm_convert.export.network_state import layer_state, network_keys, network_paths, network_state
from lstm_convert.export.source import source
from lstm_convert.export.state import arrays_of, keys, state

__all__ = [
    "arrays_of",
    "keys",
    "layer_state",
    "mark_of",
    "network_keys",
    "network_paths",
    "network_reasons",
    "network_source",
    "network_state",
    "network_usage",
    "source",
    "state",
]

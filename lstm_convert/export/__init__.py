"""Readable source code for what no weights file can say: a PyTorch module that needs torch and safetensors only."""

from lstm_convert.export.network import network_source
from lstm_convert.export.network_state import network_state
from lstm_convert.export.source import source
from lstm_convert.export.state import cell_of, keys, state

__all__ = ["cell_of", "keys", "network_source", "network_state", "source", "state"]

"""Readable source code for what no weights file can say: a PyTorch module that needs torch and safetensors only."""

from lstm_convert.export.source import source
from lstm_convert.export.state import arrays_of, keys, state

__all__ = ["arrays_of", "keys", "source", "state"]

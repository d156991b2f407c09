"""PyTorch: state dicts in files, and live modules."""

from lstm_convert.frameworks.pytorch.reading import read
from lstm_convert.frameworks.pytorch.rereading import reread
from lstm_convert.frameworks.pytorch.source import network_refusals
from lstm_convert.frameworks.pytorch.state_dict import recognises
from lstm_convert.frameworks.pytorch.writing import manner, refusals, usage, write

__all__ = ["manner", "network_refusals", "read", "recognises", "refusals", "reread", "usage", "write"]

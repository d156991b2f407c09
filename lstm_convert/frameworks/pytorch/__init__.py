"""PyTorch: state dicts in files, and live modules."""

from lstm_convert.frameworks.pytorch.reading import read
from lstm_convert.frameworks.pytorch.state_dict import manner, recognises, refusals, usage, write

__all__ = ["manner", "read", "recognises", "refusals", "usage", "write"]

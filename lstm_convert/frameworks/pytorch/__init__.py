"""PyTorch: state dicts in files, and live modules."""

from lstm_convert.frameworks.pytorch.state_dict import read, recognises, refusals, usage, write

__all__ = ["read", "recognises", "refusals", "usage", "write"]

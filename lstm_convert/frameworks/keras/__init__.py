"""Keras: files of all ages, and live models and layers."""

from lstm_convert.frameworks.keras.reading import read, recognises
from lstm_convert.frameworks.keras.writing import companions, manner, refusals, usage, write

__all__ = ["companions", "manner", "read", "recognises", "refusals", "usage", "write"]

"""Keras: files of all ages, and live models and layers."""

from lstm_convert.frameworks.keras.network_writing import network_refusals, usage, write
from lstm_convert.frameworks.keras.reading import read, recognises
from lstm_convert.frameworks.keras.writing import companions, manner, refusals

__all__ = ["companions", "manner", "network_refusals", "read", "recognises", "refusals", "usage", "write"]

"""Keras: files of all ages, and live models and layers."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lstm_convert.frameworks.keras.reading import read, recognises

if TYPE_CHECKING:
    from lstm_convert.frameworks.keras.network_writing import network_refusals, usage, write
    from lstm_convert.frameworks.keras.writing import companions, manner, refusals

# Who only reads loads no writer.
_WRITERS = {
    "network_writing": ("network_refusals", "usage", "write"),
    "writing": ("companions", "manner", "refusals"),
}

__all__ = ["companions", "manner", "network_refusals", "read", "recognises", "refusals", "usage", "write"]


def __getattr__(name: str) -> Any:
    """Import a writer's module when one of its functions is first asked for."""
    for module, names in _WRITERS.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

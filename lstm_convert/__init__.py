"""Move a trained LSTM between Keras and PyTorch, file to file, and prove that it still computes the same."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lstm_convert.canonical import (
        GRU,
        LSTM,
        Activation,
        Call,
        Cell,
        Feed,
        Gates,
        GRUCell,
        Input,
        Layer,
        LeftOut,
        Model,
        Network,
        Origin,
        Provenance,
        Recurrent,
        RecurrentCell,
        SimpleRNN,
        SimpleRNNCell,
    )
    from lstm_convert.collection.batch import Collection, batch
    from lstm_convert.collection.work import Outcome
    from lstm_convert.conversion import Conversion, convert, load, save
    from lstm_convert.diagnosis.models import diagnose
    from lstm_convert.diagnosis.report import Diagnosis, Mistake
    from lstm_convert.errors import (
        InvalidFile,
        LayoutMismatch,
        LstmConvertError,
        MissingFramework,
        UnknownFormat,
        Unsupported,
    )
    from lstm_convert.frameworks.keras.live import from_keras, to_keras
    from lstm_convert.frameworks.pytorch.live import from_torch, to_torch
    from lstm_convert.proof import Proof
    from lstm_convert.verification import Verification, verify

__version__ = "0.1.0"

_HOMES = {
    "lstm_convert.canonical": (
        "GRU", "LSTM", "Activation", "Call", "Cell", "Feed", "GRUCell", "Gates", "Input", "Layer", "RecurrentCell",
        "LeftOut", "Model", "Network", "Origin", "Provenance", "Recurrent", "SimpleRNN", "SimpleRNNCell",
    ),
    "lstm_convert.collection.batch": ("Collection", "batch"),
    "lstm_convert.collection.work": ("Outcome",),
    "lstm_convert.conversion": ("Conversion", "convert", "load", "save"),
    "lstm_convert.diagnosis.models": ("diagnose",),
    "lstm_convert.diagnosis.report": ("Diagnosis", "Mistake"),
    "lstm_convert.errors": (
        "InvalidFile", "LayoutMismatch", "LstmConvertError", "MissingFramework", "UnknownFormat", "Unsupported",
    ),
    "lstm_convert.frameworks.keras.live": ("from_keras", "to_keras"),
    "lstm_convert.frameworks.pytorch.live": ("from_torch", "to_torch"),
    "lstm_convert.proof": ("Proof",),
    "lstm_convert.verification": ("Verification", "verify"),
}  # fmt: skip
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "GRU",
    "LSTM",
    "Activation",
    "Call",
    "Cell",
    "Collection",
    "Conversion",
    "Diagnosis",
    "Feed",
    "GRUCell",
    "Gates",
    "Input",
    "InvalidFile",
    "Layer",
    "LayoutMismatch",
    "LeftOut",
    "LstmConvertError",
    "MissingFramework",
    "Mistake",
    "Model",
    "Network",
    "Origin",
    "Outcome",
    "Proof",
    "Provenance",
    "Recurrent",
    "RecurrentCell",
    "SimpleRNN",
    "SimpleRNNCell",
    "UnknownFormat",
    "Unsupported",
    "Verification",
    "__version__",
    "batch",
    "convert",
    "diagnose",
    "from_keras",
    "from_torch",
    "load",
    "save",
    "to_keras",
    "to_torch",
    "verify",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import a public name's module when the name is first asked for, so that importing the package costs nothing."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)

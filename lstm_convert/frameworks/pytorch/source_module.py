"""The module that source code of this version is: the text that it writes for a model, and never a file's own."""

from types import ModuleType

from lstm_convert.canonical import Model
from lstm_convert.errors import Unsupported
from lstm_convert.export.text import text_of
from lstm_convert.frameworks import WriteOptions
from lstm_convert.frameworks.pytorch.source import network_refusals, refusals


def module_of(model: Model) -> ModuleType:
    """Return the module whose source code is written for a model; no text of any file is in it.

    Args:
        model: of its network, where it has one, else of its layers.

    Raises:
        Unsupported: it cannot be written out; each reason is listed.
    """
    options = WriteOptions(".py")
    if model.network is not None:
        reasons = list(network_refusals(model.network, options))
    else:
        reasons = [reason for layer in model.layers for reason in refusals(layer, options)]
    if reasons:
        raise Unsupported("this version does not write its source code", reasons)
    module = ModuleType("lstm_convert_written")
    exec(compile(text_of(model), "<written by lstm_convert>", "exec"), module.__dict__)  # noqa: S102 (our own text)
    return module

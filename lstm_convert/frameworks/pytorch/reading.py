"""A state dict in a file: its recurrent modules, or the whole network where the user states their order."""

from dataclasses import replace

from lstm_convert.canonical import Model
from lstm_convert.containers import Contents
from lstm_convert.frameworks import ReadOptions
from lstm_convert.frameworks.pytorch import state_dict


def read(contents: Contents, options: ReadOptions) -> Model:
    """Return the recurrent modules of a state dict or checkpoint, and with `--graph` the network around them.

    Args:
        contents: the arrays by key; levels of nested dicts are joined by `/`.
        options: none but `keepsakes` and `graph` concern a state dict.

    Raises:
        LayoutMismatch: arrays are missing or mis-shaped, or the graph does not fit them; all of that is listed.
        Unsupported: weights are stored in a form that is not read.
    """
    model = state_dict.read(contents, replace(options, graph=None))
    if options.graph is None:
        return model
    from lstm_convert.frameworks.pytorch.stated_graph import stated  # noqa: PLC0415 (few files need it)

    return stated(contents, model, options.graph)

"""Live objects of any framework: which one an object is of, told without importing it, and what of it is wanted."""

import sys
from typing import Any

from lstm_convert.canonical import Model, Network, Recurrent
from lstm_convert.errors import Unsupported

_KERAS = ("keras", "tf_keras")


def keras_package(live: Any) -> Any:
    """Return the Keras package that an object's class is of, or None."""
    roots = [cls.__module__.partition(".")[0] for cls in type(live).__mro__]
    return next((sys.modules[root] for root in roots if root in _KERAS and root in sys.modules), None)


def model_of(live: Any, example: Any = None) -> Model:
    """Return a live object as a model.

    Args:
        live: a model, which stays as it is; a recurrent layer; a Keras model or layer; a PyTorch module.
        example: what a PyTorch module's forward is given.

    Raises:
        TypeError: it is none of these.
    """
    if isinstance(live, Recurrent):
        return Model((live,))
    if isinstance(live, Model):
        return live
    if keras_package(live) is not None:  # first, as on PyTorch's backend a Keras model is a module too
        from lstm_convert.frameworks.keras.live import from_keras  # noqa: PLC0415 (who makes models imports this)

        return from_keras(live)
    from lstm_convert.frameworks.pytorch.live import from_torch  # noqa: PLC0415 (as above)

    return from_torch(live, example=example)


def whole_network(model: Model, *, lstm_only: bool) -> Network | None:
    """Return the network that is to be made of a model, or None where that is its recurrent layers alone.

    Args:
        model: the model.
        lstm_only: whether only those are wanted.

    Raises:
        Unsupported: the source holds layers that are not ported; all of them are named.
    """
    if lstm_only:
        return None
    if model.not_understood:
        raise Unsupported(
            "the whole model is wanted, and the source has layers that are not ported",
            model.not_understood,
            "lstm_only=True ports the recurrent layers alone.",
        )
    return None if model.network is None or model.network.is_stack else model.network

"""The readout: what the rest of a model makes of the last recurrent layer's output, as one matrix and a bias."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lstm_convert.canonical import Call, Feed, Layer, Model, Network
from lstm_convert.errors import InvalidFile, LayoutMismatch, naming

Float64 = NDArray[np.float64]

_LARGEST = 1 << 28  # bytes of a matrix in a file


@dataclass(frozen=True, eq=False)
class Readout:
    """Outputs as a linear function of the last recurrent layer's output.

    Args:
        matrix: (outputs, width of the layer's output).
        bias: (outputs,), or None.
        source: where it came from, in words.
    """

    matrix: Float64
    bias: Float64 | None = None
    source: str = "given"

    def __post_init__(self) -> None:
        outputs = self.matrix.shape[0] if self.matrix.ndim else 0
        if self.matrix.ndim != 2 or (self.bias is not None and self.bias.shape != (outputs,)):  # noqa: PLR2004 (a matrix)
            bias = None if self.bias is None else self.bias.shape
            raise LayoutMismatch(
                "this is no readout", [f"expected a matrix and a bias as long, found {self.matrix.shape} and {bias}"]
            )

    def __call__(self, h: Float64) -> Float64:
        """Return the outputs, (…, outputs), for what the layer puts out, (…, width)."""
        y = h @ self.matrix.T
        return y if self.bias is None else y + self.bias


def identity(width: int) -> Readout:
    """Return the readout that stands in where there is none: the layer's output itself.

    Args:
        width: the width of the layer's output.
    """
    return Readout(np.eye(width), source="h itself")


def from_file(path: str | Path) -> Readout:
    """Return the readout whose matrix, (outputs, width), an .npy file holds.

    Args:
        path: the file.

    Raises:
        InvalidFile: it is no .npy file of numbers.
        LayoutMismatch: it holds no matrix.
    """
    path = Path(path)
    with naming(path):
        try:
            if path.stat().st_size > _LARGEST:
                raise InvalidFile("too large for a readout", [f"expected at most {_LARGEST} bytes"])
            matrix = np.asarray(np.load(path, allow_pickle=False), np.float64)
        except (OSError, ValueError, EOFError, TypeError) as error:
            if isinstance(error, InvalidFile):
                raise
            raise InvalidFile("no .npy file with a matrix of numbers", [str(error)]) from error
        if not np.isfinite(matrix).all():
            raise InvalidFile("the readout has entries that are no finite numbers")
        return Readout(matrix, source=path.name)


def of_network(model: Model, layer: str) -> Readout | None:
    """Return the dense layer that reads a recurrent layer's output and nothing else, or None where there is none.

    Its activation, and whatever comes after it, are no part of the readout; `source` says so.

    Args:
        model: the model; without a network it has no readout.
        layer: the recurrent layer's name.
    """
    network = model.network
    if network is None:
        return None
    dense = [found for step, call in enumerate(network.calls, len(network.inputs))
             if call.layer == _network_name(network, layer) for found in _dense_readers(network, step)]  # fmt: skip
    if len(dense) != 1:
        return None
    (found,) = dense
    bias = found.arrays.get("bias")
    activation = found.options["activation"]
    ignored = "" if activation.name == "linear" else f", its activation {activation} left out"
    return Readout(
        np.array(found.arrays["kernel"], np.float64),
        None if bias is None else np.array(bias, np.float64),
        f"dense layer {found.name}{ignored}",
    )


def _network_name(network: Network, layer: str) -> str:
    named = [
        name for name, each in network.layers.items() if each.recurrent is not None and each.recurrent.name == layer
    ]
    return named[0] if named else layer


def _dense_readers(network: Network, step: int) -> list[Layer]:
    """Return the dense layers that read the first output of a step, through what leaves it as it is at inference."""
    found = []
    for place, call in enumerate(network.calls, len(network.inputs)):
        if call.inputs != (Feed(step),):
            continue
        layer = network.layers[call.layer]
        if layer.kind == "dense":
            found.append(layer)
        elif _only_passes(layer, call):
            found += _dense_readers(network, place)
    return found


def _only_passes(layer: Layer, call: Call) -> bool:
    takes_last = layer.kind == "take" and (layer.options["axis"], layer.options["index"]) in {(1, -1), (-2, -1)}
    return len(call.inputs) == 1 and (layer.kind == "dropout" or takes_last)

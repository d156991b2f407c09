"""The function of each kind of layer."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from lstm_convert.canonical import Layer
from lstm_convert.errors import LayoutMismatch
from lstm_convert.network.operations.elementwise import activation, masking, prelu, relu, rescaling, same, softmax
from lstm_convert.network.operations.merges import merge
from lstm_convert.network.operations.numbers import Bool, Float64
from lstm_convert.network.operations.reshaping import (
    cropping,
    flatten,
    flip,
    permute,
    repeat,
    reshape,
    take,
    transpose,
    upsampling,
    zero_padding,
)
from lstm_convert.network.operations.weighted import batch_norm, dense, embedding, layer_norm
from lstm_convert.network.operations.windows import conv, global_pool, pool

# All that read one array and no mask.
_OF_ONE: Mapping[str, Callable[[Layer, Float64], Float64]] = MappingProxyType({
    "activation": activation,
    "batch_norm": batch_norm,
    "conv": conv,
    "cropping": cropping,
    "dense": dense,
    "dropout": same,
    "embedding": embedding,
    "flatten": flatten,
    "flip": flip,
    "layer_norm": layer_norm,
    "masking": masking,
    "permute": permute,
    "pool": pool,
    "prelu": prelu,
    "relu": relu,
    "repeat": repeat,
    "rescaling": rescaling,
    "reshape": reshape,
    "softmax": softmax,
    "take": take,
    "transpose": transpose,
    "upsampling": upsampling,
    "zero_padding": zero_padding,
})  # fmt: skip


def compute(layer: Layer, inputs: Sequence[Float64], masks: Sequence[Bool | None] = ()) -> Float64:
    """Return what a layer that is not recurrent makes of its inputs.

    Args:
        layer: the layer.
        inputs: what it reads, each with the batch as its first axis.
        masks: for each input, which steps of it count, (batch, time), or None; none at all where masked numbers count
            as others do.

    Raises:
        LayoutMismatch: the inputs do not have shapes that the layer can read.
        Unsupported: an activation is not known.
    """
    masks = masks or [None] * len(inputs)
    try:
        if layer.kind == "merge":
            return merge(layer, inputs, masks)
        if layer.kind == "global_pool":
            return global_pool(layer, inputs[0], masks[0])
        return _OF_ONE[layer.kind](layer, inputs[0])
    except (ValueError, IndexError) as error:
        if isinstance(error, LayoutMismatch):
            raise
        shapes = ", ".join(str(x.shape) for x in inputs)
        raise LayoutMismatch(f"{layer.name}: cannot read an input of shape {shapes}", [str(error)]) from error

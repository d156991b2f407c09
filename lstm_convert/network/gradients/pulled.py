"""The gradient that each kind of layer hands back."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from lstm_convert.canonical import Layer
from lstm_convert.errors import Unsupported
from lstm_convert.network.gradients.elementwise import activation, masking, prelu, relu, rescaling, same, softmax
from lstm_convert.network.gradients.merges import merge
from lstm_convert.network.gradients.moved import moved, upsampling
from lstm_convert.network.gradients.weighted import batch_norm, dense, layer_norm
from lstm_convert.network.gradients.windows import conv, global_pool, pool
from lstm_convert.network.operations.numbers import Bool, Float64

# All that read one array and no mask: of the layer, what it read, what it made, and the gradient of that.
_OF_ONE: Mapping[str, Callable[[Layer, Float64, Float64, Float64], Float64]] = MappingProxyType({
    "activation": activation,
    "batch_norm": batch_norm,
    "conv": conv,
    "cropping": moved,
    "dense": dense,
    "dropout": same,
    "flatten": moved,
    "flip": moved,
    "layer_norm": layer_norm,
    "masking": masking,
    "permute": moved,
    "pool": pool,
    "prelu": prelu,
    "relu": relu,
    "repeat": moved,
    "rescaling": rescaling,
    "reshape": moved,
    "softmax": softmax,
    "take": moved,
    "upsampling": upsampling,
    "zero_padding": moved,
})  # fmt: skip


def pulled(
    layer: Layer, inputs: Sequence[Float64], y: Float64, dy: Float64, masks: Sequence[Bool | None] = ()
) -> list[Float64]:
    """Return the gradient of each input of a layer that is not recurrent.

    Args:
        layer: the layer.
        inputs: what it read.
        y: what it made of that.
        dy: the gradient of y, of its shape.
        masks: for each input, which steps of it count, as `operations.compute` had them.

    Raises:
        Unsupported: no gradient of such a layer is known.
    """
    if layer.kind == "merge":
        if any(mask is not None for mask in masks):
            raise Unsupported(f"{layer.name}: no gradient is known of a merge of masked inputs")
        return merge(layer, inputs, y, dy)
    if layer.kind == "global_pool":
        return [global_pool(layer, inputs[0], y, dy, masks[0] if masks else None)]
    if layer.kind not in _OF_ONE:
        raise Unsupported(f"{layer.name}: no gradient is known of a layer of the kind {layer.kind}")
    return [_OF_ONE[layer.kind](layer, inputs[0], y, dy)]

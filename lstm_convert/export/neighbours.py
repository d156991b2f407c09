"""The layers around recurrent ones in PyTorch: for each kind, its submodule and what `forward` does with it.

Each function writes the statements of one call, says in `Step.module` how the submodule is made where there is one,
and returns what the call makes.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from lstm_convert.errors import Unsupported
from lstm_convert.export.expressions import Call, Operation
from lstm_convert.export.forward import OVER_UNITS, Step, Value
from lstm_convert.export.merges import merge
from lstm_convert.export.network_state import channel_of
from lstm_convert.export.reshaping import (
    cropping,
    flatten,
    flip,
    permute,
    repeat,
    reshape,
    take,
    upsampling,
    zero_padding,
)
from lstm_convert.export.templates import number
from lstm_convert.export.windows import conv, global_pool, pool

_DROPOUTS = {"dropout": "nn.Dropout", "alpha_dropout": "nn.AlphaDropout"}
_NOISES = {"gaussian_dropout": "GaussianDropout", "gaussian_noise": "GaussianNoise"}
_BATCH_NORMS = {2: "1d", 3: "1d", 4: "2d", 5: "3d"}  # by the rank of the input
_SPATIAL = {3: "1d", 4: "2d", 5: "3d"}
_DIGITS = 12


def activation(step: Step) -> Value:
    """Write an activation by itself."""
    function, x = step.layer.options["activation"], step.x
    if function.name == "linear":
        return step.say(x.text, x.shape, x.order)
    if function.name in OVER_UNITS:
        return step.say(step.activated(x.arranged(), function), x.shape)
    return step.say(step.activated(x.text, function), x.shape, x.order)


def batch_norm(step: Step) -> Value:
    """Write a batch normalisation; torch has the axis second, and counts momentum from the other end."""
    options, arrays, x = step.layer.options, step.layer.arrays, step.x
    axis = options["axis"] % x.rank
    if x.rank not in _BATCH_NORMS:
        raise Unsupported(f"{step.layer.name}: torch has no batch normalisation of {x.rank} axes")
    affine = ["affine=False"] if not {"gamma", "beta"} & set(arrays) else []
    momentum = number(round(1 - options["momentum"], _DIGITS))
    settings = [f"eps={number(options['epsilon'])}", f"momentum={momentum}", *affine]
    step.module = Call(f"nn.BatchNorm{_BATCH_NORMS[x.rank]}", [str(arrays["mean"].shape[0]), *settings])
    order = x.order if x.order[1] == axis else _second(x.rank, axis)
    return step.say(step.called(x.arranged(order)), x.shape, order, "" if order == x.order else "features second")


def dense(step: Step) -> Value:
    """Write a dense layer."""
    units, inputs = step.layer.arrays["kernel"].shape
    bias = [] if "bias" in step.layer.arrays else ["bias=False"]
    step.module = Call("nn.Linear", [str(inputs), str(units), *bias])
    called = step.called(step.x.arranged())
    return step.say(step.activated(called, step.layer.options["activation"]), (*step.x.shape[:-1], units))


def dropout(step: Step) -> Value:
    """Write what works in training alone."""
    form, rate, x = step.layer.options["form"], number(step.layer.options["rate"]), step.x
    order = x.order
    if form in _NOISES:
        step.module = Call(step.classes.helper(_NOISES[form]), [rate])
    elif form == "spatial_dropout" and x.rank in _SPATIAL:
        step.module = Call(f"nn.Dropout{_SPATIAL[x.rank]}", [rate])
        order = order if order[1] == x.rank - 1 else _second(x.rank, x.rank - 1)
    else:
        step.module = Call(_DROPOUTS.get(form, "nn.Dropout"), [rate])
    note = "" if order == x.order else "drops whole features, which torch has second"
    return step.say(step.called(x.arranged(order)), x.shape, order, note)


def embedding(step: Step) -> Value:
    """Write the look-up of a row for each word."""
    words, features = step.layer.arrays["kernel"].shape
    step.module = Call("nn.Embedding", [str(words), str(features)])
    x = step.x.arranged()
    return step.say(step.called(x if step.x.whole else f"{x}.long()"), (*step.x.shape, features))


def layer_norm(step: Step) -> Value:
    """Write a layer normalisation; torch has its axes last."""
    arrays, x = step.layer.arrays, step.x
    axes = sorted(axis % x.rank for axis in step.layer.options["axes"])
    sizes = [x.shape[axis] for axis in axes]
    if unknown := [size for size in sizes if isinstance(size, str)]:
        raise Unsupported(f"{step.layer.name}: it normalises over {', '.join(unknown)}, whose size is not known")
    settings = [f"eps={number(step.layer.options['epsilon'])}"]
    if not {"gamma", "beta"} & set(arrays):
        settings.append("elementwise_affine=False")
    elif "beta" not in arrays:
        settings.append("bias=False")
    size = str(sizes[0]) if len(sizes) == 1 else str(tuple(sizes))
    step.module = Call("nn.LayerNorm", [size, *settings])
    order = (*(axis for axis in range(x.rank) if axis not in axes), *axes)
    return step.say(step.called(x.arranged(order)), x.shape, order)


def masking(step: Step) -> Value:
    """Write what becomes of steps that are masked: zeros. The mask itself is there already."""
    x = step.x
    return step.say(Operation("*", [x.arranged(), f"{step.mask}.unsqueeze(-1)"]), x.shape, (), "masked steps are zero")


def prelu(step: Step) -> Value:
    """Write the scaling of negative numbers; torch has one scale for a channel, and channels second."""
    x, alpha = step.x, step.layer.arrays["alpha"]
    channel = channel_of(step.layer)
    if channel is None:
        step.module = Call(step.classes.helper("PlacewisePReLU"), list(map(str, alpha.shape)))
        return step.say(step.called(x.arranged()), x.shape)
    step.module = Call("nn.PReLU", [] if alpha.size == 1 else [str(alpha.size)])
    order = x.order if alpha.size == 1 or x.order[1] == channel else _second(x.rank, channel)
    return step.say(step.called(x.arranged(order)), x.shape, order)


def relu(step: Step) -> Value:
    """Write a rectifier with its numbers."""
    x, options = step.x, step.layer.options
    largest, slope, threshold = (options[name] for name in ("max_value", "negative_slope", "threshold"))
    if not threshold and not (slope and largest is not None):
        if largest is not None:
            return step.say(f"{x.text}.clamp(0.0, {number(largest)})", x.shape, x.order)
        rectified = Call("F.leaky_relu", [x.text, number(slope)]) if slope else Call("torch.relu", [x.text])
        return step.say(rectified, x.shape, x.order)
    step.say(Call("torch.where", [f"{x.text} > {number(threshold)}", x.text, "0.0"]), x.shape, x.order, "", "kept")
    if largest is not None:
        step.say(f"kept.clamp(0.0, {number(largest)})", x.shape, x.order, "", "kept")
    below = f"{number(slope)} * torch.relu({number(threshold)} - {x.text})"
    return step.say(f"kept - {below}" if slope else "kept", x.shape, x.order)


def rescaling(step: Step) -> Value:
    """Write the input times a number, plus another."""
    x, offset = step.x, step.layer.options["offset"]
    scaled = f"{number(step.layer.options['scale'])} * {x.text}"
    return step.say(f"{scaled} + {number(offset)}" if offset else scaled, x.shape, x.order)


def softmax(step: Step) -> Value:
    """Write a softmax over an axis, or several at once."""
    axis, x = step.layer.options["axis"], step.x
    if isinstance(axis, int):
        over = x.axis(axis)
        return step.say(Call("torch.softmax", [x.text, str(-1 if over == x.rank - 1 else over)]), x.shape, x.order)
    several = tuple(sorted(x.axis(each) for each in axis))
    step.say(Call(f"{x.text}.logsumexp", [str(several), "keepdim=True"]), [1] * x.rank, (), "of all of them", "total")
    return step.say(f"torch.exp({x.text} - total)", x.shape, x.order)


def _second(rank: int, axis: int) -> tuple[int, ...]:
    """Return the order of axes with one of them second."""
    return (0, axis, *(each for each in range(1, rank) if each != axis))


WRITTEN: Mapping[str, Callable[[Step], Value]] = MappingProxyType({
    "activation": activation,
    "batch_norm": batch_norm,
    "conv": conv,
    "cropping": cropping,
    "dense": dense,
    "dropout": dropout,
    "embedding": embedding,
    "flatten": flatten,
    "global_pool": global_pool,
    "layer_norm": layer_norm,
    "masking": masking,
    "merge": merge,
    "permute": permute,
    "pool": pool,
    "prelu": prelu,
    "relu": relu,
    "repeat": repeat,
    "reshape": reshape,
    "softmax": softmax,
    "take": take,
    "flip": flip,
    "rescaling": rescaling,
    "upsampling": upsampling,
    "zero_padding": zero_padding,
})  # fmt: skip

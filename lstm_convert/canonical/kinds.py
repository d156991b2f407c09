"""The kinds of layers that a network is made of: what each is set to, its arrays, and what it does with a mask."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from lstm_convert.canonical.options import (
    ACTIVATION,
    AMOUNTS,
    AXES,
    AXIS,
    CHANNELS,
    FLAG,
    INDEX,
    NONE,
    NUMBER,
    PADDING,
    RANK,
    SHAPE,
    STEPS,
    Option,
    either,
    number,
    one_of,
    order_from,
    pair_of,
    where_form,
    whole,
)

# What becomes of the mask that reaches a layer.
PASSES, ENDS, MAKES, JOINS = "passes", "ends", "makes", "joins"

RECURRENT = "recurrent"


@dataclass(frozen=True)
class Kind:
    """What layers of one kind have, and what they do with a mask.

    Args:
        options: what each may be of all that such a layer is set to; it states each.
        arrays: the axes of each array that it has or may have, by name.
        needed: those of the arrays that it cannot be without.
        mask: `passes` the mask of its input on, `ends` it, `makes` one, or `joins` those of its inputs.
    """

    options: Mapping[str, Option] = field(default_factory=dict)
    arrays: Mapping[str, str] = field(default_factory=dict)
    needed: tuple[str, ...] = ()
    mask: str = PASSES


_WINDOW = {"rank": RANK, "size": STEPS, "strides": STEPS, "padding": PADDING, "channels": CHANNELS}
_POOLED = one_of("max", "average")

# The table of what a network is made of. What the options mean:
#
# activation  a canonical Activation, applied to what the layer makes; linear where there is none.
# axis, axes  counted with the batch as 0, negative from the end.
# channels    where the channels of what a layer with a window reads are.
# padding     "same" as TensorFlow: what is uneven goes to the end; "causal": all of it before.
# rank        the number of axes that a window has: 1 for time, 2 for an image.
# amounts     before and after each axis of the window.
KINDS: Mapping[str, Kind] = MappingProxyType({
    "activation": Kind({"activation": ACTIVATION}),
    "batch_norm": Kind(
        {"axis": AXIS, "epsilon": number(0), "momentum": NUMBER},
        {"gamma": "feature", "beta": "feature", "mean": "feature", "variance": "feature"},
        ("mean", "variance"),
    ),
    # What follows window is its axes: kernel is (filters, inputs / groups, *window).
    "conv": Kind(
        {
            "rank": RANK, "strides": STEPS, "padding": PADDING, "dilation": STEPS, "groups": whole(1),
            "channels": CHANNELS, "activation": ACTIVATION,
        },
        {"kernel": "filter input window", "bias": "filter"},
        ("kernel",),
        ENDS,
    ),
    "cropping": Kind({"rank": RANK, "amounts": AMOUNTS, "channels": CHANNELS}, mask=ENDS),
    "dense": Kind({"activation": ACTIVATION}, {"kernel": "unit input", "bias": "unit"}, ("kernel",)),
    "dropout": Kind({  # nothing at inference
        "form": one_of("dropout", "spatial_dropout", "gaussian_dropout", "gaussian_noise", "alpha_dropout"),
        "rate": number(0),
    }),
    "embedding": Kind({"mask_zero": FLAG}, {"kernel": "word feature"}, ("kernel",), MAKES),
    "flatten": Kind({"channels": CHANNELS}, mask=ENDS),
    "flip": Kind({"axis": AXIS}, mask=ENDS),
    # masked: whether masked steps do not count.
    "global_pool": Kind(
        {"rank": RANK, "form": _POOLED, "keepdims": FLAG, "masked": FLAG, "channels": CHANNELS}, mask=ENDS
    ),
    "layer_norm": Kind({"axes": AXES, "epsilon": number(0)}, {"gamma": "feature", "beta": "feature"}),
    # The mask is of those steps where all features are `value`; what they hold becomes zero.
    "masking": Kind({"value": NUMBER}, mask=MAKES),
    # normalize: dot is of vectors that are by length along their axes.
    "merge": Kind(
        {
            "form": one_of(
                "concatenate", "add", "subtract", "multiply", "average", "maximum", "minimum", "dot"
            ),
            "axis": where_form("concatenate", AXIS),
            "axes": where_form("dot", either(AXIS, pair_of(AXIS))),
            "normalize": where_form("dot", FLAG),
        },
        mask=JOINS,
    ),
    "permute": Kind({"order": order_from(1)}, mask=ENDS),  # of the axes after the batch
    "pool": Kind({**_WINDOW, "form": _POOLED}, mask=ENDS),
    # alpha has one number for each place of the input without the batch, size 1 along the axes that share them.
    "prelu": Kind({}, {"alpha": "place"}, ("alpha",)),
    RECURRENT: Kind(),
    # min(max_value, x) where x > threshold, else negative_slope * (x - threshold).
    "relu": Kind({"max_value": either(NUMBER, NONE), "negative_slope": NUMBER, "threshold": NUMBER}),
    "repeat": Kind({"times": whole(1)}, mask=ENDS),
    "rescaling": Kind({"scale": NUMBER, "offset": NUMBER}),  # scale * x + offset
    "reshape": Kind({"shape": SHAPE}, mask=ENDS),  # without the batch
    "softmax": Kind({"axis": either(AXIS, AXES)}),
    # One step or feature along an axis: its number, counted from the end where negative; the axis is gone.
    "take": Kind({"axis": AXIS, "index": INDEX}, mask=ENDS),
    "transpose": Kind({"order": order_from(0)}, mask=ENDS),  # of all axes, the batch's too
    "upsampling": Kind(
        {"rank": RANK, "size": STEPS, "channels": CHANNELS, "interpolation": one_of("nearest", "bilinear")}, mask=ENDS
    ),
    "zero_padding": Kind({"rank": RANK, "amounts": AMOUNTS, "channels": CHANNELS}, mask=ENDS),
})  # fmt: skip

"""Layers of Keras with a window: convolution, pooling, padding, cropping and upsampling along time or over an image.

*Source:* keras 1.2.2, keras/layers/convolutional.py and pooling.py; keras 2.2.0, keras/engine/saving.py,
preprocess_weights_for_loading; keras 2.15.0 and 3.15.1, keras/src/layers/convolutional, pooling and reshaping
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from lstm_convert.canonical import Array
from lstm_convert.errors import Unsupported
from lstm_convert.frameworks.keras.neighbour import Form, Neighbour, Slot
from lstm_convert.frameworks.keras.settings import Settings

_PADDINGS = {name: name for name in ("valid", "same", "causal")}
_CHANNELS = {"channels_last": "last", "channels_first": "first", "tf": "last", "th": "first"}
_INTERPOLATIONS = {name: name for name in ("nearest", "bilinear")}


def conv(rank: int) -> Callable[[Settings], Neighbour]:
    """Return the reader of a convolution of a rank; Keras 1's kernels lie otherwise than those since."""

    def read(settings: Settings) -> Neighbour:
        old = settings.take("nb_filter") is not None
        filters = settings.whole("filters", "nb_filter")
        window = _old_window(settings, rank) if old else settings.wholes("kernel_size", count=rank)
        options: dict[str, Any] = {
            "rank": rank,
            "strides": settings.wholes("strides", "subsample", "subsample_length", count=rank, default=1),
            "padding": _padding(settings),
            "dilation": settings.wholes("dilation_rate", "atrous_rate", count=rank, default=1),
            "groups": settings.whole("groups", default=1),
            "channels": channels(settings, rank),
            "activation": settings.activation(),
        }
        biased = settings.flag("use_bias", "bias", default=True)
        turned_around = settings.age.true_convolution
        if turned_around is None:
            raise Unsupported("the file does not say whether Theano wrote it, which turns kernels around")
        before = _theano_padding(options, window) if turned_around else None
        forms = _old_forms(rank, window, filters, options["channels"]) if old else [_new_form(window, filters)]
        forms = [Form(form.shape, _turned_around(form.turned, rank)) for form in forms] if turned_around else forms
        slots = [Slot("kernel", ("kernel", "W"), tuple(forms))]
        slots += [Slot("bias", ("bias", "b"), (Form((filters,)),))] * biased
        return Neighbour("conv", options | ({"padding": "valid"} if before else {}), tuple(slots), before)

    return read


def pool(rank: int, form: str) -> Callable[[Settings], Neighbour]:
    """Return the reader of a pooling of a rank."""

    def read(settings: Settings) -> Neighbour:
        size = settings.wholes("pool_size", "pool_length", count=rank, default=2)
        options: dict[str, Any] = {
            "rank": rank,
            "size": size,
            "strides": settings.wholes("strides", "stride", count=rank, default=size),
            "padding": _padding(settings),
            "channels": channels(settings, rank),
            "form": form,
        }
        if options["padding"] == "same" and settings.age.true_convolution is not False:
            _check_theano_pool(size, options["strides"])
        return Neighbour("pool", options)

    return read


def global_pool(rank: int, form: str) -> Callable[[Settings], Neighbour]:
    """Return the reader of a pooling over a whole window; whether a mask counts is seen when all masks are known."""

    def read(settings: Settings) -> Neighbour:
        keep = settings.flag("keepdims", default=False)
        options = {"rank": rank, "form": form, "keepdims": keep, "masked": False, "channels": channels(settings, rank)}
        return Neighbour("global_pool", options)

    return read


def upsampling(rank: int) -> Callable[[Settings], Neighbour]:
    """Return the reader of an upsampling."""

    def read(settings: Settings) -> Neighbour:
        size = settings.wholes("size", "length", count=rank, default=2)
        how = settings.choice("interpolation", default="nearest", known=_INTERPOLATIONS)
        return Neighbour(
            "upsampling", {"rank": rank, "size": size, "channels": channels(settings, rank), "interpolation": how}
        )

    return read


def bordered(kind: str, name: str, rank: int) -> Callable[[Settings], Neighbour]:
    """Return the reader of a padding or cropping, whose amounts Keras states in many forms."""

    def read(settings: Settings) -> Neighbour:
        amounts = _amounts(settings.take(name, default=1), rank, name)
        return Neighbour(kind, {"rank": rank, "amounts": amounts, "channels": channels(settings, rank)})

    return read


def channels(settings: Settings, rank: int = 1) -> str:
    """Return where the channels of what a layer reads are; of images, Keras 1 does not say it of all layers."""
    default = "channels_last" if rank == 1 else settings.age.image_channels
    if not default and not settings.has("data_format", "dim_ordering"):
        raise Unsupported("it does not say where the channels of its images are, and no other layer does")
    return settings.choice("data_format", "dim_ordering", default=default, known=_CHANNELS)


def _padding(settings: Settings) -> str:
    return settings.choice("padding", "border_mode", default="valid", known=_PADDINGS)


def _theano_padding(options: Mapping[str, Any], window: Sequence[int]) -> Neighbour | None:
    """Return the padding that Theano's `same` is before a convolution, or None where it is the same as all others'.

    Source: keras 2.2.0, keras/backend/theano_backend.py, _postprocess_conv2d_output: half the window on either side,
    whatever the length and the stride, and of an even window what is too long cut off at the end
    """
    if options["padding"] != "same" or (all(size % 2 for size in window) and set(options["strides"]) == {1}):
        return None
    reaches = [(size - 1) * step for size, step in zip(window, options["dilation"], strict=True)]
    amounts = tuple(((reach + 1) // 2, reach // 2) for reach in reaches)
    rank, where = options["rank"], options["channels"]
    return Neighbour("zero_padding", {"rank": rank, "amounts": amounts, "channels": where})


def _check_theano_pool(size: Sequence[int], strides: Sequence[int]) -> None:
    """Raise where Theano pads a pooling otherwise than all others. Source: the same file, pool2d."""
    if any(pair not in ((1, 1), (3, 1)) for pair in zip(size, strides, strict=True)):
        raise Unsupported("padding 'same' of a pooling, which Theano pads otherwise than others")


def _old_window(settings: Settings, rank: int) -> tuple[int, ...]:
    names = ("filter_length",) if rank == 1 else ("nb_row", "nb_col")
    return tuple(settings.whole(name) for name in names)


def _new_form(window: Sequence[int], filters: int) -> Form:
    return Form((*window, None, filters), lambda kernel: np.moveaxis(kernel, (-1, -2), (0, 1)))


def _old_forms(rank: int, window: Sequence[int], filters: int, where: str) -> list[Form]:
    """Return how Keras 1 stores a kernel; along time, as an image one wide, and before 1.1.1 channels first."""
    if rank == 1:
        length = window[0]
        return [
            Form((length, 1, None, filters), lambda kernel: kernel[:, 0].transpose(2, 1, 0)),
            Form((filters, None, length, 1), lambda kernel: kernel[..., 0]),
        ]
    return [Form((filters, None, *window))] if where == "first" else [_new_form(window, filters)]


def _turned_around(turned: Callable[[Array], Array], rank: int) -> Callable[[Array], Array]:
    return lambda kernel: np.flip(turned(kernel), axis=tuple(range(2, 2 + rank)))


def _amounts(value: Any, rank: int, name: str) -> tuple[tuple[int, int], ...]:
    """Return an amount before and after each axis of a window.

    Keras 1 has a dictionary of sides, or for an image two amounts for both sides or four for all.
    """
    if isinstance(value, dict):
        sides = ("left_pad", "right_pad") if rank == 1 else ("top_pad", "bottom_pad", "left_pad", "right_pad")
        value = [value.get(side, 0) for side in sides]
    numbers = [value] if isinstance(value, int) else list(value) if isinstance(value, list | tuple) else []
    flat = [part for number in numbers for part in (number if isinstance(number, list | tuple) else [number])]
    nested = any(isinstance(number, list | tuple) for number in numbers)
    if len(flat) == rank and not (rank == 1 and nested):
        flat = [part for part in flat for _ in range(2)]
    elif len(flat) == 1:
        flat *= 2 * rank
    if len(flat) != 2 * rank or not all(isinstance(part, int) and part >= 0 for part in flat):
        raise Unsupported(f"{name} is {value!s:.60}, expected amounts before and after each of {rank} axes")
    return tuple((flat[place], flat[place + 1]) for place in range(0, 2 * rank, 2))

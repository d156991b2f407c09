"""The settings of a Keras layer, under the names of every age; what nobody asked for is not understood."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lstm_convert.canonical import Activation
from lstm_convert.canonical.options import is_number
from lstm_convert.errors import Unsupported
from lstm_convert.frameworks.keras.architecture import activation_name

# Settings that say nothing of what a trained layer computes.
_HARMLESS = re.compile(
    r"name|trainable|dtype|autocast|experimental_autocast|dynamic|batch_input_shape|batch_shape|input_shape|input_dtype|"
    r"input_dim|input_length|activity_regularizer|seed|noise_shape|fused|synchronized|"
    r".*_(initializer|regularizer|constraint|init)|init"
)
_PLAIN_TYPES = re.compile(r"(mixed_)?b?float(16|32|64)")


@dataclass(frozen=True)
class Age:
    """What a file's age says of all its layers.

    Args:
        activations: what the names of activations mean.
        true_convolution: whether its kernels are turned around, as Theano applies them; None where that is not known.
        softmax_takes_masks: whether the layer Softmax leaves masked numbers out.
        image_channels: where those layers of Keras 1 have the channels of images that do not say it; "" if unknown.
        joins: how masks are joined, as `Network.joins`; "" where versions between differ.
    """

    activations: Mapping[str, Activation]
    true_convolution: bool | None = False
    softmax_takes_masks: bool = True
    image_channels: str = ""
    joins: str = "all"


class Settings:
    """The settings of one layer.

    Args:
        config: its config.
        age: what the file's age says.
        stated: with what it is called besides tensors.
    """

    def __init__(self, config: Mapping[str, Any], age: Age, stated: Mapping[str, Any]) -> None:
        self.age = age
        self._left = {name: value for name, value in config.items() if not _HARMLESS.fullmatch(name)}
        self._config = config
        self._stated = dict(stated)
        if not _is_plain(config.get("dtype")):
            raise Unsupported(f"its numbers are of the type {config['dtype']!s:.60}, which is not ported")

    def take(self, *names: str, default: Any = None) -> Any:
        """Return a setting by the first of its names that there is; None counts as not there."""
        values = [self._left.pop(name, None) for name in names]
        values += [self._config.get(name) for name in names]
        return next((value for value in values if value is not None), default)

    def has(self, *names: str) -> bool:
        """Return whether a setting is there under any of its names."""
        return any(self._config.get(name) is not None for name in names)

    def number(self, *names: str, default: float | None = None) -> float:
        """Return a setting that is a number, which old Kerases may state as an array of one."""
        value = self.take(*names, default=default)
        value = value.get("value") if isinstance(value, Mapping) else value
        if not is_number(value):
            raise Unsupported(f"{names[0]} is {value!s:.60}, expected a number")
        return float(value)

    def whole(self, *names: str, default: int | None = None) -> int:
        """Return a setting that is a whole number."""
        value = self.number(*names, default=default)
        if not value.is_integer():
            raise Unsupported(f"{names[0]} is {value}, expected a whole number")
        return int(value)

    def flag(self, *names: str, default: bool) -> bool:
        """Return a setting that is true or false."""
        return bool(self.take(*names, default=default))

    def choice(self, *names: str, default: str, known: Mapping[str, str]) -> str:
        """Return what a setting of a few known values means."""
        value = self.take(*names, default=default)
        if not isinstance(value, str) or value not in known:
            raise Unsupported(f"{names[0]} is {value!s:.60}, expected {' or '.join(known)}")
        return known[value]

    def wholes(self, *names: str, count: int, default: Any = None) -> tuple[int, ...]:
        """Return a setting that is a whole number an axis, or one for all of them."""
        value = self.take(*names, default=default)
        numbers = [value] * count if isinstance(value, int) else value
        if not _are_whole(numbers) or len(numbers) != count:
            raise Unsupported(f"{names[0]} is {value!s:.60}, expected {count} whole numbers")
        return tuple(numbers)

    def listed(self, *names: str, default: Any = None) -> tuple[int, ...]:
        """Return a setting that is a list of whole numbers, or one alone."""
        value = self.take(*names, default=default)
        numbers = [value] if isinstance(value, int) else value
        if not _are_whole(numbers):
            raise Unsupported(f"{names[0]} is {value!s:.60}, expected whole numbers")
        return tuple(numbers)

    def activation(self, *, default: str = "linear") -> Activation:
        """Return the setting `activation`."""
        name = activation_name(self.take("activation", default=default))
        if name not in self.age.activations:
            raise Unsupported(f"its activation {name:.60} is not known")
        return self.age.activations[name]

    def call_argument(self, *names: str) -> Any:
        """Return an argument of its call that is no tensor."""
        return next((self._stated.pop(name) for name in names if name in self._stated), None)

    def check_all_taken(self) -> None:
        """Raise where a setting was not asked for that may change what is computed."""
        left = {name: value for name, value in self._left.items() if value is not None and value is not False}
        if left:
            raise Unsupported(", ".join(f"{name}={value!s:.60} is not ported" for name, value in sorted(left.items())))
        if self._stated:
            raise Unsupported(
                ", ".join(f"it is called with {name}={value!s:.60}" for name, value in self._stated.items())
            )


def _are_whole(numbers: Any) -> bool:
    return isinstance(numbers, list | tuple) and all(
        isinstance(number, int) and not isinstance(number, bool) for number in numbers
    )


def _is_plain(dtype: Any) -> bool:
    """Return whether a dtype, or the policy that is stated in its place, is of floating-point numbers alone."""
    if isinstance(dtype, Mapping):
        config = dtype.get("config")
        name = config.get("name") if isinstance(config, Mapping) else None
        return dtype.get("class_name") in ("DTypePolicy", "Policy") and _is_plain(name)
    return dtype is None or dtype in ("int32", "int64", "bool") or bool(_PLAIN_TYPES.fullmatch(str(dtype)))

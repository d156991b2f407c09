"""An LSTM cell for Keras 3 that computes what keras.layers.LSTM does not: peepholes, a projection, clips and more.

Import this file before you load a model that uses it; Keras's safe mode stays on:

    import keras
    import lstm_layer  # registers the cell

    model = keras.models.load_model("model.keras")

lstm_convert writes this text, the same for every model. It needs Keras 3, on any backend, and nothing else.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
from keras import ops

Tensor = Any
Activation = str | Mapping[str, Any]

# The activations that are more than a name: called with the numbers that stand beside it.
_WITH_NUMBERS: dict[str, Callable[..., Tensor]] = {
    "celu": ops.celu,
    "elu": ops.elu,
    "hard_shrink": ops.hard_shrink,
    "hard_sigmoid": lambda x, slope, offset: ops.clip(slope * x + offset, 0.0, 1.0),
    "leaky_relu": lambda x, slope: ops.where(x > 0, x, slope * x),
    "selu": lambda x, alpha, scale: scale * ops.elu(x, alpha),
    "soft_shrink": ops.soft_shrink,
    "squareplus": ops.squareplus,
    "threshold": lambda x, threshold, value: ops.threshold(x, threshold, default_value=value),
}


@keras.saving.register_keras_serializable(package="lstm_convert")
class ExtendedLSTMCell(keras.layers.Layer):
    """One step of an LSTM, for keras.layers.RNN; its states are h, (batch, projection or units), and c, (batch, units).

    The columns of `kernel`, `recurrent_kernel` and `bias` are those of the gates i, f, g, o, as in keras.layers.LSTM;
    the rows of `peephole_kernel` are those of i, f, o. `*` works element by element:

        i = recurrent_activation(clip(x W_i + h U_i + b_i + p_i * c))
        f = recurrent_activation(clip(x W_f + h U_f + b_f + p_f * c)), or 1 - i where coupled
        g = activation(clip(x W_g + h U_g + b_g))
        c = clip(f * c + i * g)
        o = recurrent_activation(clip(x W_o + h U_o + b_o + p_o * c)), which sees the new c
        h = clip((o * output_activation(c)) P), or o * output_activation(c) where there is no projection

    Args:
        units: the width of c.
        activation: of g; a name that Keras knows, or a name and its numbers: {"name": "elu", "alpha": 0.5}.
        recurrent_activation: of i, f and o, in the same form.
        output_activation: of c on its way to h, in the same form; that of g where None.
        use_bias: whether there is a bias.
        peephole: whether i, f and o see c.
        projection: the width of h, or None where that is `units`.
        gate_clip: the bound on what the activations of i, f, g and o are given, or None.
        cell_clip: the bound on c, or None.
        projection_clip: the bound on a projected h, or None.
        coupled: whether f is 1 - i, and its own weights count for nothing.
        **kwargs: what every Keras layer takes: name, dtype, trainable.
    """

    def __init__(
        self,
        units: int,
        *,
        activation: Activation = "tanh",
        recurrent_activation: Activation = "sigmoid",
        output_activation: Activation | None = None,
        use_bias: bool = True,
        peephole: bool = False,
        projection: int | None = None,
        gate_clip: float | None = None,
        cell_clip: float | None = None,
        projection_clip: float | None = None,
        coupled: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.activation = activation
        self.recurrent_activation = recurrent_activation
        self.output_activation = activation if output_activation is None else output_activation
        self.use_bias = use_bias
        self.peephole = peephole
        self.projection = projection
        self.gate_clip = gate_clip
        self.cell_clip = cell_clip
        self.projection_clip = projection_clip
        self.coupled = coupled
        self.state_size = [projection or units, units]

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Create the weights, in the order in which they are listed and saved."""
        gates, outputs = 4 * self.units, self.state_size[0]
        self.kernel = self.add_weight(shape=(input_shape[-1], gates), name="kernel")
        self.recurrent_kernel = self.add_weight(shape=(outputs, gates), name="recurrent_kernel")
        self.bias = self.add_weight(shape=(gates,), initializer="zeros", name="bias") if self.use_bias else None
        self.peephole_kernel = self.add_weight(shape=(3, self.units), name="peephole_kernel") if self.peephole else None
        self.projection_kernel = (
            self.add_weight(shape=(self.units, outputs), name="projection_kernel") if self.projection else None
        )

    def call(self, inputs: Tensor, states: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Return h, and the states h and c, one step later."""
        h, c = states
        z = ops.matmul(inputs, self.kernel) + ops.matmul(h, self.recurrent_kernel)
        if self.bias is not None:
            z = z + self.bias
        z_i, z_f, z_g, z_o = ops.split(z, 4, axis=-1)
        if self.peephole_kernel is not None:
            p_i, p_f, p_o = ops.split(self.peephole_kernel, 3)
            z_i, z_f = z_i + p_i * c, z_f + p_f * c
        i = self._gate(z_i)
        f = 1.0 - i if self.coupled else self._gate(z_f)
        g = _activated(self.activation, _clipped(z_g, self.gate_clip))
        c = _clipped(f * c + i * g, self.cell_clip)
        if self.peephole_kernel is not None:
            z_o = z_o + p_o * c
        h = self._gate(z_o) * _activated(self.output_activation, c)
        if self.projection_kernel is not None:
            h = _clipped(ops.matmul(h, self.projection_kernel), self.projection_clip)
        return h, [h, c]

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make this cell again."""
        return {
            **super().get_config(),
            "units": self.units,
            "activation": self.activation,
            "recurrent_activation": self.recurrent_activation,
            "output_activation": self.output_activation,
            "use_bias": self.use_bias,
            "peephole": self.peephole,
            "projection": self.projection,
            "gate_clip": self.gate_clip,
            "cell_clip": self.cell_clip,
            "projection_clip": self.projection_clip,
            "coupled": self.coupled,
        }

    def _gate(self, z: Tensor) -> Tensor:
        return _activated(self.recurrent_activation, _clipped(z, self.gate_clip))


def _clipped(x: Tensor, bound: float | None) -> Tensor:
    return x if bound is None else ops.clip(x, -bound, bound)


def _activated(activation: Activation, x: Tensor) -> Tensor:
    if isinstance(activation, str):
        return keras.activations.get(activation)(x)
    numbers = {key: value for key, value in activation.items() if key != "name"}
    return _WITH_NUMBERS[activation["name"]](x, **numbers)

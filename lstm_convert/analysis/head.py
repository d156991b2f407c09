"""The head: the whole rest of a network behind the recurrent layers that are looked at, its values and its gradients.

Values are those of the float64 reference. Gradients go back through each layer exactly, as `network.gradients` and, of
recurrent layers, the sweep of the lag Jacobian do.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lstm_convert.analysis.jacobian import through_layer
from lstm_convert.analysis.traces import trace_layer
from lstm_convert.canonical import Activation, Call, Feed, Layer, Network
from lstm_convert.errors import Unsupported
from lstm_convert.network.gradients import pulled
from lstm_convert.network.masks import mask_of_call, reaching
from lstm_convert.network.reference import Values, every_step, mask_array

Float64 = NDArray[np.float64]
Bool = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Head:
    """What a network makes of the output of a recurrent layer: of its last step, or of every step.

    Args:
        network: from that output, (batch, [steps,] width), to what the network puts out.
        masked: the same from that output and which steps count, (batch, steps), where a mask reaches it.
        every: whether every step is read.
        sequences: whether the layer puts out steps, so that the last one alone is a sequence of one step.
        by_step: whether the network puts out a row a step, of which the last is looked at.
        outputs: the number of outputs.
        source: what they are, in words.
        weights: what is made of them, (outputs, the network's own), or None where they are themselves.
    """

    network: Network
    masked: Network | None
    every: bool
    sequences: bool
    by_step: bool
    outputs: int
    source: str
    weights: Float64 | None = None

    def __call__(self, h: Float64, counts: Bool | None = None) -> Float64:
        """Return the outputs, (batch, outputs).

        Args:
            h: (batch, steps, width) where every step is read, else (batch, width).
            counts: which steps count, (batch, steps), or None where all do.
        """
        network, values = self._run(h, counts)
        y = self._chosen(values[network.outputs[0].step][network.outputs[0].output])
        return y if self.weights is None else y @ self.weights.T

    def gradients(self, h: Float64, counts: Bool | None = None) -> Float64:
        """Return the gradient of each output, (outputs, *the shape of h).

        Args:
            h: as in a call.
            counts: as in a call.

        Raises:
            Unsupported: a layer has no gradient that is known.
        """
        network, values = self._run(h, counts)
        end = network.outputs[0]
        y = values[end.step][end.output]
        weights = np.eye(self._chosen(y).shape[1]) if self.weights is None else self.weights
        found = []
        for row in weights:
            dy = np.zeros_like(y)
            chosen = dy[:, -1] if self.by_step else dy
            chosen[:] = row.reshape(chosen.shape[1:])
            found.append(pulled_back(network, values, dy))
        return np.stack(found).reshape(len(weights), *h.shape)

    def combined(self, weights: Float64) -> "Head":
        """Return the head whose outputs are sums of this one's.

        Args:
            weights: (new outputs, outputs).
        """
        before = self.weights
        return replace(self, outputs=len(weights), weights=weights if before is None else weights @ before)

    @property
    def picks(self) -> bool:
        """Whether it takes the largest of several steps, which has no derivative where all are the same."""
        layers = (self.network.layers[call.layer] for call in self.network.calls)
        return self.every and any(layer.options.get("form") == "max" for layer in layers)

    @property
    def kernel(self) -> Float64 | None:
        """The weights that read the layer's output itself, (readers, width), or None where something else does too."""
        found = _readers(self.network, Feed(0))
        return None if found is None else np.concatenate(found)

    def bound(self) -> Float64:
        """Return the largest that each output's derivative by each unit of the last step can be, (outputs, width).

        Raises:
            Unsupported: for some layer no bound is known.
        """
        if self.every:
            raise Unsupported("no bound is known of a readout that reads every step")
        found = np.eye(self.outputs) if self.weights is None else np.abs(self.weights)
        for place in range(len(self.network.calls) - 1, -1, -1):
            call = self.network.calls[place]
            if call.inputs != (Feed(place),):
                raise Unsupported("no bound is known of layers that are not one behind another")
            found = _bounded(self.network.layers[call.layer], found)
        return found

    def _run(self, h: Float64, counts: Bool | None) -> tuple[Network, Values]:
        x = h if self.every or not self.sequences else h[:, None]
        if counts is None or self.masked is None:
            return self.network, every_step(self.network, [x])
        return self.masked, every_step(self.masked, [x, counts])

    def _chosen(self, y: Float64) -> Float64:
        return (y[:, -1] if self.by_step else y).reshape(len(y), -1)


def pulled_back(network: Network, values: Values, dy: Float64) -> Float64:
    """Return the gradient of a network's first input, of that of its first output, each sample by itself.

    Args:
        network: the layers and their calls.
        values: what each step made.
        dy: the gradient of the output, of its shape.

    Raises:
        Unsupported: a layer has no gradient that is known.
    """
    reached = reaching(network)
    gradients: dict[Feed, Float64] = {network.outputs[0]: dy}
    first = len(network.inputs)
    for step in range(first + len(network.calls) - 1, first - 1, -1):
        call = network.calls[step - first]
        own = {feed.output: gradients.pop(feed) for feed in list(gradients) if feed.step == step}
        if not own:
            continue
        layer = network.layers[call.layer]
        if call.states or set(own) != {0}:
            raise Unsupported(f"{layer.name}: no gradient is known through the states of a recurrent layer")
        inputs = [values[feed.step][feed.output] for feed in call.inputs]
        mask = mask_array(network, mask_of_call(network, call, reached), values)
        for feed, dx in zip(call.inputs, _through(layer, call, inputs, values[step][0], own[0], mask), strict=True):
            gradients[feed] = gradients[feed] + dx if feed in gradients else dx
    source = values[0][0]
    return gradients.get(Feed(0), np.zeros_like(source))


def _through(
    layer: Layer, call: Call, inputs: list[Float64], y: Float64, dy: Float64, mask: Bool | None
) -> list[Float64]:
    """Return the gradients of a call's inputs; of one that works on each entry along axis 1, entries are samples."""
    shapes = [x.shape for x in inputs]
    if layer.each_step:
        *inputs, y, dy = (x.reshape(-1, *x.shape[2:]) for x in (*inputs, y, dy))
        mask = None if mask is None else mask.reshape(-1, *mask.shape[2:])
    found = [_through_recurrent(layer, inputs[0], dy, mask)] if layer.recurrent is not None else pulled(
        layer, inputs, y, dy, [mask] * len(call.inputs))  # fmt: skip
    return [dx.reshape(shape) for dx, shape in zip(found, shapes, strict=True)]


def _through_recurrent(layer: Layer, x: Float64, dy: Float64, mask: Bool | None) -> Float64:
    recurrent = layer.recurrent
    assert recurrent is not None  # noqa: S101 (its caller asked)
    if recurrent.backward and recurrent.merge is None:
        raise Unsupported(f"{layer.name}: no gradient is known of directions that are not merged")
    traced = trace_layer(recurrent, x.transpose(1, 0, 2), None if mask is None else mask.T)
    dx = through_layer(traced, dy.transpose(1, 0, 2)[:, None] if recurrent.return_sequences else dy[None])
    return np.asarray(dx[:, 0].transpose(1, 0, 2))


def _readers(network: Network, feed: Feed) -> list[Float64] | None:
    """Return the kernels of the dense layers that read an output, or None where something else does too."""
    found: list[Float64] = []
    for place, call in enumerate(network.calls, len(network.inputs)):
        if feed not in call.inputs:
            continue
        layer = network.layers[call.layer]
        if layer.kind == "dense":
            found.append(np.array(layer.arrays["kernel"], np.float64))
            continue
        if layer.each_step or not (layer.kind in ("dropout", "global_pool") or layer.options.get("axis") == 1):
            return None
        behind = _readers(network, Feed(place))
        if behind is None:
            return None
        found += behind
    return found or None


# The largest slope of activations, whatever they are given; of a softmax p (1 - p) and p q are never more than 1/4.
_STEEPEST = {
    "hard_tanh": 1.0, "linear": 1.0, "log_sigmoid": 1.0, "relu": 1.0, "relu6": 1.0, "sigmoid": 0.25, "softmax": 0.25,
    "softplus": 1.0, "softsign": 1.0, "sparse_sigmoid": 0.5, "tanh": 1.0,
}  # fmt: skip


def _bounded(layer: Layer, found: Float64) -> Float64:
    """Return bounds of derivatives by what a layer reads, of those by what it makes, (outputs, its width)."""
    match layer.kind:
        case "dropout" | "take":
            return found
        case "activation":
            return _before_activation(layer.options["activation"], found)
        case "softmax":
            return _before_activation(Activation("softmax"), found)
        case "relu":
            return found * max(1.0, abs(float(layer.options["negative_slope"])))
        case "batch_norm":
            deviation = np.sqrt(np.asarray(layer.arrays["variance"], np.float64) + layer.options["epsilon"])
            return np.asarray(found * np.abs(np.asarray(layer.arrays.get("gamma", 1.0), np.float64)) / deviation)
        case "dense":
            kernel = np.abs(np.asarray(layer.arrays["kernel"], np.float64))
            return np.asarray(_before_activation(layer.options["activation"], found) @ kernel)
        case _:
            raise Unsupported(f"no bound is known of a layer of the kind {layer.kind}")


def _before_activation(activation: Activation, found: Float64) -> Float64:
    if activation.name not in _STEEPEST:
        raise Unsupported(f"no bound is known of the activation {activation}")
    if activation.name == "softmax":
        found = np.repeat(found.sum(axis=1, keepdims=True), found.shape[1], axis=1)
    return found * _STEEPEST[activation.name]

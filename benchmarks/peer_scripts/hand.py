"""The recipe of the forums, at its best: weights transposed, GRU gates put in order, the last output of each direction.

python hand.py convert MODEL.h5 RESULT.pt
python hand.py run RESULT.pt INPUTS.npz OUTPUTS.npz

Masks and activations of gates are not in the recipe.
"""

import os
import sys

os.environ.setdefault("KERAS_BACKEND", "torch")

import torch
from torch import nn
from torch_run import run


class Ported(nn.Module):
    """Layers one after the other."""

    def __init__(self, layers, whole):
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.whole = whole  # whether a recurrent layer returns every step

    def forward(self, x):
        """Return what the last layer does."""
        for layer, whole in zip(self.layers, self.whole, strict=True):
            if isinstance(layer, nn.RNNBase):
                y, last = layer(x)
                h = last[0] if isinstance(last, tuple) else last
                x = y if whole else torch.cat(list(h[-2:] if layer.bidirectional else h[-1:]), -1)
            else:
                x = layer(x)
        return x


def convert(source, result):
    """Port a Keras model layer by layer."""
    import keras

    model = keras.models.load_model(source, compile=False)
    layers, whole = [], []
    for layer in model.layers:
        made = ported(layer)
        layers += made
        whole += [getattr(layer, "return_sequences", True)] * len(made)
    torch.save(Ported(layers, whole), result)


def ported(layer):
    """Return the modules of a layer."""
    kind, weights = type(layer).__name__, [torch.tensor(array) for array in layer.get_weights()]
    if kind in ("InputLayer", "Masking") or "Dropout" in kind:
        return []
    if kind == "Embedding":
        return [nn.Embedding.from_pretrained(weights[0])]
    if kind == "Dense":
        dense = nn.Linear(*weights[0].shape)
        dense.weight.data, dense.bias.data = weights[0].T, weights[1]
        activation = layer.activation.__name__
        functions = {"tanh": nn.Tanh(), "relu": nn.ReLU(), "sigmoid": nn.Sigmoid(), "softmax": nn.Softmax(-1)}
        return [dense] if activation == "linear" else [dense, functions[activation]]
    if kind == "Bidirectional":
        half = len(weights) // 2
        return [recurrent(type(layer.forward_layer).__name__, [weights[:half], weights[half:]])]
    if kind in ("LSTM", "GRU"):
        return [recurrent(kind, [weights])]
    raise SystemExit(f"the recipe has no {kind}")


def recurrent(kind, directions):
    """Return an nn.LSTM or nn.GRU of one direction or two."""
    inputs, units = directions[0][0].shape[0], directions[0][1].shape[0]
    module = getattr(nn, kind)(inputs, units, batch_first=True, bidirectional=len(directions) > 1)
    for end, (*kernels, bias) in zip(("", "_reverse"), directions, strict=False):
        both = bias if bias.ndim > 1 else torch.stack([bias, torch.zeros_like(bias)])
        kernel, recurrent_kernel, biases = map(gates, (*kernels, both)) if kind == "GRU" else (*kernels, both)
        state = {"weight_ih": kernel.T, "weight_hh": recurrent_kernel.T, "bias_ih": biases[0], "bias_hh": biases[1]}
        for name, tensor in state.items():
            getattr(module, f"{name}_l0{end}").data = tensor.contiguous()
    return module


def gates(tensor):
    """Return Keras's z, r, h as PyTorch's r, z, n."""
    z, r, h = tensor.chunk(3, -1)
    return torch.cat([r, z, h], -1)


if __name__ == "__main__":
    if sys.argv[1] == "convert":
        convert(*sys.argv[2:])
    else:
        run(torch.load(sys.argv[2], weights_only=False).eval(), *sys.argv[3:])

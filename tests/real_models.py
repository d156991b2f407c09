"""What stands around the LSTM of a real trained file, in a few lines of NumPy from the file's other arrays.

Most recordings are of the whole model; with these steps it is the LSTM's own part that is compared.
"""

import io
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import h5py
import numpy as np
import torch
from helpers import Array

from lstm_convert import Model
from lstm_convert.reference import run


def arrays_of(file: Path | io.BytesIO) -> dict[str, Array]:
    """An HDF5 file's arrays but the optimizer's."""
    found: dict[str, Array] = {}
    with h5py.File(file) as opened:
        opened.visititems(lambda name, item: found.__setitem__(name, item[()]) if hasattr(item, "dtype") else None)
    return {name: array for name, array in found.items() if not name.startswith("optimizer")}


@dataclass(frozen=True)
class Source:
    """A real file: its LSTMs as they were read, its other arrays by the end of their names, and what was recorded."""

    path: Path
    model: Model

    @cached_property
    def recorded(self) -> dict[str, Array]:
        with np.load(self.path.with_name(f"{self.path.name}.npz"), allow_pickle=False) as file:
            return dict(file)

    @cached_property
    def arrays(self) -> dict[str, Array]:
        if self.path.suffix == ".keras":
            with zipfile.ZipFile(self.path) as archive:
                return arrays_of(io.BytesIO(archive.read("model.weights.h5")))
        if not h5py.is_hdf5(self.path):
            content = torch.load(self.path, weights_only=True, map_location="cpu")
            return {name: tensor.cpu().numpy() for name, tensor in content.items()}
        return arrays_of(self.path)

    def array(self, *names: str) -> Array:
        """The one array whose path ends in one of some names."""
        [found] = [array for name, array in self.arrays.items() if name.removesuffix(":0").endswith(names)]
        return found


Step = Callable[[Source, Array], Array]


def lstm(name: str = "") -> Step:
    def step(source: Source, x: Array) -> Array:
        return run(source.model[name] if name else source.model.layers[0], x).output

    return step


def masked_lstm(masked_value: float) -> Step:
    """An LSTM behind Masking(masked_value)."""
    return lambda source, x: run(source.model.layers[0], x, mask=(x != masked_value).any(axis=-1)).output


def dense(name: str) -> Step:
    def step(source: Source, x: Array) -> Array:
        kernel = source.array(f"{name}/kernel", f"{name}_W", f"{name}/vars/0")
        return x @ kernel + source.array(f"{name}/bias", f"{name}_b", f"{name}/vars/1")

    return step


def embedding(name: str) -> Step:
    return lambda source, x: np.asarray(source.array(f"{name}/embeddings", f"{name}_W")[x.astype(int)])


def convolution(name: str, *, stride: int = 1) -> Step:
    """Keras's Conv1D with padding "same" and Keras 1's Convolution1D on Theano, which turns the kernel around."""

    def step(source: Source, x: Array) -> Array:
        kernel = source.array(f"{name}/kernel", f"{name}_W")
        bias = source.array(f"{name}/bias", f"{name}_b")
        if kernel.ndim == 4:
            kernel = kernel[::-1, 0]
        else:
            wanted = -(-x.shape[1] // stride) * stride - stride + len(kernel) - x.shape[1]
            x = np.pad(x, [(0, 0), (max(wanted, 0) // 2, max(wanted, 0) - max(wanted, 0) // 2), (0, 0)])
        windows = np.lib.stride_tricks.sliding_window_view(x, len(kernel), axis=1)[:, ::stride]
        return np.asarray(np.einsum("btik,kio->bto", windows, kernel) + bias)

    return step


def pooled(width: int) -> Step:
    return lambda _, x: x[:, : x.shape[1] // width * width].reshape(len(x), -1, width, x.shape[2]).max(axis=2)


def repeated(times: int) -> Step:
    return lambda _, x: np.repeat(x[:, None], times, axis=1)


def flat(_: Source, x: Array) -> Array:
    return x.reshape(len(x), -1)


def relu(_: Source, x: Array) -> Array:
    return np.maximum(x, 0)


def sigmoid(_: Source, x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def softmax(_: Source, x: Array) -> Array:
    scaled = np.exp(x - x.max(axis=-1, keepdims=True))
    return np.asarray(scaled / scaled.sum(axis=-1, keepdims=True))


def linear(name: str) -> Step:
    return lambda source, x: x @ source.arrays[f"{name}.weight"].T + source.arrays[f"{name}.bias"]


# What a whole file computes.

Recipe = Callable[[Source], Iterator[tuple[str, Array]]]


def chain(*steps: Step, x: str = "x0", y: str = "y0") -> Callable[[Source], Iterator[tuple[str, Array]]]:
    """What the file computes, step by step, and the recording that it must equal."""

    def computed(source: Source) -> Iterator[tuple[str, Array]]:
        value = np.asarray(source.recorded[x], np.float64)
        for step in steps:
            value = step(source, value)
        yield y, value

    return computed


def both(*recipes: Recipe) -> Recipe:
    return lambda source: (pair for recipe in recipes for pair in recipe(source))


def torch_stack(source: Source) -> Iterator[tuple[str, Array]]:
    """nn.LSTM of two layers, then fc(relu(last step)); the last step is recorded too."""
    x = source.recorded["x0"]
    for layer in source.model.layers:
        x = run(layer, x).output
    yield "y1", x[:, -1]
    yield "y0", linear("fc")(source, relu(source, x[:, -1]))


def projected(source: Source) -> Iterator[tuple[str, Array]]:
    result = run(source.model.layers[0], source.recorded["x0"])
    yield from zip(("y0", "y1", "y2"), (result.output, result.h[0][None], result.c[0][None]), strict=True)


def voice_activity(source: Source) -> Iterator[tuple[str, Array]]:
    """512 samples behind 64 of the frame before: spectrum, four convolutions, one LSTM step, a probability."""
    weights = {name: tensor.numpy() for name, tensor in torch.jit.load(source.path).state_dict().items()}
    frames = source.recorded["x0"][:, 0].astype(np.float64)
    before = np.concatenate([np.zeros((1, 64)), frames[:-1, -64:]])
    x = np.pad(np.concatenate([before, frames], axis=1), [(0, 0), (0, 64)], mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(x, 256, axis=1)[:, ::128]
    real, imaginary = np.split(windows @ weights["_model.stft.forward_basis_buffer"][:, 0].T, 2, axis=2)
    x = np.hypot(real, imaginary)
    for number, stride in enumerate((1, 2, 2, 1)):
        name = f"_model.encoder.{number}.reparam_conv"
        windows = np.lib.stride_tricks.sliding_window_view(np.pad(x, [(0, 0), (1, 1), (0, 0)]), 3, axis=1)[:, ::stride]
        x = np.maximum(np.einsum("btik,oik->bto", windows, weights[f"{name}.weight"]) + weights[f"{name}.bias"], 0)
    h = run(source.model["_model.decoder.rnn"], x.transpose(1, 0, 2)).output[0]
    head = "_model.decoder.decoder.2"
    y = np.maximum(h, 0) @ weights[f"{head}.weight"][0, :, 0] + weights[f"{head}.bias"]
    yield "y0", sigmoid(source, y)[:, None, None]

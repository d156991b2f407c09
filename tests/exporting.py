"""What the tests of the written-out PyTorch module share: layers of every kind, and their files."""

import importlib.util
import itertools
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from lstm_convert.activations import named
from lstm_convert.canonical import (
    GRU,
    LSTM,
    Activation,
    Gates,
    GRUCell,
    LSTMCell,
    Model,
    Recurrent,
    SimpleRNN,
    SimpleRNNCell,
)
from lstm_convert.containers import source_pair
from lstm_convert.frameworks import WriteOptions
from lstm_convert.frameworks.pytorch import source as adapter

Array = NDArray[Any]
HARD = Activation("hard_sigmoid", {"slope": 0.2, "offset": 0.5})
COUNTER = itertools.count()


def cell(inputs: int = 3, units: int = 5, seed: int = 0, *, bias: str = "one", **options: Any) -> LSTMCell:
    """A cell of random numbers; `projection` is a size, `peephole` whether there is one."""
    random = np.random.default_rng(seed)
    dtype, scale = options.pop("dtype", "float64"), options.pop("scale", 0.5)

    def array(*shape: int) -> Array:
        return random.normal(scale=scale, size=shape).astype(dtype)

    size = options.pop("projection", None)
    peephole = array(3, units) if options.pop("peephole", False) else None
    b = Gates(array(4, units)) if bias in ("one", "two") else None
    b_rec = Gates(array(4, units)) if bias in ("two", "recurrent") else None
    projection = array(size, units) if size else None
    kernels = Gates(array(4, units, inputs)), Gates(array(4, units, size or units))
    return LSTMCell(*kernels, b, b_rec, projection, peephole, **options)


SAMPLES = {
    "plain": LSTM("lstm", cell()),
    "no bias": LSTM("lstm", cell(bias="no")),
    "last": LSTM("lstm", cell(), return_sequences=False),
    "backwards": LSTM("lstm", cell(), go_backwards=True),
    "projected": LSTM("lstm", cell(projection=2), cell(projection=2, seed=1)),
    "widened": LSTM("lstm", cell(projection=7, projection_clip=0.2)),
    "bidirectional": LSTM("bi", cell(bias="two"), cell(seed=1)),
    "bidirectional last": LSTM("bi", cell(), cell(seed=1), return_sequences=False),
    "bidirectional backwards": LSTM("bi", cell(), cell(seed=1), go_backwards=True),
    "bidirectional sum": LSTM("bi", cell(), cell(seed=1), merge="sum"),
    "bidirectional mul": LSTM("bi", cell(), cell(seed=1), merge="mul", return_sequences=False),
    "bidirectional ave": LSTM("bi", cell(), cell(seed=1), merge="ave", go_backwards=True),
    "bidirectional pair": LSTM("bi", cell(), cell(seed=1), merge=None),
    "unlike directions": LSTM("bi", cell(units=4), cell(units=5, gate=HARD), return_sequences=False),
    "unlike biases": LSTM("bi", cell(bias="no"), cell(bias="recurrent")),
    "two slopes": LSTM("bi", cell(gate=HARD), cell(gate=named("hard_sigmoid"), output=named("relu")), merge="sum"),
    "hard": LSTM("lstm", cell(gate=HARD), return_sequences=False),
    "peephole": LSTM("lstm", cell(peephole=True)),
    "clipped": LSTM("lstm", cell(cell_clip=0.3, gate_clip=0.5)),
    "coupled": LSTM("lstm", cell(coupled=True)),
    "masked": LSTM("lstm", cell(), masked_by="masking"),
    "masked last": LSTM("lstm", cell(), masked_by="masking", return_sequences=False, go_backwards=True),
    "masked zero": LSTM("bi", cell(), cell(seed=1), masked_by="masking", zero_output_for_mask=True),
    "everything": LSTM(
        "lstm",
        cell(peephole=True, gate_clip=0.9, cell_clip=0.8, projection=2, projection_clip=0.5, coupled=True, gate=HARD),
        cell(seed=1, peephole=True, gate_clip=1.1, output=named("relu"), projection=2),
        merge="mul", go_backwards=True, return_sequences=False, masked_by="masking", zero_output_for_mask=True,
    ),
}  # fmt: skip


def gru(inputs: int = 3, units: int = 5, seed: int = 0, *, biases: str = "b b_rec", **options: Any) -> GRUCell:
    """A GRU's cell of random numbers."""
    return GRUCell.of(_arrays(3, inputs, units, seed, biases), **options)


def simple(inputs: int = 3, units: int = 5, seed: int = 0, *, biases: str = "b b_rec", **options: Any) -> SimpleRNNCell:
    """A simple RNN's cell of random numbers."""
    return SimpleRNNCell.of(_arrays(1, inputs, units, seed, biases), **options)


def _arrays(gates: int, inputs: int, units: int, seed: int, biases: str) -> dict[str, Array]:
    random = np.random.default_rng(seed)
    shapes = {"W": (gates, units, inputs), "U": (gates, units, units), **dict.fromkeys(biases.split(), (gates, units))}
    return {name: random.normal(scale=0.5, size=shape) for name, shape in shapes.items()}


RELU = named("relu")
OTHERS: dict[str, Recurrent] = {
    "gru": GRU("gru", gru()),
    "gru no bias": GRU("gru", gru(biases="")),
    "gru last": GRU("gru", gru(), return_sequences=False, go_backwards=True),
    "gru bidirectional": GRU("bi", gru(), gru(seed=1)),
    "gru bidirectional sum": GRU("bi", gru(), gru(seed=1), merge="sum", return_sequences=False),
    "gru pair": GRU("bi", gru(), gru(seed=1), merge=None, go_backwards=True),
    "gru before": GRU("gru", gru(reset_after=False)),
    "gru before, no bias": GRU("gru", gru(reset_after=False, biases="")),
    "gru before, both": GRU("bi", gru(reset_after=False, gate=HARD), gru(seed=1), merge="mul"),
    "gru unlike directions": GRU("bi", gru(units=4), gru(units=5, gate=HARD, candidate=RELU), return_sequences=False),
    "gru masked": GRU("gru", gru(), masked_by="masking"),
    "gru masked, before, zero": GRU(
        "bi", gru(reset_after=False), gru(seed=1, biases="b"), masked_by="masking", zero_output_for_mask=True
    ),
    "gru linear": GRU("gru", gru(candidate=named("linear"), biases="b_rec")),
    "rnn": SimpleRNN("rnn", simple()),
    "rnn relu": SimpleRNN("rnn", simple(candidate=RELU), simple(candidate=RELU, seed=1), merge="ave"),
    "rnn two functions": SimpleRNN("rnn", simple(candidate=RELU), simple(seed=1), return_sequences=False),
    "rnn hard": SimpleRNN("rnn", simple(candidate=HARD, biases="")),
    "rnn masked": SimpleRNN("rnn", simple(biases="b"), masked_by="masking", go_backwards=True),
    "rnn masked zero": SimpleRNN(
        "rnn", simple(candidate=named("linear")), masked_by="masking", zero_output_for_mask=True, return_sequences=False
    ),
}

CHAIN = (
    LSTM("first", cell(), cell(seed=1, units=4, gate=HARD)),
    LSTM("second", cell(9, 6, seed=2), follows="first", masked_by="second", stateful=True),
    LSTM("third", cell(6, 4, seed=3), cell(6, 4, seed=4), follows="second", return_sequences=False, merge="ave"),
)
SEVERAL = (
    LSTM("decoder", cell(2, 5, seed=1), cell(2, 5, seed=2), starts_from="encoder", merge=None, masked_by="mask"),
    LSTM("encoder", cell(), cell(seed=3), return_sequences=False, go_backwards=True),
    LSTM("far", cell(), starts_from="not.here"),
    LSTM("above.far", cell(5, 4), follows="far"),
)


KINDS: dict[str, Sequence[Recurrent]] = {name: [layer] for name, layer in {**SAMPLES, **OTHERS}.items()}
KINDS |= {"chain": CHAIN, "several": SEVERAL}


def written(layers: Sequence[Recurrent], folder: Path) -> Path:
    """The pair of files, as a conversion writes it."""
    path = folder / f"written_{next(COUNTER)}.py"
    options = WriteOptions(".py")
    assert not [reason for layer in layers for reason in adapter.refusals(layer, options)]
    source_pair.write(path, adapter.write(Model(tuple(layers)), options))
    return path


def imported(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def loaded(layers: Sequence[Recurrent], folder: Path) -> nn.Module:
    model: nn.Module = imported(written(layers, folder)).load()
    return model


def assert_formatted(paths: Sequence[Path]) -> None:
    """Ruff finds nothing to do, by its own rules and not this project's."""
    for arguments in (["format", "--check", "--diff"], ["check"]):
        command = [sys.executable, "-m", "ruff", *arguments, "--isolated", "--no-cache", *map(str, paths)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (this very Python)
        assert done.returncode == 0, done.stdout + done.stderr

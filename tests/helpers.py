"""What the truth tests share: the fixtures with what their framework recorded, and comparisons that raise."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import lstm_convert
from lstm_convert import Model, Recurrent
from lstm_convert.reference import run

Array = NDArray[Any]

FIXTURES = Path(__file__).parent.parent / "fixtures"
WEIGHTS_ALONE = (".weights_only.h5", ".weights.h5", ".weights.json")
MODEL_FILES = (".h5", ".keras", ".weights.json", ".pt", ".pth", ".bin", ".ckpt", ".pt2", ".safetensors")
# Their `.weights.h5` names no layer, only classes and places.
NAMELESS = ("tf-2.12", "tf-2.13", "tf-2.14", "tf-2.15", "keras-3.0.5")

MASKED_EARLY = ("variant_mask_zero", "variant_masking", "variant_masking_bidirectional", "variant_zero_output_for_mask")

# Cases of which no file can be converted to anything, and what the refusal says.
REFUSED = {
    "variant_quantized": "dynamically quantised",
    "variant_orthogonal": "parametrizations.weight_hh_l0.original",
    "variant_convlstm": "ConvLSTM2D",
    "variant_prelu": "activation PReLU",
}

# Float32 rounds at 6e-8 and these are seven steps; the half types stand for what a framework computes in them.
TOLERANCE = {"float16": 5e-3, "bfloat16": 4e-2, "float32": 1e-6, "float64": 1e-12}


@dataclass(frozen=True, eq=False)
class Recorded:
    """What went into one LSTM layer or module and came out of it, as its framework recorded it."""

    path: str
    x: Array
    y: Array
    h0: Array | None = None
    c0: Array | None = None
    hn: Array | None = None
    cn: Array | None = None
    mask: Array | None = None

    @property
    def last_only(self) -> bool:
        return self.y.ndim < self.x.ndim

    def initial(self, first: int, count: int) -> tuple[Array, Array] | None:
        """The states that some rows of a stack start in: one row a layer and direction; c is h where there is none."""
        if self.h0 is None:
            return None
        c0 = self.h0 if self.c0 is None else self.c0
        return self.h0[first : first + count], c0[first : first + count]


@dataclass(frozen=True)
class Case:
    """One model of the fixtures: its files, its architecture alone where there is one, and what it computed."""

    folder: str
    name: str

    def __str__(self) -> str:
        return f"{self.folder}/{self.name}"

    @property
    def keras(self) -> bool:
        return "torch" not in self.folder

    @property
    def hard(self) -> bool:
        return self.name in ("hard", "weather_hard_sigmoid")

    @property
    def plain(self) -> bool:
        """Whether every framework has such an LSTM, if it computes the gates' activation."""
        return self.name != "gru" and not self.name.startswith("variant_")

    @property
    def variant(self) -> bool:
        """Whether some of its LSTMs are not plain, and can all the same be converted."""
        return self.name.startswith("variant_") and self.name not in REFUSED

    @property
    def dtype(self) -> str:
        return self.name if self.name in TOLERANCE else "float32"

    @cached_property
    def files(self) -> list[Path]:
        found = sorted((FIXTURES / self.folder).glob(f"{self.name}.*"))
        return [path for path in found if path.name.endswith(MODEL_FILES)]

    @cached_property
    def architectures(self) -> list[Path]:
        return [path for end in ("json", "yaml") if (path := FIXTURES / self.folder / f"{self.name}.{end}").exists()]

    @cached_property
    def parts(self) -> list[Path]:
        """The pieces of sharded weights, which are read through their `.weights.json`."""
        return sorted((FIXTURES / self.folder).glob(f"{self.name}_[0-9]*.weights.h5"))

    @property
    def whole_files(self) -> list[Path]:
        """The files that say what they compute, which of Keras's kinds the weights alone do not."""
        return [path for path in self.files if not path.name.endswith((*WEIGHTS_ALONE, ".pt2"))]

    @property
    def expected_file(self) -> Path:
        return FIXTURES / self.folder / f"{self.name}.expected.npz"

    @cached_property
    def layers(self) -> list[Recorded]:
        """What was recorded of each LSTM, batches of batches made one batch, merge_mode=None stacked."""
        with np.load(self.expected_file) as file:
            arrays = dict(file)
        paths = [key.removesuffix("/x") for key in arrays if key.endswith("/x")]
        # The first folders recorded no masks, but their only masks are of steps where the model's input is zero.
        mask = arrays["x0"] != 0 if self.name in MASKED_EARLY and "variants/" not in self.folder else None
        layers = []
        for path in paths:
            own = {key.removeprefix(f"{path}/"): array for key, array in arrays.items() if key.startswith(f"{path}/")}
            if mask is not None:
                own["mask"] = mask.any(axis=-1) if mask.ndim == 3 else mask
            if "y" not in own:
                own["y"] = np.stack([own.pop("y0"), own.pop("y1")])
            if own["x"].ndim == 4:
                own["y"] = own["y"].reshape(-1, *own["y"].shape[2:])
                own["x"] = own["x"].reshape(-1, *own["x"].shape[2:])
            layers.append(Recorded(path, **own))
        return layers


def _cases() -> Iterator[Case]:
    for expected in sorted([*FIXTURES.glob("*/*.expected.npz"), *FIXTURES.glob("variants/*/*.expected.npz")]):
        yield Case(str(expected.parent.relative_to(FIXTURES)), expected.name.removesuffix(".expected.npz"))


CASES = list(_cases())
PLAIN = [case for case in CASES if case.plain]
VARIANTS = [case for case in CASES if case.variant]


@dataclass(frozen=True)
class Reading:
    """One way to read one fixture file: alone, with its architecture, or with what the user says."""

    case: Case
    file: Path
    config: Path | None = None
    recurrent_activation: str | None = None

    def __str__(self) -> str:
        told = self.config.suffix if self.config else self.recurrent_activation
        return f"{self.case.folder}/{self.file.name}" + (f"+{told}" if told else "")

    @property
    def whole(self) -> bool:
        """Whether the architecture is known, and with it everything that weights do not say."""
        return self.config is not None or (self.file in self.case.whole_files and self.case.name != "subclassed")

    @property
    def named(self) -> bool:
        return self.whole or self.file.name.endswith(".weights_only.h5") or self.case.folder not in NAMELESS

    def load(self) -> Model:
        return lstm_convert.load(self.file, config=self.config, recurrent_activation=self.recurrent_activation)


def readings(cases: Iterable[Case]) -> Iterator[Reading]:
    """Every way to read every file of some cases that leaves nothing to be refused."""
    for case in cases:
        for file in case.files:
            if file in case.whole_files:
                yield Reading(case, file)
            elif file.suffix != ".pt2":
                yield from (Reading(case, file, config) for config in case.architectures)
                asks = ".weights_only" in file.name and case.name != "variant_cudnn"  # whose shapes say it
                said = "hard_sigmoid" if case.hard else "sigmoid" if asks else None
                yield Reading(case, file, recurrent_activation=said)


# What belongs together.


def chains(layers: Iterable[Recurrent]) -> dict[str, list[Recurrent]]:
    """The layers of each recorded path: several where a module or RNN([…]) is a stack."""
    found: dict[str, list[Recurrent]] = {}
    for layer in layers:
        path = re.sub(r"\.\d+$", "", layer.path) if layer.depth is None else layer.path
        found.setdefault(path, []).append(layer)
    return found


def paired(recorded: Sequence[Recorded], model: Model, *, named: bool) -> list[tuple[Recorded, list[Recurrent]]]:
    """Each recorded layer with the layers that were read for it: by name, else the first of its sizes."""
    # Beside the LSTMs, the first fixtures recorded no recurrent layer.
    paths = {layer.path for layer in recorded}
    found = {path: chain for path, chain in chains(model.layers).items() if path in paths or chain[0].kind == "LSTM"}
    if named:
        assert set(found) == {layer.path for layer in recorded}
        return [(layer, found[layer.path]) for layer in recorded]
    free = list(found.values())
    pairs = []
    for layer in recorded:
        chain = next(chain for chain in free if _fits(chain, layer))
        free.remove(chain)
        pairs.append((layer, chain))
    assert not free, "the file has layers that its framework did not run"
    return pairs


def _fits(chain: list[Recurrent], recorded: Recorded) -> bool:
    outputs = sum(cell.outputs for cell in chain[-1].cells.values())
    return (chain[0].forward.inputs, outputs) == (recorded.x.shape[-1], recorded.y.shape[-1])


# What computes.


def run_reference(chain: Sequence[Recurrent], recorded: Recorded, *, as_stated: bool = True) -> dict[str, Array]:
    """What the float64 reference computes: output and last states, as configured or, for want of that, as recorded.

    The last states of a cell that has no c are h alone.
    """
    if not as_stated:
        chain = [*chain[:-1], replace(chain[-1], return_sequences=not recorded.last_only)]
    outputs: tuple[Array, ...] = (recorded.x,)
    states: list[tuple[Array, ...]] = []
    for layer in chain:
        h0, c0 = recorded.initial(len(states), len(layer.cells)) or (None, None)
        result = run(layer, outputs[0], h0, c0, recorded.mask)  # type: ignore[arg-type]  # rows are a sequence of arrays
        states += list(zip(*filter(None, (result.h, result.c)), strict=True))
        outputs = result.outputs
    computed = {"y": outputs[0] if len(outputs) == 1 else np.stack(outputs)}
    return computed | ({} if recorded.hn is None else _states(states))


def run_torch(chain: Sequence[nn.Module], recorded: Recorded) -> dict[str, Array]:
    """What PyTorch's recurrent modules compute, one after the other."""
    x = torch.from_numpy(recorded.x)
    states: list[tuple[Array, ...]] = []
    with torch.no_grad():
        for module in chain:
            cell = isinstance(module, nn.RNNCellBase)
            rows = 1 if cell else module.num_layers * (1 + module.bidirectional)
            given = recorded.initial(len(states), rows) or np.zeros(
                (2, rows, len(x), module.hidden_size), x.numpy().dtype
            )
            start = [torch.from_numpy(state) for state in given][: 1 + isinstance(module, nn.LSTM | nn.LSTMCell)]
            x, last_states = _steps(module, x, start) if cell else _sequence(module, x, start)
            states += list(zip(*(state.numpy() for state in last_states), strict=True))
    last = np.concatenate([h for h, *_ in states[-(1 + getattr(chain[-1], "bidirectional", False)) :]], axis=-1)
    computed = {"y": last if recorded.last_only else x.numpy()}
    return computed | ({} if recorded.hn is None else _states(states))


def _sequence(module: nn.Module, x: Any, start: list[Any]) -> tuple[Any, Any]:
    y, last = module(x, tuple(start) if len(start) > 1 else start[0])
    return y, last if len(start) > 1 else [last]


def _steps(cell: nn.Module, x: Any, start: list[Any]) -> tuple[Any, Any]:
    states = [state[0] for state in start]
    outputs = []
    for step in x.unbind(1):
        states = list(cell(step, tuple(states))) if len(states) > 1 else [cell(step, states[0])]
        outputs.append(states[0])
    return torch.stack(outputs, 1), [state[None] for state in states]


def keras_name(name: str) -> str:
    """What a layer is called in a written Keras file: dots are none of Keras's, with PyTorch below it."""
    return name.replace(".", "_")


def run_keras(chain: Sequence[Any], recorded: Recorded) -> dict[str, Array]:
    """What Keras's LSTM or Bidirectional layers compute in a row, and the states where the last of them returns any."""
    outputs: list[Any] = [recorded.x]
    states: list[Any] = []
    row = 0
    for layer in chain:
        rows = 2 if hasattr(layer, "backward_layer") else 1
        given = recorded.initial(row, rows)
        inner = type(getattr(layer, "forward_layer", layer)).__name__
        two = inner in ("LSTM", "RNN")  # states, of which others have one
        pairs = zip(*given, strict=True) if given else []
        start = [array for pair in pairs for array in pair[: 1 + two]] if given else None
        row += rows
        mask = {} if recorded.mask is None else {"mask": recorded.mask}
        result = layer(outputs[0], initial_state=start, **mask)
        outputs = list(result) if isinstance(result, (list, tuple)) else [result]
        count = 2 if getattr(layer, "merge_mode", "") is None else 1
        outputs, states = outputs[:count], outputs[count:]
    assert not (recorded.last_only and np.ndim(outputs[0]) == 3), "a layer that was recorded with its last step alone"
    computed = {"y": np.asarray(outputs[0]) if len(outputs) == 1 else np.stack([np.asarray(y) for y in outputs])}
    last = [(np.asarray(h), np.asarray(c)) for h, c in zip(states[::2], states[1::2], strict=True)]
    return computed | ({} if recorded.hn is None or not states else _states(last))


def _states(states: Sequence[tuple[Array, ...]]) -> dict[str, Array]:
    return {name: np.stack(parts) for name, parts in zip(("hn", "cn"), zip(*states, strict=True), strict=False)}


def modules_of(state: Mapping[str, torch.Tensor], dtype: torch.dtype = torch.float32) -> dict[str, nn.Module]:
    """Real modules made by what a state dict's keys and shapes say alone, every key loaded strictly."""
    modules: dict[str, nn.Module] = {}
    for path in dict.fromkeys(key.rpartition(".")[0] for key in state):
        own = {key.rpartition(".")[2]: tensor for key, tensor in state.items() if key.rpartition(".")[0] == path}
        cell = "weight_ih" in own
        kernel = own["weight_ih" if cell else "weight_ih_l0"]
        gates = 4 if "weight_hr_l0" in own else len(kernel) // own["weight_hh" if cell else "weight_hh_l0"].shape[1]
        sizes, kind = (kernel.shape[1], kernel.shape[0] // gates), {4: "LSTM", 3: "GRU", 1: "RNN"}[gates]
        if cell:
            module: nn.Module = getattr(nn, f"{kind}Cell")(*sizes, bias="bias_ih" in own, dtype=dtype)
        else:
            module = getattr(nn, kind)(
                *sizes,
                num_layers=sum(bool(re.fullmatch(r"weight_ih_l\d+", key)) for key in own),
                bias="bias_ih_l0" in own,
                bidirectional="weight_ih_l0_reverse" in own,
                **({"proj_size": len(own["weight_hr_l0"])} if "weight_hr_l0" in own else {}),
                batch_first=True,
                dtype=dtype,
            )
        module.load_state_dict(own, strict=True)
        modules[path] = module
    return modules


# What must be equal.


def assert_close(found: Array, wanted: Array, atol: float) -> None:
    np.testing.assert_allclose(np.asarray(found, np.float64), np.asarray(wanted, np.float64), rtol=0, atol=atol)
    assert found.shape == wanted.shape, "broadcasting is no equality"


def assert_recorded(computed: Mapping[str, Array], recorded: Recorded, looser: float = 1.0) -> None:
    """What was computed is what was recorded, the last states too where there are any; large numbers relatively."""
    tolerance = looser * TOLERANCE[recorded.y.dtype.name]
    wanted = {name: getattr(recorded, name) for name in ("y", "hn", "cn") if getattr(recorded, name) is not None}
    for (name, found), (same_name, array) in zip(computed.items(), wanted.items(), strict=True):
        assert name == same_name
        assert_close(found, array, tolerance * max(1.0, np.abs(array).max(initial=0.0)))


def assert_same_bits(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """The same names in any order, and under each the same type, shape and bytes."""
    assert set(found) == set(wanted)
    for name in wanted:
        one, other = _array(found[name]), _array(wanted[name])
        assert (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes()), name


def _array(value: Any) -> Array:
    if isinstance(value, torch.Tensor):
        value = value.view(torch.int16) if value.dtype == torch.bfloat16 else value
        return np.asarray(value.detach().numpy())
    return np.asarray(value)


def assert_same_weights(found: Model, wanted: Model) -> None:
    """The same layers by name, in any order, with the same weights bit for bit."""
    assert {layer.name for layer in found.layers} == {layer.name for layer in wanted.layers}
    for layer in wanted.layers:
        others = found[layer.name].cells
        for (direction, cell), (same, other) in zip(layer.cells.items(), others.items(), strict=True):
            assert direction == same
            assert_same_bits(other.arrays(), cell.arrays())


def assert_same_model(found: Model, wanted: Model) -> None:
    """The same in every field, and bit for bit in every array."""
    assert_same_weights(found, wanted)
    for layer, other in zip(wanted.layers, found.layers, strict=True):
        for field in fields(Recurrent):
            if field.name not in ("forward", "backward"):
                assert getattr(other, field.name) == getattr(layer, field.name), f"{layer.name}.{field.name}"
        for cell, same in zip(layer.cells.values(), other.cells.values(), strict=True):
            assert (same.activations(), same.settings()) == (cell.activations(), cell.settings())
    assert (found.left_out, found.assumed, found.provenance) == (wanted.left_out, wanted.assumed, wanted.provenance)

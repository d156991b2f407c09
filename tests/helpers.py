"""What the truth tests share: the fixtures with what their framework recorded, and the command."""

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import lstm_convert
from lstm_convert import Activation, Model, Recurrent, cli

Array = NDArray[Any]
FIXTURES = Path(__file__).parent.parent / "fixtures"
KERAS_2 = FIXTURES / "keras-2.2.0"
KERAS_3 = FIXTURES / "keras-3.15.1"
TORCH = FIXTURES / "torch-2.13"
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

# What Keras 1 and 2 call hard_sigmoid, and what Keras 3 does.
HARD_2 = Activation("hard_sigmoid", {"slope": 0.2, "offset": 0.5})
HARD_3 = Activation("hard_sigmoid", {"slope": 1 / 6, "offset": 0.5})

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


def command(*arguments: object) -> int:
    """The exit code of a command run in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["lstm-convert", *map(str, arguments)])
        try:
            cli.main()
        except SystemExit as leaving:
            return int(leaving.code or 0)
    return 0

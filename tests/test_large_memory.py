"""How much memory large models take that are not stored, or not written, as they are: hardly more than others."""

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from helpers import FIXTURES
from torch.nn.utils import parametrizations, prune, spectral_norm, weight_norm

from lstm_convert import load

# The process's own peak: what getrusage says is at least what the process had that started it.
PEAK = """
import json, sys
from pathlib import Path
from lstm_convert import convert
from lstm_convert.network import proof
source, target, options, run_whole = sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), json.loads(sys.argv[4])
if run_whole:
    proof.numbers_alike = lambda *_: None
found = convert(source, target, **options).proof
assert found.max_abs_difference <= found.tolerance
print(next(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line))
"""


def peak(source: Path, target: Path, *, run_whole: bool = False, **options: Any) -> float:
    """Return the largest memory of a conversion in a process of its own, in megabytes.

    Args:
        source: the file.
        target: what it becomes.
        run_whole: whether the network is run though its numbers could be compared.
        options: of `convert`.
    """
    command = [sys.executable, "-P", "-c", PEAK, str(source), str(target), json.dumps(options), json.dumps(run_whole)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (this very Python)
    assert done.returncode == 0, done.stderr
    return int(done.stdout) / 1024


def masked(module: torch.nn.Module, name: str) -> None:
    prune.random_unstructured(module, name, 0.3)


def without_length(module: torch.nn.Module, name: str) -> None:
    """One norm for the whole weight."""
    parametrizations.weight_norm(module, name, dim=None)


FOLDS: dict[str, Callable[[torch.nn.Module, str], object]] = {
    "weight_norm": weight_norm,
    "parametrizations.weight_norm": parametrizations.weight_norm,
    "parametrizations.weight_norm, one norm": without_length,
    "spectral_norm": spectral_norm,
    "parametrizations.spectral_norm": parametrizations.spectral_norm,
    "pruning": masked,
}


@pytest.mark.parametrize("fold", FOLDS)
@pytest.mark.filterwarnings("ignore:.*weight_norm.*is deprecated:FutureWarning")
def test_weights_that_are_computed_from_others_are_so_in_blocks(fold: str, tmp_path: Path) -> None:
    """A layer has 33 MB; in float64, whole, it alone would take twice that, and several at a time."""
    module = torch.nn.LSTM(1000, 1024)
    torch.save(module.state_dict(), tmp_path / "plain.pt")
    for name in ("weight_ih_l0", "weight_hh_l0"):
        FOLDS[fold](module, name)
    torch.save(module.state_dict(), tmp_path / "folded.pt")
    plain, folded = (peak(tmp_path / f"{name}.pt", tmp_path / f"{name}.keras") for name in ("plain", "folded"))
    assert folded < plain + 20
    module.eval()
    module(torch.zeros(1, 1, 1000))  # which is when some of them compute their weight
    found = np.concatenate(list(load(tmp_path / "folded.pt").layers[0].forward.W))
    # torch adds four million squares in float32
    np.testing.assert_allclose(found, module.weight_ih_l0.detach().numpy(), rtol=2e-4, atol=1e-7)


def test_numbers_in_the_other_byte_order_are_turned_in_blocks(tmp_path: Path) -> None:
    """As `torch.save` writes them on such a machine: the storages' bytes, and a record that says so."""
    module = torch.nn.LSTM(1000, 1024)
    torch.save(module.state_dict(), tmp_path / "little.pt")
    with zipfile.ZipFile(tmp_path / "little.pt") as little, zipfile.ZipFile(tmp_path / "big.pt", "w") as big:
        for name in little.namelist():
            content = little.read(name)
            if "/data/" in name:
                content = np.frombuffer(content, "<f4").byteswap().tobytes()
            big.writestr(name, b"big" if name.endswith("/byteorder") else content)
    plain, turned = (peak(tmp_path / f"{name}.pt", tmp_path / f"{name}.keras") for name in ("little", "big"))
    assert turned < plain + 20
    found = np.concatenate(list(load(tmp_path / "big.pt").layers[0].forward.W))
    np.testing.assert_array_equal(found, module.weight_ih_l0.detach().numpy())


def grown(path: Path, units: int, words: int, classes: int) -> Path:
    """Write the fixture of a text model of Keras 2.2.0 with other sizes, and gates that later versions scale.

    It is an embedding, a bidirectional LSTM and two dense layers.
    """
    sizes = {"units": {"both": units, "hidden": classes, "head": 3}, "input_dim": {"embedding": words}}
    shapes = {
        "embedding/embeddings": (words, 3), "hidden/kernel": (2 * units, classes), "hidden/bias": (classes,),
        "head/kernel": (classes, 3), "head/bias": (3,),
    }  # fmt: skip
    for direction in ("forward", "backward"):
        of_cell = {"kernel": (3, 4 * units), "recurrent_kernel": (units, 4 * units), "bias": (4 * units,)}
        shapes |= {f"both/{direction}_lstm_1/{name}": shape for name, shape in of_cell.items()}
    path.write_bytes((FIXTURES / "models/keras-2.2.0/text.h5").read_bytes())
    random = np.random.default_rng(0)
    with h5py.File(path, "r+") as file:
        del file["optimizer_weights"]
        document = json.loads(file.attrs["model_config"])
        for layer in document["config"]:
            config = layer["config"].get("layer", layer)["config"]
            for option, of_layers in sizes.items():
                if (size := of_layers.get(layer["config"]["name"])) is not None:
                    config[option] = size
            if "recurrent_activation" in config:
                config["recurrent_activation"] = "hard_sigmoid"
        file.attrs["model_config"] = json.dumps(document)
        for name, shape in shapes.items():
            group = file[f"model_weights/{name.partition('/')[0]}"]
            del group[name]
            group.create_dataset(name, data=random.normal(0, 0.05, shape).astype("f4"))
    return path


@pytest.mark.parametrize("run_whole", [False, True])
@pytest.mark.parametrize("large", ["units", "words", "classes"])
def test_a_network_takes_no_more_memory_than_a_part_of_it(large: str, tmp_path: Path, *, run_whole: bool) -> None:
    """Of 67 MB or more; those that are written in Keras 3 are not the same layer by layer, as gates are scaled."""
    usual = {"units": 32, "words": 50, "classes": 50}
    small = peak(grown(tmp_path / "small.h5", **usual), tmp_path / "small.keras")
    source = grown(tmp_path / "large.h5", **usual | {large: LARGEST[large]})
    assert source.stat().st_size > 60e6
    for target in ("large.keras", "large.pt", "large.py"):
        allow = ["hard_sigmoid"] * (target == "large.pt")
        assert peak(source, tmp_path / target, allow=allow, run_whole=run_whole) < small + 60, target


LARGEST = {"units": 1500, "words": 6_000_000, "classes": 280_000}

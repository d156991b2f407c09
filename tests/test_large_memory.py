"""How much memory large models take that are not stored, or not written, as they are: hardly more than others."""

import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.utils import parametrizations, prune, spectral_norm, weight_norm

from lstm_convert import load

# The process's own peak: what getrusage says is at least what the process had that started it.
PEAK = """
import sys
from pathlib import Path
from lstm_convert import convert
proof = convert(sys.argv[1], sys.argv[2]).proof
assert proof.max_abs_difference <= proof.tolerance
print(next(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line))
"""


def peak(source: Path, target: Path) -> float:
    """Return the largest memory of a conversion in a process of its own, in megabytes."""
    command = [sys.executable, "-P", "-c", PEAK, str(source), str(target)]
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

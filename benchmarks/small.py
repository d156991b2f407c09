"""How many small files a second one core converts in one process, and how many the script does that one would write.

    python benchmarks/small.py [--files 48] [--runs 5]

Needs lstm_convert with its test extra. The files are fixtures of several architectures in turn, each with weights of
its own, in the folder for temporary files, `TMPDIR`. Each way has a process of its own, which converts a few files of
each architecture first, so that all is loaded; then its processor time counts. The proof, reading back and waiting for
the disk are part of lstm_convert's; the scripts do none of that, and leave the gates in the order they find them in.

Of HDF5 files that differ in their numbers alone, as a collection has many, lstm_convert lets the HDF5 library look into
one. In the rows "all unlike" each file has names of its own: nothing is known of any.
"""

import argparse
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

import lstm_convert

FIXTURES = Path(__file__).parents[1] / "fixtures"
KERAS = ("keras-3.15.1/plain", "keras-3.15.1/gru", "keras-3.15.1/bidirectional", "keras-3.15.1/dropout")
TORCH = ("torch-2.13/plain", "torch-2.13/gru", "torch-2.13/two_layer", "torch-2.13/several")
ARCHITECTURES = {".pt": TORCH, ".safetensors": TORCH, ".h5": KERAS, ".weights.h5": KERAS}
UNLIKE = "unlike"
ALSO_UNLIKE = ((".pt", ".keras"), (".h5", ".pt"), (".weights.h5", ".pt"))
# What names of layers in the files are made of.
NAMES = (b"lstm", b"gru", b"both", b"head", b"bidirectional", b"dense")
# So many files of each architecture are converted before the others are measured.
FIRST = 3

Array = NDArray[Any]
Way = Callable[[Path, Path], object]


def main() -> None:
    """Convert the same files in each way in turn, and print the table."""
    parser = argparse.ArgumentParser(description="How many small files a second one core converts.")
    parser.add_argument("--files", type=int, default=48, help="how many files of each kind, 16 to 100 (default 48)")
    parser.add_argument("--runs", type=int, default=5, help="how often each way runs (default 5)")
    asked = parser.parse_args()
    if asked.files not in range(16, 101):  # more than are converted first; names of their own have two digits
        parser.error("--files: expected 16 to 100")
    rates: dict[tuple[str, str, str], list[float]] = {name: [] for name in ways()}
    with tempfile.TemporaryDirectory() as folder:
        for kind in ARCHITECTURES:
            make_files(Path(folder), kind, asked.files, unlike=False)
            make_files(Path(folder, UNLIKE), kind, asked.files, unlike=True)
        for _ in range(asked.runs):
            for name, way in ways().items():
                place = Path(folder, UNLIKE) if UNLIKE in name[2] else Path(folder)
                rates[name].append(alone(partial(rate, way, place, name[0], name[1])))
    print(f"{'median of ' + str(asked.runs):<61} {'files a second and core':>24}")
    for (kind, target, who), found in rates.items():
        print(f"{kind:<12} {target:<14} {who:<32} {statistics.median(found):>26.0f}")


def ways() -> dict[tuple[str, str, str], Way]:
    """Return what converts files, by their ending, that of what they become, and who does it."""
    ours = [(kind, target) for kind in ARCHITECTURES for target in (".safetensors", ".pt", ".keras") if kind != target]
    return {
        **{(*pair, "lstm_convert"): lstm_convert.convert for pair in ours},
        **{(*pair, f"lstm_convert, all {UNLIKE}"): lstm_convert.convert for pair in ALSO_UNLIKE},
        (".pt", ".safetensors", "torch.load + safetensors"): by_torch,
        (".safetensors", ".pt", "safetensors + torch.save"): by_safetensors,
        (".h5", ".safetensors", "h5py + safetensors, arrays alone"): by_h5py,
        (".weights.h5", ".safetensors", "h5py + safetensors, arrays alone"): by_h5py,
        (".h5", ".pt", "keras.load_model + torch.save"): by_keras,
    }


def rows() -> list[str]:
    """Return what the lines of the table begin with."""
    return list(map(" ".join, ways()))


def make_files(folder: Path, kind: str, count: int, *, unlike: bool) -> None:
    """Write files of several architectures in turn, each with weights of its own.

    Args:
        folder: where to.
        kind: their ending.
        count: how many.
        unlike: whether each has names of its own, too.
    """
    random = np.random.default_rng(0)
    folder.mkdir(exist_ok=True)
    for number in range(count):
        architectures = ARCHITECTURES[kind]
        same = ".safetensors" if kind == ".pt" else kind
        source = FIXTURES / f"{architectures[number % len(architectures)]}{same}"
        path = folder / f"{number:04}{kind}"
        if kind.endswith(".h5"):
            path.write_bytes(_renamed(source.read_bytes(), number) if unlike else source.read_bytes())
            with h5py.File(path, "r+") as file:
                file.visititems(partial(_drawn, random))
        else:
            above, arrays = f"model{number}." * unlike, safetensors.numpy.load_file(source)
            _saved({above + name: _other(random, array) for name, array in arrays.items()}, path)


def _renamed(content: bytes, number: int) -> bytes:
    """Return an HDF5 file with other names, of the same length and order, wherever they stand."""
    for name in NAMES:
        content = content.replace(name, name[:-2] + f"{number:02}".encode())
    return content


def _drawn(random: np.random.Generator, _name: str, item: h5py.Group | h5py.Dataset) -> None:
    if isinstance(item, h5py.Dataset) and item.dtype.kind == "f":
        item[...] = _other(random, item[...])


def _other(random: np.random.Generator, array: Array) -> Array:
    return np.asarray(array * (1 + random.normal(size=array.shape) / 10), array.dtype)


def _saved(arrays: dict[str, Array], path: Path) -> None:
    if path.suffix == ".safetensors":
        safetensors.numpy.save_file(arrays, path)
    else:
        import torch  # noqa: PLC0415 (where lstm_convert runs, it is not loaded)

        torch.save({name: torch.from_numpy(array) for name, array in arrays.items()}, path)


def alone(work: Callable[[], float]) -> float:
    """Return what a function returns in a process of its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as executor:
        return executor.submit(work).result()


def rate(way: Way, folder: Path, kind: str, ending: str) -> float:
    """Return how many files a second a way converts, by the processor time of this process.

    Args:
        way: from a file to another.
        folder: where the files are.
        kind: the ending of those that are converted.
        ending: of what they become.
    """
    sources = sorted(path for path in folder.iterdir() if path.name.removeprefix(path.name.split(".")[0]) == kind)
    with tempfile.TemporaryDirectory() as results:
        some = FIRST * len(ARCHITECTURES[kind])
        first, others = sources[:some], sources[some:]
        for source in first:
            way(source, Path(results, f"{source.stem}{ending}"))
        begin = time.process_time()
        for source in others:
            way(source, Path(results, f"{source.stem}{ending}"))
        return len(others) / (time.process_time() - begin)


def by_torch(source: Path, target: Path) -> None:
    """Convert a state dict as a script does."""
    import safetensors.torch  # noqa: PLC0415 (the script's own)
    import torch  # noqa: PLC0415 (the script's own)

    safetensors.torch.save_file(torch.load(source), target)


def by_safetensors(source: Path, target: Path) -> None:
    """Convert one back as a script does."""
    import safetensors.torch  # noqa: PLC0415 (the script's own)
    import torch  # noqa: PLC0415 (the script's own)

    torch.save(safetensors.torch.load_file(source), target)


def by_h5py(source: Path, target: Path) -> None:
    """Copy the arrays of a file, which is the least that any way through h5py does."""
    found: dict[str, Array] = {}

    def keep(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = np.asarray(item[()])

    with h5py.File(source) as file:
        file.visititems(keep)
    safetensors.numpy.save_file(found, target)


def by_keras(source: Path, target: Path) -> None:
    """Convert a model as a script does, but for the order of its gates."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import keras  # noqa: PLC0415 (the script's own)
    import torch  # noqa: PLC0415 (the script's own)

    model = keras.models.load_model(source, compile=False)
    arrays = {weight.path: weight.numpy() for weight in model.weights}
    torch.save({name: torch.from_numpy(array.T.copy()) for name, array in arrays.items()}, target)


if __name__ == "__main__":
    main()

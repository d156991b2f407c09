"""What is mutated: every fixture, by kind of file, what `convert` makes of some, and what commands read beside them."""

import io
import itertools
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import lstm_convert
from lstm_convert.reading import normalize_file

FIXTURES = Path(__file__).parent.parent / "fixtures"

_LARGEST = 200_000  # a fixture that is larger holds nothing that smaller ones do not
_ARCHITECTURES = (".json", ".yaml")
_SEQUENCES = 3  # axes: sequences, steps, features
_CHECKPOINTS = (".pt", ".pth", ".bin", ".ckpt", ".pt2")
# What is written by lstm_convert alone: from which fixture, and under which name.
_WRITTEN = (
    ("canonical .npz", "a.npz"),
    ("canonical .lstm.safetensors", "a.lstm.safetensors"),
    ("model.py and its weights", "a.py"),
)
_WRITTEN_FROM = (
    *(f"torch-2.13/{name}.pt" for name in ("plain", "two_layer", "gru", "variant_proj")),
    *(f"keras-3.15.1/{name}.keras" for name in ("plain", "functional", "bidirectional", "nested")),
    *(f"models/keras-2.2.0/{name}.h5" for name in ("text", "autoencoder")),
)


@dataclass(frozen=True)
class Seed:
    """A sound file, with what belongs to it.

    Args:
        kind: what it is.
        origin: where it comes from.
        name: the name of the file that is loaded.
        files: the contents of all files by name, the loaded one among them.
        config: the name of the file that is given as `config`, if one is.
        use: what reads the file: `convert`, or another of `watched.USES`.
    """

    kind: str
    origin: str
    name: str
    files: dict[str, bytes]
    config: str | None = None
    use: str = "convert"

    def with_file(self, name: str, content: bytes) -> "Seed":
        """Return the same with one file changed."""
        return replace(self, files={**self.files, name: content})


def seeds_by_kind() -> dict[str, list[Seed]]:
    """Return every fixture that is small enough, by kind of file."""
    kinds: dict[str, list[Seed]] = {}
    for seed in (*_fixtures(), *_written(), *_arrays(), *_beside()):
        kinds.setdefault(seed.kind, []).append(seed)
    return dict(sorted(kinds.items()))


def _fixtures() -> Iterator[Seed]:
    for path in sorted(FIXTURES.rglob("*")):
        kind = _kind(path)
        if kind is None or path.stat().st_size > _LARGEST:
            continue
        files = {path.name: path.read_bytes()}
        if path.name.endswith(".weights.json"):
            parts = path.parent.glob(f"{path.name.removesuffix('.weights.json')}_*.weights.h5")
            files |= {part.name: part.read_bytes() for part in parts}
        stem = path.name.partition(".")[0]
        config = next(filter(Path.exists, (path.with_name(f"{stem}{ending}") for ending in _ARCHITECTURES)), None)
        if config is None or "weights" not in path.name:
            yield Seed(kind, _origin(path), path.name, files)
        else:
            yield Seed(kind, _origin(path), path.name, {**files, config.name: config.read_bytes()}, config.name)


def _origin(path: Path) -> str:
    return str(path.relative_to(FIXTURES))


def _kind(path: Path) -> str | None:
    """Return what kind of file a fixture is; None for what is no model."""
    if ".expected." in path.name or not path.is_file():
        return None
    if path.suffix in _CHECKPOINTS:
        return _kind_of_checkpoint(path)
    endings = {
        ".weights.json": "sharded .weights.json",
        ".weights.h5": ".weights.h5",
        ".weights_only.h5": "Keras weights-only .h5",
        ".h5": f"Keras {_age(path)} .h5",
        ".keras": ".keras",
        ".safetensors": "PyTorch .safetensors",
    }
    return next((kind for ending, kind in endings.items() if path.name.endswith(ending)), None)


def _age(path: Path) -> str:
    """Return the first number of the Keras that made a fixture, which its folder tells."""
    return next((part[len("keras-")] for part in path.parts if part.startswith("keras-")), "2")


def _kind_of_checkpoint(path: Path) -> str:
    if ".legacy" in path.name:
        return "PyTorch legacy pickle"
    if "torchscript" in path.name or "traced" in path.name:
        return "TorchScript archive"
    return "pickled module" if ".module" in path.name or "fastai" in path.name else "PyTorch zip"


def _written() -> Iterator[Seed]:
    with tempfile.TemporaryDirectory() as folder:
        for origin in _WRITTEN_FROM:
            for kind, name in _WRITTEN:
                target = Path(folder, name)
                lstm_convert.convert(FIXTURES / origin, target, force=True, allow=["mask"], lstm_only=name != "a.py")
                files = {path.name: path.read_bytes() for path in Path(folder).iterdir()}
                for path in Path(folder).iterdir():
                    path.unlink()
                yield Seed(kind, f"from {origin}", name, files)


def _arrays() -> Iterator[Seed]:
    """Yield what is given as --data and --readout: numbers of many types and in both orders."""
    with np.load(FIXTURES / "keras-1.2.2/weather.expected.npz") as arrays:
        numbers = next(arrays[name] for name in arrays.files if arrays[name].ndim == _SEQUENCES)
    for dtype, turned in itertools.product(("f8", "<f4", ">f2", "i1"), (False, True)):
        for use, array in (("data", numbers), ("readout", numbers[0])):
            stream = io.BytesIO()
            np.save(stream, np.ascontiguousarray(array.T, dtype).T if turned else array.astype(dtype))
            yield Seed(f".npy, --{use}", f"{dtype}{' turned' * turned}", "a.npy", {"a.npy": stream.getvalue()}, use=use)


def _beside() -> Iterator[Seed]:
    """Yield what lies beside results: the proof that `verify` runs again, and the moves that are undone."""
    for origin in _WRITTEN_FROM:
        for use, kind in (("proof", "proof .npz"), ("moves", "moves .npz")):
            with tempfile.TemporaryDirectory() as folder:
                source, result = FIXTURES / origin, Path(folder, "a.lstm.safetensors")
                if use == "proof":
                    lstm_convert.convert(source, result, allow=["mask"], lstm_only=True, proof=True)
                else:
                    lstm_convert.convert(source, Path(folder, "b.npz"), allow=["mask"], lstm_only=True)
                    normalize_file(Path(folder, "b.npz"), result)
                    Path(folder, "b.npz").unlink()
                files = {path.name: path.read_bytes() for path in Path(folder).iterdir()}
            yield Seed(kind, f"from {origin}", f"{result.name}.{use}.npz", files, use=use)

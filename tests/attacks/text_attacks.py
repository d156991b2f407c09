"""Documents inside files: nested without end, too large, contradicting themselves; and YAML that laughs."""

import io
import json
import struct
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import h5py
import numpy as np

from attacks import Attack

_FIXTURES = Path(__file__).parents[2] / "fixtures"
_TOO_LARGE = 1 << 24

TEXTS: dict[str, tuple[bytes, str]] = {
    "lists nested deep": (b'{"a":' + b"[" * 1_000_000, "nested too deeply"),
    "objects nested deep": (b'{"a":' * 1_000_000, "nested too deeply"),
    "a name twice": (b'{"class_name": "Sequential", "class_name": "Model"}', "'class_name' twice"),
    "a name twice, inside": (b'{"layers": [{"a": {"name": 1, "name": 2}}]}', "'name' twice"),
    "a number of a million digits": (b'{"a": ' + b"9" * 1_000_000 + b"}", "is no JSON"),
    "too large": (b'{"a": [' + b"{}," * (_TOO_LARGE // 3) + b"{}]}", "larger than"),
    "half a character": (b'{"a": "\\ud800"}', "half a character"),
    "cut short": (b'{"a": [1, 2', "is no JSON"),
    "no text": (b'{"a": "\xff\xfe"}', ""),
    "a list": (b"[[[]]]", ""),
}


def _in_config(text: bytes, folder: Path) -> None:
    with zipfile.ZipFile(_FIXTURES / "keras-3.15.1/plain.keras") as source:
        members = {name: source.read(name) for name in source.namelist()}
    with zipfile.ZipFile(folder / "a.keras", "w") as archive:
        for name, content in (members | {"config.json": text}).items():
            archive.writestr(name, content)


def _in_metadata(text: bytes, folder: Path) -> None:
    with zipfile.ZipFile(_FIXTURES / "keras-3.15.1/plain.keras") as source:
        members = {name: source.read(name) for name in source.namelist()}
    with zipfile.ZipFile(folder / "a.keras", "w") as archive:
        for name, content in (members | {"metadata.json": text}).items():
            archive.writestr(name, content)


def _in_hdf5(text: bytes, folder: Path) -> None:
    stream = io.BytesIO((_FIXTURES / "keras-2.2.0/plain.h5").read_bytes())
    with h5py.File(stream, "r+", libver="latest") as file:
        del file.attrs["model_config"]
        file.attrs.create("model_config", text, dtype=h5py.string_dtype())
    (folder / "a.h5").write_bytes(stream.getvalue())


def _in_safetensors_header(text: bytes, folder: Path) -> None:
    (folder / "a.safetensors").write_bytes(struct.pack("<Q", len(text)) + text)


def _in_safetensors_metadata(text: bytes, folder: Path) -> None:
    document = text.replace(b"{", b'{"format": "lstm_convert canonical", ', 1).decode("latin-1")
    _in_safetensors_header(json.dumps({"__metadata__": {"lstm_convert": document}}).encode(), folder)


def _in_npz(text: bytes, folder: Path) -> None:
    document = text.replace(b"{", b'{"format": "lstm_convert canonical", ', 1)
    np.savez(folder / "a.npz", __metadata__=np.frombuffer(document, np.uint8), x=np.ones(3))


def _as_map(text: bytes, folder: Path) -> None:
    (folder / "a.weights.json").write_bytes(text)


def _beside(ending: str, text: bytes, folder: Path) -> None:
    source = _FIXTURES / "keras-2.2.0/plain.weights_only.h5"
    (folder / "a.weights_only.h5").write_bytes(source.read_bytes())
    (folder / f"config.{ending}").write_bytes(text)


PLACES = {
    "config.json": ("a.keras", _in_config),
    "metadata.json": ("a.keras", _in_metadata),
    "model_config": ("a.h5", _in_hdf5),
    "a safetensors header": ("a.safetensors", _in_safetensors_header),
    "a canonical .safetensors": ("a.safetensors", _in_safetensors_metadata),
    "a canonical .npz": ("a.npz", _in_npz),
    "a .weights.json": ("a.weights.json", _as_map),
}

_LAUGHS = "\n".join(["a0: &a0 [x]", *(f"a{n + 1}: &a{n + 1} [*a{n}, *a{n}]" for n in range(60))])
_LAUGHING_LAYERS = "&a0 {class_name: LSTM, config: {name: x}}"
for _number in range(40):
    _LAUGHING_LAYERS = f"&a{_number + 1} {{class_name: Model, config: {{layers: [{_LAUGHING_LAYERS}, *a{_number}]}}}}"

YAMLS: dict[str, tuple[str, str]] = {
    "laughs": (_LAUGHS, "stands for more than"),
    "layers that laugh": (_LAUGHING_LAYERS, "stands for more than"),
    "a list in itself": ("&a [*a]", "stands for more than"),
    "a name twice": ("class_name: Model\nclass_name: Sequential", "has a key twice"),
    "a number for a name": ("1: 2", "one that is no text"),
    "nested deep": ("- " * 100_000, "neither JSON nor plain YAML"),
    "too long": ("[]," * 200_000, "too long for YAML"),
    "a call of os.system": ("!!python/object/apply:os.system ['touch executed']", "neither JSON nor plain YAML"),
    "a new object": ("!!python/object/new:os.system ['touch executed']", "neither JSON nor plain YAML"),
    "a name of code": ("!!python/name:os.system", "neither JSON nor plain YAML"),
    "a module": ("!!python/module:os", "neither JSON nor plain YAML"),
}


def attacks() -> Iterator[Attack]:
    """Yield every document in every place, and every YAML as a file given by `--config`."""
    for place, (file, build) in PLACES.items():
        for name, (text, said) in TEXTS.items():
            looked_for = "" if name == "too large" else said  # its place may be too large before it is
            yield Attack(f"{place}: {name}", file, partial(build, text), looked_for)
    for name, (text, _) in TEXTS.items():
        yield Attack(f"--config: {name}", "a.weights_only.h5", partial(_beside, "json", text), "", "config.json")
    for name, (said_in, said) in YAMLS.items():
        build = partial(_beside, "yaml", said_in.encode())
        yield Attack(f"--config YAML: {name}", "a.weights_only.h5", build, said, "config.yaml")

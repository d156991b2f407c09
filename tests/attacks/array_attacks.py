"""Files that belong to a command beside its model: data and readouts (.npy), proofs and moves (.npz)."""

import io
import struct
import zipfile
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

import lstm_convert
from attacks import Attack
from attacks.pickle_attacks import called
from lstm_convert.reading import normalize_file

_FIXTURE = Path(__file__).parents[2] / "fixtures/torch-2.13/plain.pt"
_BOMB = 200_000_000
Members = dict[str, bytes]


def _npy(descr: str, shape: str, numbers: bytes = b"", *, fortran: bool = False, version: int = 1) -> bytes:
    said = f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}}}"
    return _header(said, version) + numbers


def _header(said: str, version: int = 1) -> bytes:
    length = struct.pack("<H" if version == 1 else "<I", len(said))
    return b"\x93NUMPY" + bytes([version, 0]) + length + said.encode()


def _saved(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def _zipped(members: Members) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def _bomb() -> bytes:
    return _zipped({"x.npy": _npy("'|i1'", f"({_BOMB},)", bytes(_BOMB))})


NPYS: dict[str, tuple[Callable[[], bytes], str]] = {
    "an array of Python objects": (lambda: _npy("'|O'", "(1,)", called("os.system")), "Python objects"),
    "code in a header": (lambda: _header("__import__('os').system('touch executed')"), "damaged"),
    "a header nested deep": (lambda: _header("(" * 9000), "damaged"),
    "a header that never ends": (lambda: _header("'" + "\n" * 900), "damaged"),
    "a huge header": (lambda: _header(" " * 5_000_000 + "{}", 2), "damaged"),
    "a header longer than the file": (lambda: b"\x93NUMPY\2\0\xff\xff\xff\xff{}", "damaged"),
    "a lying shape": (lambda: _npy("'<f8'", "(4, 10000000, 3)", bytes(96)), "should have"),
    "a lying shape in Fortran's order": (lambda: _npy("'<f8'", "(9, 9, 9)", bytes(96), fortran=True), "should have"),
    "a shape larger than any memory": (lambda: _npy("'<f8'", "(99999999999, 99999999999)"), "should have"),
    "a shape that is nothing times too much": (lambda: _npy("'<f8'", "(0, 99999999999, 99999999999)"), ""),
    "a shape below nothing": (lambda: _npy("'<f8'", "(-4, 3, -1)", bytes(96)), "the shape (-4, 3, -1)"),
    "a shape of other things": (lambda: _npy("'<f8'", "('a', None)", bytes(96)), "damaged"),
    "arrays in an array": (lambda: _npy("'(1000,1000)<f4'", "(0,)"), "is not read"),
    "records": (lambda: _npy("[('x', '<f4')]", "(1,)", bytes(4)), "records"),
    "a text as long as memory": (lambda: _npy("'<U500000000'", "(1,)"), "should have"),
    "texts": (lambda: _saved(np.array([[["a", "b"]]])), ""),
    "imaginary numbers": (lambda: _saved(np.ones((2, 3, 3), complex)), ""),
    "dates": (lambda: _saved(np.zeros((2, 3, 3), "M8[s]")), ""),
    "no numbers": (lambda: _saved(np.full((2, 3, 3), np.nan)), ""),
    "cut short": (lambda: _saved(np.ones((2, 3, 3)))[:-1], "should have"),
    "a version that is none": (lambda: _header("{}", 9), "version"),
    "nothing at all": (lambda: b"", "damaged"),
    "a pickle": (lambda: called("os.system"), "damaged"),
    "a bomb": (_bomb, "damaged"),
}


@cache
def _with_a_proof() -> Members:
    return _made(lambda folder: lstm_convert.convert(_FIXTURE, folder / "a.npz", proof=True))


@cache
def _with_moves() -> Members:
    return _made(lambda folder: normalize_file(_FIXTURE, folder / "a.npz"))


def _made(make: Callable[[Path], object]) -> Members:
    import tempfile  # noqa: PLC0415 (once)

    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder))
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def _changed(change: Callable[[Members], Members], content: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return _zipped(change({name: archive.read(name) for name in archive.namelist()}))


def _each(new: Callable[[bytes], bytes]) -> Callable[[Members], Members]:
    """Change all arrays but the document about them."""
    return lambda members: {
        name: content if name == "__metadata__.npy" else new(content) for name, content in members.items()
    }


ARCHIVES: dict[str, Callable[[bytes], bytes]] = {
    "no arrays": partial(_changed, lambda members: {k: v for k, v in members.items() if k == "__metadata__.npy"}),
    "a missing array": partial(_changed, lambda members: dict(list(members.items())[1:])),
    "arrays of one number": partial(_changed, _each(lambda _: _saved(np.zeros(())))),
    "arrays of other shapes": partial(_changed, _each(lambda _: _saved(np.ones((1, 1, 1, 1))))),
    "arrays of texts": partial(_changed, _each(lambda _: _saved(np.full(5, "x")))),
    "arrays of no numbers": partial(_changed, _each(lambda _: _saved(np.full(5, np.nan)))),
    "arrays of imaginary numbers": partial(_changed, _each(lambda _: _saved(np.full(5, 1j)))),
    "arrays of objects": partial(_changed, _each(lambda _: _npy("'|O'", "(1,)", called("os.system")))),
    "arrays that lie": partial(_changed, _each(lambda _: _npy("'<f8'", "(99999999999,)"))),
    "one array that is a bomb": partial(
        _changed, lambda members: {**members, "x.npy": _npy("'|i1'", f"({_BOMB},)", bytes(_BOMB))}
    ),
    "all arrays bombs": partial(_changed, _each(lambda _: _npy("'|i1'", "(40000000,)", bytes(40_000_000)))),
    "cut short": lambda content: content[: len(content) // 2],
    "nothing at all": lambda _: b"",
    "a pickle": lambda _: called("os.system"),
    "an .npy": lambda _: _saved(np.ones(5)),
}
# A document that lies belongs to proofs alone.
_DOCUMENTS = {
    "a document nested deep": "[" * 100_000,
    "a document that is none": "7",
    "a version to come": '{"format": "lstm_convert proof", "version": 2}',
    "layers that are none": '{"format": "lstm_convert proof", "version": 1, "seed": 0, "layers": [7]}',
    "a million million trials": (
        '{"format": "lstm_convert proof", "version": 1, "seed": 0, "layers": [{"name": "x", "directions": 1, '
        '"outputs": 1, "trials": 1000000000000, "return_sequences": true, "dtype": "float32"}]}'
    ),
}


def attacks() -> Iterator[Attack]:
    """Yield every file as every command reads it."""
    for use in ("data", "readout"):
        for name, (build, said) in NPYS.items():
            yield Attack(f"{use}: {name}", "a.npy", partial(_write, {}, "a.npy", build), said, use=use)
    for use, file, made in (("proof", "a.npz.proof.npz", _with_a_proof), ("moves", "a.npz.moves.npz", _with_moves)):
        for name, change in ARCHIVES.items():
            build = partial(lambda change, made, file: change(made()[file]), change, made, file)
            yield Attack(f"{use}: {name}", file, partial(_write, made, file, build), "", use=use)
    for name, text in _DOCUMENTS.items():
        build = partial(_with_document, text)
        yield Attack(f"proof: {name}", "a.npz.proof.npz", partial(_write, _with_a_proof, "a.npz.proof.npz", build),
                     "is no proof of lstm_convert", use="proof")  # fmt: skip


def _with_document(text: str) -> bytes:
    document = {"__metadata__.npy": _saved(np.array(text))}
    return _changed(lambda members: {**members, **document}, _with_a_proof()["a.npz.proof.npz"])


def _write(beside: Any, file: str, build: Callable[[], bytes], folder: Path) -> None:
    for name, content in {**(beside() if beside else {}), file: build()}.items():
        (folder / name).write_bytes(content)

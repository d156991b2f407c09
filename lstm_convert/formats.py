"""The kinds of file: how each is known, who opens it, who understands it, and what it is called when written.

Modules are named, not imported: what a file does not need is never loaded.
"""

from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from types import ModuleType

from lstm_convert import strangers
from lstm_convert.errors import InvalidFile, UnknownFormat

_HEAD = 512


@dataclass(frozen=True)
class Format:
    """One kind of file.

    Args:
        name: what people call it.
        magic: the bytes it may begin with, so that no container is imported in vain; the container then looks closer.
        container: the module under `containers/` that knows its bytes.
        framework: the module under `frameworks/` that knows its names.
        extensions: the endings under which it is written, longest meaning first; none where it is only read.
        read_as: the endings under which it is found.
        checked: the versions whose files the tests read, or whose framework opens what is written.
        beside: the ending of a second file that is written with it, under the same name.
        parts: how the names of further files go on that it is read with, after its own without its ending; a pattern.
    """

    name: str
    magic: tuple[bytes, ...]
    container: str
    framework: str
    read_as: tuple[str, ...]
    extensions: tuple[str, ...] = ()
    checked: str = ""
    beside: str = ""
    parts: str = ""

    @cached_property
    def opener(self) -> ModuleType:
        """The container's module."""
        return import_module(f"lstm_convert.containers.{self.container}")

    @cached_property
    def adapter(self) -> ModuleType:
        """The framework's module."""
        return import_module(f"lstm_convert.frameworks.{self.framework}")


_HDF5 = (b"\x89HDF",)
_ZIP = (b"PK",)
_ANY = (b"",)

FORMATS = (
    Format(
        "Keras HDF5, model or weights",
        magic=_HDF5,
        container="hdf5",
        framework="keras",
        read_as=(".h5", ".hdf5", ".keras"),
        extensions=(".h5", ".hdf5"),
        checked="Keras 1.2.2, 2.2.0, 2.3.1, tf.keras 2.12 to 2.15, Keras 3.0.5, 3.15.1",
    ),
    Format(
        "Keras weights",
        magic=_HDF5,
        container="hdf5",
        framework="keras",
        read_as=(".weights.h5",),
        extensions=(".weights.h5",),
        checked="tf.keras 2.12 to 2.15, Keras 3.0.5, 3.15.1",
    ),
    Format(
        "Keras weights, sharded",
        magic=_ANY,
        container="weights_json",
        framework="keras",
        read_as=(".weights.json",),
        checked="Keras 3.15.1",
        parts="_[0-9]*.weights.h5",
    ),
    Format(
        "Keras model",
        magic=_ZIP,
        container="keras_zip",
        framework="keras",
        read_as=(".keras",),
        extensions=(".keras",),
        checked="tf.keras 2.13 to 2.15, Keras 3.0.5, 3.15.1",
    ),
    Format(
        "PyTorch checkpoint",
        magic=_ZIP,
        container="torch_zip",
        framework="pytorch",
        read_as=(".pt", ".pth", ".bin", ".ckpt"),
        extensions=(".pt", ".pth", ".bin", ".ckpt"),
        checked="PyTorch 2.13.0",
    ),
    Format(
        "PyTorch checkpoint before 1.6",
        magic=_ANY,
        container="torch_legacy",
        framework="pytorch",
        read_as=(".pt", ".pth"),
        checked="PyTorch 2.13.0",
    ),
    Format(
        "canonical, per gate",
        magic=_ANY,
        container="safetensors",
        framework="per_gate",
        read_as=(".lstm.safetensors",),
        extensions=(".lstm.safetensors",),
        checked="safetensors 0.8",
    ),
    Format(
        "canonical, per gate",
        magic=_ZIP,
        container="npz",
        framework="per_gate",
        read_as=(".npz",),
        extensions=(".npz",),
        checked="NumPy 2",
    ),
    Format(
        "PyTorch source",
        magic=(b'"""',),
        container="source_pair",
        framework="pytorch.source",
        read_as=(".py",),
        extensions=(".py",),
        checked="PyTorch 2.13.0, safetensors 0.8",
        beside=".safetensors",
    ),
    Format(
        "PyTorch source, its weights",
        magic=_ANY,
        container="safetensors",
        framework="pytorch.source",
        read_as=(".safetensors",),
        checked="PyTorch 2.13.0, safetensors 0.8",
    ),
    Format(
        "PyTorch safetensors",
        magic=_ANY,
        container="safetensors",
        framework="pytorch",
        read_as=(".safetensors",),
        extensions=(".safetensors",),
        checked="PyTorch 2.13.0, safetensors 0.8",
    ),
)

_WRITTEN_AS = {extension: entry for entry in FORMATS for extension in entry.extensions}

# What a target may leave to the user's own code.
ALLOWABLE = ("hard_sigmoid", "mask", "go_backwards", "merge", "relu")


def candidates(path: Path) -> list[Format]:
    """Return the kinds a file may be, all of one container, by its first bytes and never by its name alone.

    Args:
        path: an existing file.

    Raises:
        InvalidFile: it cannot be read.
        UnknownFormat: it is of no kind that is known.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        what = f"cannot be read: {error.strerror or error}"
        raise InvalidFile(what, next_step=strangers.next_step_of_unreadable(path, error)) from error
    for entry in FORMATS:
        if head.startswith(entry.magic) and entry.opener.sniff(head, path):
            return [other for other in FORMATS if other.container == entry.container]
    stranger = strangers.recognised(head)
    known = "; ".join(dict.fromkeys(entry.name for entry in FORMATS))
    found = f"{head[:8]!r}, {stranger.name}".removesuffix(", ")
    raise UnknownFormat(
        "is no file of a known kind", [f"expected one of: {known}", f"found {found}"], stranger.next_step
    )


def for_writing(path: Path) -> tuple[Format, str]:
    """Return the kind of file that a name asks for, and the ending that says so.

    Args:
        path: where to write; of several endings that fit, the longest counts.

    Raises:
        UnknownFormat: no kind is written under this ending.
    """
    name = path.name
    fitting = [extension for extension in _WRITTEN_AS if name.endswith(extension)]
    if not fitting:
        raise UnknownFormat(
            "has an ending under which nothing is written",
            [f"expected one of {', '.join(_WRITTEN_AS)}"],
            "Choose one of these.",
        )
    longest = max(fitting, key=len)
    return _WRITTEN_AS[longest], longest


def support() -> list[dict[str, str]]:
    """Return the table of what is read and written, a row a kind of file."""
    return [
        {
            "kind": entry.name,
            "read": " ".join(entry.read_as),
            "written": " ".join(entry.extensions) or "no",
            "checked with": entry.checked,
        }
        for entry in FORMATS
    ]


def support_markdown() -> str:
    """Return the same table as Markdown, as the README has it."""
    header, *rows = [list(support()[0]), *(list(row.values()) for row in support())]
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)

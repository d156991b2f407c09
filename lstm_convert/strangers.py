"""Files that are often taken for a model's: what each is, told by its first bytes, and what to do about it."""

import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Stranger:
    """A kind of file that is no model's.

    Args:
        name: what it is.
        beginning: how such files begin, a pattern.
        next_step: how one gets at the model.
    """

    name: str
    beginning: bytes
    next_step: str


_UNPACK = "Unpack it, and give the file that is inside."

_STRANGERS = (
    Stranger("an empty file", rb"\Z", "Copy or download it again."),
    Stranger("a git-lfs pointer", rb"version https://git-lfs", "`git lfs pull` puts the file itself in its place."),
    Stranger(
        "a web page",
        rb"\s*<(!doctype|html|\?xml)",
        "Download the file itself: this is a page about it, or one that says why there is none.",
    ),
    Stranger(
        "an architecture without weights",
        rb'\s*({\s*")?(backend|class_name|config|keras_version|module)"?:',
        "Give the file of the weights, and this one with --config.",
    ),
    Stranger("a gzip archive", rb"\x1f\x8b", _UNPACK),
    Stranger("a tar archive", rb".{257}ustar", _UNPACK),
    Stranger("a zip archive", rb"PK\x03\x04", _UNPACK),
    Stranger("a TensorFlow Lite model", rb".{4}TFL3", "Give the Keras file that it was made from."),
    Stranger("one array of NumPy's", rb"\x93NUMPY", "Give a file that has all arrays of the model, with their names."),
    Stranger(
        "a pickle that torch.save did not write",
        rb"\x80[\x02-\x05]",
        "Open it with the program that wrote it, and save the weights alone: torch.save(model.state_dict(), path).",
    ),
)
_UNKNOWN = Stranger("", b"", "See `lstm-convert formats` for what is read.")


def recognised(head: bytes) -> Stranger:
    """Return what a file is by its first bytes, one without a name where that is not known."""
    return next((kind for kind in _STRANGERS if re.match(kind.beginning, head, re.DOTALL | re.IGNORECASE)), _UNKNOWN)


def next_step_of_unreadable(path: Path, error: OSError) -> str:
    """Return what to do about a path that cannot be opened as a file."""
    if isinstance(error, IsADirectoryError) and (path / "saved_model.pb").exists():
        return "This is a SavedModel: load it in the TensorFlow that wrote it, and write model.save('model.h5')."
    return "Name a file that exists and that you may read."

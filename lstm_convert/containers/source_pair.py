"""A pair of files: source code, and beside it the arrays it works with, a safetensors file of the same name.

The text is the document `source`; the other documents are the metadata of the safetensors file.
"""

import hashlib
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lstm_convert.containers import Contents, safetensors
from lstm_convert.errors import InvalidFile, Unsupported

SOURCE = "source"
# A whole model, or layers: LSTM, GRU, RNN, or Recurrent where there are several kinds.
HEAD = re.compile(rb'"""(A model|(LSTM|GRU|RNN|Recurrent) layers) in PyTorch')

_LARGEST_SOURCE = 1 << 24


def sniff(head: bytes, path: Path) -> bool:
    """Tell whether a file is source code that begins as what is written; `opened` looks for its arrays."""
    return path.suffix == ".py" and HEAD.match(head) is not None


def beside(path: Path) -> Path:
    """Return the file of the arrays that belongs to a file of source code, or to that which a link leads to."""
    return (path.resolve() if path.is_symlink() else path).with_suffix(".safetensors")


@contextmanager
def opened(path: Path, *, own: bool = False) -> Iterator[Contents]:
    """Open a pair; the source is read as text, nothing in it is executed.

    Args:
        path: the file.
        own: whether we made it where nobody else writes.

    Yields:
        The arrays, their metadata, and the text.

    Raises:
        InvalidFile: one of the two cannot be read.
    """
    arrays = beside(path)
    if not arrays.is_file():
        raise InvalidFile(
            f"is source code without its weights: there is no {arrays.name} beside it",
            next_step="Copy both files into one folder.",
        )
    if path.stat().st_size > _LARGEST_SOURCE:
        raise InvalidFile(f"is larger than {_LARGEST_SOURCE} bytes, too large for source code")
    try:
        source = path.read_bytes()
        text = io.TextIOWrapper(io.BytesIO(source), "utf-8").read()
    except UnicodeDecodeError as error:
        raise InvalidFile("is no text in UTF-8") from error
    with safetensors.opened(arrays, own=own) as contents:
        documents = contents.attributes.get("", {})
        yield Contents(
            contents.arrays,
            {**contents.attributes, "": {**documents, SOURCE: text}},
            hashlib.sha256(source).hexdigest,
        )


def write(path: Path, contents: Contents) -> None:
    """Write the arrays to the file beside a path, then the text to the path.

    Raises:
        Unsupported: there is no text, or the arrays have no place in a safetensors file.
    """
    text = contents.document(SOURCE)
    if not isinstance(text, str):
        raise Unsupported("there is no source code to write")
    metadata = {name: value for name, value in contents.attributes.get("", {}).items() if name != SOURCE}
    safetensors.write(beside(path), Contents(contents.arrays, {"": metadata}))
    path.write_text(text, "utf-8")

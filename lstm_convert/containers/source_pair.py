"""A pair of files: source code, and beside it the arrays it works with, a safetensors file of the same name.

The text is the document `source`; the other documents are the metadata of the safetensors file.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lstm_convert.containers import Contents, safetensors
from lstm_convert.errors import InvalidFile, Unsupported

SOURCE = "source"


def sniff(head: bytes, path: Path) -> bool:  # noqa: ARG001 (every container's sniff has both)
    """Return that no file is one: source code is written, never read; its arrays are a safetensors file."""
    return False


def beside(path: Path) -> Path:
    """Return the file of the arrays that belongs to a file of source code."""
    return path.with_suffix(".safetensors")


@contextmanager
def opened(path: Path) -> Iterator[Contents]:
    """Open a pair that was written, to check it; the source is read as text, nothing in it is executed.

    Yields:
        The arrays, their metadata, and the text.

    Raises:
        InvalidFile: one of the two cannot be read.
    """
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidFile("is no text in UTF-8") from error
    with safetensors.opened(beside(path)) as contents:
        documents = contents.attributes.get("", {})
        yield Contents(contents.arrays, {**contents.attributes, "": {**documents, SOURCE: text}})


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

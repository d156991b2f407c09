"""The zip archive that a `.keras` file is: JSON documents, and an HDF5 file inside.

*Source:* keras 3.15.1, keras/src/saving/saving_lib.py, _save_model_to_fileobj.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lstm_convert import json_text
from lstm_convert.containers import Contents, hdf5, hdf5_writing, zips
from lstm_convert.errors import InvalidFile, Unsupported

DOCUMENTS = ("metadata.json", "config.json")
WEIGHTS = "model.weights.h5"

_SPLIT_WEIGHTS = "model.weights.json"


def sniff(head: bytes, path: Path) -> bool:
    """Return whether a file is a zip archive with Keras's documents."""
    return head.startswith(zips.START) and any(name in DOCUMENTS for name in zips.names(path))


@contextmanager
def opened(path: Path, *, own: bool = False) -> Iterator[Contents]:
    """Yield the arrays of the HDF5 file inside, and the JSON texts as documents.

    Args:
        path: the file.
        own: whether we made it where nobody else writes.

    Raises:
        InvalidFile: the archive is damaged or has no weights.
        Unsupported: its weights are stored in another form.
    """
    with zips.opened(path, own=own) as archive:
        if WEIGHTS not in archive.members:
            if _SPLIT_WEIGHTS in archive.members or "model.weights.npz" in archive.members:
                raise Unsupported(
                    "its weights are split or pickled inside the archive",
                    [f"expected {WEIGHTS}, found {', '.join(archive.members)}"],
                    "Save it again with model.save(path), or its weights with model.save_weights('x.weights.h5').",
                )
            raise InvalidFile("it has no weights", [f"expected {WEIGHTS}, found {', '.join(archive.members)}"])
        documents = {name: _text(archive, name) for name in DOCUMENTS if name in archive.members}
        with hdf5.opened_within(archive.read(WEIGHTS), own=own) as weights:
            root = {**weights.attributes.get("", {}), **documents}
            yield Contents(weights.arrays, {**weights.attributes, "": root}, archive.map.sha256)


def _text(archive: zips.Archive, name: str) -> str:
    if archive.members[name].size > json_text.LARGEST:
        raise InvalidFile(f"{name} is larger than {json_text.LARGEST} bytes, too large for what it is")
    try:
        return bytes(archive.checked(name)).decode()
    except UnicodeDecodeError as error:
        raise InvalidFile(f"{name} is no text in UTF-8", next_step=zips.COPY_AGAIN) from error


def write(path: Path, contents: Contents) -> None:
    """Write the documents and, as an HDF5 file inside, the arrays with their attributes.

    Args:
        path: where to.
        contents: the documents are the file's own attributes.
    """
    inner = {group: values for group, values in contents.attributes.items() if group}
    documents = [zips.NewMember.of(name, str(contents.document(name)).encode()) for name in DOCUMENTS]
    with hdf5_writing.made(Contents(contents.arrays, inner)) as (size, chunks):
        zips.write(path, [*documents, zips.NewMember(WEIGHTS, size, lambda: chunks)])

"""Results that go into a zip archive: made in a folder beside it, which is packed and put into its place at the end."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from lstm_convert.collection import places, stopping
from lstm_convert.errors import InvalidFile, naming

_AT_ONCE = 1 << 20


def check(out: str) -> None:
    """Raise where results cannot go to a place because of the archive in it.

    Args:
        out: the place.

    Raises:
        InvalidFile: it is in an archive of another kind than zip, or in one in another.
    """
    if "::" in out and not (out.startswith("zip://") and out.count("::") == 1):
        raise InvalidFile(
            f"{out}: is no archive that results are put into", next_step="Name a folder, or zip://::results.zip."
        )
    if "::" in out and ".." in inside(out).split("/"):
        raise InvalidFile(f"{out}: leads out of the archive", next_step="Name a folder in it, or zip://::results.zip.")


def inside(place: str) -> str:
    """Return the path in its archive of a place that leads into one.

    Args:
        place: a `zip://` URL.
    """
    return places.unchained(place)[0].removeprefix("zip://").strip("/")


@contextmanager
def unpacked(place: str) -> Iterator[Path]:
    """Yield a folder with all that an archive holds; what changes in it is packed at the end, be it an error.

    Args:
        place: a `zip://` URL that leads into the archive; where there is none yet, the folder is empty.

    Raises:
        InvalidFile: it is no zip archive, damaged, a bomb, or cannot be written; or somebody else wrote it meanwhile.
        MissingFramework: what reaches such a URL is not installed.
    """
    archive = places.named(places.unchained(place)[1].removeprefix("::"))
    with places.workshop(archive) as workshop:
        folder = workshop / "results"
        folder.mkdir()
        with _said_of(archive):
            if places.is_url(archive) and not places.exists(archive):
                places.put(_packed(folder, workshop), archive)  # which shows before any work whether one may
            has_changed = places.watched(archive)
            if places.exists(archive):
                _unpack(places.fetched(archive, workshop)[0], folder)
        before = _noted(folder)
        try:
            yield folder
        finally:
            if _noted(folder) != before:
                with stopping.put_off(), _said_of(archive):
                    made = _packed(folder, workshop)
                    if has_changed():
                        raise InvalidFile("was changed meanwhile", next_step="Run the command again.")
                    places.put(made, archive)


@contextmanager
def _said_of(archive: str) -> Iterator[None]:
    """Say of an archive what goes wrong with it."""
    with naming(archive):
        try:
            yield
        except OSError as error:
            raise InvalidFile(
                f"cannot be packed or unpacked: {error.strerror or error}",
                next_step="Free some space, or choose another archive.",
            ) from error


def _noted(folder: Path) -> dict[Path, tuple[int, int]]:
    """Return the files below a folder, with their sizes and when they were written."""
    return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


def _unpack(path: Path, folder: Path) -> None:
    from lstm_convert.containers import zips  # noqa: PLC0415 (few collections go into an archive)

    with zips.opened(path) as archive:
        for name in archive.members:
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(archive.checked(name))


def _packed(folder: Path, workshop: Path) -> Path:
    """Return an archive of all that was in a folder, which is empty then."""
    from lstm_convert.containers import zips  # noqa: PLC0415 (as above)

    made = workshop / "results.zip"
    zips.write(
        made,
        (
            zips.NewMember(path.relative_to(folder).as_posix(), size, partial(_moved, path))
            for path, (size, _) in sorted(_noted(folder).items())
        ),
    )
    with made.open("rb+") as file:
        os.fsync(file.fileno())
    return made


def _moved(path: Path) -> Iterator[bytes]:
    """Yield a file in blocks; it goes once they are taken, so that there is room for it elsewhere."""
    with path.open("rb") as file:
        yield from iter(partial(file.read, _AT_ONCE), b"")
    path.unlink()

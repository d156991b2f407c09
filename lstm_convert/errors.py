"""The errors this library raises: one parent, five children, each also the standard type a caller would expect."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class LstmConvertError(Exception):
    """The parent of every error that this library raises on purpose.

    Its text has three parts: the first line names the file and what is wrong; then one line a tensor or layer, what was
    expected and what was found; the last line is the next step. `reason` is what is wrong, without the file's name.
    """

    def __init__(self, what: str, details: Iterable[str] = (), next_step: str = "") -> None:
        self.what = self.reason = what
        self.details = tuple(details)
        self.next_step = next_step
        super().__init__(
            "\n".join([what, *(f"  {detail}" for detail in self.details), *([next_step] * bool(next_step))])
        )

    def about(self, path: object) -> "LstmConvertError":
        """Return the same error with the file it is about in its first line."""
        named = type(self)(f"{path}: {self.what}", self.details, self.next_step)
        named.reason = self.reason
        return named


class UnknownFormat(LstmConvertError, ValueError):
    """The file's kind could not be told, or no writer has this extension."""


class InvalidFile(LstmConvertError, ValueError):
    """The file is damaged, contradicts itself, or holds what must not be opened."""


class LayoutMismatch(LstmConvertError, ValueError):
    """The tensors are not those the layout has: every missing, extra and mis-shaped one is listed."""


class Unsupported(LstmConvertError, NotImplementedError):
    """The file is sound, but the target cannot compute it exactly."""


class MissingFramework(LstmConvertError, ImportError):
    """A live object was asked for and its framework is not installed."""


def not_written(error: OSError) -> InvalidFile:
    """Return what the system said when a file was written as the error that this is.

    Args:
        error: what it said.
    """
    return InvalidFile(
        f"cannot be written: {error.strerror or error}",
        next_step="Free some space, or choose a folder you may write to.",
    )


@contextmanager
def naming(path: object) -> Iterator[None]:
    """Put the file that an error is about in front of it.

    Args:
        path: the file.
    """
    try:
        yield
    except LstmConvertError as error:
        raise error.about(path) from error

"""Files that nobody writes to while they are read: on Linux whoever would waits until we have noticed, and let go.

Source: fcntl(2) of Linux, "Leases"
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import IO, Any
from weakref import finalize

_ALONE = ContextVar("_ALONE", default=False)


@contextmanager
def alone() -> Iterator[None]:
    """Let files be leased meanwhile. For processes that do nothing else: a thread of theirs would wait for itself."""
    token = _ALONE.set(True)
    try:
        yield
    finally:
        _ALONE.reset(token)


def stay_alone() -> None:
    """Let files be leased from now on, as in `alone`."""
    _ALONE.set(True)


class Lease:
    """A file that is leased until nobody has this object any more, and nobody has a map of the file.

    Args:
        descriptor: the leased file; it is closed with this object.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        finalize(self, os.close, descriptor)

    @property
    def is_wanted(self) -> bool:
        """Whether somebody waits to write to the file; after 45 seconds, as systems are set, they wait no longer."""
        import fcntl  # noqa: PLC0415 (Windows has none)

        return sys.platform == "linux" and fcntl.fcntl(self.descriptor, fcntl.F_GETLEASE) != fcntl.F_RDLCK


def lease_of(file: IO[Any]) -> Lease | None:
    """Lease a file that is open for reading.

    Args:
        file: the file.

    Returns:
        The lease; None where this process may do other things than we do, somebody has the file open to write to it, it
        is another user's, or the system or its filesystem has no leases.
    """
    if sys.platform != "linux" or not _ALONE.get():
        return None
    import fcntl  # noqa: PLC0415 (Windows has none)

    lease = Lease(os.dup(file.fileno()))
    try:
        # By a signal that nobody needs to answer; the one that is usual would end the process.
        fcntl.fcntl(lease.descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(lease.descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError:
        return None
    return lease

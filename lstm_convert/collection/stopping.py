"""A stop that is asked for while a collection is worked on, by Ctrl-C or the like, is answered once that is safe."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def put_off() -> Iterator[Callable[[], bool]]:
    """Put a stop off to the end of this block, where it is a KeyboardInterrupt; a second one is that at once.

    Signals that anything but a KeyboardInterrupt answers are left alone, and so are those of other threads than the
    main one, which gets them all.

    Yields:
        What tells whether a stop was asked for.
    """
    asked = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            signal.default_int_handler(number, frame)
        asked = True

    numbers = [
        number
        for number in (signal.SIGINT, signal.SIGTERM)
        if threading.current_thread() is threading.main_thread()
        and signal.getsignal(number) is signal.default_int_handler
    ]
    for number in numbers:
        signal.signal(number, note)
    try:
        yield lambda: asked
    finally:
        for number in numbers:
            signal.signal(number, signal.default_int_handler)
    if asked:
        raise KeyboardInterrupt

"""A second thread for what may go on beside: NumPy, hashing and files let others run while they are at work."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")
U = TypeVar("U")


def beside(act: Callable[[], T]) -> Callable[[], T]:
    """Let a thread do something, and return what waits for it.

    Args:
        act: what is done.

    Returns:
        What waits until it is done, and returns what it returned, or raises what it raised.
    """
    outcome: dict[str, Any] = {}

    def run() -> None:
        try:
            outcome["result"] = act()
        except BaseException as error:  # noqa: BLE001 (it is raised where it is waited for)
            outcome["error"] = error

    thread = Thread(target=run)
    thread.start()

    def wait() -> T:
        thread.join()
        if "error" in outcome:
            raise outcome["error"]
        result: T = outcome["result"]
        return result

    return wait


def ahead(things: Iterable[T]) -> Iterator[T]:
    """Yield what is made one after the other, each made beside while the one before is used.

    Args:
        things: what makes them; it may use again, for the next but one, the memory of each.
    """
    remaining = iter(things)
    end: Any = object()
    upcoming = beside(lambda: next(remaining, end))
    try:
        while (thing := upcoming()) is not end:
            upcoming = beside(lambda: next(remaining, end))
            yield thing
    finally:
        upcoming()


def in_halves(act: Callable[[T], U], things: Sequence[T]) -> list[U]:
    """Do something to each of some things, to every other one beside, and return what came of them.

    Args:
        act: what is done.
        things: what it is done to.
    """
    done: list[Any] = [None] * len(things)
    others = beside(lambda: [act(thing) for thing in things[1::2]])
    try:
        done[::2] = [act(thing) for thing in things[::2]]
    finally:
        done[1::2] = others()
    return done

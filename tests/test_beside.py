"""A second thread: what it makes is the same, in order, and what goes wrong in it is raised where it is waited for."""

import threading
from collections.abc import Iterator

import pytest

from lstm_convert.beside import ahead, beside, in_halves


@pytest.fixture
def no_thread_is_left() -> Iterator[None]:
    """Other tests, of clouds, may have left some."""
    before = {*threading.enumerate()}
    yield
    assert {*threading.enumerate()} <= before


def test_what_is_done_beside_is_returned_and_raised() -> None:
    assert beside(threading.current_thread)() is not threading.current_thread()
    assert beside(lambda: None)() is None
    with pytest.raises(ValueError, match="lost"):
        beside(lambda: int("lost"))()


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_what_is_made_ahead_comes_in_order(count: int) -> None:
    assert [*ahead(range(count))] == [*range(count)]


def test_the_next_is_made_while_one_is_used_and_no_other() -> None:
    begun: list[int] = []
    next_begins = [threading.Event() for _ in range(4)]

    def making() -> Iterator[int]:
        for number in range(4):
            begun.append(number)
            next_begins[number].set()
            yield number

    for number in ahead(making()):
        following = [*range(number + 2)][:4]
        assert next_begins[following[-1]].wait(10)
        assert begun == following


def test_an_error_of_what_is_made_comes_after_what_was_made_before() -> None:
    def making() -> Iterator[int]:
        yield 1
        raise OSError("full")

    found = ahead(making())
    assert next(found) == 1
    with pytest.raises(OSError, match="full"):
        next(found)


@pytest.mark.usefixtures("no_thread_is_left")
def test_what_is_made_ahead_and_not_wanted_is_waited_for() -> None:
    found = ahead(iter(range(9)))
    assert next(found) == 0
    found.close()  # type: ignore[attr-defined]  # a generator


@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_halves_make_the_whole(count: int) -> None:
    assert in_halves(lambda number: number**2, range(count)) == [number**2 for number in range(count)]


@pytest.mark.usefixtures("no_thread_is_left")
@pytest.mark.parametrize("wrong", [0, 1, 4, 5])
def test_an_error_in_either_half_is_raised(wrong: int) -> None:
    with pytest.raises(ZeroDivisionError):
        in_halves(lambda number: 1 / (number - wrong), range(6))

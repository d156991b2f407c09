"""What the options of a network and its layers may be: the words of the table `KINDS`."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from lstm_convert.canonical.cells import Activation

LARGEST_NUMBER = 1e300
"""How large a number of a file may be that is no weight, so that twice as much is a number too."""
_LARGEST_WHOLE = 2**63 - 1
_MOST_AXES = 64  # of any array of NumPy


@dataclass(frozen=True)
class Option:
    """What one option may be.

    Args:
        expected: it in words.
        holds: whether a value is such; it is also given all options of the layer, for those that another one decides.
    """

    expected: str
    holds: Callable[[Any, Mapping[str, Any]], bool]


def refusals(asked: Mapping[str, Option], said: Mapping[str, Any]) -> Iterator[str]:
    """Yield which options are not what they may be, each with what was expected and found.

    Args:
        asked: what each may be.
        said: what they are, those that are stated.
    """
    for name, option in asked.items():
        if name in said and not option.holds(said[name], said):
            yield f"{name}: expected {option.expected}, found {said[name]!r:.60}"


def is_number(value: Any) -> TypeGuard[float]:
    """Return whether a value is a number that can be computed with: neither true nor false, infinite nor NaN.

    Args:
        value: any value of a file.
    """
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST_NUMBER


def number(least: float = -LARGEST_NUMBER) -> Option:
    """Return the option that is a number.

    Args:
        least: the smallest that it may be.
    """
    bound = "" if least == -LARGEST_NUMBER else f" of at least {least:g}"
    return Option(f"a number{bound}", lambda value, _: is_number(value) and value >= least)


def whole(least: int, largest: int = _LARGEST_WHOLE) -> Option:
    """Return the option that is a whole number.

    Args:
        least: the smallest that it may be.
        largest: the largest.
    """

    def holds(value: Any, _: Mapping[str, Any]) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and least <= value <= largest

    return Option(f"a whole number from {least} to {largest}", holds)


def one_of(*texts: str) -> Option:
    """Return the option that is one of a few texts.

    Args:
        *texts: these.
    """
    return Option(" or ".join(texts), lambda value, _: isinstance(value, str) and value in texts)


def several(one: Option) -> Option:
    """Return the option that is one value or more.

    Args:
        one: what each of them is.
    """
    return Option(f"one or more, each {one.expected}", lambda value, options: _are(one, value, options) and value != ())


def pair_of(one: Option) -> Option:
    """Return the option that is two values.

    Args:
        one: what each of them is.
    """
    return Option(
        f"two, each {one.expected}",
        lambda value, options: _are(one, value, options) and len(value) == 2,  # noqa: PLR2004 (a pair)
    )


def each_axis(one: Option) -> Option:
    """Return the option that is a value for each of the layer's `rank` axes.

    Args:
        one: what each of them is.
    """
    return Option(
        f"one an axis of the window, each {one.expected}",
        lambda value, options: _are(one, value, options) and len(value) == options.get("rank"),
    )


def order_from(first: int) -> Option:
    """Return the option that is an order of axes.

    Args:
        first: the number of the first of them.
    """

    def holds(value: Any, options: Mapping[str, Any]) -> bool:
        return _are(AXIS, value, options) and value != () and sorted(value) == [*range(first, first + len(value))]

    return Option(f"the numbers of all axes from {first} on in some order", holds)


def either(*possible: Option) -> Option:
    """Return the option that is of one or another sort.

    Args:
        *possible: the sorts.
    """
    return Option(
        ", or ".join(one.expected for one in possible),
        lambda value, options: any(one.holds(value, options) for one in possible),
    )


def where_form(form: str, asked: Option) -> Option:
    """Return the option that layers of one form need, and others do not look at.

    Args:
        form: the form.
        asked: what it needs; another may have None.
    """
    free = either(asked, NONE)
    return Option(
        f"{asked.expected}; None where the form is not {form}",
        lambda value, options: (asked if options.get("form") == form else free).holds(value, options),
    )


def _are(one: Option, values: Any, options: Mapping[str, Any]) -> bool:
    return isinstance(values, tuple | list) and all(one.holds(value, options) for value in values)


def _is_shape(value: Any, options: Mapping[str, Any]) -> bool:
    sizes = either(whole(1), whole(-1, -1))
    return _are(sizes, value, options) and list(value).count(-1) <= 1


def _are_sizes(value: Any, options: Mapping[str, Any]) -> bool:
    return _are(either(whole(0), NONE), value, options)


def _is_dtype(value: Any, _: Mapping[str, Any]) -> bool:
    return isinstance(value, str) and bool(re.fullmatch(r"bool|(u?int|b?float)[0-9]{1,2}", value))


NONE = Option("None", lambda value, _: value is None)
FLAG = Option("true or false", lambda value, _: isinstance(value, bool))
NUMBER = number()
ACTIVATION = Option("an activation", lambda value, _: isinstance(value, Activation))
AXIS = whole(-_MOST_AXES, _MOST_AXES - 1)
AXES = several(AXIS)
RANK = whole(1, _MOST_AXES)
STEPS = each_axis(whole(1))
AMOUNTS = each_axis(pair_of(whole(0)))
CHANNELS = one_of("last", "first")
PADDING = one_of("valid", "same", "causal")
INDEX = whole(-_LARGEST_WHOLE)
SHAPE = Option("whole numbers from 1, or -1 for one of them", _is_shape)
SIZES = Option("whole numbers from 0, or None where any is taken", _are_sizes)
DTYPE = Option("a type of number", _is_dtype)
JOINS = one_of("all", "any")

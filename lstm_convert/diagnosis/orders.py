"""The gate orders that frameworks store, as data, and the names of what happens when one is taken for another."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, combinations, product

from lstm_convert.canonical import GATES
from lstm_convert.table import LAYOUTS

Order = tuple[int, ...]

STRAIGHT: Order = (0, 1, 2, 3)


@dataclass(frozen=True)
class StoredOrder:
    """The order in which somebody stores the gates.

    Args:
        gates: the order, in canonical letters.
        who: who stores them so.
    """

    gates: str
    who: str

    @property
    def taken(self) -> Order:
        """For each canonical place, the gate that lands there when this order is taken for the canonical one."""
        return tuple(GATES.index(gate) for gate in self.gates)


# *Source:* ONNX f754691, docs/Operators.md, "LSTM"; TensorFlow 1.15, rnn_cell_impl.py; MIOpen 2d1fd99, miopen.h;
# OpenVINO, "LSTMCell"; Chainer 7, links/rnn/lstm.py; the others by their code of 2026.
KNOWN_ORDERS = (
    StoredOrder("iofg", "ONNX"),
    StoredOrder("igfo", "a Keras 1 list, TensorFlow 1, Haiku, CNTK"),
    StoredOrder("gfoi", "DL4J"),
    StoredOrder("gifo", "Chainer"),
    StoredOrder("ifog", "Core ML, MIOpen, OpenCV"),
    StoredOrder("figo", "OpenVINO"),
)

CHAINER = next(order for order in KNOWN_ORDERS if order.who == "Chainer")

# Two gates swapped are called a foreign order where files that are read here are stored so: that is then the likelier.
_READ_HERE = {row.gates.replace("c", "g").replace("j", "g") for row in LAYOUTS.values()}


@dataclass(frozen=True)
class Reordering:
    """A named change of the gates' order.

    Args:
        name: `gates_swapped` or `foreign_gate_order`.
        detail: which gates, or whose order.
        order: for each place, the gate that comes there.
    """

    name: str
    detail: str
    order: Order


def inverse(order: Order) -> Order:
    """Return the order that undoes another."""
    return tuple(order.index(place) for place in range(len(order)))


def after(first: Order, second: Order) -> Order:
    """Return the order that comes of one order and then another."""
    return tuple(first[place] for place in second)


def explained(order: Order) -> tuple[Reordering, ...]:
    """Return the fewest named changes that make an order; nothing for the straight one.

    Swapping two gates and taking a stored order for another can be the same change: it has the name of the order where
    that is one that files read here have, else the detail says whose order it is.
    """
    if order == STRAIGHT:
        return ()
    if whose := _foreign(order):
        return (whose,)
    if swap := _swap(order):
        return (swap,)
    swaps = [_foreign(swap) or _swap(swap) for swap in _swaps()]
    taken = [_foreign(known) for known in _all_taken()]
    for first, second in chain(product(swaps, swaps), product(taken, swaps)):
        if first and second and after(first.order, second.order) == order:
            return first, second
    raise AssertionError(f"{order} is no order of four gates")  # two of these changes make every order


def letters(order: Order) -> str:
    """Return an order in words: `i, o, f, g`."""
    return ", ".join(GATES[gate] for gate in order)


def _foreign(order: Order) -> Reordering | None:
    for known in KNOWN_ORDERS:
        if _is_swap(order) and known.gates not in _READ_HERE:
            continue
        stored = ", ".join(known.gates)
        if order == known.taken:
            note = f"; this swaps {_swapped(order)}" if _is_swap(order) else ""
            return Reordering(
                "foreign_gate_order", f"the order {stored} of {known.who} taken for {', '.join(GATES)}{note}", order
            )
        if order == inverse(known.taken):
            return Reordering("foreign_gate_order", f"gates put into the order {stored} of {known.who}", order)
    return None


def _swap(order: Order) -> Reordering | None:
    if not _is_swap(order):
        return None
    whose = [known.who for known in KNOWN_ORDERS if order == known.taken]
    note = f", as in the order of {whose[0]}" if whose else ""
    return Reordering("gates_swapped", f"{_swapped(order)} are swapped{note}", order)


def _is_swap(order: Order) -> bool:
    return sum(gate != place for place, gate in enumerate(order)) == len("ab")


def _swapped(order: Order) -> str:
    return " and ".join(GATES[place] for place, gate in enumerate(order) if gate != place)


def _swaps() -> Iterator[Order]:
    for one, other in combinations(STRAIGHT, 2):
        places = list(STRAIGHT)
        places[one], places[other] = other, one
        yield tuple(places)


def _all_taken() -> Iterator[Order]:
    for known in KNOWN_ORDERS:
        yield known.taken
        yield inverse(known.taken)

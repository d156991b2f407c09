"""The names of what was done to W and U, once it is known."""

from collections.abc import Iterator
from dataclasses import dataclass

from lstm_convert.diagnosis import orders
from lstm_convert.diagnosis.hypotheses import Hypothesis, Units, both, gates_reordered, misread, units_permuted
from lstm_convert.diagnosis.orders import CHAINER, Order, inverse
from lstm_convert.diagnosis.storage import APART, INTERLEAVED, Misreadings
from lstm_convert.diagnosis.units import Matched

_BIASES = ("b", "b_rec")
_ALL = ("W", "U", *_BIASES)
_OF_BLOCKS = {
    "cudnn": "the kernels' blocks are the memory of CuDNNLSTM's, taken for an LSTM's",
    "transposed": "the kernels' blocks are the memory of CuDNNLSTM's, taken for an LSTM's",
    "uncudnn": "the kernels' blocks are an LSTM's, taken for the memory of CuDNNLSTM's",
}


@dataclass(frozen=True)
class Found:
    """What was done to one kernel: its memory misread, its gates reordered."""

    misread: Misreadings
    order: Order


@dataclass(frozen=True)
class Explanation:
    """What was done to the arrays of a cell, one thing after another, and the units' permutation among it."""

    hypotheses: tuple[Hypothesis, ...]
    units: Units | None = None


def named(kernel: Found, recurrent: Found, moved: Matched | None, *, misread_last: bool) -> Iterator[Explanation]:
    """Yield the mistakes that were found, in the order in which they were made, in each way the biases may follow.

    Args:
        kernel: what was done to W.
        recurrent: what was done to U.
        moved: how the units were permuted, or None.
        misread_last: whether the memory was misread after gates were reordered and units permuted.
    """
    for gates in _reorderings(kernel, recurrent, misread_last=misread_last):
        steps = gates
        if moved:
            permuted = units_permuted(moved.units)
            steps = (*gates, permuted) if moved.gates_first else (permuted, *gates)
        misreadings = (
            () if _is_chainers(kernel, recurrent, misread_last=misread_last) else _misreadings(kernel, recurrent)
        )
        yield Explanation(
            (*steps, *misreadings) if misread_last else (*misreadings, *steps), moved.units if moved else None
        )


def _reorderings(kernel: Found, recurrent: Found, *, misread_last: bool) -> Iterator[tuple[Hypothesis, ...]]:
    if _is_chainers(kernel, recurrent, misread_last=misread_last):
        yield (_chainers(kernel.order, misread_last=misread_last),)
        return
    if kernel.order == recurrent.order:
        yield tuple(gates_reordered(change) for change in orders.explained(kernel.order))
        return
    for of_kernel, of_recurrent in ((("W",), ("U",)), (("W", *_BIASES), ("U",)), (("W",), ("U", *_BIASES))):
        yield (
            *(gates_reordered(change, of_kernel) for change in orders.explained(kernel.order)),
            *(gates_reordered(change, of_recurrent) for change in orders.explained(recurrent.order)),
        )


def _misreadings(kernel: Found, recurrent: Found) -> tuple[Hypothesis, ...]:
    """Return misread memory under its names; a square block of cuDNN's is one that is transposed."""
    W, U = kernel.misread, recurrent.misread  # noqa: N806 (the fields' own letters)
    if W == U and W in ((INTERLEAVED,), (APART,)):
        return (misread(W[0], "foreign_gate_order", _ALL, W[0].detail),)
    in_blocks = [
        (of_kernel, of_recurrent)
        for of_kernel, one in enumerate(W)
        for of_recurrent, other in enumerate(U)
        if one.name in _OF_BLOCKS and other.name in ("transposed", one.name)
    ]
    if not in_blocks:
        return (*_steps("W", W), *_steps("U", U))
    one, other = in_blocks[0]
    together = (*_steps("W", W[one : one + 1]), *_steps("U", U[other : other + 1]))
    return (
        *_steps("W", W[:one]),
        *_steps("U", U[:other]),
        both("cudnn_layout", _OF_BLOCKS[W[one].name], together),
        *_steps("W", W[one + 1 :]),
        *_steps("U", U[other + 1 :]),
    )


def _steps(array: str, misreadings: Misreadings) -> Iterator[Hypothesis]:
    for misreading in misreadings:
        yield misread(misreading, "cudnn_layout" if misreading.name == "cudnn" else "kernel_transposed", (array,))


def _is_chainers(kernel: Found, recurrent: Found, *, misread_last: bool) -> bool:
    """Return whether all was stored as Chainer does, in its order and interleaved, or read as if it were."""
    wanted = Found((INTERLEAVED,), CHAINER.taken) if misread_last else Found((APART,), inverse(CHAINER.taken))
    return kernel == recurrent == wanted


def _chainers(order: Order, *, misread_last: bool) -> Hypothesis:
    gates = [gates_reordered(change) for change in orders.explained(order)]
    stored = f"the order {', '.join(CHAINER.gates)} of Chainer, the gates of each unit side by side"
    if misread_last:
        steps = (*gates, misread(INTERLEAVED, "foreign_gate_order", _ALL))
        return both("foreign_gate_order", f"{stored}, taken for {orders.letters(orders.STRAIGHT)}", steps)
    steps = (misread(APART, "foreign_gate_order", _ALL), *gates)
    return both("foreign_gate_order", f"gates taken for {stored}", steps)

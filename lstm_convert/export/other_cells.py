"""What is written for one direction of a GRU or a simple RNN that PyTorch has no module for: its name and equations."""

import re
from collections.abc import Iterator, Mapping

from lstm_convert.canonical import Cell, GRUCell
from lstm_convert.export.plan import KIND_NAMES, has_bias

_USUAL = {"gate": "sigmoid", "candidate": "tanh"}


def name(cell: Cell, *, masked: bool) -> str:
    """Return a name that says what sets a cell apart from nn.GRU's or nn.RNN's."""
    words = ["Masked"] * masked + ["ResetBefore"] * _reset_before(cell)
    unusual = [activation.name for role, activation in cell.activations().items() if activation.name != _USUAL[role]]
    words += ["".join(map(str.capitalize, re.split("_", activation))) for activation in dict.fromkeys(unusual)]
    return "".join(words) + KIND_NAMES[cell.kind]


def facts(cell: Cell, *, masked: bool, zero_output: bool) -> set[str]:
    """Return what is true of a cell, by the words of the templates."""
    found = {
        "masked": masked,
        "zero_output": zero_output,
        "bias": has_bias(cell),
        "reset_before": _reset_before(cell),
    }
    return {fact for fact, holds in found.items() if holds}


def summary(cell: Cell, *, masked: bool) -> str:
    """Return the first line of its class's docstring, without the full stop."""
    article = "A GRU" if isinstance(cell, GRUCell) else "A simple RNN"
    if masked:
        return f"{article} that skips masked steps"
    own = f"nn.{KIND_NAMES[cell.kind]}"
    return f"{article} reset before its recurrent product, not after as {own}" if _reset_before(cell) else (
        f"{article} with activations that {own} lacks"
    )  # fmt: skip


def equations(cell: Cell, functions: Mapping[str, str]) -> Iterator[str]:
    """Yield the equations of one step of a cell, a line each.

    Args:
        cell: a GRU's or a simple RNN's.
        functions: what is called for each activation, by its role; nothing where it is linear.
    """
    names = {role: function.rpartition(".")[2] for role, function in functions.items()}

    def called(role: str, argument: str) -> str:
        return f"{names[role]}({argument})" if names[role] else argument

    bias = has_bias(cell)
    if not isinstance(cell, GRUCell):
        yield f"h = {called('candidate', 'W x + U h' + ' + b' * bias)}"
        return
    for gate in "rz":
        yield f"{gate} = {called('gate', f'W_{gate} x + U_{gate} h' + f' + b_{gate}' * bias)}"
    recurrent = f"r * (U_n h{' + b_hn' * bias})" if cell.reset_after else f"U_n (r * h){' + b_hn' * bias}"
    yield f"n = {called('candidate', f'W_n x + b_in + {recurrent}' if bias else f'W_n x + {recurrent}')}"
    yield "h = (1 - z) * n + z * h"


def _reset_before(cell: Cell) -> bool:
    return isinstance(cell, GRUCell) and not cell.reset_after

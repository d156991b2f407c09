"""Expressions of Python as they are to be written: on one line where they fit, else broken where ruff breaks them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from lstm_convert.export.templates import LINE

Expression: TypeAlias = "str | Call | Operation"


@dataclass(frozen=True)
class Call:
    """A call, or a list.

    Args:
        function: what is called; empty for a list.
        arguments: its arguments.
        brackets: what stands around them.
        method: what is called of its result.
    """

    function: str
    arguments: Sequence[Expression]
    brackets: str = "()"
    method: str = ""

    def __str__(self) -> str:
        return f"{self.function}{self.brackets[0]}{', '.join(map(str, self.arguments))}{self.brackets[1]}{self.method}"

    def lines(self, before: str = "", after: str = "", indent: int = 0) -> Iterator[str]:
        """Yield the call in as few lines as fit, broken where ruff breaks it.

        Args:
            before: what stands in front of it.
            after: what stands behind it.
            indent: the spaces in front of all lines.
        """
        margin, inner = " " * indent, indent + 4
        together = ", ".join(map(str, self.arguments))
        if len(f"{margin}{before}{self}{after}") <= LINE:
            yield f"{margin}{before}{self}{after}"
            return
        yield f"{margin}{before}{self.function}{self.brackets[0]}"
        if inner + len(together) <= LINE:
            yield f"{' ' * inner}{together}"
        else:
            for argument in self.arguments:
                yield from lines(argument, "", ",", inner)
        yield f"{margin}{self.brackets[1]}{self.method}{after}"


@dataclass(frozen=True)
class Operation:
    """Values joined by one operator.

    Args:
        operator: what stands between them.
        terms: two or more.
    """

    operator: str
    terms: Sequence[str]

    def __str__(self) -> str:
        return f" {self.operator} ".join(self.terms)

    def lines(self, before: str = "", after: str = "", indent: int = 0) -> Iterator[str]:
        """Yield the operation in as few lines as fit, as `Call.lines`; in brackets unless it is an argument."""
        argument = not before
        margin, inner = " " * indent, " " * (indent if argument else indent + 4)
        if len(f"{margin}{before}{self}{after}") <= LINE:
            yield f"{margin}{before}{self}{after}"
            return
        broken = [self.terms[0], *(f"{self.operator} {term}" for term in self.terms[1:])]
        if argument:
            yield from (f"{inner}{line}" for line in broken[:-1])
            yield f"{inner}{broken[-1]}{after}"
            return
        yield f"{margin}{before}("
        yield from (f"{inner}{line}" for line in ([str(self)] if len(f"{inner}{self}") <= LINE else broken))
        yield f"{margin}){after}"


def lines(expression: Expression, before: str, after: str, indent: int) -> Iterator[str]:
    """Yield any expression in as few lines as fit; a text is on one line."""
    if isinstance(expression, str):
        yield f"{' ' * indent}{before}{expression}{after}"
    else:
        yield from expression.lines(before, after, indent)

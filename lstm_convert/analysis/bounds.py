"""How a proven bound is said in few digits: rounded so that it still holds."""

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal

_UP, _DOWN = (Context(prec=3, rounding=way) for way in (ROUND_CEILING, ROUND_FLOOR))


def at_most(bound: float) -> str:
    """Return an upper bound in three digits, rounded up.

    Args:
        bound: the bound.
    """
    return _said(bound, _UP)


def at_least(bound: float) -> str:
    """Return a lower bound in three digits, rounded down.

    Args:
        bound: the bound.
    """
    return _said(bound, _DOWN)


def _said(bound: float, context: Context) -> str:
    return f"{float(context.create_decimal(Decimal(bound))) if math.isfinite(bound) else bound:g}"

"""Steps of prices and amounts, and numbers as venues write them."""

import math
from decimal import Decimal

_DIGITS = 12
# Binary fractions: 0.3 is not three times 0.1.
_DUST = 1e-6


def is_multiple(value: float, step: float) -> bool:
    """Whether the value is a whole number of steps."""
    steps = value / step
    return abs(steps - round(steps)) < _DUST


def floor_to(value: float, step: float) -> float:
    """The most whole steps that the value holds; infinity stays."""
    return value if math.isinf(value) else round(math.floor(value / step + _DUST) * step, _DIGITS)


def plain(value: float) -> str:
    """Without exponent and without the dust of binary fractions."""
    return format(Decimal(repr(round(value, _DIGITS))).normalize(), "f")

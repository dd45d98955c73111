"""Whether a value is a number: NaN and the infinities are not, and compare with everything as it suits nobody."""

from __future__ import annotations

import math
from typing import SupportsFloat


def finite(value: SupportsFloat) -> bool:
    """Whether a scalar (of Python, of NumPy, a tensor of one element) is a number that a double can hold."""
    try:
        return math.isfinite(float(value))
    except OverflowError:  # an integer beyond the largest double
        return False

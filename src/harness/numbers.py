"""Whether a value is a number: NaN and the infinities are not, and compare with everything as it suits nobody."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, SupportsFloat


def finite(value: SupportsFloat) -> bool:
    """Whether a scalar (of Python, of NumPy, a tensor of one element) is a number that a double can hold."""
    try:
        return math.isfinite(float(value))
    except OverflowError:  # an integer beyond the largest double
        return False


def plain(value: Any) -> Any:
    """A copy for JSON, which has no NaN and no infinity: they become None. Arrays and their scalars become lists and numbers."""
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return plain(value.tolist()) if hasattr(value, "tolist") else value

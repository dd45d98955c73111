"""Finite numbers: NaN and infinities are not numbers here, as no comparison with them makes sense."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, SupportsFloat


def finite(value: SupportsFloat) -> bool:
    """Whether a scalar (of Python or NumPy, or a tensor with one element) is a finite number within the range of a double."""
    try:
        return math.isfinite(float(value))
    except OverflowError:  # an integer beyond the largest double
        return False


def plain(value: Any) -> Any:
    """A copy for JSON, which has neither NaN nor infinity: they become None. Arrays and their scalars become lists and numbers."""
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return plain(value.tolist()) if hasattr(value, "tolist") else value

"""What counts as a number."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from harness.numbers import finite


@pytest.mark.parametrize(
    "value", [0, -0.0, True, 5e-324, 1.7976931348623157e308, np.float32(3.4e38), np.array(2.0), Decimal("1.5"), Fraction(1, 3)]
)
def test_numbers_are_finite(value: float) -> None:
    assert finite(value) is True


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        float("-inf"),
        np.float32("nan"),
        np.float16("inf"),
        np.array(np.inf),
        Decimal("NaN"),
        10**400,
        -(10**400),
    ],
)
def test_what_no_double_holds_is_not(value: float) -> None:
    assert finite(value) is False

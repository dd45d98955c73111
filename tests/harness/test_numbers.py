"""What counts as a number, and what JSON gets where it is none."""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from harness.files import write_json
from harness.numbers import finite, plain


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


NAN = float("nan")


def strict(text: str) -> object:
    """JSON by RFC 8259, as browsers read it: NaN and Infinity are no part of it."""

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    return json.loads(text, parse_constant=refuse)


def test_json_gets_null_at_any_depth_and_arrays_as_lists(tmp_path: Path) -> None:
    value = {
        "a": [1, NAN, (2.5, -float("inf"))],
        "b": {"c": np.array([[1.0, np.nan]])},
        "d": np.float32(0.5),
        "e": np.float64("inf"),
        "f": "NaN",
    }
    wanted = {"a": [1, None, [2.5, None]], "b": {"c": [[1.0, None]]}, "d": 0.5, "e": None, "f": "NaN"}
    assert plain(value) == wanted
    write_json(tmp_path / "results.json", value)
    assert strict((tmp_path / "results.json").read_text()) == wanted
    assert np.isnan(value["a"][1])  # the original is as it was

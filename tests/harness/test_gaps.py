"""Where a curve has gaps, in words."""

from __future__ import annotations

import json

import pytest

from harness.gaps import MOST, Gap, Gaps, read


def told(values: str, first: int = 1) -> str:
    """What is said of a series: a letter per step, `-` for a value that is not finite, `.` for none at all."""
    gap = Gap()
    for step, value in enumerate(values, first):
        if value != ".":
            gap.see(step, value != "-")
    return str(gap)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ("xxxx", ""),
        ("----", "since step 1"),
        ("xx--", "since step 3"),
        ("--xx", "at steps 1 to 2"),
        ("x-xx", "at step 2"),
        ("x-x--x-", "at step 2, at steps 4 to 5, since step 7"),
        ("x..-..-..x", "at steps 4 to 7"),
    ],
)
def test_stretches_of_steps(values: str, words: str) -> None:
    assert told(values) == words


def test_a_series_that_comes_and_goes_all_the_time_takes_no_room() -> None:
    words = told("-x" * 5000)
    assert words == ", ".join([f"at step {step}" for step in range(1, 2 * MOST, 2)] + [f"often since step {2 * MOST + 1}"])


def test_what_is_stated_is_read_back_the_same() -> None:
    for words in ("at step 2, at steps 4 to 5, since step 7", "at step -3", "since step 0", told("-x" * 50)):
        assert str(Gap.read(words)) == words


def test_a_resumed_run_does_its_steps_anew() -> None:
    """It was killed when its loss had diverged at step 7, and goes on from a checkpoint of step 5."""
    gap = Gap.read("at step 2, since step 7")
    gap.see(6, True)
    assert str(gap) == "at step 2, at step 7"
    gap.see(7, True)
    assert str(gap) == "at step 2"
    gap = Gap.read("since step 7")
    gap.see(6, True)
    gap.see(7, False)
    gap.see(8, False)
    assert str(gap) == "since step 7"


def test_only_a_change_is_stated() -> None:
    gaps = Gaps()
    changes = [gaps.see("train/loss", step, finite) for step, finite in enumerate((True, False, False, True, True))]
    assert changes == [False, True, False, True, False]
    assert json.loads(gaps.stated()) == {"train/loss": "at steps 1 to 2"}


@pytest.mark.parametrize("value", [None, "", "by hand", "[1]", "3"])
def test_a_property_that_somebody_else_wrote_says_nothing(value: str | None) -> None:
    assert read(value) == {}

"""Where the rules of tasks here are not CLIPort's, and why."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Difference:
    """A rule that differs from CLIPort's."""

    rule: str
    original: str
    here: str
    why: str

    @property
    def short(self) -> str:
        """For `info`."""
        return f"{self.rule}: {self.here}"


EVERY_TASK = (
    Difference(
        "random numbers", "NumPy's and Python's global generators", "the seed alone makes a scene, with its own generator", "repeatable"
    ),
    Difference("a scene that does not fit", "an error, or an object is left out", "drawn again", "every seed has a scene"),
)
"""What differs in every task."""

DRAWN_COLORS = Difference(
    "colours",
    "drawn with Python's `random`, so an evaluation shows others than the recorded episode of its seed",
    "a function of the seed, as all of the scene",
    "repeatable",
)
SHUFFLED_COLORS = Difference(
    "colours",
    "the list stays shuffled, so a scene's colours also depend on the episodes before it",
    "a function of the seed, as all of the scene",
    "repeatable",
)

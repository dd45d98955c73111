"""What a check finds: problems, reported once each and all together, and warnings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from harness.errors import HarnessError, ParameterError

from .errors import UsageError

T = TypeVar("T")
FEW = 8


@dataclass
class Findings:
    """Problems prevent the submission; warnings are only printed."""

    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def add(self, problems: Iterable[str]) -> None:
        self.problems += [problem for problem in dict.fromkeys(problems) if problem not in self.problems]

    def attempt(self, step: Callable[[], T]) -> T | None:
        """The result of `step`; None if it raises, and then its problems are collected."""
        try:
            return step()
        except (UsageError, ParameterError) as error:
            self.add(error.problems)
        except HarnessError as error:
            self.add([str(error)])
        return None

    def settle(self) -> None:
        """Raise the problems, if there are any."""
        if self.problems:
            raise UsageError(*self.problems)


def few(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    return ", ".join(names[:FEW]) + (f" and {len(names) - FEW} more" if len(names) > FEW else "")

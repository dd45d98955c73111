"""Runs side by side: the settings in which they differ, and what came of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from . import watch
from .backends import hyperparameters, scalars

Row = tuple[str, list[str]]
Task = Mapping[str, Any]


def smaller_is_better(scalar: str) -> bool:
    """A loss or an error is best at its minimum; everything else at its maximum."""
    return re.search(r"loss|err", scalar.lower()) is not None


def settings_of(task: Task) -> dict[str, str]:
    """The settings that a task ran with; before it has run, what was typed."""
    return hyperparameters(task, "Args") | hyperparameters(task, "Settings")


def differing(tasks: Sequence[Task]) -> list[Row]:
    """The settings whose values are not the same everywhere; an empty text where a task has none."""
    found = [settings_of(task) for task in tasks]
    keys = dict.fromkeys(key for settings in found for key in settings)
    rows = [(key, [settings.get(key, "") for settings in found]) for key in sorted(keys)]
    return [row for row in rows if len(set(row[1])) > 1]


def scalar_names(tasks: Sequence[Task]) -> list[str]:
    return sorted({name for task in tasks for name in scalars(task) if not name.startswith(":")})


def results(tasks: Sequence[Task]) -> list[Row]:
    """Last and best value of each scalar: `0.4 (min 0.2)`."""
    return [(name, [last_and_best(name, scalars(task).get(name)) for task in tasks]) for name in scalar_names(tasks)]


def last_and_best(name: str, item: Mapping[str, Any] | None) -> str:
    if item is None:
        return ""
    return f"{number(item.get('value'))} ({direction(name)} {number(best_of(name, item))})"


def direction(name: str) -> str:
    return "min" if smaller_is_better(name) else "max"


def best_of(name: str, item: Mapping[str, Any]) -> Any:
    return item.get(f"{direction(name)}_value", item.get("value"))


def number(value: Any) -> str:
    return "" if value is None else f"{value:.5g}"


def comparison(tasks: Sequence[Task]) -> list[tuple[str, list[Row]]]:
    """The table, in parts: name of the part and its rows of one value per task."""
    ends = [("status", [task["status"] for task in tasks]), ("duration", [watch.age(task) for task in tasks])]
    return [("settings", differing(tasks)), ("scalars", results(tasks)), ("run", ends)]


def as_json(tasks: Sequence[Task]) -> list[dict[str, Any]]:
    """The same for a program: one object per task, numbers unrounded."""
    keys = [key for key, _ in differing(tasks)]
    return [
        {
            "id": task["id"],
            "name": task["name"],
            "status": task["status"],
            "duration_s": watch.duration(task),
            "settings": {key: settings_of(task).get(key) for key in keys},
            "scalars": {
                name: {"last": item.get("value"), "best": best_of(name, item), "best_is": direction(name)}
                for name, item in sorted(scalars(task).items())
                if not name.startswith(":")
            },
        }
        for task in tasks
    ]

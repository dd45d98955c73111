"""Compares runs: the settings in which they differ, and their results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..backends import hyperparameters
from . import watch
from .metrics import Scalar, declared, reported

Row = tuple[str, list[str]]
Task = Mapping[str, Any]


def settings_of(task: Task) -> dict[str, str]:
    """The settings that a task ran with; before it has run, the arguments that were typed."""
    return hyperparameters(task, "Args") | hyperparameters(task, "Settings")


def differing(tasks: Sequence[Task]) -> list[Row]:
    """The settings whose values differ between tasks; an empty text where a task has no value."""
    found = [settings_of(task) for task in tasks]
    keys = dict.fromkeys(key for settings in found for key in settings)
    rows = [(key, [settings.get(key, "") for settings in found]) for key in sorted(keys)]
    return [row for row in rows if len(set(row[1])) > 1]


def results(tasks: Sequence[Task]) -> list[Row]:
    """Last and best value of each scalar, `0.4 (min 0.2)`, with the main metric first and a star at its best run."""
    metrics, found, stars = declared(tasks), [reported(task) for task in tasks], best_runs(tasks)
    names = metrics.main_first({name for scalars in found for name in scalars})
    main = metrics.main_of(names)

    def cells(name: str) -> list[str]:
        texts = [last_and_best(scalars.get(name), metrics.lower_is_better(name)) for scalars in found]
        return [f"{text} *" if star and name == main else text for text, star in zip(texts, stars, strict=True)]

    return [(name, cells(name)) for name in names]


def best_runs(tasks: Sequence[Task]) -> list[bool]:
    """For each task, whether it is the best by the main metric. A value that is not finite is never the best."""
    metrics, found = declared(tasks), [reported(task) for task in tasks]
    main = metrics.main_of({name for scalars in found for name in scalars})
    rivals = [scalars[main] for scalars in found if main in scalars] if main else []
    if main is None or len(rivals) < 2:
        return [False] * len(tasks)
    lower = metrics.lower_is_better(main)
    best = (min if lower else max)((value for rival in rivals if (value := rival.best(lower)) is not None), default=None)
    return [main in scalars and best is not None and scalars[main].best(lower) == best for scalars in found]


def last_and_best(scalar: Scalar | None, lower: bool) -> str:
    if scalar is None or scalar.diverged:
        return scalar.said if scalar else ""
    return f"{number(scalar.last)} ({'; '.join(filter(None, [f'{direction(lower)} {number(scalar.best(lower))}', scalar.said]))})"


def direction(lower: bool) -> str:
    return "min" if lower else "max"


def number(value: Any) -> str:
    return "" if value is None else f"{value:.5g}"


def comparison(tasks: Sequence[Task]) -> list[tuple[str, list[Row]]]:
    """The parts of the table: the name of each part and its rows, with one value per task."""
    ends = [("status", [task["status"] for task in tasks]), ("duration", [watch.age(task) for task in tasks])]
    return [("settings", differing(tasks)), ("scalars", results(tasks)), ("run", ends)]


def as_json(tasks: Sequence[Task]) -> list[dict[str, Any]]:
    """The same as JSON objects, one per task, with numbers in full precision."""
    keys = [key for key, _ in differing(tasks)]
    metrics = declared(tasks)
    return [
        {
            "id": task["id"],
            "name": task["name"],
            "status": task["status"],
            "duration_s": watch.duration(task),
            "settings": {key: settings_of(task).get(key) for key in keys},
            "scalars": {name: scalar_object(found[name], metrics.lower_is_better(name)) for name in metrics.main_first(found)},
            "main": metrics.main_of(found),
            "best_run": best,
        }
        for task, found, best in zip(tasks, map(reported, tasks), best_runs(tasks), strict=True)
    ]


def scalar_object(scalar: Scalar, lower: bool) -> dict[str, Any]:
    last = None if scalar.diverged else scalar.last
    return {"last": last, "best": scalar.best(lower), "best_is": direction(lower)} | ({"not_finite": scalar.gaps} if scalar.gaps else {})

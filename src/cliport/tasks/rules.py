"""The rules of the tasks, said by the tasks themselves: as text, and as Markdown tables.

A task states its `scene`, `clutter`, `aim`, `templates` and what `differs` from CLIPort with the constants that it is built from;
tolerances, tool and steps are read from where they are used.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from .catalog import MODES
from .differences import EVERY_TASK

if TYPE_CHECKING:
    from .task import Task

Key = TypeVar("Key")

WIDTH, INDENT = 140, 15  # characters: of a line, and of what stands before its text


def written(task: Task) -> Iterator[str]:
    """The rules of a task as lines of text."""
    yield task.name
    for title, lines in sections(task).items():
        for number, line in enumerate(lines):
            head = f"  {title:<{INDENT - 2}}" if number == 0 else " " * INDENT
            yield from textwrap.wrap(line, WIDTH, initial_indent=head, subsequent_indent=" " * (INDENT + 2))


def sections(task: Task) -> dict[str, Sequence[str]]:
    """A task's rules by title."""
    return {
        "steps": [allowed(task)],
        "tool": [task.ee],
        "scene": task.scene,
        **by_mode({mode: task.vocabulary(mode) for mode in MODES}),
        "distractors": [task.clutter],
        "goals": task.aim,
        "instructions": [f'"{template}"' for template in task.templates],
        "counts": [metric(task)],
        "ends": [ending(task)],
        "differs": [f"{found.short}; in CLIPort: {found.original} ({found.why})" for found in (*task.differs, *EVERY_TASK)],
    }


def by_mode(vocabularies: Mapping[str, Mapping[str, Sequence[str]]]) -> dict[str, list[str]]:
    """What is drawn in which modes, by kind: modes that draw from the same list share a line."""
    found: dict[str, list[str]] = {}
    for kind in next(iter(vocabularies.values())):
        shared: dict[tuple[str, ...], list[str]] = {}
        for mode, vocabulary in vocabularies.items():
            shared.setdefault(tuple(vocabulary[kind]), []).append(mode)
        found[kind] = [f"{', '.join(modes)}: {', '.join(names)}" for names, modes in shared.items()]
    return found


def allowed(task: Task) -> str:
    """How many steps an episode may have."""
    return task.steps or str(task.max_steps)


def metric(task: Task) -> str:
    """What counts as reached."""
    if task.inside:
        return task.inside
    reach, turn = f"{task.position_tolerance:g} m", f"{np.degrees(task.angle_tolerance):g} degrees"
    return (
        f"the share of pieces nearer than {reach} in the plane and {turn} of yaw to any target that they may go to, whatever else is there"
        "; height and tilt do not count"
    )


def ending(task: Task) -> str:
    """What ends an episode."""
    return f"{task.ends or 'all goals complete'}; a total reward above 0.99; the steps used up; a motion that times out"


def tables(tasks: Sequence[Task]) -> Iterator[str]:
    """Two Markdown tables: the rules of each kind of task, and what differs from CLIPort."""
    yield "| task | steps | goals | counts | distractors |"
    yield "|---|---|---|---|---|"
    for alike in grouped((type(task), task) for task in tasks).values():
        task = alike[0]
        near = f"pieces, {task.position_tolerance:g} m, {np.degrees(task.angle_tolerance):g} degrees"
        yield row(named(alike), allowed(task), "; ".join(task.aim), task.inside or near, task.clutter)
    yield ""
    yield "| rule | tasks | original | here | why |"
    yield "|---|---|---|---|---|"
    differences = grouped((found, task) for task in tasks for found in task.differs)
    for found, members in [*((found, []) for found in EVERY_TASK), *differences.items()]:
        kinds = grouped((type(task), task) for task in members).values()
        yield row(found.rule, ", ".join(map(named, kinds)) or "all", found.original, found.here, found.why)


def grouped(pairs: Iterable[tuple[Key, Task]]) -> dict[Key, list[Task]]:
    """Tasks by key, in order."""
    found: dict[Key, list[Task]] = {}
    for key, task in pairs:
        found.setdefault(key, []).append(task)
    return found


def named(alike: Sequence[Task]) -> str:
    """Tasks of one class: one name, with * for what differs."""
    names = [task.name for task in alike]
    start, end = beginning(names), beginning([name[::-1] for name in names])[::-1]
    return f"`{names[0]}`" if len(names) == 1 else f"`{start}*{end}`"


def beginning(names: Sequence[str]) -> str:
    """What all names begin with."""
    return "".join(letters[0] for letters in takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False)))


def row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def said(tasks: Iterable[Task], markdown: bool) -> Iterator[str]:
    """The rules of tasks, as text with an empty line between tasks, or as tables."""
    if markdown:
        yield from tables(list(tasks))
        return
    for number, task in enumerate(tasks):
        if number:
            yield ""
        yield from written(task)

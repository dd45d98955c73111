"""`python -m cliport.tasks`: the tasks' names, one a line."""

from __future__ import annotations

import argparse
import signal
import sys

from . import MODES, TaskError, groups, make, names
from .task import Task

DESCRIPTION = """\
The names of the tasks, one a line. The packing-{seen,unseen}-google-objects tasks keep CLIPort's names, but their objects are named
objects put together from simple solids, not scans."""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m cliport.tasks", description=DESCRIPTION)
    parser.add_argument("--groups", action="store_true", help="the multi-task groups instead, each with its tasks")
    parser.add_argument("--check", type=int, metavar="N", help="play N seeds of each task by its oracle and print a Markdown table")
    parser.add_argument("--mode", choices=MODES, default="train", help="the part of the data (default: train)")
    parser.add_argument("--picture", metavar="FILE", help="draw a scene of each task into an image file")
    parser.add_argument("tasks", nargs="*", metavar="TASK", help="with --check or --picture: these tasks only")
    options = parser.parse_args(arguments)
    if options.groups:
        for group, members in groups(options.mode).items():
            print(group, *(f"  {name}" for name in members), sep="\n")
    elif options.check or options.picture:
        try:
            tasks = [make(name, options.mode) for name in options.tasks or names()]
        except TaskError as error:
            print(error, file=sys.stderr)
            return 2
        if options.picture:
            draw(tasks, options.picture)
        if options.check:
            check(options.check, tasks)
    else:
        print(*names(), sep="\n")
    return 0


def check(count: int, tasks: list[Task]) -> None:
    from cliport.sim.environment import Environment

    from .oracle_table import play, table

    with Environment(renderer="tiny") as env:  # nothing is rendered
        for line in table((task.name, [play(env, task, seed) for seed in range(count)]) for task in tasks):
            print(line, flush=True)


def draw(tasks: list[Task], file: str) -> None:
    from .gallery import gallery

    gallery(tasks, seed=4).save(file)


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `| head` has seen enough: no error
    sys.exit(main())

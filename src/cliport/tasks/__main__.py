"""`python -m cliport.tasks`: the tasks' names, one a line."""

from __future__ import annotations

import argparse
import sys

from . import MODES, TaskError, groups, make, names

DESCRIPTION = """\
The names of the tasks, one a line. The packing-{seen,unseen}-google-objects tasks keep CLIPort's names, but their objects are named
objects put together from simple solids, not scans."""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m cliport.tasks", description=DESCRIPTION)
    parser.add_argument("--groups", action="store_true", help="the multi-task groups instead, each with its tasks")
    parser.add_argument("--check", type=int, metavar="N", help="play N seeds of each task by its oracle and print a Markdown table")
    parser.add_argument("--mode", choices=MODES, default="train", help="the part of the data (default: train)")
    parser.add_argument("tasks", nargs="*", metavar="TASK", help="with --check: these tasks only")
    options = parser.parse_args(arguments)
    if options.groups:
        for group, members in groups(options.mode).items():
            print(group, *(f"  {name}" for name in members), sep="\n")
    elif options.check:
        return check(options.check, options.mode, options.tasks or names())
    else:
        print(*names(), sep="\n")
    return 0


def check(count: int, mode: str, chosen: list[str]) -> int:
    from cliport.sim.environment import Environment

    from .check import play, table

    try:
        tasks = [make(name, mode) for name in chosen]
    except TaskError as error:
        print(error, file=sys.stderr)
        return 2
    with Environment(renderer="tiny") as env:  # nothing is rendered
        for line in table((task.name, [play(env, task, seed) for seed in range(count)]) for task in tasks):
            print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

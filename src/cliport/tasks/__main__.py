"""`python -m cliport.tasks`: lists the tasks, says their rules, checks their oracles or draws their scenes."""

from __future__ import annotations

import argparse
import signal
import sys

from . import MODES, TaskError, groups, make, names
from .rules import said
from .task import Task

DESCRIPTION = """\
Lists the names of the tasks. The objects of the packing-{seen,unseen}-google-objects tasks are stand-ins here, put together from solids;
the setting `assets` of `demos` and `eval` takes a folder of the scans."""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m cliport.tasks", description=DESCRIPTION)
    parser.add_argument("--groups", action="store_true", help="list the multi-task groups with their tasks")
    parser.add_argument("--check", type=int, metavar="N", help="let each task's oracle play N seeds and print a Markdown table")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="for --check: number of processes (default: 1)")
    parser.add_argument("--mode", choices=MODES, default="train", help="split of the data (default: train)")
    parser.add_argument("--picture", metavar="FILE", help="write an image with a scene of each task")
    parser.add_argument("--rules", action="store_true", help="print each task's rules, and what differs from CLIPort's")
    parser.add_argument("--markdown", action="store_true", help="for --rules: as tables")
    parser.add_argument("tasks", nargs="*", metavar="TASK", help="for --rules, --check and --picture: use only these tasks")
    options = parser.parse_args(arguments)
    if options.groups:
        for group, members in groups(options.mode).items():
            print(group, *(f"  {name}" for name in members), sep="\n")
    elif options.check or options.picture or options.rules:
        try:
            tasks = [make(name, options.mode) for name in options.tasks or names()]
        except TaskError as error:
            print(error, file=sys.stderr)
            return 2
        if options.rules:
            print(*said(tasks, options.markdown), sep="\n")
        if options.picture:
            draw(tasks, options.picture)
        if options.check:
            check(options.check, tasks, max(1, options.workers))
    else:
        print(*names(), sep="\n")
    return 0


def check(count: int, tasks: list[Task], workers: int) -> None:
    from .oracle_table import played, table

    for line in table(played(tasks, range(count), workers)):
        print(line, flush=True)


def draw(tasks: list[Task], file: str) -> None:
    from .gallery import gallery

    gallery(tasks, seed=4).save(file)


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # no error if `| head` closes the pipe
    sys.exit(main())

"""The one entry point of a workload: its entry script and `python -m package.command` both come here with their command line."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from .aliases import Names
from .errors import HarnessError, ParameterError, WorkloadError
from .flags import tokens_of
from .grammar import read
from .keys import RESERVED, keys_of, names_of, path_key, settings_of
from .params import chosen_command
from .workload import Command, Declaration, load
from .writable import settle_home

TASKS = Path(__file__).resolve().parents[2] / "clearml_tasks"


def enter(workload: str, command: str, usage: str | None) -> NoReturn:
    """Run `python -m package.command`: the same as the workload's entry script with `command=`.

    Args:
        workload: the workload's name.
        command: the command's name.
        usage: the text of `--help` above the list of settings.
    """
    folder = TASKS / workload
    try:
        if not folder.is_dir():
            raise WorkloadError(
                f"the workload {workload} is declared in a clone of this project, and {TASKS.parent} is none; "
                f"type: python CLONE/clearml_tasks/{workload}/clearml_train.py command={command}"
            )
        declaration = load(folder)
    except HarnessError as error:
        end(error)
    run(declaration, [f"command={command}", *sys.argv[1:]], folder / "clearml_train.py", usage)


def run(declaration: Declaration, argv: Sequence[str], script: Path, usage: str | None = None) -> NoReturn:
    """Run a command line to its end, or print its help."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    from .parent import run as run_parent

    try:
        settle_home(os.environ)
        check_launcher()
        tokens = tokens_of(argv, keys_of(declaration)) if any(word.startswith("--") for word in argv) else list(argv)
        if {"-h", "--help"} & {*argv}:
            print_help(declaration, tokens, usage or declaration.summary)
            sys.exit(0)
    except HarnessError as error:
        end(error)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    sys.exit(run_parent(declaration, tokens, str(script)))


def end(error: HarnessError) -> NoReturn:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(2)


def check_launcher() -> None:
    """Refuse to be started by torchrun.

    Raises:
        ParameterError: torchrun started several of these processes, each of which would start a run of its own.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        number = os.environ["WORLD_SIZE"]
        raise ParameterError([f"the run starts torchrun itself: start it without torchrun, and add nproc_per_node={number}"])


def print_help(declaration: Declaration, tokens: Sequence[str], usage: str) -> None:
    """Print what a command does, and each of its keys with default and meaning."""
    typed, _ = read(token for token in tokens if token.partition("=")[0] not in {"help", "-h"})
    problems: list[str] = []
    command = chosen_command(declaration, typed["command"].text if "command" in typed else None, problems)
    if command is None:
        raise ParameterError(problems)
    names = names_of(declaration, command)
    print(usage.strip())
    for key, default, meaning in lines_of(declaration, command):
        others = [name for name, alias in names.aliases.items() if alias.key == key and name != key.rpartition(".")[2]]
        known_as = f" (also {', '.join(others)})" if others else ""
        print(f"  {key}={'' if default is None else default!s:<12} {meaning}{known_as}")
    print_names(names)


def lines_of(declaration: Declaration, command: Command) -> list[tuple[str, object, str]]:
    """Key, default and meaning of every argument of a command."""
    data = [(path_key(key), None, f"folder of {what}") for key, what in declaration.datasets.items() if key in command.needs]
    own = [(key, entry.default, entry.help) for key, entry in RESERVED.items() if key != "command"]
    settings = [(leaf.key, leaf.default, f"{leaf.meaning}{f' [{leaf.unit}]' if leaf.unit else ''}") for leaf in settings_of(command)]
    return [*data, *(line for line in own if line[0] not in {key for key, _, _ in data}), *settings]


def print_names(names: Names) -> None:
    """Print the names that are accepted without effect, and those that are refused."""
    for name, fixed in names.fixed.items():
        print(f"  {name}: has no effect: {fixed.why}")
    for name, why in names.refused.items():
        print(f"  {name}: not supported: {why}")

"""The one way into a workload: its entry script and `python -m package.command` both come here, with what was typed."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from .aliases import Names
from .errors import HarnessError, ParameterError
from .flags import tokens_of
from .grammar import read
from .params import RESERVED, chosen_command, keys_of, names_of, path_key, settings_class
from .settings import describe
from .workload import Command, Declaration, load
from .writable import settle_home

TASKS = Path(__file__).resolve().parents[2] / "clearml_tasks"


def enter(workload: str, command: str, usage: str | None) -> NoReturn:
    """What `python -m package.command` does: the same as the workload's entry script with `command=`.

    Args:
        workload: its name.
        command: its command.
        usage: what `--help` says above the settings.
    """
    folder = TASKS / workload
    try:
        declaration = load(folder)
    except HarnessError as error:
        end(error)
    run(declaration, [f"command={command}", *sys.argv[1:]], folder / "clearml_train.py", usage)


def run(declaration: Declaration, argv: Sequence[str], script: Path, usage: str | None = None) -> NoReturn:
    """Run a command line to its end, or say what may stand in it."""
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
    """Whether somebody else's torchrun has started this process.

    Raises:
        ParameterError: several of them would each start a run.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        number = os.environ["WORLD_SIZE"]
        raise ParameterError([f"torchrun is started by the run itself: leave it out, and write nproc_per_node={number}"])


def print_help(declaration: Declaration, tokens: Sequence[str], usage: str) -> None:
    """Say what a command does, and its keys with default and meaning."""
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
    """Key, default and meaning of everything that a command takes."""
    data = [(path_key(key), None, f"folder of {what}") for key, what in declaration.datasets.items() if key in command.needs]
    own = [(key, entry.default, entry.help) for key, entry in RESERVED.items() if key != "command"]
    settings = [
        (leaf.key, leaf.default, f"{leaf.help}{f' [{leaf.unit}]' if leaf.unit else ''}") for leaf in describe(settings_class(command))
    ]
    return [*data, *(line for line in own if line[0] not in {key for key, _, _ in data}), *settings]


def print_names(names: Names) -> None:
    """Say which other names change nothing, and which there are not."""
    for name, fixed in names.fixed.items():
        print(f"  {name}: changes nothing, {fixed.why}")
    for name, why in names.refused.items():
        print(f"  {name}: there is no such setting, {why}")

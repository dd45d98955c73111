"""options.yaml: what was read from a script's parser, beside the workload's declaration."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from harness.launch import image_python
from harness.workload import Declaration
from harness.wrapped.run import wrapped
from harness.wrapped.script import FILE, PASSED, Option, Script

from ..errors import UsageError
from .reading import Read, read


def options_of(name: str, commands: Mapping[str, Read]) -> str:
    """options.yaml: a line for each option."""
    lines = ["# The options of the script, read from its parser; to read them again: " + f"registry new {name} --refresh"]
    for key, command in commands.items():
        stated = command.stated()
        options = stated.pop("options", [])
        lines += [f"{key}:", *(f"  {part}: {in_line(value)}" for part, value in stated.items())]
        lines += ["  options:", *(f"  - {in_line(option)}" for option in options)] if options else []
    return "\n".join(lines) + "\n"


def in_line(value: Any) -> str:
    text: str = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=1 << 20, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")


def refreshed(declaration: Declaration, root: Path, python: str | None) -> list[str]:
    """Read the options of a workload's scripts again, and write them down; returns what has changed.

    Raises:
        UsageError: the workload runs no script.
        RegistryError, HarnessError: a script or its options cannot be had.
    """
    scripts = {name: command.script for name, command in declaration.commands.items() if command.script}
    if not scripts:
        raise UsageError(f"{declaration.name} runs no script: its settings are in its own code")
    python = python or image_python(declaration.image, root, os.environ)
    found = {name: read_again(declaration, name, script, python) for name, script in scripts.items()}
    (declaration.folder / FILE).write_text(options_of(declaration.name, found))
    return [f"command {name}: {', '.join(changes(script.options, found[name].options)) or 'as before'}" for name, script in scripts.items()]


def read_again(declaration: Declaration, name: str, script: Script, python: str) -> Read:
    if script.style == "plain":
        return Read((), "", "plain", (), {})
    run = wrapped(declaration, script)
    chosen = {**dict.fromkeys(("dataset_id", *PASSED), ""), **script.passes}
    for command in read(run.path, python, run.home, chosen):
        if command.words == script.words:
            return command
    raise UsageError(f"{script.path} has no subcommand {' '.join(script.words)} any more; take command {name} out of workload.yaml")


def changes(before: Sequence[Option], after: Sequence[Option]) -> Iterator[str]:
    """What is different between two readings."""
    known, new = ({option.key: option for option in options} for options in (before, after))
    yield from (f"{key} is gone" for key in known if key not in new)
    yield from (f"{key} is {'changed' if key in known else 'new'}" for key in new if known.get(key) != new[key])

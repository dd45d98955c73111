"""list, show, render: the workloads and what follows from their declarations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from harness.aliases import Names

from .. import completion, workload
from ..console import print_json, print_table, say
from ..description import MISSING, description_of, summary_of
from ..errors import RegistryError

if TYPE_CHECKING:
    from harness.settings import Setting  # slow to import, and a list needs none

FEW = 8
"""The most choices that are listed in full."""


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list of objects.")
def list_command(as_json: bool) -> None:
    """List the workloads with their images, queues and commands."""
    workloads = workload.discover(workload.clone_root()).values()
    if as_json:
        print_json([summary_of(found) for found in workloads])
    else:
        rows = [(found.name, found.image, found.queue, ", ".join(found.commands), found.summary) for found in workloads]
        print_table(("name", "image", "queue", "commands", "summary"), rows, whole=["name", "image", "queue"])


@click.command()
@click.argument("name", shell_complete=completion.workloads)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def show(name: str, as_json: bool) -> None:
    """Show a workload and the settings of its commands.

    The keys that every command accepts come last.
    """
    from harness.keys import RESERVED, names_of  # the grammar's parser is slow to import, and a list needs none

    found = workload.named(name, workload.discover(workload.clone_root()))
    if as_json:
        print_json(description_of(found))
        return
    click.echo(f"{found.name}: {found.summary}\nimage    {found.image}\nqueue    {found.queue}")
    for key, what in found.datasets.items():
        click.echo(f"dataset  {key}: {what}")
    if found.metrics.main:
        click.echo(f"metrics  {' or '.join(found.metrics.main)}; lower is better for: {', '.join(found.metrics.lower) or 'none'}")
    click.echo(f"configs  {', '.join(workload.configs_of(found)) or 'none'}")
    click.echo("The last part of a dotted key is enough where no other key of the command ends with it.")
    for command in found.commands.values():
        needs = f", needs {', '.join(command.needs)}" if command.needs else ""
        needs += f" or {' or '.join(command.instead)}" if command.instead else ""
        click.echo(f"\ncommand {command.name} ({command.type}, launcher {command.launcher}{needs})")
        settings = workload.settings_of(command)
        print_table(
            ("setting", "type", "default", "unit", "meaning"),
            [(each.key, in_short(each), shown(each.default), each.unit, each.meaning) for each in settings],
            whole=["setting", "unit"],
        )
        show_names(names_of(found, command))
    click.echo("\nkeys of every command")
    print_table(
        ("key", "type", "default", "meaning"),
        [(key, each.allowed, "" if each.default is None else str(each.default), each.help) for key, each in RESERVED.items()],
    )


def show_names(names: Names) -> None:
    """The names that a command accepts for compatibility with its original."""
    stood_for: dict[str, list[str]] = {}
    for name, alias in names.aliases.items():
        if name != alias.key.rpartition(".")[2]:
            stood_for.setdefault(alias.key, []).append(name)
    fixed = [(name, " or ".join(map(str, entry.values or ["any value"])), entry.why) for name, entry in names.fixed.items()]
    for columns, rows in (
        (("alias", "key"), [(", ".join(others), key) for key, others in stood_for.items()]),
        (("no effect", "accepted values", "reason"), fixed),
        (("not available", "use instead"), list(names.refused.items())),
    ):
        if rows:
            click.echo()
            print_table(columns, rows)


def in_short(each: Setting) -> str:
    """The values that a setting allows; of many choices, their number and the first three. `--json` lists all."""
    if len(each.choices) <= FEW:
        return each.allowed
    return f"one of {len(each.choices)}: {', '.join(map(str, each.choices[:3]))}, ..."


def shown(default: object) -> str:
    return "required" if default == MISSING else str(default)


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; exit with an error if a rendered file is out of date.")
def render(check: bool) -> None:
    """Write the files that are generated from the declarations.

    They are example/*.sh, docker/compose.yaml, and the base image in the Dockerfiles.
    """
    from .. import render as rendering

    root = workload.clone_root()
    stale = rendering.stale_files(root)
    if check and stale:
        raise RegistryError(f"out of date: {', '.join(stale)}; type: registry render")
    if not check:
        rendering.write(root)
        for path in stale:
            say(f"rendered {path}")


COMMANDS = (list_command, show, render)

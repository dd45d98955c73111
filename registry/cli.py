"""The command `registry`: what can run, running it, and what came of it.

The commands stand in cmd_*.py and call the nouns; what needs the server's SDK, which is slow to import, is imported when a command runs.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from harness.errors import HarnessError

from . import (
    cmd_agent,
    cmd_compose,
    cmd_dataset,
    cmd_enqueue,
    cmd_image,
    cmd_queue,
    cmd_runs,
    cmd_sbom,
    cmd_services,
    cmd_upkeep,
    cmd_workloads,
)
from .errors import RegistryError, UsageError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """One way to run every workload: enqueue it, watch it, compare it."""


for module in (cmd_workloads, cmd_enqueue, cmd_image, cmd_compose, cmd_runs, cmd_dataset, cmd_queue, cmd_services, cmd_agent):
    for command in module.COMMANDS:
        cli.add_command(command)
for command in (*cmd_upkeep.COMMANDS, *cmd_sbom.COMMANDS):
    cmd_image.image.add_command(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; an error meant for the person becomes a message on stderr and an exit code."""
    try:
        cli(arguments, standalone_mode=False)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()  # the reader, `head` for instance, has what it wanted
        sys.exit(141)
    except RegistryError as error:
        sys.exit(report(error))
    except HarnessError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)


def report(error: RegistryError) -> int:
    """Print an error, each problem on a line of its own, and return the exit code."""
    problems = list(error.problems) if isinstance(error, UsageError) else [str(error)]
    if len(problems) == 1:
        click.echo(f"error: {problems[0]}", err=True)
    else:
        click.echo(
            "\n".join([f"error: {len(problems)} problems, nothing was done:", *(f"  - {problem}" for problem in problems)]), err=True
        )
    return error.exit_code

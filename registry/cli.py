"""The command `registry`: lists workloads, runs them, and shows their results.

The commands are in commands/ and call the nouns; what needs the server's SDK, which is slow to import, is imported when a command runs.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from harness.errors import HarnessError

from .commands import agent, compose, dataset, enqueue, image, new, queue, runs, sbom, services, upkeep, workloads
from .errors import RegistryError, UsageError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--root",
    type=click.Path(path_type=Path),
    envvar="REGISTRY_ROOT",
    show_envvar=True,
    help="Clone to work on.  [default: the clone that contains the current folder]",
)
def cli(root: Path | None) -> None:  # workload.clone_root reads it
    """Run any workload: enqueue it, watch it, compare its results."""


for module in (workloads, new, enqueue, image, compose, runs, dataset, queue, services, agent):
    for command in module.COMMANDS:
        cli.add_command(command)
for command in (*upkeep.COMMANDS, *sbom.COMMANDS):
    image.image.add_command(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; an error meant for the person becomes a message on stderr and an exit code."""
    try:
        cli(arguments, prog_name="registry", standalone_mode=False)
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
            "\n".join([f"error: {len(problems)} problems; nothing was done:", *(f"  - {problem}" for problem in problems)]), err=True
        )
    return error.exit_code

"""up, down: the embedded server and its agents on this machine."""

from __future__ import annotations

import click

from .. import completion, workload
from ..console import say
from ..errors import UsageError
from ..run import problem_of_queue


@click.command()
@click.option(
    "--port", type=click.IntRange(0, 65535), help="Port of the server; 0 picks a free port.  [default: the last one used, or else 8008]"
)
@click.option("--agents", type=click.IntRange(0), default=1, show_default=True, help="Number of agents; each runs one task at a time.")
@click.option(
    "--queue",
    "queues",
    metavar="QUEUE",
    multiple=True,
    shell_complete=completion.queues,
    help="Queue to serve; may be repeated.  [default: the queues of all workloads]",
)
@click.option("--docker", "containers", is_flag=True, help="Run each task in a container of its image.")
def up(port: int | None, agents: int, queues: tuple[str, ...], containers: bool) -> None:
    """Start the embedded server and agents on this machine.

    If they are already running, this shows their address. The embedded server is for a single machine: everything listens on 127.0.0.1,
    and data is stored below $REGISTRY_HOME. A team uses a ClearML server instead.
    """
    from ..agents import services

    if problems := [problem for name in queues if (problem := problem_of_queue(name))]:
        raise UsageError(*problems)
    root = workload.clone_root()
    running = services.up(root, port, agents, queues or workload.queues_of(root), say, containers=containers)
    say(f"server: {running.server.url}, agents: {', '.join(agent.name for agent in running.agents) or 'none'}")
    say("for ClearML's own commands:")
    say(f"    export CLEARML_CONFIG_FILE={running.server.configuration}")
    say("web page:")
    click.echo(running.server.login_url)


@click.command()
def down() -> None:
    """Stop the embedded server and its agents; their data is kept."""
    from ..agents import services

    if not services.down(say):
        say("nothing was running")


COMMANDS = (up, down)

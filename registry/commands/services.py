"""up, down: a server and agents on this machine."""

from __future__ import annotations

import click

from .. import completion, workload
from ..console import say
from ..errors import UsageError
from ..run import problem_of_queue


@click.command()
@click.option(
    "--port", type=click.IntRange(0, 65535), help="Port of the server; 0 takes a free one.  [default: the last one, at first 8008]"
)
@click.option("--agents", type=click.IntRange(0), default=1, show_default=True, help="Number of agents, each runs one task at a time.")
@click.option(
    "--queue",
    "queues",
    metavar="QUEUE",
    multiple=True,
    shell_complete=completion.queues,
    help="Queue to serve; may be repeated; by default those of all workloads.",
)
@click.option("--docker", "containers", is_flag=True, help="Agents that run each task in a container of its image.")
def up(port: int | None, agents: int, queues: tuple[str, ...], containers: bool) -> None:
    """Start the embedded server and agents on this machine, or tell where they are.

    It is for one machine: everything listens on 127.0.0.1 and is kept below $REGISTRY_HOME. A team uses a ClearML server.
    """
    from ..agents import services

    if problems := [problem for name in queues if (problem := problem_of_queue(name))]:
        raise UsageError(*problems)
    root = workload.clone_root()
    running = services.up(root, port, agents, queues or workload.queues_of(root), say, containers=containers)
    say(f"server: {running.server.url}, agents: {', '.join(agent.name for agent in running.agents) or 'none'}")
    say("for clients that are typed by hand:")
    say(f"    export CLEARML_CONFIG_FILE={running.server.configuration}")
    say("the page:")
    click.echo(running.server.login_url)


@click.command()
def down() -> None:
    """End the server and the agents that `registry up` started; the data stay."""
    from ..agents import services

    if not services.down(say):
        say("nothing was running")


COMMANDS = (up, down)

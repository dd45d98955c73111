"""agent: serves queues of any ClearML server from this machine."""

from __future__ import annotations

import os
import sys

import click

from .. import completion, workload
from ..console import say, warn
from ..errors import UsageError


@click.command()
@click.option(
    "--queue",
    "queues",
    metavar="QUEUE",
    shell_complete=completion.queues,
    multiple=True,
    help="Queue to serve; may be repeated, in order of priority.  [default: the queues of all workloads]",
)
@click.option("--docker", "containers", is_flag=True, help="Run each task in a container of its image.")
@click.option("--gpus", metavar="0,1", help="GPUs for the tasks: numbers, UUIDs, all or none.  [default: all]")
@click.option(
    "--services", is_flag=True, help="Run many tasks at once, without GPUs, as for ClearML's queue `services`; requires --docker."
)
def agent(queues: tuple[str, ...], containers: bool, gpus: str | None, services: bool) -> None:
    """Run a clearml-agent in the foreground.

    It serves the server that clearml.conf or the variables CLEARML_* name, or else the embedded server. Ctrl-C or SIGTERM ends the
    agent and its task, which keeps its last checkpoint; a second signal ends the task without waiting for it.
    """
    from ..agents import readiness
    from ..agents.agent import configured, prepare
    from ..agents.services import foreground_agent, writing
    from ..agents.supervisor import supervise

    if services and (gpus is not None or not containers):
        raise UsageError("--services requires --docker and cannot be combined with --gpus")
    root = workload.clone_root()
    serving = list(dict.fromkeys(queues or workload.queues_of(root)))
    server, warnings = readiness.check(root, serving, containers=containers, gpus=gpus)
    warn(warnings)
    client = configured(server.setting, embedded=server.embedded)
    with foreground_agent(serving, containers) as name:
        with writing():
            ready = prepare(name, root, serving, client, containers=containers, services=services, gpus=gpus)
        say(f"{name} (process {os.getpid()}) serves {', '.join(serving)} of {server.host}")
        code = supervise(ready)
    sys.exit(code)


COMMANDS = (agent,)

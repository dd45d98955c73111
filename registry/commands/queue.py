"""queue list, create, set: what tasks wait in, and how many GPUs the machines behind it have."""

from __future__ import annotations

import click

from ..console import print_json, print_table, say
from ..errors import UsageError
from ..run import problem_of_queue

GPUS = click.IntRange(0)


@click.group()
def queue() -> None:
    """List and make queues, and state the GPUs of their machines."""


@queue.command("list")
@click.option("--json", "as_json", is_flag=True, help="As a JSON list of objects.")
def list_command(as_json: bool) -> None:
    """List the queues: GPUs per machine where that is stated, tasks that wait, agents."""
    from ..backends import connect

    server = connect()
    agents = server.agents()
    rows = [(each, agents.get(each.id, [])) for _, each in sorted(server.queues().items())]
    if as_json:
        print_json(
            [{"name": each.name, "id": each.id, "gpus": each.gpus, "waiting": each.waiting, "agents": serving} for each, serving in rows]
        )
        return
    print_table(
        ("name", "GPUs per machine", "waiting", "agents"),
        [(each.name, "" if each.gpus is None else str(each.gpus), str(each.waiting), ", ".join(serving)) for each, serving in rows],
        whole=["name", "waiting"],
    )


@queue.command()
@click.argument("name")
@click.option("--gpus", type=GPUS, metavar="N", help="GPUs of each machine that will serve it; 0 for machines without.")
def create(name: str, gpus: int | None) -> None:
    """Make a queue. Agents serve it by registry agent --queue NAME; on this machine alone: registry up --queue NAME."""
    from ..backends import connect

    if problem := problem_of_queue(name):
        raise UsageError(problem)
    server = connect()
    if name.strip() in server.queues():
        raise UsageError(f"queue {name.strip()!r} exists already; to state its GPUs: registry queue set {name.strip()} --gpus N")
    server.create_queue(name.strip(), gpus)
    say(f"queue {name.strip()} is made; {stated(gpus)}")


@queue.command("set")
@click.argument("name")
@click.option("--gpus", type=GPUS, metavar="N", required=True, help="GPUs of each machine that serves it; 0 for machines without.")
def set_command(name: str, gpus: int) -> None:
    """State how many GPUs the machines of a queue have: enqueue refuses a larger nproc_per_node."""
    from harness.settings import nearest

    from ..backends import connect

    server = connect()
    queues = server.queues()
    if name not in queues:
        raise UsageError(f"there is no queue {name!r}{nearest(name, queues)}; there are: {', '.join(sorted(queues)) or 'none'}")
    server.set_gpus(queues[name], gpus)
    say(f"queue {name}: {stated(gpus)}")


def stated(gpus: int | None) -> str:
    """What a queue says of its machines, in words."""
    if gpus is None:
        return "nothing is said of its machines' GPUs"
    return f"its machines have {gpus} GPU(s) each" if gpus else "its machines have no GPU, and runs use the CPU"


COMMANDS = (queue,)

"""queue list, create, set: the queues, and how many GPUs their machines have."""

from __future__ import annotations

import click

from ..console import print_json, print_table, say
from ..errors import UsageError
from ..run import problem_of_queue

GPUS = click.IntRange(0)


@click.group()
def queue() -> None:
    """List and create queues, and set the GPUs per machine."""


@queue.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list of objects.")
def list_command(as_json: bool) -> None:
    """List the queues with waiting tasks, agents, and GPUs per machine."""
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
@click.option("--gpus", type=GPUS, metavar="N", help="Number of GPUs of each machine that will serve the queue.")
def create(name: str, gpus: int | None) -> None:
    """Create a queue.

    To serve it: registry agent --queue NAME. With the embedded server: registry up --queue NAME.
    """
    from ..backends import connect

    if problem := problem_of_queue(name):
        raise UsageError(problem)
    server = connect()
    if name.strip() in server.queues():
        raise UsageError(f"queue {name.strip()!r} already exists; to set its GPUs: registry queue set {name.strip()} --gpus N")
    server.create_queue(name.strip(), gpus)
    say(f"queue {name.strip()} created; {stated(gpus)}")


@queue.command("set")
@click.argument("name")
@click.option("--gpus", type=GPUS, metavar="N", required=True, help="Number of GPUs of each machine that serves the queue.")
def set_command(name: str, gpus: int) -> None:
    """Set the number of GPUs per machine of a queue.

    enqueue refuses a larger nproc_per_node.
    """
    from harness.settings import nearest

    from ..backends import connect

    server = connect()
    queues = server.queues()
    if name not in queues:
        raise UsageError(f"there is no queue {name!r}{nearest(name, queues)}; there are: {', '.join(sorted(queues)) or 'none'}")
    server.set_gpus(queues[name], gpus)
    say(f"queue {name}: {stated(gpus)}")


def stated(gpus: int | None) -> str:
    """The GPUs of a queue's machines, in words."""
    if gpus is None:
        return "the number of GPUs of its machines is not set"
    return f"each of its machines has {gpus} GPU(s)" if gpus else "its machines have no GPU, so runs use the CPU"


COMMANDS = (queue,)

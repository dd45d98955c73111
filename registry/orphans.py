"""Runs that outlived their agent on this machine: the server can tell nobody to end them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import supervisor
from .agents import agents_folder, worker_id
from .backends import Server
from .environment import locked
from .home import home
from .processes import recorded
from .stopping import give_up


def end(server: Server, task: Mapping[str, Any]) -> bool:
    """End the run of a task whose agent, one of this machine's, is gone; False if there is none."""
    if not agents_folder().exists():
        return False
    with locked(home() / "up.lock"):
        agents = {agent.name: agent for agent in recorded(agents_folder())}
        gone = [folder for folder in agents_folder().glob("*/") if folder.name not in agents or not agents[folder.name].is_alive]
        for folder in gone:
            mark = {str(folder)}
            if supervisor.task_of(supervisor.left(mark)) == task["id"]:
                supervisor.end_left(mark)
                supervisor.clear([folder.name], containers=folder.name in agents and agents[folder.name].containers)
                give_up(server, task["id"], worker_id(folder.name), "stopped from the command line; its agent is gone")
                return True
    return False

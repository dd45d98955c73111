"""Runs that outlived their agent on this machine. The server has nobody to tell to end them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..backends import Server
from ..environment import locked
from ..home import home
from . import supervisor
from .agent import agents_folder, worker_id
from .processes import recorded
from .stopping import give_up


def left_by(task: Mapping[str, Any]) -> Path | None:
    """The folder of the agent that was on this machine, is gone, and has left the run of this task; None if there is none."""
    alive = {agent.name for agent in recorded(agents_folder()) if agent.is_alive}
    gone = (folder for folder in agents_folder().glob("*/") if folder.name not in alive)
    return next((folder for folder in gone if supervisor.task_of(supervisor.left({str(folder)})) == task["id"]), None)


def end(server: Server, task: Mapping[str, Any]) -> bool:
    """End the run of a task whose agent was on this machine and is gone. False if there is no such run."""
    if not agents_folder().exists():
        return False
    with locked(home() / "up.lock"):
        folder = left_by(task)
        if folder is None:
            return False
        containers = any(agent.containers for agent in recorded(agents_folder()) if agent.name == folder.name)
        supervisor.end_left({str(folder)})
        supervisor.clear([folder.name], containers=containers)
        give_up(server, task["id"], worker_id(folder.name), "stopped from the command line; its agent is gone")
        return True

"""Real clearml-agents: what they are started with, by `registry up` for the embedded server and by `registry agent` for any."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..git import allow_local
from ..home import harness_cache, home, private_folder, remove
from . import container, processes

OF_A_TASK = ("TASK_ID", "PROC_MASTER_ID", "WORKER_ID", "CONFIG_FILE")
"""Ends of the variables that would make an agent believe that it is inside a task, or lead it to another configuration."""
EXTRA_ARGUMENTS = "CLEARML_AGENT_EXTRA_DOCKER_ARGS"
LONGEST = 70  # characters of a folder for temporary files: Python's sockets in it add 33, and a socket's address may have 107


@dataclass(frozen=True)
class ClientConfiguration:
    """What makes a process a client of a ClearML server, for an agent to take over."""

    text: str
    """The text of a clearml.conf; empty where the environment says all."""
    environment: Mapping[str, str]
    embedded: bool = False
    docker_arguments: tuple[str, ...] = ()
    """What the user's own configuration adds to `docker run`."""
    docker_script: tuple[str, ...] = ()
    """The commands that it has run in each container."""
    docker_setup: tuple[str, ...] = ()
    """The commands that it has run in place of the agent's own preparation of a container."""


@dataclass(frozen=True)
class Agent:
    """A clearml-agent, ready to be started."""

    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    containers: bool

    @property
    def folder(self) -> Path:
        return agents_folder() / self.name


def agents_folder() -> Path:
    return home() / "agents"


def prepare(
    name: str,
    root: Path,
    queues: Sequence[str],
    client: ClientConfiguration,
    *,
    containers: bool,
    services: bool = False,
    gpus: str | None = None,
    poll: float | None = None,
) -> Agent:
    """Write the files of an agent that runs each task in its image's environment below `root`, or in a container of its image.

    Args:
        services: whether it runs many tasks at the same time, in containers without GPUs.
        gpus: those that its tasks may use, as `clearml-agent --gpus` takes them; by default all.
        poll: seconds between two looks at the queues; by default the agent's own.
    """
    folder = private_folder(agents_folder() / name)
    docker = ["--docker", "--force-current-version"] if containers else []  # the images have it
    argv = [sys.executable, "-m", "clearml_agent", "daemon", "--foreground", *docker, "--queue", *queues]
    if services:
        argv.append("--services-mode")
    elif gpus is not None:
        argv += ["--gpus", gpus]
    elif shutil.which("nvidia-smi") is None:
        argv.append("--cpu-only")
    temporary = temporary_folder(folder)
    of_containers = container_configuration(folder, root, client) if containers else ""
    environment = dict(client.environment) | {
        "CLEARML_CONFIG_FILE": str(agent_configuration(folder, client.text, of_containers)),
        "CLEARML_WORKER_ID": worker_id(name),
        "GIT_CONFIG_GLOBAL": str(git_configuration(folder)),
        "PYTHONUNBUFFERED": "1",
        "TMPDIR": str(temporary),
        "CLEARML_AGENT_TEMP_STDOUT_FILE_DIR": str(temporary),
    }
    if poll is not None:
        environment["CLEARML_AGENT_QUEUE_POLL_FREQ_SEC"] = str(poll)
    if not containers:
        environment |= {
            "CLEARML_AGENT_SKIP_PIP_VENV_INSTALL": sys.executable,
            "CLEARML_AGENT_SKIP_PYTHON_ENV_INSTALL": "1",  # or it would install an old pip into that very environment
            "HARNESS_ENVS": str(environments(root)),
            "HARNESS_CACHE": str(harness_cache()),
        }
    return Agent(name, tuple(argv), environment, containers)


def environments(root: Path) -> Path:
    """Where the images' environments are, in which an agent without containers runs its tasks."""
    return Path(os.environ.get("HARNESS_ENVS") or root / ".venvs")


def temporary_folder(folder: Path) -> Path:
    """An agent's own folder for temporary files, among which are its keys: below its folder, or linked there."""
    place = folder / "tmp"
    remove(place)
    if len(str(place)) > LONGEST:
        place.symlink_to(tempfile.mkdtemp(prefix="registry-"))  # mkdtemp's are private
        return place.resolve()
    return private_folder(place)


def forget_keys(folder: Path) -> None:
    """Remove what an agent needed while it ran; its caches stay."""
    for name in ("tmp", "clearml.conf"):
        remove(folder / name)


def in_containers(queue: str) -> bool:
    """Whether the agents of this machine that serve a queue run their tasks in containers."""
    return any(agent.containers and agent.is_alive and queue in agent.queues for agent in processes.recorded(agents_folder()))


def worker_id(name: str) -> str:
    """A name that no other agent on this machine bears, one of another state folder included."""
    return f"{socket.gethostname()}:{hashlib.sha256(str(home()).encode()).hexdigest()[:6]}-{name}"


def container_configuration(folder: Path, root: Path, client: ClientConfiguration) -> str:
    """What an agent's clearml.conf says of containers; those of the embedded server fetch their tasks from the clone at `root`."""
    own = client.docker_arguments
    arguments = container.arguments(folder, own, clone=root if client.embedded else None)
    text = container.configuration(folder, own, client.docker_script, client.docker_setup)
    return f"extra_docker_arguments: {json.dumps(arguments)}\n    {text}"


def agent_configuration(folder: Path, text: str, of_containers: str = "") -> Path:
    """The agent's own clearml.conf: the server's keys, caches that are not the user's, and what containers are started with."""
    path = folder / "clearml.conf"
    text = f"""{text}
agent {{
    disable_agent_update_check: true
    venvs_dir: "{folder}/venvs"
    venvs_cache {{ path: "{folder}/venvs-cache" }}
    vcs_cache {{ enabled: true, path: "{folder}/vcs-cache" }}
    pip_download_cache {{ enabled: false, path: "{folder}/pip-download-cache" }}
    {of_containers}
    docker_install_opencv_libs: false
    docker_pip_cache: "{folder}/pip-cache"
    docker_apt_cache: "{folder}/apt-cache"
}}
sdk {{ storage {{ cache {{ default_base_dir: "{home()}/cache/clearml", disk_space_file_size_strategy {{ enabled: false }} }} }} }}
"""
    path.touch(mode=0o600)
    path.write_text(text)
    return path


def git_configuration(folder: Path) -> Path:
    """What git may do for the agent, which writes into this file."""
    path = folder / "gitconfig"
    allow_local(path, os.environ.get("GIT_CONFIG_GLOBAL") or str(Path.home() / ".gitconfig"))
    return path


def configured(setting: Callable[[str], Sequence[str]], *, embedded: bool) -> ClientConfiguration:
    """The server that this process uses, for an agent: its clearml.conf and its variables.

    Args:
        setting: reads the values of a key of clearml.conf.
    """
    path = Path(os.environ.get("CLEARML_CONFIG_FILE") or "~/clearml.conf").expanduser()
    dropped = {f"{prefix}_{end}" for prefix in ("CLEARML", "TRAINS") for end in OF_A_TASK} | {EXTRA_ARGUMENTS}
    environment = {name: value for name, value in os.environ.items() if name not in dropped}
    given = os.environ.get(EXTRA_ARGUMENTS)
    arguments = shlex.split(given) if given else setting("agent.extra_docker_arguments")
    script, setup = setting("agent.extra_docker_shell_script"), setting("agent.docker_init_bash_script")
    text = path.read_text().strip() if path.exists() else ""
    if text.startswith("{") and text.endswith("}"):
        text = text[1:-1]  # more is to come
    return ClientConfiguration(text, environment, embedded, tuple(arguments), tuple(script), tuple(setup))


def client_settings() -> list[str]:
    """The variables that would lead a client to some other server, or make it believe that it is inside a task."""
    return [name for name in os.environ if name.startswith(("CLEARML_", "TRAINS_"))]


def clean_environment() -> dict[str, str]:
    dropped = client_settings()
    return {name: value for name, value in os.environ.items() if name not in dropped}

"""How clearml-agents are started: by `registry up` for the embedded server, and by `registry agent` for any server."""

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
"""Suffixes of variables that would make an agent believe that it is inside a task, or give it another configuration."""
EXTRA_ARGUMENTS = "CLEARML_AGENT_EXTRA_DOCKER_ARGS"
LONGEST = 70  # characters in the path of the temporary folder: Python adds 33 for sockets in it, and a socket's address may have 107


@dataclass(frozen=True)
class ClientConfiguration:
    """The settings that make a process a client of a ClearML server, which an agent takes over."""

    text: str
    """The contents of clearml.conf; empty if the environment contains all settings."""
    environment: Mapping[str, str]
    embedded: bool = False
    docker_arguments: tuple[str, ...] = ()
    """Arguments that the user's configuration adds to `docker run`."""
    docker_script: tuple[str, ...] = ()
    """Commands that the user's configuration runs in each container."""
    docker_setup: tuple[str, ...] = ()
    """Commands that the user's configuration runs instead of the agent's own preparation of a container."""


@dataclass(frozen=True)
class Agent:
    """A clearml-agent that is ready to be started."""

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
    """Write the files of an agent. It runs each task in its image's environment below `root`, or in a container of its image.

    Args:
        services: whether it runs many tasks at once, in containers without GPUs.
        gpus: the GPUs that its tasks may use, in the format of `clearml-agent --gpus`; by default all.
        poll: seconds between two checks of the queues; by default clearml-agent's own.
    """
    folder = private_folder(agents_folder() / name)
    docker = ["--docker", "--force-current-version"] if containers else []  # the images contain the agent already
    argv = [sys.executable, "-m", "clearml_agent", "daemon", "--foreground", *docker, "--queue", *queues]
    if services:
        argv.append("--services-mode")
    elif gpus is not None:
        argv += ["--gpus", gpus]
    elif shutil.which("nvidia-smi") is None:
        argv.append("--cpu-only")
    environment = variables(name, root, client, folder, containers)
    if poll is not None:
        environment["CLEARML_AGENT_QUEUE_POLL_FREQ_SEC"] = str(poll)
    return Agent(name, tuple(argv), environment, containers)


def variables(name: str, root: Path, client: ClientConfiguration, folder: Path, containers: bool) -> dict[str, str]:
    """The environment of an agent, with the files that its variables name."""
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
    if not containers:
        environment |= {
            "CLEARML_AGENT_SKIP_PIP_VENV_INSTALL": sys.executable,
            "CLEARML_AGENT_SKIP_PYTHON_ENV_INSTALL": "1",  # otherwise it would install an old pip into this environment
            "HARNESS_ENVS": str(environments(root)),
            "HARNESS_CACHE": str(harness_cache()),
        }
    return environment


def environments(root: Path) -> Path:
    """The folder of the images' environments, in which an agent without containers runs its tasks."""
    return Path(os.environ.get("HARNESS_ENVS") or root / ".venvs")


def temporary_folder(folder: Path) -> Path:
    """An agent's folder for temporary files, which include its keys: in its own folder, or linked from there if that path is too long."""
    place = folder / "tmp"
    remove(place)
    if len(str(place)) > LONGEST:
        place.symlink_to(tempfile.mkdtemp(prefix="registry-"))  # folders of mkdtemp are private
        return place.resolve()
    return private_folder(place)


def forget_keys(folder: Path) -> None:
    """Remove the files with keys that an agent needed while it ran. Its caches are kept."""
    for name in ("tmp", "clearml.conf"):
        remove(folder / name)


def in_containers(queue: str) -> bool:
    """Whether the agents on this machine that serve a queue run their tasks in containers."""
    return any(agent.containers and agent.is_alive and queue in agent.queues for agent in processes.recorded(agents_folder()))


def worker_id(name: str) -> str:
    """A name that is unique on this machine, even among the agents of other state folders."""
    return f"{socket.gethostname()}:{hashlib.sha256(str(home()).encode()).hexdigest()[:6]}-{name}"


def container_configuration(folder: Path, root: Path, client: ClientConfiguration) -> str:
    """The part of an agent's clearml.conf about containers. With the embedded server, tasks are fetched from the clone at `root`."""
    own = client.docker_arguments
    arguments = container.arguments(folder, own, clone=root if client.embedded else None)
    text = container.configuration(folder, own, client.docker_script, client.docker_setup)
    return f"extra_docker_arguments: {json.dumps(arguments)}\n    {text}"


def agent_configuration(folder: Path, text: str, of_containers: str = "") -> Path:
    """The agent's own clearml.conf: the server's keys, caches apart from the user's, and the arguments for containers."""
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
    """The git configuration of the agent, which also writes to this file."""
    path = folder / "gitconfig"
    allow_local(path, os.environ.get("GIT_CONFIG_GLOBAL") or str(Path.home() / ".gitconfig"))
    return path


def configured(setting: Callable[[str], Sequence[str]], *, embedded: bool) -> ClientConfiguration:
    """The client configuration of this process: its clearml.conf and its environment variables.

    Args:
        setting: returns the values of a key in clearml.conf.
    """
    path = Path(os.environ.get("CLEARML_CONFIG_FILE") or "~/clearml.conf").expanduser()
    dropped = {f"{prefix}_{end}" for prefix in ("CLEARML", "TRAINS") for end in OF_A_TASK} | {EXTRA_ARGUMENTS}
    environment = {name: value for name, value in os.environ.items() if name not in dropped}
    given = os.environ.get(EXTRA_ARGUMENTS)
    arguments = shlex.split(given) if given else setting("agent.extra_docker_arguments")
    script, setup = setting("agent.extra_docker_shell_script"), setting("agent.docker_init_bash_script")
    text = path.read_text().strip() if path.exists() else ""
    if text.startswith("{") and text.endswith("}"):
        text = text[1:-1]  # the agent's own sections are appended
    return ClientConfiguration(text, environment, embedded, tuple(arguments), tuple(script), tuple(setup))


def client_settings() -> list[str]:
    """Variables that would direct a client to another server, or make it believe that it is inside a task."""
    return [name for name in os.environ if name.startswith(("CLEARML_", "TRAINS_"))]


def clean_environment() -> dict[str, str]:
    dropped = client_settings()
    return {name: value for name, value in os.environ.items() if name not in dropped}

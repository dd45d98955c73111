"""Real clearml-agents on this machine, set up for the embedded server."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from . import processes
from .engine import docker
from .home import EmbeddedServer, home
from .processes import Process

STORE = (
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
    *("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_DEFAULT_REGION"),
)
"""Variables by which a run finds its S3 store."""
POLL = 1.0  # seconds between two looks of an agent at its queues


def agents_folder() -> Path:
    return home() / "agents"


def start_agent(name: str, root: Path, queues: Sequence[str], server: EmbeddedServer, containers: bool) -> Process:
    """Start a real clearml-agent that runs each task in its image's environment below `root`, or in a container of its image."""
    folder = agents_folder() / name
    argv = [sys.executable, "-m", "clearml_agent", "daemon", "--foreground", *(["--docker"] if containers else []), "--queue", *queues]
    if shutil.which("nvidia-smi") is None:
        argv.append("--cpu-only")
    environment = clean_environment() | {
        "CLEARML_CONFIG_FILE": str(agent_configuration(folder, server, container_arguments(root) if containers else [])),
        "CLEARML_WORKER_ID": worker_id(name),
        "CLEARML_AGENT_QUEUE_POLL_FREQ_SEC": str(POLL),
        "GIT_CONFIG_GLOBAL": str(git_configuration(folder)),
        "PYTHONUNBUFFERED": "1",
    }
    if not containers:
        environment |= {
            "CLEARML_AGENT_SKIP_PIP_VENV_INSTALL": sys.executable,
            "CLEARML_AGENT_SKIP_PYTHON_ENV_INSTALL": "1",  # or it would install an old pip into that very environment
            "HARNESS_ENVS": os.environ.get("HARNESS_ENVS", str(root / ".venvs")),
            "HARNESS_CACHE": str(harness_cache()),
        }
    return processes.start(name, argv, environment, agents_folder(), queues, containers=containers)


def in_containers(queue: str) -> bool:
    """Whether the agents that `registry up` started for a queue run their tasks in containers."""
    return any(agent.containers and agent.is_alive and queue in agent.queues for agent in processes.recorded(agents_folder()))


def harness_cache() -> Path:
    """Where runs keep what they fetch."""
    return Path(os.environ.get("HARNESS_CACHE", home() / "cache" / "harness"))


def container_arguments(root: Path) -> list[str]:
    """What `docker run` is given beside the agent's own: the server, the clone and the cache of this machine, inside the container."""
    harness_cache().mkdir(parents=True, exist_ok=True)
    return [
        "--network=host",  # the server listens on this machine's loopback alone
        "--ipc=host",  # loaders' workers pass tensors through shared memory
        f"--volume={root}:{root}:ro",
        f"--volume={harness_cache()}:{harness_cache()}",
        f"--env=HARNESS_CACHE={harness_cache()}",
        "--env=GIT_CONFIG_COUNT=1",  # the clone belongs to another user than the container's
        "--env=GIT_CONFIG_KEY_0=safe.directory",
        "--env=GIT_CONFIG_VALUE_0=*",
        *(f"--env={name}" for name in STORE if name in os.environ),  # their values stay out of the command line, which the log shows
    ]


def remove_containers(agents: Sequence[Process]) -> None:
    """End the containers of agents that have ended: they are the engine's children, not the agents'."""
    for agent in agents:
        if agent.containers:
            found = docker("ps", "--quiet", "--filter", f"label=clearml-parent-worker-id={worker_id(agent.name)}").stdout.split()
            if found:
                docker("rm", "--force", *found)


def worker_id(name: str) -> str:
    """A name that no other agent on this machine bears, one of another state folder included."""
    return f"{socket.gethostname()}:{hashlib.sha256(str(home()).encode()).hexdigest()[:6]}-{name}"


def agent_configuration(folder: Path, server: EmbeddedServer, arguments: Sequence[str]) -> Path:
    """The agent's own clearml.conf: the server's keys, caches that are not the user's, and what containers are started with."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "clearml.conf"
    text = f"""{server.configuration.read_text()}
agent {{
    disable_agent_update_check: true
    venvs_dir: "{folder}/venvs"
    venvs_cache {{ path: "{folder}/venvs-cache" }}
    vcs_cache {{ enabled: true, path: "{folder}/vcs-cache" }}
    pip_download_cache {{ enabled: false, path: "{folder}/pip-download-cache" }}
    extra_docker_arguments: {json.dumps(list(arguments))}
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
    """What git may do for the agent: clone a local repository, also one of another user's. The agent writes into this file."""
    path = folder / "gitconfig"
    own = os.environ.get("GIT_CONFIG_GLOBAL") or str(Path.home() / ".gitconfig")
    path.write_text(f'[include]\n\tpath = "{own}"\n[safe]\n\tdirectory = *\n[protocol "file"]\n\tallow = always\n')
    return path


def client_settings() -> list[str]:
    """The variables that would lead a client to some other server, or make it believe that it is inside a task."""
    return [name for name in os.environ if name.startswith(("CLEARML_", "TRAINS_"))]


def clean_environment() -> dict[str, str]:
    dropped = client_settings()
    return {name: value for name, value in os.environ.items() if name not in dropped}

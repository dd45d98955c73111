"""Containers that tasks run in: their user, what they share with this machine, and how they end with their agent."""

from __future__ import annotations

import json
import os
import pwd
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ..errors import ServiceError
from ..git import allow_local, repository_of
from ..home import harness_cache
from ..image import STRANGERS_HOME
from ..images.engine import docker

STORE = (
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
    *("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_DEFAULT_REGION"),
)
"""Variables that tell a run where its S3 store is."""
PATIENCE = 30
"""Seconds that a run has to end after SIGTERM: 20 for its ranks, the rest to report to the server why it ended."""
POLL = 0.1
OF_ROOT = {"pip_download": "pip-download-cache", "vcs_cache": "vcs-cache", "venvs_cache": "venvs-cache", "pip_cache": "pip-cache"}
"""Folders that clearml-agent mounts below /root, which only root can enter: the names of its settings, and of the agent's folders."""
WITHOUT_ROOT = (
    "[ ! -d {mount_ssh_ro} ] || cp -Rf {mount_ssh_ro} -T {mount_ssh}",
    "[ ! -d {mount_git_ro} ] || cp -Rf {mount_git_ro} -T ~/",
)
"""The agent's own preparation of a container, without the step that needs root: installing Debian packages."""


def arguments(folder: Path, own: Sequence[str], *, clone: Path | None) -> list[str]:
    """Arguments for `docker run` in addition to the agent's own.

    Args:
        folder: the agent's folder.
        own: arguments of the agent's user. They come last, and replace ours where both cannot be combined.
        clone: the local clone that tasks are fetched from, if any.
    """
    harness_cache().mkdir(parents=True, exist_ok=True)
    settings = folder / "container.gitconfig"
    allow_local(settings, "/etc/gitconfig")
    ours = [
        "--network=host",  # the embedded server listens only on loopback; runs on several machines use the machines' addresses
        "--ipc=host",  # data loader workers pass tensors through shared memory
        "--init",  # the run is then not process 1, so every signal reaches it
        *as_this_user(folder, own),
        *([f"--volume={place}:{place}:ro" for place in dict.fromkeys([clone, repository_of(clone)])] if clone else []),
        f"--volume={harness_cache()}:{harness_cache()}",
        f"--env=HARNESS_CACHE={harness_cache()}",
        f"--volume={settings}:{settings}:ro",
        f"--env=GIT_CONFIG_SYSTEM={settings}",  # GIT_CONFIG_COUNT and the like do not reach the other side of a local `git clone`
        f"--volume={lifeline(folder)}:{lifeline(folder)}:ro",
        *(f"--env={name}" for name in STORE if name in os.environ),  # without the value: the log shows the command line
    ]
    return [argument for argument in ours if name_of(argument) not in names_of(own) & {"--network", "--ipc", "--init"}] + [*own]


def name_of(argument: str) -> str:
    return argument.partition("=")[0]


def names_of(given: Sequence[str]) -> set[str]:
    return {name_of(argument) for argument in given}


def is_root(own: Sequence[str]) -> bool:
    """Whether tasks run as their image's user, usually root: the agent runs as root, its user has chosen, or the engine is rootless."""
    return os.geteuid() == 0 or bool(names_of(own) & {"--user", "-u"}) or "rootless" in security()


def security() -> str:
    """The security options of the engine. In a rootless engine, root is this user."""
    return docker("info", "--format", "{{json .SecurityOptions}}").stdout


def as_this_user(folder: Path, own: Sequence[str]) -> Iterator[str]:
    """Arguments that make tasks run as the agent's user, who then owns everything they leave on this machine.

    Raises:
        ServiceError: the agent's folders contain files of another user's tasks, which would block new tasks.
    """
    if is_root(own):
        return
    if strange := [path for place in OF_ROOT.values() for path in entries(folder / place) if path.lstat().st_uid != os.geteuid()]:
        raise ServiceError(f"{strange[0]} belongs to another user, whose tasks left it there; as root, run: rm -r {folder}")
    users = folder / "passwd"
    users.write_text(f"root:x:0:0::/root:/bin/sh\n{user_name()}:x:{os.geteuid()}:{os.getegid()}::{STRANGERS_HOME}:/bin/sh\n")
    yield f"--user={os.geteuid()}:{os.getegid()}"
    yield from (f"--group-add={group}" for group in sorted(set(os.getgroups()) - {os.getegid()}))
    yield from ["--userns=host"] if "name=userns" in security() else []
    yield f"--volume={users}:/etc/passwd:ro"  # ssh, and programs that look up the user's name, fail without it
    yield f"--env=HOME={STRANGERS_HOME}"
    yield f"--env=PIP_CACHE_DIR={folder / OF_ROOT['pip_cache']}"


def entries(folder: Path) -> Iterator[Path]:
    if folder.exists():
        yield from (folder, *folder.iterdir())


def user_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return "user"


def configuration(folder: Path, own: Sequence[str], script: Sequence[str], setup: Sequence[str]) -> str:
    """The part of an agent's clearml.conf about containers, within `agent`.

    Args:
        own: arguments that its user adds to `docker run`.
        script: commands that its user runs in each container.
        setup: commands that its user runs instead of clearml-agent's preparation of a container.
    """
    lines = [f"extra_docker_shell_script: {json.dumps([end_with_agent(folder), *script])}"]
    if not is_root(own):
        mounts = {name: str(folder / place) for name, place in OF_ROOT.items()}
        mounts |= {"ssh_folder": f"{STRANGERS_HOME}/.ssh", "ssh_ro_folder": f"{STRANGERS_HOME}/.ssh_ro"}
        lines += [f"docker_internal_mounts {json.dumps(mounts)}", f"docker_init_bash_script: {json.dumps(list(setup or WITHOUT_ROOT))}"]
    return "\n    ".join(lines)


def lifeline(folder: Path) -> Path:
    """The file that an agent's supervisor keeps locked while it lives. The kernel releases the lock, however it ends."""
    file = folder / "lifeline"
    file.touch(mode=0o600)
    return file


def end_with_agent(folder: Path) -> str:
    """A shell command that ends a container together with the agent's supervisor, even if the supervisor is killed.

    It waits for the supervisor's lock, and then ends the shell that runs the task.
    """
    ended = f"flock --shared {shlex.quote(str(lifeline(folder)))} true"
    return f"{{ ( {ended} && kill $$ && sleep {PATIENCE} && kill -KILL $$ ) 2> /dev/null & }}"


def of(workers: Sequence[str]) -> list[str]:
    """The containers of agents' tasks, including those never started. They are children of the engine, not of the agents."""
    found = (docker("ps", "--all", "--quiet", "--filter", f"label=clearml-parent-worker-id={worker}") for worker in workers)
    return [container for done in found for container in done.stdout.split()]


def end(workers: Sequence[str], hurry: Callable[[], bool] = lambda: False) -> None:
    """End the containers of agents' tasks: ask them to stop, and remove with their data those that are left after `PATIENCE`.

    Args:
        hurry: returns True once it should stop waiting.
    """
    if running := of(workers):
        with subprocess.Popen(["docker", "stop", f"--time={PATIENCE}", *running], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as asked:
            while asked.poll() is None and not hurry():
                time.sleep(POLL)
            asked.kill()
    if left := of(workers):
        docker("rm", "--force", "--volumes", *left)

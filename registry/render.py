"""Files that are generated from the declarations: example scripts, the compose file, and the common base in the Dockerfiles."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

from harness.workload import Declaration

from . import catalog
from .dotenv import stated
from .environment import image_names
from .errors import UsageError
from .image import STRANGERS_HOME, service_name
from .run import PROJECT
from .workload import discover

MARK = "# Rendered by `registry render`"
EXAMPLE = """\
#!/usr/bin/env bash
# {summary}
# Rendered by `registry render` from clearml_tasks/{name}/workload.yaml.
# Enqueues the smoke run of {name} and waits for it. A server and an agent must be running: registry up
#
#   bash example/{name}.sh [KEY=VALUE]...      # QUEUE=..., IMAGE_REGISTRY=HOST/NAMESPACE
set -euo pipefail
cd "$(dirname "${{BASH_SOURCE[0]}}")/.."
registry=$([ -x .venv/bin/registry ] && echo .venv/bin/registry || command -v registry) ||
    {{ echo "error: the registry command was not found; run: make .venv, or pip install ." >&2; exit 1; }}
queue=${{QUEUE:-{queue}}}
{ensure}
"$registry" enqueue {name} --smoke --wait --queue "$queue" --project {project} "$@"
"""

COMPOSE_HEAD = """\
# Rendered by `registry render`: do not edit; change docker/<image>/ or the workloads instead.
# One service per image, for trying things out by hand:
#   registry compose build clip;  registry compose up -d clip;  registry compose exec clip /bin/bash
# `registry compose` runs docker-compose (or docker compose) and passes on your user ID, the commit and the environments.
# Plain docker-compose, in the root or in this folder, uses the defaults below. Set these variables in the environment or in .env:
#   IMAGE_REGISTRY          HOST/NAMESPACE of the image registry; without it, the images are only on this machine
#   CONTAINER_PREFIX        prefix of the containers' names, to tell whose they are; empty for none
#   UID, GID                user and group of the processes, as `id` prints them; in a shell: export UID GID=$(id -g)
#   .._COMMIT, .._ENVIRONMENT    the commit and environment in the images' labels and tags; `registry compose` sets them
"""

PYTORCH = "nvcr.io/nvidia/pytorch"
DEFAULT_BASE = re.compile(rf"(?P<comment>(?:^#.*\n)*)^ARG BASE_IMAGE={re.escape(PYTORCH)}:\S*", re.MULTILINE)
ARGUMENT = re.compile(r"^ARG (\w+)=([^\s\"'$}]+)$", re.MULTILINE)
MOUNTED = ("clearml_tasks", "configs", "src", "data")
GPU = {"resources": {"reservations": {"devices": [{"driver": "nvidia", "capabilities": ["gpu"]}]}}}


def rendered(root: Path) -> dict[str, str]:
    """The contents of every rendered file, by its path below `root`."""
    workloads = discover(root)
    aliases = catalog.load(root)
    dockerfiles = dockerfiles_in_step(root)
    files = {f"example/{name}.sh": example(workload, aliases) for name, workload in workloads.items()}
    files |= {f"docker/{name}/Dockerfile": text for name, text in dockerfiles.items()}
    return {**files, "docker/compose.yaml": compose(dockerfiles, workloads)}


def stale_files(root: Path) -> list[str]:
    """Rendered files that are missing or differ, and rendered scripts whose workload is gone."""
    files = rendered(root)
    stale = [path for path, contents in files.items() if not (root / path).exists() or (root / path).read_text() != contents]
    return stale + [path for path in leftover(root) if path not in files]


def leftover(root: Path) -> Iterator[str]:
    """The example scripts that have been rendered, as opposed to those written by hand."""
    for path in sorted(root.glob("example/*.sh")):
        if MARK in path.read_text():
            yield path.relative_to(root).as_posix()


def write(root: Path) -> None:
    """Bring the rendered files up to date."""
    files = rendered(root)
    for path in stale_files(root):
        if path not in files:
            (root / path).unlink()
            continue
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(files[path])
        if path.endswith(".sh"):
            (root / path).chmod(0o755)


def example(workload: Declaration, aliases: Mapping[str, catalog.CatalogEntry]) -> str:
    """The script that runs the smoke run of a workload."""
    needed = dict.fromkeys(value for step in workload.smoke for key, value in step.items() if key in workload.datasets and value in aliases)
    ensure = [f'"$registry" dataset ensure {alias} --queue "$queue" >/dev/null' for alias in needed]
    text = EXAMPLE.format(name=workload.name, summary=workload.summary, queue=workload.queue, project=PROJECT, ensure="\n".join(ensure))
    return text.replace('\n\n"$registry" enqueue', '\n"$registry" enqueue') if not ensure else text.replace("}}\n\n", "}}\n")


def dockerfiles_in_step(root: Path) -> dict[str, str]:
    """Every image's Dockerfile, with the PyTorch base that `.env` names. Nothing else in them is changed."""
    tag = pytorch_tag(root)
    texts = {name: (root / "docker" / name / "Dockerfile").read_text() for name in image_names(root)}
    return {name: on_pytorch(text, tag) if tag else text for name, text in texts.items()}


def pytorch_tag(root: Path) -> str | None:
    """PYTORCH_TAG of the clone's `.env`, which may include a digest; None if it is not set.

    Raises:
        UsageError: it is not a valid image tag.
    """
    tag = stated(root, "PYTORCH_TAG")
    if tag is None:
        return None
    if not re.fullmatch(r"\w[\w.-]{0,127}(@sha256:[0-9a-f]{64})?", tag):
        raise UsageError(
            f"{root / '.env'}: PYTORCH_TAG={tag}: must be a tag of {PYTORCH}, such as 26.02-py3, optionally followed by @sha256:.."
        )
    return tag


def on_pytorch(dockerfile: str, tag: str) -> str:
    """A Dockerfile with the given tag of NVIDIA's PyTorch image as its default base.

    It stays as it is if its base is another image, or if the comment directly above the base says which CUDA it requires.
    """
    found = DEFAULT_BASE.search(dockerfile)
    if found is None or "CUDA" in found["comment"]:
        return dockerfile
    return f"{dockerfile[: found.start()]}{found['comment']}ARG BASE_IMAGE={PYTORCH}:{tag}{dockerfile[found.end() :]}"


def compose(dockerfiles: Mapping[str, str], workloads: Mapping[str, Declaration]) -> str:
    """The text of docker/compose.yaml: one service per image, for trying things out."""
    services = {}
    for name, dockerfile in dockerfiles.items():
        users = [workload.name for workload in workloads.values() if workload.image == name]
        repository = users[0] if len(users) == 1 else name
        services[service_name(repository)] = service(name, repository, dockerfile)
    return COMPOSE_HEAD + yaml.safe_dump({"services": services}, sort_keys=False, width=120)


def service(name: str, repository: str, dockerfile: str) -> dict[str, object]:
    """A service that sleeps until somebody enters it.

    The build arguments repeat the Dockerfile's defaults: docker-compose 1 gives a bare name the value `None` if it is not set, and
    an empty variable would override the default.
    """
    arguments = dict(ARGUMENT.findall(dockerfile))
    own = {key: variable(name, key) for key in ("COMMIT", "ENVIRONMENT")}
    return {
        "container_name": f"${{CONTAINER_PREFIX-}}{repository}",
        # The engine reads a name without a host as docker.io/library/NAME
        "image": f"${{IMAGE_REGISTRY:-docker.io/library}}/{name.lower()}:${{{own['ENVIRONMENT']}:-latest}}",
        "build": {
            "context": "..",
            "dockerfile": f"docker/{name}/Dockerfile",
            "args": {key: f"${{{own.get(key, key)}:-{default}}}" for key, default in arguments.items()},
        },
        "user": "${UID:-1000}:${GID:-1000}",
        "environment": {"HOME": STRANGERS_HOME, "USER": "${USER:-nobody}"},
        "init": True,  # a shell as the first process would ignore SIGTERM
        "shm_size": "8gb",
        "working_dir": "/workspace",
        # The long form: a missing folder is an error. The short form would create it as root
        "volumes": [{"type": "bind", "source": f"../{folder}", "target": f"/workspace/{folder}"} for folder in MOUNTED],
        "command": '/bin/sh -c "while sleep 1000; do :; done"',
        **({"deploy": GPU} if re.search("nvidia|cuda", arguments.get("BASE_IMAGE", "")) else {}),
    }


def variable(name: str, key: str) -> str:
    """The variable of docker/compose.yaml for one image: PADDLE_DETECTION_ENVIRONMENT."""
    return f"{service_name(name).upper()}_{key}"

"""Files that follow from the declarations and are kept beside them: example scripts and the compose file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

from harness.workload import Declaration

from . import catalog
from .image import service_name
from .workload import discover

MARK = "# Rendered by `registry render`"
EXAMPLE = """\
#!/usr/bin/env bash
# {summary}
# Rendered by `registry render` from clearml_tasks/{name}/workload.yaml.
# Enqueues the smoke run of {name} and waits for it. Needs a server and an agent: registry up
#
#   bash example/{name}.sh [KEY=VALUE]...      # QUEUE=..., IMAGE_REGISTRY=HOST/NAMESPACE
set -euo pipefail
cd "$(dirname "${{BASH_SOURCE[0]}}")/.."
registry=$([ -x .venv/bin/registry ] && echo .venv/bin/registry || command -v registry) ||
    {{ echo "error: there is no registry command: make .venv, or pip install ." >&2; exit 1; }}
queue=${{QUEUE:-{queue}}}
{ensure}
"$registry" enqueue {name} --smoke --wait --queue "$queue" --project clearml-example-project "$@"
"""

COMPOSE_HEAD = """\
# Rendered by `registry render`; change docker/<image>/ or the workloads instead.
# One service per image:  docker-compose build clip;  docker-compose up -d clip;  docker-compose exec clip /bin/bash
# BASE_IMAGE and IMAGE_REGISTRY (HOST/NAMESPACE) may be set in the environment.
"""


def rendered(root: Path) -> dict[str, str]:
    """Every rendered file: its path below `root` and its contents."""
    workloads = discover(root)
    aliases = catalog.load(root)
    files = {f"example/{name}.sh": example(workload, aliases) for name, workload in workloads.items()}
    return {**files, "docker/compose.yaml": compose(root, workloads)}


def stale_files(root: Path) -> list[str]:
    """Rendered files that are missing or differ, and rendered scripts that no workload stands behind any more."""
    files = rendered(root)
    stale = [path for path, contents in files.items() if not (root / path).exists() or (root / path).read_text() != contents]
    return stale + [path for path in leftover(root) if path not in files]


def leftover(root: Path) -> Iterator[str]:
    """The example scripts that were rendered once; those written by hand are somebody else's."""
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


def example(workload: Declaration, aliases: Mapping[str, catalog.Entry]) -> str:
    """The script that a person runs to see a workload work."""
    needed = dict.fromkeys(value for step in workload.smoke for key, value in step.items() if key in workload.datasets and value in aliases)
    ensure = [f'"$registry" dataset ensure {alias} --queue "$queue" >/dev/null' for alias in needed]
    text = EXAMPLE.format(name=workload.name, summary=workload.summary, queue=workload.queue, ensure="\n".join(ensure))
    return text.replace('\n\n"$registry" enqueue', '\n"$registry" enqueue') if not ensure else text.replace("}}\n\n", "}}\n")


def compose(root: Path, workloads: Mapping[str, Declaration]) -> str:
    """docker/compose.yaml: one service per image, in which a person tries things out."""
    services = {}
    for name in image_names(root):
        users = [workload.name for workload in workloads.values() if workload.image == name]
        services[service_name(users[0] if len(users) == 1 else name)] = service(root, name, users)
    return COMPOSE_HEAD + yaml.safe_dump({"services": services}, sort_keys=False, width=120)


def image_names(root: Path) -> list[str]:
    return sorted(path.parent.name for path in root.glob("docker/*/Dockerfile"))


def service(root: Path, name: str, users: list[str]) -> dict[str, object]:
    """One service, started by hand: it sleeps until somebody enters."""
    dockerfile = (root / "docker" / name / "Dockerfile").read_text()
    base = re.search(r"^ARG BASE_IMAGE=(\S+)", dockerfile, re.MULTILINE)
    build: dict[str, object] = {"context": "..", "dockerfile": f"docker/{name}/Dockerfile"}
    if base:
        build["args"] = {"BASE_IMAGE": f"${{BASE_IMAGE:-{base[1]}}}"}
    return {
        "container_name": users[0] if len(users) == 1 else name,
        "image": f"${{IMAGE_REGISTRY:-localhost}}/{name}:latest",
        "build": build,
        "shm_size": "8gb",
        "working_dir": "/workspace",
        "volumes": [f"../{folder}:/workspace/{folder}" for folder in ("clearml_tasks", "configs", "src", "data")],
        "command": '/bin/sh -c "while sleep 1000; do :; done"',
        **({"deploy": GPU} if base and "nvidia" in base[1] else {}),
    }


GPU = {"resources": {"reservations": {"devices": [{"driver": "nvidia", "capabilities": ["gpu"]}]}}}

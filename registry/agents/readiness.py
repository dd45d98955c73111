"""Checks what an agent needs on this machine before it starts, and reports everything that is missing at once."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from harness.settings import nearest

from ..backends import Server, connect
from ..errors import EngineError, ServerError, ServiceError
from ..findings import Findings
from ..images.engine import Engine
from ..workload import discover
from .agent import environments
from .services import check_home


def check(root: Path, queues: Sequence[str], *, containers: bool, gpus: str | None) -> tuple[Server, Sequence[str]]:
    """The server that the agent will serve, and warnings.

    Raises:
        UsageError: lists everything that is missing or wrong.
    """
    findings = Findings()
    server = None
    try:
        server = connect()
        findings.add(problems_of_queues(queues, server))
    except ServerError as error:
        findings.add([str(error)])
    try:
        check_home()
        if containers:
            findings.add(problems_of_token())
            Engine()
    except (ServiceError, EngineError) as error:
        findings.add([str(error)])
    if not containers:
        check_environments(root, findings)
    if gpus is not None:
        findings.add(problems_of_gpus(gpus))
    findings.settle()
    assert server is not None
    return server, findings.warnings


def problems_of_queues(queues: Sequence[str], server: Server) -> list[str]:
    there = server.queues()
    return [
        f"there is no queue {name!r}{nearest(name, there)}; create it: registry queue create {name}" for name in queues if name not in there
    ]


def problems_of_token() -> list[str]:
    """A token instead of keys: clearml-agent passes it to containers on docker's command line, which every user can read."""
    if os.environ.get("CLEARML_AUTH_TOKEN"):
        return [
            "CLEARML_AUTH_TOKEN would be visible on docker's command line; use CLEARML_API_ACCESS_KEY and CLEARML_API_SECRET_KEY instead"
        ]
    return []


def check_environments(root: Path, findings: Findings) -> None:
    """Without any environment, no task can run. If only some are missing, the tasks of those images cannot run."""
    images = sorted({workload.image for workload in discover(root).values()})
    missing = [name for name in images if not (environments(root) / name / "bin" / "python").exists()]
    if missing == images:
        findings.add([f"no environment is built in {environments(root)}; run make env or make env/IMAGE, or add --docker"])
    elif missing:
        findings.warnings.append(
            f"tasks of {', '.join(missing)} will fail here, because their environments are not built; run make env/IMAGE, or let "
            "this agent serve a queue of its own"
        )


def problems_of_gpus(asked: str) -> list[str]:
    """What is wrong with a list of GPUs: `0,1`, `0:1` for a MIG partition, UUIDs, `all` or `none`."""
    if asked == "none":
        return []
    there = gpus_here()
    if not there:
        return [f"--gpus {asked}: nvidia-smi finds no GPU on this machine; omit the option"]
    names = asked.split(",")
    if asked == "all":
        return []
    unknown = [name for name in names if name not in there]
    problems = [f"--gpus {asked}: there is no GPU {name or 'without a name'} here; available: {', '.join(there)}" for name in unknown]
    return problems + [f"--gpus {asked}: {name} is listed twice" for name in dict.fromkeys(names) if names.count(name) > 1]


def gpus_here() -> list[str]:
    """The GPUs and MIG partitions of this machine, by number and by UUID, as `nvidia-smi --list-gpus` prints them."""
    if shutil.which("nvidia-smi") is None:
        return []
    listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True, check=False).stdout
    numbers, identities, gpu = [], [], ""
    for line in listed.splitlines():
        if found := re.match(r"GPU (\d+):", line):
            gpu = found[1]
            numbers.append(gpu)
        elif found := re.match(r"\s+MIG .*Device\s+(\d+):", line):
            numbers.append(f"{gpu}:{found[1]}")
        identities += re.findall(r"UUID: ([\w-]+)", line)
    return numbers + identities

"""What an agent needs on this machine, looked at before it starts: all that is missing is told at once."""

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
        UsageError: with everything that is missing or wrong.
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
        f"there is no queue {name!r}{nearest(name, there)}; make it: registry queue create {name}" for name in queues if name not in there
    ]


def problems_of_token() -> list[str]:
    """A token in place of keys: clearml-agent hands it to containers on docker's command line, which everybody on the machine can read."""
    if os.environ.get("CLEARML_AUTH_TOKEN"):
        return ["CLEARML_AUTH_TOKEN would stand on docker's command line: use CLEARML_API_ACCESS_KEY and CLEARML_API_SECRET_KEY instead"]
    return []


def check_environments(root: Path, findings: Findings) -> None:
    """Without any environment no task could run; one that is missing concerns the tasks of its image alone."""
    images = sorted({workload.image for workload in discover(root).values()})
    missing = [name for name in images if not (environments(root) / name / "bin" / "python").exists()]
    if missing == images:
        findings.add([f"no image's environment is built in {environments(root)}: make env, or make env/IMAGE; with Docker: --docker"])
    elif missing:
        findings.warnings.append(
            f"tasks of {', '.join(missing)} would fail here, their environments are not built: make env/IMAGE, or let "
            "this agent serve a queue of its own"
        )


def problems_of_gpus(asked: str) -> list[str]:
    """What is wrong with a list of GPUs: `0,1`, `0:1` for a part of one (MIG), their UUIDs, `all` or `none`."""
    if asked == "none":
        return []
    there = gpus_here()
    if not there:
        return [f"--gpus {asked}: this machine has no GPU that nvidia-smi knows; leave the option out"]
    names = asked.split(",")
    if asked == "all":
        return []
    unknown = [name for name in names if name not in there]
    problems = [f"--gpus {asked}: there is no GPU {name or 'without a name'} here; there are: {', '.join(there)}" for name in unknown]
    return problems + [f"--gpus {asked}: {name} stands there twice" for name in dict.fromkeys(names) if names.count(name) > 1]


def gpus_here() -> list[str]:
    """The GPUs of this machine and their parts, by number and by UUID, as `nvidia-smi --list-gpus` tells them."""
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

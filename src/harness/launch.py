"""Launchers: the command line that starts the ranks, as a pure function of the arguments."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .errors import LaunchError, ParameterError


@dataclass(frozen=True)
class Launch:
    """The launcher, and how many processes it starts."""

    launcher: str
    nproc_per_node: int = 1
    nnodes: int = 1

    def argv(self, python: str, script: str, environment: Mapping[str, str]) -> list[str]:
        """The command line that starts all ranks on this machine.

        Several machines use the static rendezvous: c10d would assign the ranks in an order of its own, but global rank 0, which reports,
        has to be on the machine of the task that was enqueued.

        Args:
            python: the interpreter of the image's environment.
            script: the entry script.
            environment: holds MASTER_ADDR, MASTER_PORT and NODE_RANK for several machines.

        Raises:
            ParameterError: there are several machines, and one of these variables is missing or invalid.
        """
        if self.launcher in {"inline", "own"} or (self.nproc_per_node == 1 and self.nnodes == 1):
            return [python, script]
        processes = ["--nproc_per_node", str(self.nproc_per_node), script]
        module = "paddle.distributed.launch" if self.launcher == "paddle" else "torch.distributed.run"
        if self.nnodes == 1:
            return [python, "-m", module, *([] if self.launcher == "paddle" else ["--standalone"]), *processes]
        endpoint, rank = meeting(environment, self.nnodes)
        if self.launcher == "paddle":
            place = ["--master", endpoint, "--rank", rank]
        else:
            place = ["--rdzv_backend", "static", "--rdzv_endpoint", endpoint, "--node_rank", rank]
        return [python, "-m", module, "--nnodes", str(self.nnodes), *place, *processes]


def meeting(environment: Mapping[str, str], nnodes: int) -> tuple[str, str]:
    """The address and port of the rendezvous, and the rank of this machine.

    Raises:
        ParameterError: listing every variable that is missing or invalid.
    """
    if problems := problems_of_meeting(environment, nnodes):
        raise ParameterError(problems)
    host = environment["MASTER_ADDR"]
    return f"{f'[{host}]' if ':' in host else host}:{environment['MASTER_PORT']}", environment["NODE_RANK"]


def problems_of_meeting(environment: Mapping[str, str], nnodes: int) -> list[str]:
    """What is missing or invalid among the variables of the rendezvous."""
    limits = {"MASTER_PORT": (1, 65535), "NODE_RANK": (0, nnodes - 1)}
    problems = []
    if missing := [name for name in ("MASTER_ADDR", *limits) if not environment.get(name)]:
        problems.append(
            f"nnodes={nnodes} without an agent: set {', '.join(missing)} on each machine, NODE_RANK from 0 to {nnodes - 1}; or let "
            "ClearML start the run on the machines: registry enqueue"
        )
    for name, (least, most) in limits.items():
        value = environment.get(name)
        if value and not (value.isdecimal() and least <= int(value) <= most):
            problems.append(f"{name}={value}: must be int from {least} to {most}")
    return problems


def image_python(image: str, root: Path, environment: Mapping[str, str]) -> str:
    """The interpreter with the image's packages.

    Inside a container it is the current one. Otherwise it is `<HARNESS_ENVS>/<image>/bin/python`, where HARNESS_ENVS is by default the
    clone's `.venvs/`.

    Raises:
        LaunchError: HARNESS_ENVS is set, but does not contain this environment.
    """
    stated = environment.get("HARNESS_ENVS")
    python = Path(stated or root / ".venvs") / image / "bin" / "python"
    if python.exists():
        return str(python)
    if stated:
        raise LaunchError(f"the environment of image {image} has not been built at {python.parents[1]}; run: make env/{image}")
    return sys.executable

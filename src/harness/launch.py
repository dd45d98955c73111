"""Launchers: command lines as pure functions of the plan."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .errors import LaunchError, ParameterError


@dataclass(frozen=True)
class Launch:
    """How many processes, and where they meet."""

    launcher: str
    nproc_per_node: int = 1
    nnodes: int = 1

    def argv(self, python: str, script: str, environment: Mapping[str, str]) -> list[str]:
        """The command line that starts every rank on this machine.

        Between machines the rendezvous is the static one: c10d's would give out the ranks in an order of its own, and global rank 0,
        which reports, belongs on the machine whose task the run is.

        Args:
            python: interpreter of the image's environment.
            script: entry script.
            environment: where MASTER_ADDR, MASTER_PORT and NODE_RANK are read for several machines.

        Raises:
            ParameterError: several machines, and one of these is missing or no such thing.
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
    """The address and port where machines meet, and which of them this one is.

    Raises:
        ParameterError: naming every variable that is missing or wrong.
    """
    if problems := problems_of_meeting(environment, nnodes):
        raise ParameterError(problems)
    host = environment["MASTER_ADDR"]
    return f"{f'[{host}]' if ':' in host else host}:{environment['MASTER_PORT']}", environment["NODE_RANK"]


def problems_of_meeting(environment: Mapping[str, str], nnodes: int) -> list[str]:
    """What is missing or wrong among the variables that several machines meet by."""
    limits = {"MASTER_PORT": (1, 65535), "NODE_RANK": (0, nnodes - 1)}
    problems = []
    if missing := [name for name in ("MASTER_ADDR", *limits) if not environment.get(name)]:
        problems.append(
            f"nnodes={nnodes} without an agent: set {', '.join(missing)} on each machine, NODE_RANK from 0 to {nnodes - 1}; or let "
            "ClearML start the machines: registry enqueue"
        )
    for name, (least, most) in limits.items():
        value = environment.get(name)
        if value and not (value.isdecimal() and least <= int(value) <= most):
            problems.append(f"{name}={value}: must be int from {least} to {most}")
    return problems


def image_python(image: str, root: Path, environment: Mapping[str, str]) -> str:
    """The interpreter that has the image's packages.

    Inside a container it is this one. On a bare machine it is `<HARNESS_ENVS>/<image>/bin/python`; a clone's own `.venvs/` is
    where HARNESS_ENVS leads by default.

    Raises:
        LaunchError: when HARNESS_ENVS is set and has no such environment.
    """
    stated = environment.get("HARNESS_ENVS")
    python = Path(stated or root / ".venvs") / image / "bin" / "python"
    if python.exists():
        return str(python)
    if stated:
        raise LaunchError(f"the environment of image {image} is not built at {python.parents[1]}; type: make env/{image}")
    return sys.executable

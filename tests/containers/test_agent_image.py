"""The image of docker/agent/compose.yaml: built as in that file, it runs its command."""

from __future__ import annotations

import subprocess

import pytest
from support.engine import Containers, debian_base

from registry.environment import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

NAME = "clearml-workloads-agent:latest"


def test_its_command_runs_and_reports_what_it_lacks(there: Containers) -> None:
    """Installs Debian's docker and the registry's environment. Without a server and a socket, it reports both."""
    base = f"--build-arg=BASE_IMAGE={debian_base(there)}"
    there.docker("build", "--network=host", base, f"--tag={NAME}", f"--file={ROOT}/docker/agent/agent.Dockerfile", str(ROOT))
    command = ["docker", "run", "--rm", "--network=host", NAME, "python3", "-m", "registry", "agent", "--docker", "--queue", "gpu01"]
    done = subprocess.run(command, env=there.environment, capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert "2 problems" in done.stderr
    assert "no ClearML server is configured" in done.stderr
    assert "the container engine at its default socket does not respond" in done.stderr

"""A clone in a folder with a blank in its name: its command runs there, and so do make and the demo."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from support.clone import copy_files

from registry.environment import ROOT
from registry.workload import queues_of

DEMO = ROOT / "example/demo.sh"


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that git knows here, elsewhere."""
    return copy_files(tmp_path_factory.mktemp("clones") / "it's a clone")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    mine = {name: value for name, value in os.environ.items() if not name.startswith(("CLEARML_", "MAKE", "HARNESS_"))}
    return mine | {"REGISTRY_HOME": str(tmp_path / "home"), "PYTHON": os.path.realpath(sys.executable)}


def test_make_demo_says_that_its_port_is_taken(clone: Path, environment: dict[str, str], tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(["make", "demo", f"PORT={port}"], cwd=clone, env=environment, capture_output=True, text=True)
    assert done.returncode != 0
    assert f"port {port} of 127.0.0.1 is taken by another program" in done.stderr
    assert "make demo PORT=8080" in done.stderr

    command = clone / ".venv/bin/registry"  # the demo has made it
    listed = subprocess.run([command, "list"], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert listed.returncode == 0, listed.stderr
    assert {"clip", "tabletop"} <= {line.split()[0] for line in listed.stdout.splitlines()}
    refused = subprocess.run([command, "show", "no such workload"], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert refused.returncode == 2
    assert "no workload 'no such workload'" in refused.stderr


def test_the_demo_s_queue_is_the_one_that_workloads_name() -> None:
    found = re.search(r"^queue=\$\{QUEUE:-(\w+)\}$", DEMO.read_text(), re.MULTILINE)
    assert found is not None
    assert [found[1]] == queues_of(ROOT)

"""Not a test, but a session of tests that is killed: `tests/harness/test_guard.py` starts it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from support.events import wait_for
from support.nodes import Machines
from support.processes import MARK
from support.server import LocalServer


def test_that_runs_on_two_nodes_until_it_is_killed(server: LocalServer, tmp_path: Path) -> None:
    machines = Machines(server, tmp_path)
    machines.enqueue("dataset_path=data", "steps=1000", "pause=0.2", "nnodes=2")
    runs = [machines.take()[0] for _ in range(2)]
    wait_for(lambda: all("step 2\n" in machines.log(run) for run in runs))
    Path(os.environ["RUNNING"]).write_text(os.environ[MARK])
    time.sleep(300)
    pytest.fail("nobody has killed this session")

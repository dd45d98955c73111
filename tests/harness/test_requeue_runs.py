"""Runs that their machines end go back to their queue and on to the same result; what a person ends stays ended.

Slow: real clearml-agents, each of which takes seconds to start and to clone, and runs that are to be ended in their midst.

The server does as ClearML's own here: it would let an agent that speaks late end what another agent runs by then.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.events import wait_for
from support.server import LocalServer
from support.spot import Spot

from harness.reasons import reason_of
from harness.requeue import count

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def spot(server: LocalServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Spot]:
    spot = Spot(server, tmp_path_factory.mktemp("spot"))
    yield spot
    spot.close()


def supervised(spot: Spot, name: str, home: Path) -> list[str]:
    """The command line of an agent as `registry up` starts it."""
    (home / "agents" / name).mkdir(parents=True)
    return [sys.executable, "-m", "registry.agents.supervisor", name, *spot.argv]


def test_a_run_whose_machine_is_lost_three_times_ends_with_the_same_result(spot: Spot, tmp_path: Path) -> None:
    """The run is told to end; then a plain clearml-agent; then an agent of ours. Each time another agent takes the same task."""
    with spot.agents("one", "two"):
        whole = spot.enqueue("whole", seed="3", steps="24", pause="0")
        spot.ended(whole, "completed")
        broken = spot.enqueue("broken", seed="3", steps="24", pause="0.7", requeue="3")
        spot.until(broken, 1, 2)
        run = spot.run_of(broken)
        os.kill(run, signal.SIGTERM)
        os.kill(run, signal.SIGTERM)
        spot.until(broken, 2, 8)
    found = spot.ended(broken, "queued")
    assert (count(found), found["status_reason"]) == (2, "requeued 2 of 3: user abort")

    ours = spot.agent("ours", *supervised(spot, "ours", tmp_path), REGISTRY_HOME=str(tmp_path))
    spot.until(broken, 3, 5)
    spot.end([ours])
    found = spot.ended(broken, "queued")
    assert (count(found), found["status_reason"]) == (3, "requeued 3 of 3: stopped by SIGTERM; the last checkpoint is kept")

    with spot.agents("four"):
        found = spot.ended(broken, "completed", "failed", "stopped")
    assert found["status"] == "completed", spot.log(broken)
    assert (found["last_worker"], count(found)) == ("four", 3)
    begun = [start for start, _ in spot.lives(broken)]
    assert begun == sorted(begun)
    assert begun[-1] > 0
    assert spot.result(broken) == spot.result(whole)
    assert spot.curve(broken) == spot.curve(whole)


def test_a_run_stopped_by_a_person_or_requeued_as_often_as_allowed_stays_stopped(spot: Spot) -> None:
    with spot.agents("five", "six") as agents:
        mine, spent = spot.enqueue("mine", steps="60", requeue="9"), spot.enqueue("spent", steps="60", requeue="1")
        spot.until(mine, 1, 1)
        spot.server.call("tasks.stop", task=mine, status_reason="stopped from the command line")
        spot.until(spent, 1, 1)
        os.kill(spot.run_of(spent), signal.SIGTERM)
        spot.until(spent, 2, 1)
        os.kill(spot.run_of(spent), signal.SIGTERM)
        found = spot.ended(spent, "stopped")
        wait_for(lambda: "requeued" in reason_of(spot.task(spent)))
        assert reason_of(spot.task(spent)) == "stopped by SIGTERM; the last checkpoint is kept; it has already been requeued 1 time"
        wait_for(lambda: not spot.runs_of(spent) and not spot.runs_of(mine))
        spot.end(agents)
    assert [(spot.task(task)["status"], count(spot.task(task))) for task in (mine, spent)] == [("stopped", 0), ("stopped", 1)]
    assert found["status"] == "stopped"

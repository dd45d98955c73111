"""Runs that their machines end go back to their queue and on to the same result; what a person ends stays ended.

Slow: real clearml-agents, each of which takes seconds to start and to clone, and runs that are to be ended in their midst.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from support.server import LocalServer
from support.spot import Spot

from harness.reasons import reason_of
from harness.requeue import count

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def spot(server: LocalServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Spot]:
    spot = Spot(server, tmp_path_factory.mktemp("spot"))
    yield spot
    spot.close()


def test_sigterm_to_the_run(spot: Spot) -> None:
    with spot.agents("one", "two"):
        whole, broken = spot.enqueue("whole", seed="3"), spot.enqueue("broken", seed="3", requeue="1")
        spot.until(broken, "step 6\n")
        os.kill(spot.run_of(broken), signal.SIGTERM)
        found = spot.ended(broken, "completed", "failed")
        assert found["status"] == "completed", spot.log(broken)
        assert count(found) == 1
        spot.ended(whole, "completed")
    assert spot.result(broken) == spot.result(whole)
    assert spot.curve(broken) == spot.curve(whole)
    assert "begins after step 4" in spot.log(broken)

"""A table for the tests: one environment for all that do not need one of their own."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from cliport.sim.environment import Environment

if importlib.util.find_spec("pybullet") is None:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session")
def shared() -> Iterator[Environment]:
    from cliport.sim.environment import Environment

    with Environment() as made:
        yield made


@pytest.fixture
def env(shared: Environment) -> Environment:
    """An empty table and a suction gripper."""
    from sim_scenes import Scene

    shared.record = None
    shared.reset(Scene(), 0, observe=False)
    return shared

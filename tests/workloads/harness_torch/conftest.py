"""These tests run in an environment with torch; without it there is nothing to collect."""

import importlib.util

import pytest
from support.training import ignore_warnings

if importlib.util.find_spec("lightning") is None:
    collect_ignore_glob = ["test_*.py"]


def pytest_configure(config: pytest.Config) -> None:
    ignore_warnings(config)

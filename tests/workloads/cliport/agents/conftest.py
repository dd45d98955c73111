"""Small agents and a few drawn demonstrations."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest
from support.training import ignore_warnings

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch, and for subprocesses: on tensors this small a second thread only waits

if importlib.util.find_spec("lightning") is None:
    collect_ignore_glob = ["test_*.py"]


def pytest_configure(config: pytest.Config) -> None:
    ignore_warnings(config)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with six demonstrations to train on and three to validate on."""
    from scenes import write_demonstrations

    return write_demonstrations(tmp_path_factory.mktemp("data"))

"""Small agents and a few drawn demonstrations."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch, and for subprocesses: on tensors this small a second thread only waits

if importlib.util.find_spec("lightning") is None:
    collect_ignore_glob = ["test_*.py"]


def pytest_configure(config: pytest.Config) -> None:
    for line in (
        "ignore:.*isinstance.treespec, LeafSpec.*is deprecated:FutureWarning",
        "ignore:.*isinstance.treespec, LeafSpec.*is deprecated:DeprecationWarning",
        "ignore:.*will be deprecated.*:DeprecationWarning:torch.*",
        "ignore::DeprecationWarning:lightning.*",
        "ignore::DeprecationWarning:timm.*",
        "ignore::FutureWarning:torch.*",
        "ignore::UserWarning:torch.*",
    ):
        config.addinivalue_line("filterwarnings", line)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with six demonstrations to train on and three to validate on."""
    from scenes import write_demonstrations

    return write_demonstrations(tmp_path_factory.mktemp("data"))

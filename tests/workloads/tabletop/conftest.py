"""These tests run in the image's environment; without PyBullet there is nothing to collect."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

if importlib.util.find_spec("pybullet") is None:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small data set, rendered by two processes."""
    from harness.report import Recorder
    from tabletop.config import RenderConfig
    from tabletop.dataset import render

    settings = RenderConfig(n=40, heldout=0.25, image_size=96, workers=2, debug_images=5)
    return render(settings, 0, tmp_path_factory.mktemp("tabletop"), Recorder())

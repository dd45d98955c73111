"""These tests run in the image's environment; without PyBullet there is nothing to collect."""

from __future__ import annotations

import importlib.util

if importlib.util.find_spec("pybullet") is None:
    collect_ignore_glob = ["*test_*.py"]

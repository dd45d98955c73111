"""These tests run in an environment with torch; without it there is nothing to collect."""

import importlib.util

if importlib.util.find_spec("lightning") is None:
    collect_ignore_glob = ["test_*.py"]

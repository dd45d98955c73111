"""The program that checks an image from the inside, run here: this environment has no PyTorch, like the images without it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from registry.images.check import package_problems


def test_the_harness_is_complete_without_pytorch() -> None:
    assert importlib.util.find_spec("torch") is None
    assert list(package_problems("harness")) == []


def test_a_module_that_cannot_be_imported_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "needy"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "model.py").write_text("import torch\n")
    monkeypatch.syspath_prepend(tmp_path)
    try:
        assert list(package_problems("needy")) == [
            "import needy.model (the project's code) fails: ModuleNotFoundError: No module named 'torch'"
        ]
    finally:
        sys.modules.pop("needy", None)

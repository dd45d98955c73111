"""These tests run in the image's environment; without PyBullet there is nothing to collect."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tabletop.formats import Sample

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


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A small data set of a format, made once."""
    from harness.report import Recorder
    from tabletop.config import SHAPE_NAMES, RenderConfig
    from tabletop.dataset import render

    folders: dict[str, Path] = {}

    def make(name: str) -> Path:
        if name not in folders:
            sizes = {"n": 24, "heldout": 0.5, "image_size": 90, "aspect": 4 / 3, "min_objects": 3, "max_objects": 6}
            settings = RenderConfig(format=name, shapes=list(SHAPE_NAMES), varied=True, workers=1, debug_images=3, **sizes)
            folders[name] = render(settings, 0, tmp_path_factory.mktemp(name), Recorder())
        return folders[name]

    return make


@pytest.fixture(scope="session")
def scenes(made: Callable[[str], Path]) -> Callable[[str], list[Sample]]:
    """The scenes of a small data set, simulated and rendered anew, whatever was written of them."""
    import json

    from tabletop.config import RenderConfig
    from tabletop.dataset import make_sample
    from tabletop.formats import FORMATS

    samples: dict[str, list[Sample]] = {}

    def again(name: str) -> list[Sample]:
        if name not in samples:
            manifest = json.loads((made(name) / "manifest.json").read_text())
            settings = RenderConfig(**manifest["settings"])
            layout = FORMATS[name](made(name), settings, manifest["seed"])
            samples[name] = [make_sample(settings, manifest["seed"], index, part, layout) for index, part in settings.scenes()]
        return samples[name]

    return again

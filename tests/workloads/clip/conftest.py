"""Small pairs and a small model. These tests run in the image's environment; without torch there is nothing to collect."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path

import pytest
from coloured_squares import COLOURS, write_pair
from support.training import ignore_warnings

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch, and for subprocesses: on tensors this small a second thread only waits

if importlib.util.find_spec("open_clip") is None:
    collect_ignore_glob = ["test_*.py"]


def pytest_configure(config: pytest.Config) -> None:
    ignore_warnings(config)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of open_clip's form that takes milliseconds. Patch dropout makes it draw random numbers in each step."""
    path = tmp_path_factory.mktemp("models") / "test-tiny.json"
    vision = {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8, "patch_dropout": 0.25}
    text = {"context_length": 12, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
    path.write_text(json.dumps({"embed_dim": 32, "vision_cfg": vision, "text_cfg": text}))
    return path


@pytest.fixture(scope="session")
def undropped_model(tiny_model: Path) -> Path:
    """The same model without patch dropout, whose steps draw nothing."""
    path = tiny_model.with_name("test-undropped.json")
    stated = json.loads(tiny_model.read_text())
    del stated["vision_cfg"]["patch_dropout"]
    path.write_text(json.dumps(stated))
    return path


@pytest.fixture(scope="session")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pairs of all colours on all others, five to train on for each one held out."""
    folder = tmp_path_factory.mktemp("squares")
    number = 0
    for inner in COLOURS:
        for outer in COLOURS:
            if inner != outer:
                for part in ("train", "train", "train", "heldout"):
                    write_pair(folder / part, f"{number:04d}", inner, outer)
                    number += 1
    return folder

"""Which geometry a new agent has, and what is said where it is not that of the demonstrations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from runs import run
from scenes import write_demonstrations

from cliport.agents.checkpoint import config_in
from harness.report import Recorder

SAID = (
    "the agent expects height maps of {} geometry, and those of the {} have {} geometry: they are half a pixel apart; "
    "model.geometry={} matches them"
)


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Demonstrations as `cliport.data.convert` makes them of the original's."""
    return write_demonstrations(tmp_path_factory.mktemp("data"), geometry="original")


def trained(data: Path, output: Path, **options: Any) -> tuple[str, list[str]]:
    """The geometry of an agent of one step, as its checkpoint states it, and what was said."""
    report = Recorder()
    run(data, output, report, train__n_steps=1, train__save_steps=[1], **options)
    return config_in(output / "checkpoints" / "last.ckpt").geometry, report.texts


def test_it_is_that_of_the_demonstrations(data: Path, originals: Path, tmp_path: Path) -> None:
    for folder, expected in ((data, "exact"), (originals, "original")):
        geometry, said = trained(folder, tmp_path / expected)
        assert geometry == expected
        assert not any("half a pixel" in text for text in said)


def test_another_one_can_be_stated_and_is_said(originals: Path, tmp_path: Path) -> None:
    geometry, said = trained(originals, tmp_path / "run", model__geometry="exact")
    assert geometry == "exact"
    assert all(SAID.format("exact", part, "original", "original") in said for part in ("training", "validation"))


def test_it_is_kept_from_a_checkpoint(data: Path, originals: Path, tmp_path: Path) -> None:
    trained(originals, tmp_path / "before")
    before = tmp_path / "before" / "checkpoints" / "best.ckpt"
    geometry, said = trained(data, tmp_path / "after", init_from=before)
    assert geometry == "original"
    assert SAID.format("original", "training", "exact", "exact") in said
    geometry, said = trained(data, tmp_path / "exact", init_from=before, model__geometry="exact")
    assert geometry == "exact"
    assert any("best.ckpt has original geometry, and this agent has exact geometry" in text for text in said)


def test_running_statistics_are_in_its_checkpoints(originals: Path, tmp_path: Path) -> None:
    run(originals, tmp_path / "run", train__n_steps=1, train__agent="clip_unet_transporter")
    state = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    [mean] = [value for key, value in state.items() if key.endswith("transport.key.one.ups.0.norm1.running_mean")]
    assert mean.abs().max() > 0

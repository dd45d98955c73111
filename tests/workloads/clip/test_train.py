"""A whole training run: it learns, reports its results, and validates its settings."""

from __future__ import annotations

import subprocess
import sys
from itertools import takewhile
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from coloured_squares import write_pair
from PIL import Image
from runs import run
from support.training import judged_by

from clip_training.config import FinetuneConfig, TrainConfig
from harness.params import describe
from harness.report import Recorder
from harness.settings import merge

CONFIGS = Path(__file__).resolve().parents[3] / "configs" / "clip"


def test_a_small_model_learns_and_reports_it(squares: Path, tiny_model: Path, tmp_path: Path) -> None:
    report = Recorder()
    weights = run(squares, tmp_path, tiny_model, report, train__epochs=40, train__validate_every=20, train__debug_images=6)

    recall, chance = report.scalars["recall@1", "image to text"], report.scalars["recall@1", "chance"]
    assert [step for step, _ in recall] == [0, 80, 160]
    assert chance[0][1] == pytest.approx(0.05)
    assert recall[-1][1] > 8 * chance[-1][1]
    assert report.scalars["loss", "held out"][-1][1] < 0.6 * report.scalars["loss", "held out"][0][1]
    assert report.scalars["learning rate", "lr"][-1][1] < 1e-6
    assert 0 < report.scalars["logit scale", "exp"][-1][1] <= 100
    assert judged_by("clip", report) == ("recall@1/image to text", {"loss/train", "loss/held out"})
    title, _, picture, step = report.images[-1]
    assert (title, step) == ("held-out images with best captions", 160)
    assert isinstance(picture, Image.Image)
    assert report.artifacts["result"]["recall@1 image to text"] == recall[-1][1]
    assert any("chance 0.050" in text for text in report.texts)
    plain = open_clip.create_model("test-tiny", pretrained=str(tmp_path / "weights.pt"))
    assert all(torch.equal(value, plain.state_dict()[key]) for key, value in weights.items())


def test_the_reported_loss_is_that_of_the_held_out_pairs_only(tiny_model: Path, tmp_path: Path) -> None:
    """The expected loss is open_clip's own on the held-out files, whose colours and captions do not occur in the training files."""
    for number, (inner, outer) in enumerate([("red", "blue"), ("blue", "red"), ("red", "white"), ("white", "blue")]):
        write_pair(tmp_path / "data" / "train", f"t{number}", inner, outer)
    for number, (inner, outer) in enumerate([("green", "yellow"), ("yellow", "green"), ("white", "green")]):
        write_pair(tmp_path / "data" / "heldout", f"h{number}", inner, outer)
    report = Recorder()
    options = {"train__batch_size": 4, "train__epochs": 2, "train__validate_every": 1, "optim__warmup": 0, "optim__lr": 1e-12}
    run(tmp_path / "data", tmp_path / "out", tiny_model, report, **options)
    model = open_clip.create_model("test-tiny", pretrained=str(tmp_path / "out" / "weights.pt")).eval()
    tokenizer, mean, std = (
        open_clip.get_tokenizer("test-tiny"),
        *(torch.tensor(model.visual.preprocess_cfg[key]) for key in ("mean", "std")),
    )
    files = sorted((tmp_path / "data" / "heldout").glob("*.png"))
    pixels = [np.array(Image.open(file).resize((32, 32), Image.Resampling.BICUBIC)) / 255 for file in files]
    images = torch.stack([((torch.from_numpy(one).float() - mean) / std).permute(2, 0, 1) for one in pixels])
    texts = tokenizer([file.with_suffix(".txt").read_text().splitlines()[0] for file in files])
    with torch.no_grad():
        expected = open_clip.ClipLoss()(*model(images, texts))
    assert [value for _, value in report.scalars["loss", "held out"]] == pytest.approx([float(expected)] * 3, rel=1e-4)
    assert [value for _, value in report.scalars["recall@1", "chance"]] == pytest.approx([1 / 3] * 3)


def test_a_warm_up_longer_than_the_run_is_shortened_and_said(squares: Path, tiny_model: Path, tmp_path: Path) -> None:
    report = Recorder()
    run(squares, tmp_path, tiny_model, report, optim__warmup=16)
    assert "optim.warmup=16: the run has 16 steps (4 per epoch), so it warms up for 1" in report.texts
    rates = [rate for _, rate in report.scalars["learning rate", "lr"]]
    assert max(rates) > 0.95 * 3e-3


@pytest.mark.parametrize("config", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_config_opens_with_its_command_and_is_valid(config: Path) -> None:
    comments = list(takewhile(lambda line: line.startswith("#"), config.read_text().splitlines()))
    commands = [line for line in comments if f"config={config.stem}" in line]
    assert commands
    merge(FinetuneConfig if "command=finetune" in commands[0] else TrainConfig, config, ())


def test_every_setting_has_a_help_text() -> None:
    assert all(setting.help for setting in describe(TrainConfig))


def test_settings_import_without_torch() -> None:
    program = "import sys, clip_training.config, tabletop.config; sys.exit(bool({'torch', 'pybullet', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0

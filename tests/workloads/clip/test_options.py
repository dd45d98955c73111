"""The command lines: our keys, short names, and the flags of train-CLIP's scripts."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from dataclasses import make_dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from clip_training.config import TrainConfig
from clip_training.options import ALIASES, Place, main, understood
from clip_training.train import train
from harness.errors import ParameterError

LINE = make_dataclass("LINE", [], bases=(TrainConfig, Place))


def given(line: str) -> Any:
    return understood(LINE, shlex.split(line))


@pytest.mark.parametrize(
    "line",
    [
        "model_name=RN50 folder=data_dir batch_size=512",
        "--model_name RN50 --folder data_dir --batchsize 512",
        "--model_name=RN50 --folder=data_dir --batch_size=512 --gpus 1 --num_workers 4 --shuffle True --resize_ratio 0.75",
        "model.name=RN50 dataset_path=data_dir train.batch_size=512",
        "--model-name RN50 batch_size=512 --folder data_dir",
    ],
)
def test_lines_that_mean_the_same(line: str) -> None:
    settings = given(line)
    assert (settings.model.name, settings.folder, settings.train.batch_size) == ("RN50", "data_dir", 512)
    assert isinstance(settings, TrainConfig)


def test_the_line_of_the_prompt_tuning_fork() -> None:
    settings = given("--model_name ViT-L/14 --folder /your/dataset/folder/ --batch_size 26")
    assert (settings.model.name, settings.folder, settings.train.batch_size) == ("ViT-L/14", "/your/dataset/folder/", 26)


def test_options_of_the_trainer_and_of_micro_batches() -> None:
    settings = given("--folder x --max_epochs 3 --minibatch_size 32 --precision 16 --default_root_dir 'my runs' --deterministic --lr 1e-4")
    assert (settings.train.epochs, settings.train.micro_batch, settings.train.precision) == (3, 32, "fp16")
    assert (settings.output_dir, settings.train.deterministic, settings.optim.lr) == ("my runs", True, 1e-4)
    assert given("--folder 'a=b, c' --resume_from_checkpoint 'run (1)/x=1.ckpt'").folder == "a=b, c"
    assert all(alias not in {field.partition(".")[2] for field in ALIASES.values()} for alias in ALIASES)


def test_a_config_gives_what_the_line_does_not_say() -> None:
    settings = given("config=rn50x64 folder=x --batch_size 3")
    assert (settings.model.name, settings.optim.lr, settings.train.batch_size) == ("RN50x64", 3.6e-4, 3)


def test_every_mistake_is_told_at_once_with_the_nearest_right_name() -> None:
    with pytest.raises(ParameterError) as failure:
        given(
            "--model_nam RN50 --foldr x --batchsize many --accumulate_grad_batches 4 --image_size 224 junk --gpus 2 --resize_ratio 0.5 "
            "config=rn51 optim.state_dtype=int4 optim.lrr=1"
        )
    said = failure.value.problems
    for start, part in (
        ("--model_nam", "did you mean model_name?"),
        ("--foldr", "did you mean folder?"),
        ("train.batch_size=many", "must be int >= 2"),
        ("accumulate_grad_batches", "train.micro_batch=N"),
        ("image_size", "the model's own"),
        ("'junk'", "write key=value or --key value"),
        ("gpus=2", "torchrun --nproc_per_node=2"),
        ("resize_ratio=0.5", "here it is 0.75"),
        ("config=rn51", "did you mean rn50?"),
        ("optim.state_dtype=int4", "one of fp32, bf16, int8"),
        ("optim.lrr", "did you mean optim.lr?"),
    ):
        assert [problem for problem in said if problem.startswith(start) and part in problem], (start, said)
    assert len(said) == 11


def program(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))}
    command = [sys.executable, "-W", "ignore", "-m", "clip_training.train", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder)


def test_a_run_from_the_command_line(squares: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By train-CLIP's flags, and on from its last checkpoint."""
    line = ["--model_name", str(tiny_model), "--folder", str(squares), "--batchsize", "30", "--max_epochs", "2", "--num_workers", "0"]
    line += ["warmup=1", "debug_images=0"]
    first = program(*line, folder=tmp_path)
    assert first.returncode == 0, first.stderr[-2000:]
    assert "starts from random weights" in first.stdout
    output = tmp_path / "outputs" / "clip" / "train"
    assert json.loads((output / "artifacts" / "result.json").read_text())["steps"] == 4
    weights = torch.load(output / "weights.pt", weights_only=True)

    (output / "weights.pt").unlink()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["train", *line, "--resume", str(output)])
    main("train", TrainConfig, train, "")
    assert all(torch.equal(value, weights[key]) for key, value in torch.load(output / "weights.pt", weights_only=True).items())


def test_a_wrong_line_ends_with_one_error_and_help_shows_every_setting(tmp_path: Path) -> None:
    wrong = program("--model_name", "RN50", "--foldr", "x", folder=tmp_path)
    assert wrong.returncode == 2
    assert wrong.stderr == "error: --foldr: there is no such option (did you mean folder?)\n"
    nowhere = program("--model_name", "RN50", "--folder", "nowhere", "init_from=gone.pt", folder=tmp_path)
    assert nowhere.returncode == 2
    for said in ("folder=nowhere: there is no such file or folder", "init_from=gone.pt: there is no such"):
        assert said in nowhere.stderr
    helped = program("--help", folder=tmp_path)
    assert helped.returncode == 0
    for key in ("model.name", "train.micro_batch", "optim.state_dtype", "folder", "resume"):
        assert f"  {key}=" in helped.stdout


def test_a_line_is_understood_without_pytorch() -> None:
    code = "import sys, clip_training.train; sys.exit(bool({'torch', 'lightning', 'open_clip'} & set(sys.modules)))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))}
    assert subprocess.run([sys.executable, "-c", code], env=environment).returncode == 0

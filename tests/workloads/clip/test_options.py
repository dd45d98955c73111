"""The command lines: our keys, short names, and the flags of train-CLIP's scripts."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
import torch
from support.lines import run_line, understood

from clip_training.config import TrainConfig
from harness.errors import ParameterError
from harness.params import Arguments


def given(line: str) -> Arguments:
    return understood("clip", "train", *shlex.split(line))


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
def test_equivalent_command_lines(line: str) -> None:
    found = given(line)
    assert (found.settings.model.name, found.reserved["dataset_path"], found.settings.train.batch_size) == ("RN50", "data_dir", 512)
    assert isinstance(found.settings, TrainConfig)


def test_options_of_the_trainer_and_of_micro_batches() -> None:
    line = "--folder x --max_epochs 3 --minibatch_size 32 --precision 16 --default_root_dir 'my runs' --deterministic --lr 1e-4 --gpus 2"
    found = given(line)
    settings = found.settings
    assert (settings.train.epochs, settings.train.micro_batch, settings.train.precision) == (3, 32, "fp16")
    assert (found.reserved["output_dir"], settings.train.deterministic, settings.optim.lr) == ("my runs", True, 1e-4)
    assert found.reserved["nproc_per_node"] == 2
    found = given("--folder 'a=b, c' --resume_from_checkpoint 'run (1)/x=1.ckpt'")
    assert (found.reserved["dataset_path"], found.reserved["resume"]) == ("a=b, c", "run (1)/x=1.ckpt")


def test_a_config_provides_the_settings_missing_from_the_command_line() -> None:
    settings = given("config=rn50x64 folder=x --batch_size 3").settings
    assert (settings.model.name, settings.optim.lr, settings.train.batch_size) == ("RN50x64", 3.6e-4, 3)


def test_all_mistakes_are_listed_together_with_suggestions() -> None:
    with pytest.raises(ParameterError) as failure:
        given(
            "--model_nam RN50 --foldr x --batchsize many --accumulate_grad_batches 4 --image_size 224 junk --gpus none --shuffle 0 "
            "config=rn51 optim.state_dtype=int4 optim.lrr=1"
        )
    said = failure.value.problems
    for start, part in (
        ("model_nam", "did you mean model_name?"),
        ("foldr", "did you mean folder?"),
        ("train.batch_size=many", "must be int >= 2"),
        ("accumulate_grad_batches", "train.micro_batch=N"),
        ("image_size", "the model's own"),
        ("'junk'", "write junk=VALUE"),
        ("nproc_per_node=none", "must be int"),
        ("shuffle=0", "must be True or 1"),
        ("config=rn51", "did you mean rn50?"),
        ("optim.state_dtype=int4", "one of fp32, bf16, int8"),
        ("optim.lrr", "did you mean optim.lr?"),
        ("dataset_id is required", "image-text pairs"),
    ):
        assert [problem for problem in said if problem.startswith(start) and part in problem], (start, said)
    assert len(said) == 12


@pytest.mark.slow
def test_a_run_from_the_command_line(squares: Path, tiny_model: Path, tmp_path: Path) -> None:
    """With train-CLIP's flags, then resumed from its last checkpoint. Slow: two programs whose ranks import PyTorch."""
    line = ["--model_name", str(tiny_model), "--folder", str(squares), "--batchsize", "30", "--max_epochs", "2", "--num_workers", "0"]
    line += ["debug_images=0", "--shuffle", "True"]
    first = run_line("clip_training.train", *line, folder=tmp_path)
    assert first.returncode == 0, first.stderr[-2000:]
    assert "starts from random weights" in first.stdout
    assert "shuffle=True has no effect: pairs are always shuffled in every epoch" in first.stdout
    assert "optim.warmup=2000: the run has 4 steps (2 per epoch), so it warms up for 0" in first.stdout
    (output,) = tmp_path.glob("outputs/clip/train-*")
    assert json.loads((output / "artifacts" / "result.json").read_text())["steps"] == 4
    weights = torch.load(output / "weights.pt", weights_only=True)

    second = run_line("clip_training.train", *line, "--resume", str(output), "--default_root_dir", "on", folder=tmp_path)
    assert second.returncode == 0, second.stderr[-2000:]
    (again,) = tmp_path.glob("on/clip/train-*/weights.pt")
    assert all(torch.equal(value, weights[key]) for key, value in torch.load(again, weights_only=True).items())


def test_a_wrong_command_line_gives_one_error_and_help_lists_every_setting(tmp_path: Path) -> None:
    wrong = run_line("clip_training.train", "--model_name", "RN50", "--foldr", "x", "stream=s3://b/p", folder=tmp_path)
    assert wrong.returncode == 2
    assert wrong.stderr == "error: foldr: there is no such key (did you mean folder?)\n"
    nowhere = run_line("clip_training.train", "--model_name", "RN50", "--folder", "nowhere", "init_from=gone.pt", folder=tmp_path)
    assert nowhere.returncode == 2
    for said in ("dataset_path=nowhere: there is no such folder", "init_from=gone.pt does not exist"):
        assert said in nowhere.stderr
    helped = run_line("clip_training.train", "--help", folder=tmp_path)
    assert helped.returncode == 0
    for key in ("model.name", "train.micro_batch", "optim.state_dtype", "dataset_path", "resume"):
        assert f"  {key}=" in helped.stdout
    assert "(also folder)" in helped.stdout
    assert "image_size: not supported: the model's own is used" in helped.stdout

"""Limits of a run's length, dry runs and the interval of validations, with the meanings of Lightning's Trainer."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from runs import run, same
from support.lines import understood
from support.training import broken_off_at

from clip_training.config import TrainConfig
from harness.checkpoint import find
from harness.errors import CheckpointError, ParameterError
from harness.report import Recorder
from harness.settings import merge


def steps(report: Recorder, title: str = "loss", series: str = "train") -> list[int]:
    return [step for step, _ in report.scalars[title, series]]


def test_a_run_ends_after_max_steps_with_the_schedule_to_match(squares: Path, tiny_model: Path, tmp_path: Path) -> None:
    """In the middle of an epoch of four steps, and evaluated there."""
    report = Recorder()
    run(squares, tmp_path, tiny_model, report, train__max_steps=6)
    assert steps(report) == [1, 2, 3, 4, 5, 6]
    assert steps(report, "loss", "held out")[-1] == 6
    assert report.artifacts["result"]["steps"] == 6
    rates = [rate for _, rate in report.scalars["learning rate", "lr"]]
    assert rates[3:] == pytest.approx([3e-3 * 0.5 * (1 + math.cos(math.pi * done / 3)) for done in range(3)])
    assert find(tmp_path).name == "step=00000006.ckpt"


def test_max_steps_beyond_the_epochs_are_told(squares: Path, tiny_model: Path, tmp_path: Path) -> None:
    report = Recorder()
    run(squares, tmp_path, tiny_model, report, train__max_steps=99, train__epochs=1)
    assert report.artifacts["result"]["steps"] == 4
    assert "train.max_steps=99 has no effect: train.epochs=1 end the run after 4 steps" in report.texts


def test_a_run_cut_short_can_be_resumed_to_a_later_limit_but_not_to_an_earlier_one(squares: Path, tiny_model: Path, tmp_path: Path) -> None:
    run(squares, tmp_path, tiny_model, train__max_steps=6)
    report = Recorder()
    run(squares, tmp_path, tiny_model, report, resume=find(tmp_path), train__max_steps=10)
    assert steps(report) == [7, 8, 9, 10]
    assert any("resume: train.max_steps was 6, is now 10: from here on the learning rate" in text for text in report.texts)
    report = Recorder()
    run(squares, tmp_path, tiny_model, report, resume=find(tmp_path))
    assert steps(report) == [11, 12, 13, 14, 15, 16]
    with pytest.raises(CheckpointError, match=r"train\.max_steps was 0, is now 20"):
        run(squares, tmp_path / "other", tiny_model, resume=find(tmp_path), train__max_steps=20)


@pytest.mark.parametrize(("limit", "expected"), [(3, 3), (1, 1), (1.0, 4), (0.5, 2), (0.7, 2), (50, 4)])
def test_an_epoch_is_limited_to_a_number_or_a_share_of_its_batches(
    limit: float, expected: int, squares: Path, tiny_model: Path, tmp_path: Path
) -> None:
    """The expected numbers are Lightning's: 1 is one batch, 1.0 is all, and a share is rounded down."""
    report = Recorder()
    run(squares, tmp_path, tiny_model, report, train__limit_train_batches=limit, train__epochs=2, train__validate_every=1)
    assert len(steps(report)) == 2 * expected
    assert steps(report, "loss", "held out") == [0, expected, 2 * expected]


def test_a_limited_run_resumes_to_the_bit(squares: Path, tiny_model: Path, tmp_path: Path) -> None:
    options = {"train__limit_train_batches": 3, "train__checkpoint_every": 1}
    unbroken = run(squares, tmp_path / "unbroken", tiny_model, **options)
    for step in (3, 5):
        with broken_off_at(step):
            run(squares, tmp_path / f"{step}", tiny_model, **options)
        assert same(run(squares, tmp_path / f"{step}", tiny_model, resume=find(tmp_path / f"{step}"), **options), unbroken)
    with pytest.raises(CheckpointError, match=r"train\.limit_train_batches was 3, is now 1\.0"):
        run(tmp_path / "nowhere", tmp_path / "other", tiny_model, resume=find(tmp_path / "unbroken"))


def test_one_batch_and_all_batches_are_told_apart_when_resuming(squares: Path, tiny_model: Path, tmp_path: Path) -> None:
    run(squares, tmp_path, tiny_model, train__limit_train_batches=1, train__epochs=2)
    with pytest.raises(CheckpointError, match=r"train\.limit_train_batches was 1, is now 1\.0"):
        run(tmp_path / "nowhere", tmp_path / "other", tiny_model, resume=find(tmp_path), train__epochs=2)


def test_a_limit_that_leaves_nothing_is_refused(squares: Path, tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"train\.limit_train_batches=0\.1: leaves none of the 4 batches of an epoch"):
        run(squares, tmp_path / "train", tiny_model, train__limit_train_batches=0.1)
    with pytest.raises(ParameterError, match=r"train\.limit_val_batches=0\.1: leaves none of the 2 batches of held-out pairs"):
        run(squares, tmp_path / "val", tiny_model, train__limit_val_batches=0.1)
    with pytest.raises(ParameterError, match=r"train\.val_check_interval=5: an epoch has only 4 steps"):
        run(squares, tmp_path / "interval", tiny_model, train__val_check_interval=5)
    with pytest.raises(ParameterError, match=r"train\.limit_val_batches=0 turns it off"):
        run(tmp_path / "nowhere", tmp_path / "early", tiny_model, train__limit_val_batches=0, train__patience=1)


def test_limited_held_out_pairs_are_told(squares: Path, tiny_model: Path, tmp_path: Path) -> None:
    """20 pairs in batches of 15; chance says over how many pairs recall is."""
    report = Recorder()
    run(squares, tmp_path, tiny_model, report, train__epochs=1, train__limit_val_batches=1)
    assert "evaluates 1 of 2 batches of held-out pairs per process; recall is over these only" in report.texts
    assert [value for _, value in report.scalars["recall@1", "chance"]] == pytest.approx([1 / 15] * 2)
    report = Recorder()
    run(squares, tmp_path / "none", tiny_model, report, train__epochs=1, train__limit_val_batches=0)
    assert ("loss", "held out") not in report.scalars
    assert report.artifacts["result"] == {"model": "test-tiny", "steps": 4}


def test_a_dry_run_goes_through_everything_and_leaves_nothing_that_another_run_takes(
    squares: Path, tiny_model: Path, tmp_path: Path
) -> None:
    report = Recorder()
    options: dict[str, Any] = {"train__fast_dev_run": 2, "train__epochs": 30, "train__checkpoint_every": 1, "train__patience": 1}
    run(squares, tmp_path, tiny_model, report, **options)
    assert steps(report) == [1, 2]
    assert steps(report, "loss", "held out") == [0, 2]
    assert report.artifacts["result"]["fast_dev_run"] == 2
    assert any(text.startswith("train.fast_dev_run=2: a dry run, which writes no checkpoint") for text in report.texts)
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {"fast_dev_run.pt"}
    assert "weights" not in report.artifacts
    run(squares, tmp_path, tiny_model, train__epochs=1)  # the folder is free
    with pytest.raises(CheckpointError, match=r"train\.fast_dev_run was 0, is now 1"):
        run(tmp_path / "nowhere", tmp_path, tiny_model, resume=find(tmp_path), train__epochs=1, train__fast_dev_run=1)


@pytest.mark.parametrize(("interval", "expected"), [(1.0, [0, 4, 8]), (0.5, [0, 2, 4, 6, 8]), (2, [0, 2, 4, 6, 8]), (3, [0, 3, 7, 8])])
def test_validations_within_an_epoch(interval: float, expected: list[int], squares: Path, tiny_model: Path, tmp_path: Path) -> None:
    """As Lightning counts them, and in any case after the last step."""
    report = Recorder()
    run(squares, tmp_path, tiny_model, report, train__val_check_interval=interval, train__epochs=2, train__validate_every=1)
    assert steps(report, "loss", "held out") == expected


@pytest.mark.parametrize("step", [2, 3, 4])
def test_a_run_resumed_from_where_a_validation_was_due_reports_it(step: int, squares: Path, tiny_model: Path, tmp_path: Path) -> None:
    """The checkpoint is written before the validation. Both parts together have every point of an unbroken run, and the same weights."""
    options = {"train__val_check_interval": 2, "train__epochs": 2, "train__validate_every": 1, "train__checkpoint_every": 1}
    whole, first, second = Recorder(), Recorder(), Recorder()
    unbroken = run(squares, tmp_path / "whole", tiny_model, whole, **options)
    with broken_off_at(step):
        run(squares, tmp_path, tiny_model, first, **options)
    assert same(run(squares, tmp_path, tiny_model, second, resume=find(tmp_path), **options), unbroken)
    for key in (("loss", "held out"), ("recall@1", "image to text"), ("loss", "train")):
        assert first.scalars[key] + second.scalars[key] == whole.scalars[key], key


def test_lightnings_names_are_accepted() -> None:
    line = "folder=x gradient_clip_val=0.5 gradient_clip_algorithm=value max_steps=-1 limit_train_batches=1 limit_val_batches=0.5"
    settings = understood(
        "clip", "train", *line.split(), "fast_dev_run=True", "check_val_every_n_epoch=3", "val_check_interval=1.0"
    ).settings
    loop = settings.train
    assert (loop.clip, loop.clip_by, loop.max_steps, loop.fast_dev_run, loop.validate_every) == (0.5, "value", 0, 1, 3)
    assert [(type(each), each) for each in (loop.limit_train_batches, loop.limit_val_batches, loop.val_check_interval)] == [
        (int, 1),
        (float, 0.5),
        (float, 1.0),
    ]
    line = (
        "folder=x --lock-image True --lock_image_unlocked_groups 2 --lock_image_freeze_bn_stats True --grad_clip_norm 1 --resize_ratio 0.9"
    )
    settings = understood("clip", "train", *line.split()).settings
    assert (settings.lock.image, settings.lock.image_unlocked, settings.lock.bn_stats) == (True, 2, True)
    assert (settings.train.clip, settings.augment.area) == (1.0, 0.9)


@pytest.mark.parametrize("value", [1.5, -0.5, 0.0])
def test_a_share_is_at_most_everything(value: float) -> None:
    with pytest.raises(ParameterError, match=r"train\.limit_train_batches="):
        merge(TrainConfig, None, [("train.limit_train_batches", value)])

"""An interrupted and resumed run ends with exactly the weights of an uninterrupted one."""

from __future__ import annotations

import math
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from runs import Talking, run, same
from support.resuming import checkpoint_of, refused, without_identity
from support.training import broken_off_at, job_in

from clip_training.config import RESUMABLE, FinetuneConfig, TrainConfig, VptConfig
from harness.checkpoint import Checkpoints, find
from harness.errors import CheckpointError
from harness.report import Recorder
from harness.settings import flat, merge
from harness.torch.resume import stated

STEPS = 16  # 4 epochs of 60 pairs in batches of 15


@pytest.fixture(scope="module")
def unbroken(squares: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    return run(squares, tmp_path_factory.mktemp("unbroken"), tiny_model)


def start(squares: Path, output: Path, model: Path, *options: str) -> subprocess.Popen[str]:
    """The same run as a program of its own."""
    program = [sys.executable, str(Path(__file__).with_name("runs.py")), str(squares), str(output), str(model), *options]
    return subprocess.Popen(program, stdout=subprocess.PIPE, text=True)


def wait_for(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdout is not None
    assert any(line.strip() == text for line in process.stdout), f"the run ended before it said {text!r}"


def test_a_killed_and_resumed_run_ends_like_an_uninterrupted_one(
    squares: Path, tiny_model: Path, tmp_path: Path, unbroken: dict[str, torch.Tensor]
) -> None:
    """kill -9 in the middle of the second epoch; the newest checkpoint is a few steps older, also in the middle of an epoch."""
    with start(squares, tmp_path, tiny_model) as process:
        wait_for(process, "step 7")
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert not (tmp_path / "weights.pt").exists()
    checkpoint = find(tmp_path)
    assert checkpoint.name in ("step=00000006.ckpt", "step=00000009.ckpt")  # it may have gone on while it was being killed

    assert same(run(squares, tmp_path, tiny_model, resume=checkpoint), unbroken)


@pytest.mark.parametrize("step", [1, 3, 4, 5, 8, 11, 15, 16])
def test_the_place_of_the_interruption_does_not_matter(
    step: int, squares: Path, tiny_model: Path, tmp_path: Path, unbroken: dict[str, torch.Tensor]
) -> None:
    """Within and between epochs, with and without a validation in between, before and after the last step."""
    with broken_off_at(step):
        run(squares, tmp_path, tiny_model, train__checkpoint_every=1)
    report = Recorder()
    final = run(squares, tmp_path, tiny_model, report, resume=find(tmp_path), train__checkpoint_every=1)

    assert same(final, unbroken)
    assert [at for at, _ in report.scalars.get(("loss", "train"), [])] == list(range(step + 1, STEPS + 1))
    assert report.scalars["loss", "held out"][-1][0] == STEPS  # evaluated at the end in any case


def test_runs_are_equal_for_the_same_seed_only(squares: Path, tiny_model: Path, tmp_path: Path, unbroken: dict[str, torch.Tensor]) -> None:
    assert same(run(squares, tmp_path / "same", tiny_model), unbroken)
    assert same(run(squares, tmp_path / "workers", tiny_model, data__workers=2, data__keep_in_memory=False), unbroken)
    assert not same(run(squares, tmp_path / "other", tiny_model, seed=1), unbroken)


def test_sigterm_saves_a_checkpoint_and_reports_it(
    squares: Path, tiny_model: Path, tmp_path: Path, unbroken: dict[str, torch.Tensor]
) -> None:
    class Terminated(Talking):
        def scalar(self, title: str, series: str, value: float, step: int) -> None:
            super().scalar(title, series, value, step)
            if (title, step) == ("learning rate", 7):
                os.kill(os.getpid(), signal.SIGTERM)

    report, before = Terminated(), signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended:
        run(squares, tmp_path, tiny_model, report)

    assert ended.value.code == 128 + signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before
    assert find(tmp_path).name == "step=00000007.ckpt"
    assert any("continue with resume=" in text for text in report.texts)
    assert same(run(squares, tmp_path, tiny_model, resume=find(tmp_path)), unbroken)


def test_a_stopped_and_resumed_run_reports_the_curves_of_an_uninterrupted_one(squares: Path, tiny_model: Path, tmp_path: Path) -> None:
    """The run is stopped between two reported points, in an epoch that ends with a validation."""

    class Terminated(Recorder):
        def progress(self, items: Iterable[Any], total: int | None = None, description: str = "") -> Iterator[Any]:
            for step, item in enumerate(items, 1):
                if step == 7:
                    os.kill(os.getpid(), signal.SIGTERM)
                yield item

    whole, first, second = Recorder(), Terminated(), Recorder()
    run(squares, tmp_path / "whole", tiny_model, whole, train__report_every=5)
    with pytest.raises(SystemExit):
        run(squares, tmp_path, tiny_model, first, train__report_every=5)
    assert find(tmp_path).name == "step=00000007.ckpt"
    run(squares, tmp_path, tiny_model, second, resume=find(tmp_path), train__report_every=5)
    for key, curve in whole.scalars.items():
        if key[0] not in {"samples per second", "memory (GiB)"}:
            assert first.scalars.get(key, []) + second.scalars.get(key, []) == curve, key


def test_the_checkpoint_of_another_run_is_refused(squares: Path, tiny_model: Path, tmp_path: Path) -> None:
    run(squares, tmp_path, tiny_model, train__epochs=1)
    with pytest.raises(CheckpointError, match="seed was 0, is now 5"):
        run(squares, tmp_path / "other", tiny_model, seed=5, resume=find(tmp_path))
    with pytest.raises(CheckpointError, match="batch_size over all processes was 15, is now 10"):
        run(squares, tmp_path / "other", tiny_model, train__batch_size=10, resume=find(tmp_path))


@pytest.mark.parametrize(("part", "named"), [("train", "training"), ("heldout", "held-out")])
def test_the_same_number_of_other_pairs_is_refused(part: str, named: str, squares: Path, tiny_model: Path, tmp_path: Path) -> None:
    """One word of one caption is replaced by another of the same length."""
    run(squares, tmp_path / "first", tiny_model, train__epochs=1)
    other = Path(shutil.copytree(squares, tmp_path / "squares"))
    caption = sorted((other / part).glob("*.txt"))[-1]
    caption.write_text(caption.read_text().replace("square", "circle"))
    with pytest.raises(CheckpointError, match=rf"checkpoint's: {named} data was [0-9a-f]{{16}}, is now [0-9a-f]{{16}};"):
        run(other, tmp_path / "second", tiny_model, resume=find(tmp_path / "first"), train__epochs=2)


def test_the_same_pairs_in_another_folder_are_accepted(
    squares: Path, tiny_model: Path, tmp_path: Path, unbroken: dict[str, torch.Tensor]
) -> None:
    with broken_off_at(6):
        run(squares, tmp_path / "first", tiny_model)
    moved = shutil.copytree(squares, tmp_path / "moved")
    assert same(run(Path(moved), tmp_path / "second", tiny_model, resume=find(tmp_path / "first")), unbroken)


def test_a_checkpoint_that_does_not_state_its_data_is_accepted_with_a_message(
    squares: Path, tiny_model: Path, tmp_path: Path, unbroken: dict[str, torch.Tensor]
) -> None:
    """As in checkpoints from before the data were stored."""
    with broken_off_at(6):
        run(squares, tmp_path, tiny_model)
    report = Recorder()
    older = without_identity(find(tmp_path), "training data", "held-out data")
    assert same(run(squares, tmp_path, tiny_model, report, resume=older), unbroken)
    assert "resume: the checkpoint does not state its held-out data and its training data: assumed to be the same as now" in report.texts


@pytest.mark.parametrize("schema", [TrainConfig, FinetuneConfig, VptConfig])
def test_only_the_settings_listed_here_may_differ(schema: type, tmp_path: Path) -> None:
    settings = merge(schema, None, ())
    checkpoint = checkpoint_of(stated(job_in(tmp_path, settings)), tmp_path / "step=00000001.ckpt")
    no, told = refused(job_in(tmp_path, settings, resume=checkpoint), RESUMABLE)
    free = {"workers", "keep_in_memory", "cache_gb"}
    loop = {"micro_batch", "checkpointing", "channels_last", "compile", "deterministic", "non_finite"}
    loop |= {"report_every", "validate_every", "val_check_interval", "limit_val_batches", "checkpoint_every", "debug_images", "epochs"}
    assert told == {f"data.{key}" for key in free} | {f"train.{key}" for key in loop}
    assert no == flat(settings).keys() - told


def test_a_second_run_in_the_folder_of_another_is_refused(squares: Path, tiny_model: Path, tmp_path: Path) -> None:
    """Before it reads data or model. It used to remove its own checkpoints, whose steps are lower, and a resume gave the first run's."""
    run(squares, tmp_path, tiny_model, train__epochs=1)
    with pytest.raises(CheckpointError, match=r"holds the checkpoints of .*, up to step=00000004\.ckpt; continue it by resume="):
        run(tmp_path / "nowhere", tmp_path, Path("nothing.json"), seed=5)


def test_all_differences_are_listed_before_data_or_model_are_read(tiny_model: Path, squares: Path, tmp_path: Path) -> None:
    run(squares, tmp_path, tiny_model, train__epochs=1)
    other = {"optim__lr": 1e-3, "optim__weight_decay": 0.1, "optim__warmup": 2, "optim__beta1": 0.8, "seed": 3}
    with pytest.raises(CheckpointError) as refusal:
        run(tmp_path / "nowhere", tmp_path / "other", Path("nothing.json"), resume=find(tmp_path), train__epochs=1, **other)
    told = str(refusal.value)
    for part in (
        "optim.lr was 0.003, is now 0.001",
        "weight_decay was 0.2, is now 0.1",
        "warmup was 3, is now 2",
        "beta1 was 0.9, is now 0.8",
    ):
        assert part in told
    assert "seed was 0, is now 3" in told
    assert "is now nothing.json" in told
    assert "to start a new run from its weights, use init_from" in told


@pytest.mark.parametrize("state_dtype", ["fp32", "bf16"])
@pytest.mark.parametrize("step", [4, 8])
def test_an_extended_run_follows_the_longer_schedule(step: int, state_dtype: str, squares: Path, tiny_model: Path, tmp_path: Path) -> None:
    """Resumed from the middle, and from the end, where the rate was 0. The expected rate is the cosine over the new length."""
    options = {"optim__state_dtype": state_dtype, "train__checkpoint_every": 4}
    run(squares, tmp_path / "short", tiny_model, train__epochs=2, **options)
    report = Recorder()
    checkpoint = tmp_path / "short" / "checkpoints" / f"step={step:08d}.ckpt"
    run(squares, tmp_path / "long", tiny_model, report, resume=checkpoint, train__epochs=4, **options)
    rates = dict(report.scalars["learning rate", "lr"])
    assert list(rates) == list(range(step + 1, STEPS + 1))
    for at, rate in rates.items():
        done = at - 1
        assert rate == pytest.approx(3e-3 * 0.5 * (1 + math.cos(math.pi * (done - 3) / (STEPS - 3)))), at
    assert any(
        "train.epochs was 2, is now 4: from here on the learning rate follows the schedule of the longer run" in text
        for text in report.texts
    )
    last = torch.load(find(tmp_path / "long"), weights_only=True)
    assert (last["global_step"], float(last["optimizer_states"][0]["param_groups"][0]["lr"])) == (STEPS, pytest.approx(0, abs=1e-12))


def test_a_run_cannot_be_shortened(squares: Path, tiny_model: Path, tmp_path: Path) -> None:
    run(squares, tmp_path, tiny_model, train__epochs=2)
    with pytest.raises(CheckpointError, match=r"train\.epochs was 2, is now 1"):
        run(squares, tmp_path / "other", tiny_model, resume=find(tmp_path), train__epochs=1)


def test_init_from_together_with_resume_is_not_ignored(squares: Path, tiny_model: Path, tmp_path: Path) -> None:
    run(squares, tmp_path, tiny_model, train__epochs=1)
    with pytest.raises(CheckpointError, match=r"init_from was , is now weights\.pt"):
        run(squares, tmp_path / "other", tiny_model, resume=find(tmp_path), init_from=tmp_path / "weights.pt", train__epochs=1)


def test_init_from_loads_weights_only(squares: Path, tiny_model: Path, tmp_path: Path) -> None:
    first = run(squares, tmp_path / "first", tiny_model, train__epochs=1)
    report = Recorder()
    run(squares, tmp_path / "second", tiny_model, report, init_from=find(tmp_path / "first"), train__epochs=1, optim__lr=1e-12)

    assert [step for step, _ in report.scalars["loss", "train"]] == [1, 2, 3, 4]  # counted anew
    first_loss, second_loss = (Checkpoints(tmp_path / name / "checkpoints").latest() for name in ("first", "second"))
    assert first_loss is not None
    assert second_loss is not None
    second = torch.load(second_loss, weights_only=True)["state_dict"]
    assert all(torch.allclose(second[f"model.{key}"], value, atol=1e-6) for key, value in first.items())

"""A run that was broken off and resumed ends with exactly the parameters of an unbroken one; so do two ranks, whichever way broken."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from runs import Talking, run, same, settings_of
from scenes import TASK, episode
from support.resuming import checkpoint_of, refused, without_identity
from support.training import broken_off_at, job_in

from cliport.config import RESUMABLE
from cliport.data.codec import encode
from cliport.data.store import opened
from harness.checkpoint import find
from harness.errors import CheckpointError
from harness.report import Recorder
from harness.settings import flat
from harness.torch.resume import stated

QUICK = {"train__debug_images": 0, "train__n_val": 2, "train__save_steps": []}


@pytest.fixture(scope="module")
def unbroken(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, torch.Tensor], Recorder]:
    report = Recorder()
    return run(data, tmp_path_factory.mktemp("unbroken"), report, **QUICK), report


def test_a_run_that_was_killed_ends_as_an_unbroken_one(
    data: Path, tmp_path: Path, unbroken: tuple[dict[str, torch.Tensor], Recorder]
) -> None:
    """kill -9 between two checkpoints."""
    options = ["train__debug_images=0", "train__n_val=2"]
    program = [sys.executable, str(Path(__file__).with_name("runs.py")), str(data), str(tmp_path), *options]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert any(line.strip() == "step 6" for line in process.stdout), "the run ended before its sixth step"
        process.kill()
    assert process.returncode == -signal.SIGKILL
    checkpoint = find(tmp_path)
    assert checkpoint.name in ("step=00000004.ckpt", "step=00000008.ckpt")  # it may have gone on while it was being killed
    assert same(run(data, tmp_path, resume=checkpoint, **QUICK), unbroken[0])


@pytest.mark.parametrize("step", [1, 6, 12])
def test_it_does_not_matter_where_a_run_is_broken(
    step: int, data: Path, tmp_path: Path, unbroken: tuple[dict[str, torch.Tensor], Recorder]
) -> None:
    """Also where it validates, and after the last step; its curves go on where they ended."""
    with broken_off_at(step):
        run(data, tmp_path, **QUICK, train__checkpoint_every=1)
    report = Recorder()
    final = run(data, tmp_path, report, resume=find(tmp_path), **QUICK)
    assert same(final, unbroken[0])
    for key in (("loss", "tr"), ("loss", "vl"), ("trans/loss", "tr")):
        assert report.scalars.get(key, []) == [(at, value) for at, value in unbroken[1].scalars[key] if at > step], key


def test_runs_of_one_seed_are_equal_and_of_two_are_not(
    data: Path, tmp_path: Path, unbroken: tuple[dict[str, torch.Tensor], Recorder]
) -> None:
    assert same(run(data, tmp_path / "workers", **QUICK, train__workers=2, dataset__cache=False), unbroken[0])
    assert not same(run(data, tmp_path / "other", seed=1, **QUICK), unbroken[0])


def test_sigterm_saves_where_it_stands_and_says_so(data: Path, tmp_path: Path, unbroken: tuple[dict[str, torch.Tensor], Recorder]) -> None:
    class Terminated(Talking):
        def scalar(self, title: str, series: str, value: float, step: int) -> None:
            super().scalar(title, series, value, step)
            if (title, step) == ("learning rate", 7):
                os.kill(os.getpid(), signal.SIGTERM)

    report = Terminated()
    with pytest.raises(SystemExit) as ended:
        run(data, tmp_path, report, **QUICK)
    assert ended.value.code == 128 + signal.SIGTERM
    assert find(tmp_path).name == "step=00000007.ckpt"
    assert any("continue with resume=" in text for text in report.texts)
    assert same(run(data, tmp_path, resume=find(tmp_path), **QUICK), unbroken[0])


def test_another_runs_checkpoint_is_refused(data: Path, tmp_path: Path) -> None:
    run(data, tmp_path, **QUICK, train__n_steps=1)
    with pytest.raises(CheckpointError, match=r"seed was 0, is now 5"):
        run(data, tmp_path, resume=find(tmp_path), seed=5, **QUICK, train__n_steps=1)
    with pytest.raises(CheckpointError, match=r"model\.width was None, is now 4"):
        run(data, tmp_path, resume=find(tmp_path), **QUICK, train__n_steps=1, model__width=4)


def test_every_setting_makes_another_run_but_for_those_listed_here(tmp_path: Path) -> None:
    settings = settings_of({})
    checkpoint = checkpoint_of(stated(job_in(tmp_path, settings)), tmp_path / "step=00000001.ckpt")
    no, told = refused(job_in(tmp_path, settings, resume=checkpoint), RESUMABLE)
    free = "save_steps workers deterministic non_finite report_every validate_every checkpoint_every debug_images n_steps"
    may = {f"train.{key}" for key in free.split()} | {"dataset.cache", "dataset.cache_mib"}
    assert told == may & flat(settings).keys()
    assert no == flat(settings).keys() - told
    assert "train.lr_decay" in no


def other_demonstrations(data: Path, folder: Path, mode: str) -> Path:
    """A copy in another folder whose first demonstration of a mode is another one; the copy of `data` has as many."""
    copy = Path(shutil.copytree(data, folder))
    made = episode(1000)
    with opened(copy / f"{TASK}-{mode}", TASK, mode) as store:
        first = store.manifest.entries[0]
        store.record([entry for entry in store.manifest.entries if entry != first])
        store.add(made.seed, made.actions, made.reward, encode(made), first.index)
    return copy


@pytest.mark.parametrize(("mode", "named"), [("train", "training"), ("val", "validation")])
def test_as_many_other_demonstrations_make_another_run(mode: str, named: str, data: Path, tmp_path: Path) -> None:
    run(data, tmp_path / "first", **QUICK, train__n_steps=1)
    other = other_demonstrations(data, tmp_path / "other", mode)
    with pytest.raises(CheckpointError, match=rf"checkpoint's: {named} data was [0-9a-f]{{16}}, is now [0-9a-f]{{16}};"):
        run(other, tmp_path / "second", resume=find(tmp_path / "first"), **QUICK, train__n_steps=2)


def test_the_same_demonstrations_elsewhere_with_more_behind_them_make_the_same_run(
    data: Path, tmp_path: Path, unbroken: tuple[dict[str, torch.Tensor], Recorder]
) -> None:
    with broken_off_at(4):
        run(data, tmp_path / "first", **QUICK)
    moved, made = Path(shutil.copytree(data, tmp_path / "moved")), episode(1000)
    with opened(moved / f"{TASK}-train", TASK, "train") as store:
        store.add(made.seed, made.actions, made.reward, encode(made))
    assert same(run(moved, tmp_path / "second", resume=find(tmp_path / "first"), **QUICK), unbroken[0])


def test_a_checkpoint_that_does_not_state_its_data_goes_on_and_that_is_said(
    data: Path, tmp_path: Path, unbroken: tuple[dict[str, torch.Tensor], Recorder]
) -> None:
    """As those of version 0.1.0 before data counted."""
    with broken_off_at(4):
        run(data, tmp_path, **QUICK)
    report = Recorder()
    older = without_identity(find(tmp_path), "training data", "validation data")
    assert same(run(data, tmp_path, report, resume=older, **QUICK), unbroken[0])
    assert "resume: the checkpoint does not state its training data and its validation data: assumed to be the same as now" in report.texts


def test_another_decay_of_the_learning_rate_is_another_run(data: Path, tmp_path: Path) -> None:
    run(data, tmp_path, **QUICK, train__n_steps=1)
    wanted = r"train\.lr was 0\.001, is now 0\.002; train\.lr_decay was 0\.5, is now 0\.25;"
    with pytest.raises(CheckpointError, match=wanted):
        run(tmp_path / "nowhere", tmp_path, resume=find(tmp_path), **QUICK, train__n_steps=1, train__lr_decay=0.25, train__lr=2e-3)


@pytest.mark.parametrize("step", [2, 4])
def test_a_longer_run_goes_on_by_the_longer_schedule(step: int, data: Path, tmp_path: Path) -> None:
    """From the middle, and from the end, where the rate had come to 0; the closed form is a fall over the last half of all steps."""
    run(data, tmp_path / "short", **QUICK, train__n_steps=4, train__checkpoint_every=2)
    report, checkpoint = Recorder(), tmp_path / "short" / "checkpoints" / f"step={step:08d}.ckpt"
    run(data, tmp_path / "long", report, resume=checkpoint, **QUICK, train__n_steps=8)
    rates = report.scalars["learning rate", "lr"]
    assert rates == [(at, pytest.approx(1e-3 * min(1, (8 - (at - 1)) / 4))) for at in range(step + 1, 9)]
    assert any("train.n_steps was 4, is now 8: from here on the learning rate follows" in text for text in report.texts)


def test_two_ranks_take_the_steps_of_one_with_their_batches_together(
    data: Path, tmp_path: Path, unbroken: tuple[dict[str, torch.Tensor], Recorder]
) -> None:
    """Started by torchrun, as the harness does. Sums are added in another order, so parameters and curves agree to rounding."""
    program = [str(Path(__file__).with_name("runs.py")), str(data), str(tmp_path)]
    options = ["train__debug_images=0", "train__n_val=2", "train__batch_size=1", "train__n_steps=3", "train__validate_every=3"]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    done = subprocess.run([*launcher, *program, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    ranks = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    report = Recorder()
    one = run(data, tmp_path / "one", report, **QUICK, train__n_steps=3, train__validate_every=3)
    assert all(torch.allclose(ranks[key], value, atol=2e-4) for key, value in one.items())
    for rank in (0, 1):
        scalars = torch.load(tmp_path / f"scalars-{rank}.pt", weights_only=True)
        for key in (("loss", "tr"), ("attn/loss", "tr"), ("trans/loss", "tr")):
            assert [step for step, _ in scalars[key]] == [1, 2, 3], key
            assert scalars[key] == [(step, pytest.approx(value, rel=1e-5)) for step, value in report.scalars[key]], key
    best = torch.load(next((tmp_path / "checkpoints").glob("best.ckpt")), weights_only=True)
    assert best["val_loss"] == pytest.approx(report.scalars["loss", "vl"][-1][1], rel=1e-4)

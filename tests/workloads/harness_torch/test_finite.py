"""A step with a non-finite loss or gradient: each policy's action, agreement of the ranks, and nothing non-finite saved."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from diverging import Line, fit, weights_of
from support.training import job_in

from harness.errors import NotFiniteError
from harness.report import Recorder
from harness.torch.finite import largest


def unspoilt(steps: int, without: int | None = None, **options: Any) -> dict[str, torch.Tensor]:
    """The weights after so many clean steps, one of them left out: what a run that skips must end with."""
    module = Line(**options)
    optimizer, schedule = module.configure_optimizers().values()
    for step in range(steps):
        optimizer.zero_grad()
        if step + 1 != without:
            module.training_step(module.batch(step), step).backward()
            optimizer.step()
        schedule["scheduler"].step()
    return weights_of(module)


@pytest.mark.parametrize("poison", ["loss", "gradient"])
def test_by_default_a_run_fails_before_the_update(poison: str, tmp_path: Path) -> None:
    report, module = Recorder(), Line(**{poison: 3})
    what = "the loss and its gradient are" if poison == "loss" else "the gradient is"
    with pytest.raises(
        NotFiniteError, match=rf"^step 3: {what} not finite; .*no weights are published; the last good checkpoint is .*step=0+2"
    ):
        fit(module, job_in(tmp_path, report=report), "stop")
    before, after = unspoilt(2), weights_of(module)
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert sorted(path.name for path in (tmp_path / "checkpoints").glob("*.ckpt")) == ["step=00000001.ckpt", "step=00000002.ckpt"]
    told = "WARNING: loss/train is not finite since step 3" in report.texts
    assert told == (poison == "loss")  # the curve's gap says where it ended


@pytest.mark.parametrize("poison", ["loss", "gradient"])
@pytest.mark.parametrize("norm", [False, True])
def test_skip_omits_the_update_and_nothing_else(poison: str, norm: bool, tmp_path: Path) -> None:
    """Weights, statistics of batch normalisation and the optimiser's are those of the same steps by hand without the third."""
    report, module = Recorder(), Line(norm=norm, **{poison: 3})
    fit(module, job_in(tmp_path, report=report), "skip")
    by_hand, after = unspoilt(5, without=3, norm=norm), weights_of(module)
    assert all(torch.allclose(after[name], by_hand[name], rtol=1e-6) for name in by_hand)
    assert report.scalars["steps left out", "not finite"] == [(3, 1)]
    assert [step for step, _ in report.scalars["loss", "train"]] == ([1, 2, 4, 5] if poison == "loss" else [1, 2, 3, 4, 5])
    assert any("step 3" in text and "left out" in text for text in report.texts)


def test_warn_logs_once_and_neither_saves_nor_publishes(tmp_path: Path) -> None:
    report = Recorder()
    with pytest.raises(NotFiniteError, match=r"step 5: the weights are not finite; .*the last good checkpoint is .*step=0+2"):
        fit(Line(loss=3), job_in(tmp_path, report=report), "warn")
    assert [text.partition(":")[0] for text in report.texts if "train.non_finite=warn" in text] == ["step 3"]
    assert not (tmp_path / "checkpoints" / "step=00000003.ckpt").exists()


@pytest.mark.parametrize("policy", ["stop", "skip"])
def test_weights_made_non_finite_by_an_update_are_not_saved(policy: str, tmp_path: Path) -> None:
    """A finite gradient times a learning rate can be more than a float holds."""
    with pytest.raises(NotFiniteError, match=r"step 1: the weights are not finite; .*there is no checkpoint yet"):
        fit(Line(lr=1e30, scale=1e30), job_in(tmp_path), policy)
    assert not list(tmp_path.rglob("*.ckpt"))


@pytest.mark.filterwarnings("ignore:Detected call of .lr_scheduler.step:UserWarning")
def test_the_loss_scaler_skips_overflowing_steps(tmp_path: Path) -> None:
    """Its scale begins at 2^16, far too much for this loss, and falls until the gradient fits: no fault, and nothing to report."""
    report, scaler = Recorder(), torch.amp.GradScaler("cpu")
    fit(Line(scale=1e4), job_in(tmp_path, report=report), "stop", scaler)
    assert scaler.get_scale() < 2**16
    assert ("steps left out", "not finite") not in report.scalars


@pytest.mark.filterwarnings("ignore:Detected call of .lr_scheduler.step:UserWarning")
@pytest.mark.parametrize(("options", "step"), [({"loss": 3}, 3), ({"gradient": -1}, 17)], ids=["loss", "every gradient"])
def test_half_precision_does_not_hide_a_fault(options: dict[str, int], step: int, tmp_path: Path) -> None:
    """A loss that is no number, and a gradient that still is none when 2^16 has been halved sixteen times."""
    with pytest.raises(NotFiniteError, match=f"^step {step}: the"):
        fit(Line(**options, steps=24), job_in(tmp_path), "stop", torch.amp.GradScaler("cpu"))


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("options", [{"loss": 3}, {"loss": 3, "alone": True}], ids=["with its gradient", "alone"])
def test_steps_can_be_skipped_in_half_precision(options: dict[str, Any], fused: bool, tmp_path: Path) -> None:
    """Also by an optimiser that looks at gradients itself, as fused ones do."""
    report, module, scaler = Recorder(), Line(**options, fused=fused), torch.amp.GradScaler("cpu", init_scale=2.0)
    fit(module, job_in(tmp_path, report=report), "skip", scaler)
    assert report.scalars["steps left out", "not finite"] == [(3, 1)]
    after = weights_of(module)
    assert all(value.isfinite().all() for value in after.values())
    by_hand = unspoilt(5, without=3)
    assert all(torch.allclose(after[name], by_hand[name], atol=0.02) for name in by_hand)  # activations of half precision


@pytest.mark.slow
def test_all_ranks_act_the_same_if_one_has_a_non_finite_loss(tmp_path: Path) -> None:
    """Slow: two processes import PyTorch. The second rank's loss is no number, with a gradient of zeros; the first rank's is whole."""
    program = [str(Path(__file__).with_name("diverging.py")), str(tmp_path)]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    done = subprocess.run([*launcher, *program], capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    one, other = (torch.load(tmp_path / f"rank-{rank}.pt", weights_only=True) for rank in (0, 1))
    by_hand = unspoilt(5, without=3)
    assert all(torch.equal(one[name], other[name]) and torch.allclose(one[name], by_hand[name], rtol=1e-5) for name in by_hand)
    for rank in (0, 1):
        assert (tmp_path / f"stopped-{rank}.txt").read_text().startswith("step 3: the loss is not finite; training ends")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_the_largest_value_is_non_finite_if_any_value_is(value: float, device: str) -> None:
    """Anywhere, in any precision, beside numbers near the largest that there are."""
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU")
    tensors = [torch.full((70, 3), 3e38), torch.ones(1000, dtype=torch.bfloat16), torch.zeros(5)]
    assert largest([tensor.to(device) for tensor in tensors]).isfinite()
    for number, tensor in enumerate(tensors):
        spoilt = [each.clone().to(device) for each in tensors]
        spoilt[number].view(-1)[len(tensor) // 2] = value
        assert not largest(spoilt).isfinite(), number

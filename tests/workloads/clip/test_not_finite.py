"""A diverged CLIP: its run fails and publishes nothing, and no metric counts its answers as right."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from coloured_squares import write_pair
from evaluating import evaluated
from runs import run
from support.scores import PATTERNS
from support.training import job_in
from torch.utils.data import DataLoader

from clip_training.config import MONITORS, ExportConfig, ModelConfig, OptimConfig, TrainConfig
from clip_training.contrastive_module import ContrastiveModule
from clip_training.dataloaders import datasets
from clip_training.export import export
from clip_training.model import make_clip
from clip_training.pairs import collate
from clip_training.retrieval import KS, retrieval
from clip_training.zero_shot import accuracy
from harness.errors import CheckpointError
from harness.report import Recorder
from harness.settings import merge

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.slow
def test_a_diverging_run_fails(squares: Path, tiny_model: Path, tmp_path: Path) -> None:
    """The whole run, as an agent starts it: its exit code, the one line that says why, and what it leaves.

    Slow: parent and rank are processes of their own.
    """
    line = ["command=train", f"dataset_path={squares}", f"output_dir={tmp_path}", f"model.name={tiny_model}", "optim.lr=1e25"]
    line += [
        "optim.warmup=0",
        "train.epochs=2",
        "train.batch_size=15",
        "train.checkpoint_every=1",
        "train.debug_images=0",
        "data.workers=0",
    ]
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("CLEARML_", "HARNESS_"))}
    program = [sys.executable, str(ROOT / "clearml_tasks" / "clip" / "clearml_train.py"), *line]
    done = subprocess.run(program, capture_output=True, text=True, check=False, env=kept | {"HOME": "/nonexistent"})
    assert done.returncode == 1
    (told,) = done.stderr.splitlines()
    assert told.startswith("error: rank 0: NotFiniteError: step 2: the loss and its gradient are not finite;")
    (checkpoint,) = tmp_path.rglob("*.ckpt")
    assert f"the last good checkpoint is {checkpoint};" in told
    state = torch.load(checkpoint, weights_only=True)["state_dict"]
    assert all(value.isfinite().all() for value in state.values())
    assert not list(tmp_path.rglob("weights.pt"))
    assert not list(tmp_path.rglob("result.json"))


def spoilt(model: Path) -> torch.nn.Module:
    clip = make_clip(ModelConfig(name=str(model)))
    with torch.no_grad():
        clip.model.visual.proj.fill_(math.nan)
    return clip


def all_that_is_reported(report: Recorder) -> dict[tuple[str, str], set[float]]:
    """Values by title and series, without what a random order would find: of right answers there are none, and errors are no numbers."""
    return {key: {value for _, value in points} for key, points in report.scalars.items() if "chance" not in key[1]}


def test_non_finite_scores_are_never_right_in_training(squares: Path, tiny_model: Path) -> None:
    """This covers every metric, including future ones: everything that validation and a training step report."""
    clip, report = spoilt(tiny_model), Recorder()
    settings = merge(TrainConfig, None, {"data.keep_in_memory": True, "data.workers": 0}.items())
    _, heldout = datasets(clip, settings.data, squares, 0)
    module = ContrastiveModule(clip, OptimConfig(), total_steps=1, heldout=heldout, batch_size=8, identity={}, report=report)
    module.trainer = type("Trainer", (), {"global_step": 0})()
    watched: dict[str, float] = {}
    module.log_dict = lambda values, **_: watched.update(values)
    for batch in DataLoader(heldout, batch_size=8, collate_fn=collate):
        module.training_step(batch, 0)
        with torch.no_grad():
            module.validation_step(batch, 0)
    with torch.no_grad():
        module.on_validation_epoch_end()
    assert set(watched) == set(MONITORS)
    assert all(math.isnan(value) for value in watched.values())  # so that early stopping ends the run
    found = all_that_is_reported(report) | {key: {value} for key, value in module.figures().items()}
    assert [*found.pop(("logit scale", "exp"))] == pytest.approx([1 / 0.07])  # which is one
    assert found.keys() >= {("recall@1", "image to text"), ("recall@1", "image to text, in its training batch")}
    assert "WARNING: loss/held out is not finite since step 0" in report.texts
    for key, values in found.items():
        assert all(value == 0 or math.isnan(value) for value in values), key


@pytest.mark.parametrize("folders", [False, True], ids=["pairs", "class folders"])
def test_non_finite_scores_are_never_right_in_evaluation(
    folders: bool, squares: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This covers retrieval and zero-shot classification: everything reported, and every share in the results."""
    monkeypatch.setattr("clip_training.embedder.load_clip", lambda *_, **__: spoilt(tiny_model))
    (tmp_path / "inner.yaml").write_text("[red, green, blue, yellow, white]")
    options = {"zero_shot__classes": [str(tmp_path / "inner.yaml")], "zero_shot__templates": "name"}
    data, report = squares, Recorder()
    if folders:
        data, options = tmp_path / "data", {"zero_shot__templates": "name"}
        for name in ("red", "green"):
            write_pair(data / name, "one", name, "blue")
            (data / name / "one.txt").unlink()
    results = evaluated(data, tmp_path / "out", tiny_model, report, **options)
    found = all_that_is_reported(report)
    assert {values for key in found if key[1].startswith(("top-", "image to")) for values in found[key]} == {0.0}
    assert all(value == 0 or math.isnan(value) for values in found.values() for value in values)
    for result in results["zero-shot"].values():
        assert set(result["top"].values()) == {result["mean per class"]} == {0.0}
        assert {each["found"] for each in result["per class"].values()} == {0.0}
    assert any("have non-finite embeddings, or their texts do; they count as never found" in text for text in report.texts)
    assert report.images


@pytest.mark.parametrize("pattern", PATTERNS)
def test_recall_and_accuracy_with_some_non_finite_scores(pattern: str) -> None:
    """Embeddings are unit vectors, of which scores are the table; for each k the rows that remain are those whose scores are whole."""
    scores, lost = PATTERNS[pattern](torch.eye(20))
    captions = [f"caption {number}" for number in range(20)]
    found = retrieval(scores, torch.eye(20), captions).recall
    top = accuracy(scores, [{row} for row in range(20)], captions)
    for k in KS:
        assert found["image to text", k] <= 1 - len(lost) / 20
    assert found["image to text", 1] == top.top[1] == pytest.approx(1 - len(lost) / 20)
    assert {name for name, (_, share) in top.per_class.items() if not share} == {captions[row] for row in lost}


@pytest.mark.parametrize("where", ["evaluate", "init_from", "export"])
def test_non_finite_weights_are_refused_by_name(where: str, squares: Path, tiny_model: Path, tmp_path: Path) -> None:
    torch.save(spoilt(tiny_model).model.state_dict(), tmp_path / "weights.pt")
    weights, out = tmp_path / "weights.pt", tmp_path / "out"
    use = {
        "evaluate": lambda: evaluated(squares, out, tiny_model, init_from=weights),
        "init_from": lambda: run(squares, out, tiny_model, init_from=weights),
        "export": lambda: export(job_in(out, merge(ExportConfig, None, ()), init_from=weights)),
    }
    with pytest.raises(CheckpointError, match=r"weights\.pt holds non-finite weights, .*: visual\.proj"):
        use[where]()
    assert not list((tmp_path / "out").glob("weights.*"))


def test_in_batch_recall_splits_ties() -> None:
    """Two pairs share a caption, so either text is right for either image; constant scores reach the level of chance."""
    module = ContrastiveModule.__new__(ContrastiveModule)
    torch.nn.Module.__init__(module)
    module.model = torch.nn.Module()
    module.model.logit_scale = torch.nn.Parameter(torch.zeros(()))
    key = "recall@1", "image to text, in its training batch"
    module.last = torch.eye(3)[[0, 0, 1]], torch.eye(3)[[0, 0, 1]]
    assert module.figures()[key] == pytest.approx((0.5 + 0.5 + 1) / 3)
    module.last = torch.ones(8, 4), torch.ones(8, 4)
    assert module.figures()[key] == pytest.approx(1 / 8)

"""Two processes that contrast their pairs with each other's give the same result as one process with all pairs."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from models import largest_difference
from runs import run
from two_ranks import SIZES, curves, finetuned, gradients

from clip_training.optim import cosine_with_warmup
from harness.checkpoint import find
from harness.report import Recorder


@pytest.fixture(scope="module")
def odd(squares: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same pairs with one less of the 20 held out, which two ranks cannot share alike."""
    folder = Path(shutil.copytree(squares, tmp_path_factory.mktemp("odd") / "squares"))
    last = sorted((folder / "heldout").glob("*.txt"))[-1]
    last.unlink()
    last.with_suffix(".png").unlink()
    return folder


@pytest.fixture(scope="module")
def ranks(squares: Path, odd: Path, tiny_model: Path, undropped_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of two ranks on gloo, which were stopped by SIGTERM in their last, long run."""
    output = tmp_path_factory.mktemp("ranks")
    program = [str(Path(__file__).with_name("two_ranks.py")), *map(str, (squares, output, tiny_model, undropped_model, odd))]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", *program]
    with (
        (output / "log.txt").open("w") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True) as process,
    ):
        assert process.stdout is not None
        if not any(line.strip() == "step 40" for line in process.stdout):  # only the long run comes so far
            process.wait()
            pytest.fail((output / "log.txt").read_text()[-3000:])
        os.killpg(process.pid, signal.SIGTERM)
        process.stdout.read()
    return output


@pytest.mark.parametrize("loss", ["clip", "siglip"])
@pytest.mark.parametrize("size", SIZES)
def test_gradients_are_those_of_one_process_with_the_whole_batch(ranks: Path, loss: str, size: int) -> None:
    whole = gradients(loss)
    assert {"logit_scale", "visual.conv1.weight"} <= whole.keys()
    for rank in (0, 1):
        shared = torch.load(ranks / f"gradients-{rank}.pt", weights_only=True)[f"{loss} {size}"]
        assert largest_difference(shared, whole) < 1e-12


def test_training_steps_with_and_without_micro_batches_are_equal(ranks: Path) -> None:
    for rank in (0, 1):
        plain, cached = torch.load(ranks / f"trained-{rank}.pt", weights_only=True)
        assert plain.keys() == cached.keys()
        for name, gradient in plain.items():
            assert torch.allclose(cached[name], gradient, rtol=1e-4, atol=1e-6), name


def test_unequal_numbers_of_rows_are_gathered_in_order_of_rank(ranks: Path) -> None:
    for rank in (0, 1):
        assert torch.load(ranks / f"rows-{rank}.pt", weights_only=True).tolist() == [[0, 0], [1, 1], [1, 1]]


def test_a_run_of_two_processes_is_reported_once_and_evaluates_everything(
    ranks: Path, squares: Path, tiny_model: Path, tmp_path: Path
) -> None:
    """Before the first step the weights are equal, so held-out loss and recall are those of one process with batches twice as large."""
    report = Recorder()
    run(squares, tmp_path, tiny_model, report, train__batch_size=10, train__epochs=1)
    scalars = torch.load(ranks / "scalars-0.pt", weights_only=True)

    assert torch.load(ranks / "scalars-1.pt", weights_only=True) == {}
    assert [step for step, _ in scalars["loss", "train"]] == [1, 2, 3, 4, 5, 6]
    expected = [3e-3 * cosine_with_warmup(step, 3, 6) for step in range(6)]  # the whole cosine in 60 / (2 x 5) steps
    assert [rate for _, rate in scalars["learning rate", "lr"]] == pytest.approx(expected)
    for key in (("loss", "held out"), ("recall@1", "image to text"), ("recall@5", "text to image"), ("recall@5", "chance")):
        assert scalars[key][0][1] == pytest.approx(report.scalars[key][0][1], rel=1e-5), key


@pytest.mark.parametrize("loss", ["clip", "siglip"])
def test_curves_are_those_of_one_process_with_the_whole_batch(
    loss: str, ranks: Path, squares: Path, undropped_model: Path, tmp_path: Path
) -> None:
    """So runs of different GPU counts compare; also after resuming between two points, from a checkpoint that rank 0 wrote."""
    whole, rest = torch.load(ranks / "curves-0.pt", weights_only=True)[loss]
    expected, _ = curves(squares, tmp_path, undropped_model, loss)
    keys = ("loss", "train"), ("recall@1", "image to text, in its training batch"), ("loss", "held out"), ("logit scale", "exp")
    for key in keys:
        assert len(expected[key]) >= 2, key
        assert whole[key] == [(step, pytest.approx(value, rel=1e-5)) for step, value in expected[key]], key
        assert rest[key] == [point for point in whole[key] if point[0] > 3], key
    assert [step for step, _ in whole["loss", "train"]] == [2, 4, 6]
    assert len({value for _, value in whole[keys[1]]} - {0.0, 1.0}) > 1


def test_both_end_early_with_the_weights_and_the_evaluation_of_one_process(
    ranks: Path, odd: Path, undropped_model: Path, tmp_path: Path
) -> None:
    """Clipped, partly locked, and evaluated on 19 pairs, of which one rank has 10 and the other 9: each counts once."""
    expected, points = finetuned(odd, tmp_path, undropped_model)
    assert [step for step, _ in points["loss", "held out"]] == [0, 3, 6]
    assert {round(1 / value) for _, value in points["recall@1", "chance"]} == {19}
    for rank in (0, 1):
        weights, shared = torch.load(ranks / f"finetuned-{rank}.pt", weights_only=True)
        assert all(torch.allclose(weights[name], value, rtol=1e-3, atol=1e-5) for name, value in expected.items())
        for key in (("loss", "held out"), ("recall@1", "image to text"), ("recall@5", "text to image"), ("recall@1", "chance")):
            found = [(step, pytest.approx(value, rel=1e-4)) for step, value in points[key]]
            assert shared.get(key, []) == (found if rank == 0 else []), key


def test_sigterm_ends_both_ranks_at_one_step_with_a_checkpoint(ranks: Path, squares: Path, tiny_model: Path) -> None:
    checkpoint = find(ranks / "long")
    state = torch.load(checkpoint, weights_only=True)
    assert state["global_step"] >= 40
    assert checkpoint.name == f"step={state['global_step']:08d}.ckpt"
    assert not (ranks / "long" / "weights.pt").exists()

"""Train an agent on demonstrations.

python -m cliport.train train.task=put-block-in-bowl-seen-colors train.agent=cliport train.n_demos=100 train.n_steps=10000

A run that was broken off goes on where its last checkpoint stands. Options (key=value):
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from harness.checkpoint import Checkpoints
from harness.errors import CheckpointError, ParameterError
from harness.report import Report, Silent, TerminalReport
from training.run import Run

from .agents.config import asked_for
from .config import TrainConfig
from .options import main
from .places import data_folder, experiment


def train(settings: TrainConfig, folder: Path, run: Run) -> Path:
    """See `agents.learning.train`, which needs PyTorch."""
    from .agents.learning import train

    return train(settings, folder, run)


class Printing(TerminalReport):
    """Also prints every point of a curve."""

    def scalar(self, title: str, series: str, value: float, step: int) -> None:
        super().scalar(title, series, value, step)
        self.text(f"{step:>7} {series}/{title} {value:.6g}")


def run(settings: TrainConfig, init_from: Path | None = None) -> Path:
    """What the command line does: train in the experiment's folder, and go on there if it has a checkpoint.

    Raises:
        HarnessError: for settings, demonstrations or weights that do not do.
    """
    loop = settings.train
    asked_for(settings)  # what is wrong is told before anything is loaded
    choose_gpu(loop.gpu)
    output = Path(loop.train_dir) if loop.train_dir else experiment(loop.task, loop.agent, loop.n_demos, loop.exp_folder)
    report: Report = reporter(output, loop.log)
    checkpoints = Checkpoints(output / "state")
    if not loop.load_from_last_ckpt and isinstance(report, TerminalReport):
        shutil.rmtree(checkpoints.folder, ignore_errors=True)  # of several ranks the first
    last = checkpoints.latest()
    if last is not None:
        report.text(f"going on from {last}")
    try:
        return train(settings, data_folder(loop.data_dir), Run(loop.seed, output, report, checkpoints, last, init_from))
    except CheckpointError as error:
        if last is None:
            raise
        hint = "take another train.exp_folder, or begin anew there with train.load_from_last_ckpt=False"
        raise CheckpointError(f"{output} holds another run: {error}; {hint}") from error


def reporter(output: Path, log: bool) -> Report:
    """Rank 0 reports to terminal and files, the others nowhere."""
    if int(os.environ.get("RANK", "0")) > 0:
        return Silent()
    return Printing(output) if log else TerminalReport(output)


def choose_gpu(gpus: list[int]) -> None:
    """Show PyTorch the GPU that was asked for; processes for several are a launcher's to start.

    Raises:
        ParameterError: when several are asked for without a launcher.
    """
    if "RANK" in os.environ:
        return
    if len(gpus) != 1 or gpus[0] < 0:
        raise ParameterError(
            [f"train.gpu={gpus}: one process takes one GPU; for several: torchrun --nproc_per_node=N -m cliport.train ..."]
        )
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", str(gpus[0]))


if __name__ == "__main__":
    import training  # noqa: F401  before torch: see there

    main(TrainConfig, run, __doc__ or "")

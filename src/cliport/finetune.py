"""Continue training an agent from a checkpoint, ours or the original's.

python -m cliport.finetune init_from=PATH train.task=put-block-in-bowl-seen-colors train.exp_folder=finetuned

Without init_from, the checkpoint is taken from the training of the same task and agent with the most demonstrations in the same
folder. Parameters that match the agent's in name and shape are kept; all others are initialized anew and listed. Sizes and frozen
weights that are not given are the checkpoint's. Options (key=value):
"""

from __future__ import annotations

if __name__ == "__main__":  # before PyTorch is imported, so that a mistake in the command line is reported at once
    from harness.entry import enter

    enter("cliport", "finetune", __doc__)

from dataclasses import replace
from pathlib import Path

from harness import Job
from harness.checkpoint import find_weights
from harness.errors import CheckpointError, ParameterError

from .layout import experiments
from .train import train


def finetune(job: Job) -> Path:
    """Like `train`, but starts from the job's `init_from`, or from the checkpoint that `earlier_training` finds.

    Raises:
        HarnessError: as `train`, and when there is no checkpoint to start from.
    """
    return train(job if job.init_from else replace(job, init_from=earlier_training(job)))


def earlier_training(job: Job) -> Path:
    """The weights of the training of the same task and agent with the most demonstrations, among those beside the job's own folder.

    Raises:
        ParameterError: when there is none.
    """
    loop, folder = job.settings.train, job.output_dir.parent
    for _, trained in sorted(experiments(folder, loop.task, loop.agent).items(), reverse=True):
        if trained == job.output_dir:
            continue
        try:
            found = find_weights(trained)
        except CheckpointError:
            continue  # interrupted before its first checkpoint
        job.report.text(f"starting from {found}; use init_from to choose another checkpoint")
        return found
    raise ParameterError(
        [f"init_from is required: a checkpoint, a run's folder or a task; {folder} has no training of {loop.task} by {loop.agent}"]
    )

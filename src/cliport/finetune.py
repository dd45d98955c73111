"""Train an agent on from a checkpoint, ours or the original's.

python -m cliport.finetune init_from=PATH train.task=put-block-in-bowl-seen-colors train.exp_folder=finetuned

Without a checkpoint it is that of the same task's and agent's training with the most demonstrations in the same folder. Parameters
that the agent has by the same name and shape are kept, the others begin anew and are listed. Sizes and frozen weights that are not
stated are the checkpoint's. Options (key=value):
"""

from __future__ import annotations

if __name__ == "__main__":  # before PyTorch is imported: what is wrong with a line is told at once
    from harness.entry import enter

    enter("cliport", "finetune", __doc__)

import re
from dataclasses import replace
from pathlib import Path

from harness import Job
from harness.checkpoint import find_weights
from harness.errors import CheckpointError, ParameterError

from .train import train


def finetune(job: Job) -> Path:
    """As `train`, from the job's `init_from`, or from where `start_of` finds a training.

    Raises:
        HarnessError: as `train`, and when there is no checkpoint to start from.
    """
    return train(job if job.init_from else replace(job, init_from=start_of(job)))


def start_of(job: Job) -> Path:
    """The weights of the same task's and agent's training, of those beside the job's own folder the one with the most demonstrations.

    Raises:
        ParameterError: when there is none.
    """
    loop = job.settings.train
    name = re.compile(rf"{re.escape(loop.task)}-{re.escape(loop.agent)}-n(\d+)-train")
    beside = [(match, path) for path in job.output_dir.parent.glob("*-train") if (match := name.fullmatch(path.name))]
    trained = {int(match[1]): path for match, path in beside if path != job.output_dir}
    for _, folder in sorted(trained.items(), reverse=True):
        try:
            found = find_weights(folder)
        except CheckpointError:
            continue  # it was broken off before its first checkpoint
        job.report.text(f"starts from {found}; init_from says which other checkpoint to take")
        return found
    raise ParameterError(
        [
            f"init_from is required: a checkpoint, a run's folder or a task; {job.output_dir.parent} has no training of {loop.task} by "
            f"{loop.agent}"
        ]
    )

"""Train an agent on from a checkpoint, ours or the original's.

python -m cliport.finetune finetune.checkpoint=PATH train.task=put-block-in-bowl-seen-colors train.exp_folder=finetuned

Parameters that the agent has by the same name and shape are kept, the others begin anew and are listed. Sizes and frozen weights
that are not stated are the checkpoint's. Options (key=value):
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from harness.checkpoint import find
from harness.errors import ParameterError
from training.run import Run

from .config import FinetuneConfig
from .options import main
from .train import run as train_here
from .train import train


def finetune(settings: FinetuneConfig, folder: Path, run: Run) -> Path:
    """As `train`, from the run's `init_from` or `finetune.checkpoint`.

    Raises:
        HarnessError: as `train`, and when there is no checkpoint to start from.
    """
    return train(settings, folder, replace(run, init_from=run.init_from or start_of(settings)))


def start_of(settings: FinetuneConfig) -> Path:
    """The checkpoint's file: as named, or the best, else the newest, of a run's folder.

    Raises:
        ParameterError: when none is named.
        CheckpointError: when there is none.
    """
    stated = settings.finetune.checkpoint
    if not stated:
        raise ParameterError(["finetune.checkpoint is required: a checkpoint, or a run's folder (in a run on the queue: init_from)"])
    path = Path(stated)
    for folder in (path, path / "checkpoints"):
        for name in ("best.ckpt", "last.ckpt"):
            if (folder / name).is_file():
                return folder / name
    return find(path)


def start(settings: FinetuneConfig) -> Path:
    return train_here(settings, start_of(settings))


if __name__ == "__main__":
    import training  # noqa: F401  before torch: see there

    main(FinetuneConfig, start, __doc__ or "")

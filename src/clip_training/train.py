"""Train CLIP on image-text pairs, from random weights or from a file's.

python -m clip_training.train model_name=RN50 folder=data_dir batch_size=512

Settings that are not stated are the paper's. For several GPUs: torchrun --nproc_per_node=N -m clip_training.train ... Options
(key=value, or --key value):
"""

from __future__ import annotations

from pathlib import Path

from training.run import Run

from .config import TrainConfig
from .options import main


def train(settings: TrainConfig, folder: Path | None, run: Run) -> Path:
    """See `learning.train`, which needs PyTorch: a wrong line is told before that is imported."""
    from .learning import train

    return train(settings, folder, run)


if __name__ == "__main__":
    main("train", TrainConfig, train, __doc__ or "")

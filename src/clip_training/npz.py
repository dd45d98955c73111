"""Make the folder that prompt tuning reads fastest: img/, text/ and npz/ of the same stems.

python -m clip_training.npz folder=yourdataset out=yourdataset model_name=ViT-L/14

An .npz file holds `data`, float16 (3, S, S): the image, cropped and normalised as the model takes it. Options (key=value):
"""

from __future__ import annotations

from pathlib import Path

from training.run import Run

from .config import NpzConfig
from .options import main


def make_npz(settings: NpzConfig, folder: Path | None, run: Run) -> Path:
    """See `frozen.make_npz`, which needs PyTorch: a wrong line is told before that is imported."""
    from .frozen import make_npz

    return make_npz(settings, folder, run)


if __name__ == "__main__":
    main("make_npz", NpzConfig, make_npz, __doc__ or "")

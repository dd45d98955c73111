"""Tune visual prompts: a few learned tokens and the class token, on a vision transformer that stays as it is.

python -m clip_training.finetune_vpt model_name=ViT-L/14 init_from=ViT-L-14.pt folder=yourdataset batch_size=26

The data are img/, text/ and npz/ (see clip_training.npz), or image-text pairs in any other form. Options (key=value, or --key value):
"""

from __future__ import annotations

from pathlib import Path

from training.run import Run

from .config import VptConfig
from .options import main


def finetune_vpt(settings: VptConfig, folder: Path | None, run: Run) -> Path:
    """See `prompt_tuning.finetune_vpt`, which needs PyTorch: a wrong line is told before that is imported."""
    from .prompt_tuning import finetune_vpt

    return finetune_vpt(settings, folder, run)


if __name__ == "__main__":
    main("finetune_vpt", VptConfig, finetune_vpt, __doc__ or "")

"""Fine-tune an image encoder and a text encoder that learned apart into a CLIP, by self-distillation.

python -m clip_training.finetune folder=data_dir image.encoder=torchvision/resnet50 text.encoder=johngiorgi/declutr-sci-base batch_size=64

Options (key=value, or --key value):
"""

from __future__ import annotations

from pathlib import Path

from training.run import Run

from .config import FinetuneConfig
from .options import main


def finetune(settings: FinetuneConfig, folder: Path | None, run: Run) -> Path:
    """See `self_distillation.finetune`, which needs PyTorch: a wrong line is told before that is imported."""
    from .self_distillation import finetune

    return finetune(settings, folder, run)


if __name__ == "__main__":
    main("finetune", FinetuneConfig, finetune, __doc__ or "")

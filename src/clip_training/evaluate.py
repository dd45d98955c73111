"""`command=evaluate`: image-text retrieval and zero-shot classification by any model that was trained here or elsewhere.

python -m clip_training.evaluate folder=pairs model.name=ViT-B-32 model.pretrained=weights.pt zero_shot.classes=[tabletop_colours]
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from training.run import Run

from .config import EvaluateConfig
from .options import main


def evaluate(settings: EvaluateConfig, folder: Path | None, run: Run) -> dict[str, Any]:
    """See `evaluation.evaluate`, which needs PyTorch: a wrong line is told before that is imported."""
    from .evaluation import evaluate

    return evaluate(settings, folder, run)


if __name__ == "__main__":
    main("evaluate", EvaluateConfig, evaluate, __doc__ or "")

"""Any file of weights as a `Clip`: a plain model's, one with prompts, one of two encoders."""

from __future__ import annotations

from pathlib import Path

from .config import ModelConfig
from .model import Clip, make_clip


def load_clip(settings: ModelConfig, init_from: Path | None = None) -> Clip:
    """The model that a file's description states; without one, a plain model of the name in `settings`.

    Raises:
        ParameterError: for a name or a tag that there is not.
        CheckpointError: for weights that cannot be read or do not fit.
    """
    return make_clip(settings, init_from)

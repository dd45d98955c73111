"""The losses: CLIP's softmax over the batch (Radford et al. 2021), and SigLIP's sigmoid of each pair (Zhai et al. 2023)."""

from __future__ import annotations

import math
import warnings
from typing import Any

from open_clip import ClipLoss
from open_clip.loss import SigLipLoss
from torch import nn

from harness import world

STARTS: dict[str, dict[str, Any]] = {"clip": {}, "siglip": {"init_logit_scale": math.log(10), "init_logit_bias": -10.0}}
"""Initial temperature and bias of a model with random weights, by loss, where they differ from open_clip's defaults."""


def make_loss(name: str, rank: int | None = None, ranks: int | None = None) -> nn.Module:
    """open_clip's loss of this rank's embeddings against those of all ranks, by default this run's.

    It takes image and text embeddings (B, D), the scale of their products, and the bias added to the products, or None.
    """
    warnings.filterwarnings("ignore", ".*distributed.nn.functional.all_gather is deprecated.*", FutureWarning)  # in open_clip's loss
    where = {
        "rank": world.rank() if rank is None else rank,
        "world_size": world.world_size() if ranks is None else ranks,
    }
    if name == "siglip":
        return SigLipLoss(**where)
    return ClipLoss(local_loss=True, gather_with_grad=True, **where)

"""Where to pick."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .catalog import Design
from .config import AgentConfig
from .frozen import Frozen
from .fused_streams import FusedStreams
from .language import Language
from .streams import Setup


class Attention(nn.Module):
    """A score for every pixel to pick at (Zeng et al. 2020, section 3.1)."""

    def __init__(self, design: Design, config: AgentConfig, trunk: Frozen | None) -> None:
        super().__init__()
        self.pad_pick = config.pad_pick
        self.net = FusedStreams(design, Setup(config, trunk, 1), config.attn_stream_fusion_type, mixed=True)

    def forward(self, image: Tensor, language: Language | None, goal: Tensor | None) -> Tensor:
        """Logits (B, H, W); a goal image is multiplied with the image.

        As in the original, the product of two colors of 0 to 255 counts as a color again.
        """
        if goal is not None:
            image = image * goal * torch.tensor([255.0] * 3 + [1.0] * 3, device=image.device).view(6, 1, 1)
        height, width = image.shape[2:]
        side = (height - width) // 2 if self.pad_pick else 0
        logits = self.net(F.pad(image, (side, side)), language)
        return logits[:, 0, :, side : side + width]

"""One or two streams with one result: what picks, and what places, each have their own."""

from __future__ import annotations

from torch import Tensor, nn

from .catalog import Design
from .fusion import Combine
from .language import Language
from .streams import STREAMS, Setup


class FusedStreams(nn.Module):
    """Streams whose maps are fused.

    Args:
        design: of the agent.
        setup: see Setup.
        fusion: how two streams' maps become one.
        mixed: with `concat`, mix the maps down to the stream's channels; otherwise the result has twice as many.
    """

    def __init__(self, design: Design, setup: Setup, fusion: str, mixed: bool) -> None:
        super().__init__()
        self.one = STREAMS[design.streams[0]](setup)
        self.two: nn.Module | None = None
        if len(design.streams) == 2:
            self.two = STREAMS[design.streams[1]](setup)
            self.fusion = Combine(fusion, setup.outside, setup.outside if mixed else None)

    def forward(self, image: Tensor, language: Language | None) -> Tensor:
        """Images (B * rows, 6, H, W) and the instructions of B samples to a map (B * rows, C, H, W)."""
        first, laterals = self.one(image, language, [])
        return first if self.two is None else self.fusion(first, self.two(image, language, laterals)[0])

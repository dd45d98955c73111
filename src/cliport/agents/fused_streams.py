"""One or two streams that together produce one map."""

from __future__ import annotations

from torch import Tensor, nn

from .catalog import Design
from .fusion import Combine
from .language import Language
from .streams import STREAMS, Setup


class FusedStreams(nn.Module):
    """A network of one stream, or of two whose maps are fused.

    Args:
        design: the agent's design.
        setup: see Setup.
        fusion: how the maps of two streams are fused.
        mixed: with `concat`, reduce the result to the channels of one stream; otherwise it has twice as many.
    """

    def __init__(self, design: Design, setup: Setup, fusion: str, mixed: bool) -> None:
        super().__init__()
        self.one = STREAMS[design.streams[0]](setup)
        self.two: nn.Module | None = None
        if len(design.streams) == 2:
            self.two = STREAMS[design.streams[1]](setup)
            self.fusion = Combine(fusion, setup.outside, setup.outside if mixed else None)

    def forward(self, image: Tensor, language: Language | None) -> Tensor:
        """The map (B * rows, C, H, W) for images (B * rows, 6, H, W) and the instructions of B samples."""
        first, laterals = self.one(image, language, [])
        return first if self.two is None else self.fusion(first, self.two(image, language, laterals)[0])

"""Frozen encoders of images and texts: shared by all networks of an agent, always in evaluation mode, never in a checkpoint."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from .blocks import MOMENTUM
from .language import Language

KEPT_TEXTS = 20_000
"""Number of instructions whose features are kept."""
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""Mean and standard deviation of the colors of CLIP's training images, in [0, 1]."""


@dataclass(frozen=True)
class Weights:
    """The origin of frozen weights."""

    clip: str = "openai"
    """A file, a tag of open_clip, or `random`."""
    bert: str = ""
    """Folder of DistilBERT; empty means random."""
    resnet: str = ""
    """File of ImageNet's ResNet-50; empty means random."""
    bert_weights: str = ""
    """A checkpoint of the original whose DistilBERT is used; `bert` then only supplies the vocabulary."""


class Frozen(ABC):
    """Features of images and texts that are never trained.

    Not an nn.Module: an agent refers to it without owning its weights, so neither optimizers nor checkpoints see them.

    Attributes:
        origin: where the weights come from, in words; random ones are called random.
        channels: channels of the maps at 1/4, 1/8, 1/16 and 1/32 of the image's size; empty without an image encoder.
        sentence: length of an instruction's feature vector.
        word: length of a word's feature vector.
        averaged: an instruction's feature is the mean over its words.
        random: CLIP's weights are random, whether requested or not.
    """

    origin: str
    channels: tuple[int, ...]
    sentence: int
    word: int
    averaged: bool = False
    random: bool = False
    visual: nn.Module | None

    def __init__(self) -> None:
        self.texts: dict[str, tuple[Tensor, Tensor]] = {}

    @abstractmethod
    def modules(self) -> Mapping[str, nn.Module]:
        """All modules with weights, by name."""

    @abstractmethod
    def stages(self) -> Sequence[nn.Module]:
        """The image encoder in four parts, whose outputs have 1/4, 1/8, 1/16 and 1/32 of the image's size."""

    @abstractmethod
    def encode_text(self, text: str) -> tuple[Tensor, Tensor]:
        """The features of a text (D,) and of its words (L, E)."""

    def freeze(self) -> None:
        for module in self.modules().values():
            module.eval().requires_grad_(False)

    def apply(self, move: Callable[[nn.Module], object]) -> None:
        """Move all weights to a device or type, by applying `move` to each module."""
        for module in self.modules().values():
            move(module)

    @torch.no_grad()
    def pyramid(self, colours: Tensor, statistics: Mapping[str, Tensor], counting: bool = False) -> list[Tensor]:
        """Maps at 1/4, 1/8, 1/16 and 1/32 of the size of images (B, 3, H, W) normalized by MEAN and STD.

        Args:
            colours: the images.
            statistics: running means and variances by name, which replace the encoder's own.
            counting: normalize by the statistics of the batch, and count them into `statistics`.
        """
        assert self.visual is not None
        if not statistics:
            return climb(self.stages(), colours)
        replaced = {f"visual.{name}": value for name, value in statistics.items()}
        norms = norms_of(self.visual) if counting else []
        try:
            for norm in norms:
                norm.train()
            maps: list[Tensor] = functional_call(Pyramid(self.visual, self.stages), replaced, colours)
        finally:
            for norm in norms:
                norm.eval()
        return maps

    def statistics(self) -> dict[str, Tensor]:
        """Copies of the image encoder's running means and variances, by name."""
        assert self.visual is not None
        return {name: value.clone() for name, value in self.visual.named_buffers() if name.endswith(("running_mean", "running_var"))}

    @torch.no_grad()
    def language(self, texts: Sequence[str], device: torch.device) -> Language:
        """Features of instructions; each different one is encoded once."""
        for text in dict.fromkeys(texts):
            if text not in self.texts:
                if len(self.texts) >= KEPT_TEXTS:
                    self.texts.pop(next(iter(self.texts)))
                with torch.autocast(device.type, enabled=False):
                    sentence, words = self.encode_text(text)
                self.texts[text] = sentence.float().cpu(), words.float().cpu()
        found = [self.texts[text] for text in texts]
        return Language.of([sentence for sentence, _ in found], [words for _, words in found], device)

    def fingerprint(self) -> str:
        """A digest of the weights. Running statistics are left out: `calibrate` rounds them differently on different machines."""
        digest = hashlib.sha256()
        for module in self.modules().values():
            for parameter in module.parameters():
                digest.update(parameter.detach().float().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]


class Pyramid(nn.Module):
    """An image encoder as a module, so that `functional_call` can replace its statistics."""

    def __init__(self, visual: nn.Module, stages: Callable[[], Sequence[nn.Module]]) -> None:
        super().__init__()
        self.visual, self.stages = visual, stages

    def forward(self, colours: Tensor) -> list[Tensor]:
        return climb(self.stages(), colours)


def climb(stages: Sequence[nn.Module], x: Tensor) -> list[Tensor]:
    """The outputs of all stages, each computed from the one before."""
    maps = []
    for stage in stages:
        x = stage(x)
        maps.append(x)
    return maps


def calibrate(visual: nn.Module, stages: Sequence[nn.Module]) -> None:
    """Set a random encoder's batch normalizations from smooth random images; without this its features would vanish.

    The gains that are initialized to zero are set to one, so that the residual branches contribute.
    """
    norms = norms_of(visual)
    for module in norms:
        nn.init.ones_(module.weight)
        module.momentum = None  # a plain mean over the calibration's one batch
        module.reset_running_stats()
    coarse = torch.randn(4, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    visual.train()
    with torch.no_grad():
        climb(stages, nn.functional.interpolate(coarse, (96, 96), mode="bilinear"))
    visual.eval()
    for module in norms:
        module.momentum = MOMENTUM


def norms_of(visual: nn.Module) -> list[nn.BatchNorm2d]:
    """An image encoder's batch normalizations."""
    return [module for module in visual.modules() if isinstance(module, nn.BatchNorm2d)]


def seeded(make: Callable[[], Any], seed: int = 0) -> Any:
    """The result of `make` with PyTorch's generator seeded; afterwards the generator continues as if nothing had happened."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()

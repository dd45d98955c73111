"""An agent's sizes and options; importable without PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from harness.errors import CheckpointError, ParameterError

from ..sim.constants import GEOMETRIES, IMAGE_SHAPE

NORM_MODES = ("eval", "train")


@dataclass(frozen=True)
class AgentConfig:
    """Everything that determines the form of an agent. The defaults are the original's."""

    agent: str = "cliport"
    height: int = 320
    """Rows of the image that the agent sees, with half as many columns."""
    width: int = 64
    """Channels of the first stage; the others are multiples of it."""
    depth: int = 2
    """Residual blocks per stage."""
    crop_size: int = 64
    """Side of the kernel in pixels."""
    n_rotations: int = 36
    rotate: str = "crops"
    """`crops`: the image around the pick is rotated, then encoded. `features`: it is encoded once, then its features are rotated."""
    pad_pick: bool = True
    """Pad the image to a square for the pick, as the original does."""
    oversample: bool = True
    """End the deeper networks at twice the image's resolution and scale down, as the original does."""
    batchnorm: bool = False
    up_norm: bool = True
    """Normalize in the decoders' up blocks, as the published checkpoints do."""
    attn_stream_fusion_type: str = "add"
    trans_stream_fusion_type: str = "conv"
    lang_fusion_type: str = "mult"
    geometry: str = "exact"
    """`exact`, or `original`: rotation, scores, cells of the height map, losses and validation as in CLIPort's own code."""
    clip_batchnorm: str = "eval"
    """The mode of the frozen image encoder's normalization while the agent trains. `eval`: by its own statistics. `train`: by those of the
    batch, as in the original's training; each network counts running ones, by which it normalizes afterwards."""
    clip: str = "RN50-quickgelu"
    """A ResNet of open_clip, or `tiny-resnet`, a small one."""

    def __post_init__(self) -> None:
        problems = []
        if IMAGE_SHAPE[0] % self.height or (self.height // 2) % 16:
            problems.append(f"model.height={self.height}: must be {IMAGE_SHAPE[0]} or half of it, {IMAGE_SHAPE[0] // 2}")
        if self.width % 4:
            problems.append(f"model.width={self.width}: must be a multiple of 4")
        if self.crop_size % 16:
            problems.append(f"model.crop_size={self.crop_size}: must be a multiple of 16")
        if self.geometry not in GEOMETRIES:
            problems.append(f"model.geometry={self.geometry}: must be {' or '.join(GEOMETRIES)}")
        if self.clip_batchnorm not in NORM_MODES:
            problems.append(f"model.clip_batchnorm={self.clip_batchnorm}: must be {' or '.join(NORM_MODES)}")
        if problems:
            raise ParameterError(problems)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the image that the agent sees."""
        return self.height, self.height // 2

    @property
    def scale(self) -> int:
        """Pixels of the height map per pixel of the agent's image, along each side."""
        return IMAGE_SHAPE[0] // self.height

    def plain(self) -> dict[str, Any]:
        """In plain types, as stored in checkpoints."""
        return asdict(self)

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> AgentConfig:
        """From what a checkpoint stores.

        Raises:
            CheckpointError: for keys that this version does not know.
        """
        unknown = stored.keys() - {field.name for field in fields(cls)}
        if unknown:
            raise CheckpointError(f"the checkpoint's agent has settings that this version does not know: {', '.join(sorted(unknown))}")
        return cls(**stored)


SMALL: dict[str, Any] = {
    "height": 160,
    "width": 8,
    "depth": 1,
    "crop_size": 32,
    "n_rotations": 12,
    "rotate": "features",
    "pad_pick": False,
    "oversample": False,
    "clip": "tiny-resnet",
}
FAITHFUL = {field.name: field.default for field in fields(AgentConfig) if field.name in SMALL}
SIZES = {"faithful": FAITHFUL, "small": SMALL}
"""Values of options that are not stated: the original's, and ones for a CPU."""

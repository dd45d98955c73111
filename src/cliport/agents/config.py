"""An agent's sizes and options; importable without PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from harness.errors import CheckpointError, ParameterError

from ..sim.constants import IMAGE_SHAPE

if TYPE_CHECKING:
    from ..config import TrainConfig

SIZES: dict[str, dict[str, Any]] = {
    "faithful": {
        "height": 320,
        "width": 64,
        "depth": 2,
        "crop_size": 64,
        "n_rotations": 36,
        "rotate": "crops",
        "pad_pick": True,
        "oversample": True,
        "clip": "RN50-quickgelu",
    },
    "small": {
        "height": 160,
        "width": 8,
        "depth": 1,
        "crop_size": 32,
        "n_rotations": 12,
        "rotate": "features",
        "pad_pick": False,
        "oversample": False,
        "clip": "tiny-resnet",
    },
}
"""What a setting is where nobody says otherwise: the original's, and for a CPU."""


@dataclass(frozen=True)
class AgentConfig:
    """All that decides the form of an agent. The defaults are the original's."""

    agent: str = "cliport"
    height: int = 320
    """Rows of the image that it sees; columns are half as many."""
    width: int = 64
    """Channels of the first stage; the others are multiples of it."""
    depth: int = 2
    """Residual blocks per stage."""
    crop_size: int = 64
    """Side of the kernel in pixels."""
    n_rotations: int = 36
    rotate: str = "crops"
    """`crops`: the image around the pick is turned, then encoded. `features`: encoded once, then turned."""
    pad_pick: bool = True
    """Pad the image to a square for the pick, as the original does."""
    oversample: bool = True
    """End the deeper networks at twice the image's resolution, as the original does, and scale down."""
    batchnorm: bool = False
    up_norm: bool = True
    """Normalise in the decoders' up blocks, as the published checkpoints do."""
    attn_stream_fusion_type: str = "add"
    trans_stream_fusion_type: str = "conv"
    lang_fusion_type: str = "mult"
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
        if problems:
            raise ParameterError(problems)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the image that it sees."""
        return self.height, self.height // 2

    @property
    def scale(self) -> int:
        """Pixels of a height map per pixel of the agent, along each side."""
        return IMAGE_SHAPE[0] // self.height

    def plain(self) -> dict[str, Any]:
        """As checkpoints keep it."""
        return asdict(self)

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> AgentConfig:
        """From what a checkpoint keeps.

        Raises:
            CheckpointError: for keys of another version.
        """
        unknown = stored.keys() - {field.name for field in fields(cls)}
        if unknown:
            raise CheckpointError(f"the checkpoint's agent has settings that this version lacks: {', '.join(sorted(unknown))}")
        return cls(**stored)


FUSION_KEYS = ("attn_stream_fusion_type", "trans_stream_fusion_type", "lang_fusion_type")


def asked_for(settings: TrainConfig, base: AgentConfig | None = None) -> AgentConfig:
    """The form of the agent that settings ask for; sizes that they do not state are those of `base`, or of `model.size`.

    Raises:
        ParameterError: for sizes that do not go together.
    """
    sizes = AgentConfig(**SIZES[settings.model.size]) if base is None else base
    stated = {
        name: getattr(settings.model, name)
        for name in ("height", "width", "depth", "crop_size", "rotate", "pad_pick", "oversample", "clip")
    }
    return replace(
        sizes,
        agent=settings.train.agent,
        up_norm=settings.model.up_norm,
        **{name: getattr(settings.train, name) for name in ("batchnorm", *FUSION_KEYS)},
        **{name: value for name, value in {**stated, "n_rotations": settings.train.n_rotations}.items() if value is not None},
    )

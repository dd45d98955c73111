"""The streams: networks that turn an image (B, 6, H, W) and an instruction into a map (B, C, H, W)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .blocks import Norm, SampleNorm, Stages, Up, no_norm
from .config import AgentConfig
from .frozen import MEAN, STD, Frozen
from .fusion import Instruct, Lateral
from .language import Language

COLOUR, HEIGHT = (0.18877631, 0.07276466), (0.00509261, 0.00903967)
"""Mean and standard deviation of colors in [0, 1] and of heights in meters, in the demonstrations of Transporter Networks."""


@dataclass(frozen=True)
class Setup:
    """What a stream is built from.

    Attributes:
        config: the agent's.
        trunk: frozen encoders, or None.
        outside: output channels.
        rows: consecutive rows that belong to one sample.
    """

    config: AgentConfig
    trunk: Frozen | None
    outside: int
    rows: int = 1

    @property
    def sample_norm(self) -> Norm:
        return partial(SampleNorm, rows=self.rows, running=self.config.geometry == "original")

    @property
    def stages(self) -> Stages:
        if not self.config.batchnorm:
            return Stages(self.config.depth, no_norm)
        return Stages(self.config.depth, self.sample_norm if self.config.geometry == "original" else nn.BatchNorm2d)


class Stream(nn.Module):
    """A network; `laterals` are the maps that one stream passes to the other, coarsest first."""

    def forward(self, image: Tensor, language: Language | None, laterals: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """The map (B, outside, H, W), and the stream's own laterals."""
        raise NotImplementedError


def normalised(image: Tensor) -> Tensor:
    """Colors and heights (B, 6, H, W), normalized by the statistics of Transporter Networks."""
    return torch.cat([(image[:, :3] - COLOUR[0]) / COLOUR[1], (image[:, 3:] - HEIGHT[0]) / HEIGHT[1]], 1)


def resized(x: Tensor, like: Tensor) -> Tensor:
    """A map resized to the height and width of another."""
    return x if x.shape[2:] == like.shape[2:] else F.interpolate(x, like.shape[2:], mode="bilinear")


class ResNet(Stream):
    """The Transporter's network of 43 layers and stride 8 (Zeng et al. 2020)."""

    def __init__(self, setup: Setup) -> None:
        super().__init__()
        stages, w = setup.stages, setup.config.width
        down = [*stages.stem(6, w), *stages.stage(w, w), *stages.stage(w, 2 * w, 2), *stages.stage(2 * w, 4 * w, 2)]
        up = [*stages.up(8 * w, 4 * w), *stages.up(4 * w, 2 * w), *stages.up(2 * w, w)]
        self.layers = nn.Sequential(*down, *stages.stage(4 * w, 8 * w, 2), *up, *stages.head(w, setup.outside))

    def forward(self, image: Tensor, language: Language | None, laterals: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        return resized(self.layers(normalised(image)), image), []


class ResNetLat(Stream):
    """A deeper network, of 45 layers and stride 16; its laterals are the inputs of its decoder's stages, and the last one's output."""

    def __init__(self, setup: Setup) -> None:
        super().__init__()
        stages, w = setup.stages, setup.config.width
        self.conv1 = nn.Sequential(*stages.stem(6, w))
        widths = [w, w, 2 * w, 4 * w, 8 * w, 16 * w]
        down = [stages.stage(widths[i], widths[i + 1], 1 if i == 0 else 2) for i in range(5)]
        widths = [16 * w, 8 * w, 4 * w, 2 * w, w, w // 2]
        up = [stages.up(widths[i], widths[i + 1], i < 4 or setup.config.oversample) for i in range(5)]
        for number, layers in enumerate([*down, *up], 1):
            self.add_module(f"layer{number}", nn.Sequential(*layers))
        self.conv2 = nn.Sequential(*stages.head(w // 2, setup.outside))

    def forward(self, image: Tensor, language: Language | None, laterals: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        x = self.conv1(normalised(image))
        for number in range(1, 6):
            x = self.get_submodule(f"layer{number}")(x)
        entering = [x]  # the other stream's decoder runs in step with this one: it takes one map per stage
        for number in range(6, 11):
            entering.append(x := self.get_submodule(f"layer{number}")(x))
        return resized(self.conv2(x), image), entering


def lateral_widths(width: int) -> list[int]:
    """Channels of a ResNetLat's laterals."""
    return [16 * width, 8 * width, 4 * width, 2 * width, width, width // 2]


class ResNetLang(Stream):
    """The Transporter's network with an instruction fused before each of its decoder's three stages."""

    def __init__(self, setup: Setup) -> None:
        super().__init__()
        assert setup.trunk is not None
        stages, w = setup.stages, setup.config.width
        down = [*stages.stem(6, w), *stages.stage(w, w), *stages.stage(w, 2 * w, 2), *stages.stage(2 * w, 4 * w, 2)]
        self.conv1 = nn.Sequential(*down, *stages.stage(4 * w, 8 * w, 2))
        self.text = Text(setup.trunk)
        self.language, self.decoders = nn.ModuleList(), nn.ModuleList()
        for inside, outside in ((8 * w, 4 * w), (4 * w, 2 * w), (2 * w, w)):
            self.language.append(Instruct(setup.config.lang_fusion_type, inside, self.text.sentence, self.text.word))
            self.decoders.append(nn.Sequential(*stages.up(inside, outside)))
        self.conv2 = nn.Sequential(*stages.head(w, setup.outside))

    def forward(self, image: Tensor, language: Language | None, laterals: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        assert language is not None
        language = self.text(language)
        x = self.conv1(normalised(image))
        for instruct, decoder in zip(self.language, self.decoders, strict=True):
            x = decoder(instruct(x, language))
        return resized(self.conv2(x), image), []


class Text(nn.Module):
    """Prepares sentence features: CLIP's are used as they are, averages over words pass through a learned layer."""

    def __init__(self, trunk: Frozen, width: int = 1024) -> None:
        super().__init__()
        self.word, self.sentence = trunk.word, width if trunk.averaged else trunk.sentence
        self.fc = nn.Linear(trunk.sentence, width) if trunk.averaged else nn.Identity()

    def forward(self, language: Language) -> Language:
        return Language(self.fc(language.sentence), language.words, language.mask)


class Colours(nn.Module):
    """The frozen image encoder, as one stream uses it.

    `statistics` are buffers that replace the encoder's running means and variances. Usually there are none; but each network in a
    checkpoint of the original has its own, because they changed during training. So do those of an agent with clip_batchnorm=train.
    """

    def __init__(self, setup: Setup) -> None:
        super().__init__()
        assert setup.trunk is not None
        self.pyramid, self.counts = setup.trunk.pyramid, setup.config.clip_batchnorm == "train"
        self.statistics = nn.Module()
        for name, value in setup.trunk.statistics().items() if self.counts else ():
            self.statistics.register_buffer(name.replace(".", "-"), value)

    def forward(self, image: Tensor) -> list[Tensor]:
        # Names of buffers cannot contain dots, hence the hyphens.
        statistics = {name.replace("-", "."): value for name, value in self.statistics.named_buffers()}
        mean, std = torch.tensor((MEAN, STD), dtype=image.dtype, device=image.device).view(2, 3, 1, 1)
        maps: list[Tensor] = self.pyramid((image[:, :3] - mean) / std, statistics, self.counts and self.training)
        return maps

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *rest: object) -> None:
        # PyTorch drops entries without a buffer of that name, so make one for each before it looks.
        stated, known = f"{prefix}statistics.", dict(self.statistics.named_buffers())
        for key, value in state_dict.items():
            if key.startswith(stated) and key.removeprefix(stated) not in known:
                self.statistics.register_buffer(key.removeprefix(stated), torch.empty_like(value))
        super()._load_from_state_dict(state_dict, prefix, *rest)


class UNet(Stream):
    """Decodes the features of a frozen encoder with skip connections.

    Args:
        setup: see Setup.
        language: how the instruction is fused before each of the first three stages; empty omits it.
        lateral: use a ResNetLat's laterals.
    """

    def __init__(self, setup: Setup, language: str = "", lateral: bool = False) -> None:
        super().__init__()
        assert setup.trunk is not None
        w, channels = setup.config.width, setup.trunk.channels
        self.colours = Colours(setup)
        self.conv1 = nn.Sequential(nn.Conv2d(channels[3], 16 * w, 3, padding=1, bias=False), nn.ReLU(True))
        # Three stages climb back through the encoder's maps at 1/16, 1/8 and 1/4; three more, without skips, to the image and beyond.
        norm = setup.sample_norm if setup.config.up_norm else None
        insides, outsides, skips = (16 * w, 8 * w, 4 * w), (8 * w, 4 * w, 2 * w), channels[2::-1]
        self.ups = nn.ModuleList(Up(*shape, norm) for shape in zip(insides, skips, outsides, strict=True))
        doubled = (True, True, setup.config.oversample)
        self.decoders = nn.ModuleList(nn.Sequential(*setup.stages.up(2 * w >> i, w >> i, doubled[i])) for i in range(3))
        self.conv2 = nn.Conv2d(w // 4, setup.outside, 1)
        self.language, self.lateral = nn.ModuleList(), nn.ModuleList()
        if language:
            self.text = Text(setup.trunk)
            self.language.extend(Instruct(language, inside, self.text.sentence, self.text.word) for inside in insides)
        if lateral:
            widths = zip((*outsides, w, w // 2, w // 4), lateral_widths(w), strict=True)
            self.lateral.extend(Lateral(inside, other) for inside, other in widths)

    def forward(self, image: Tensor, language: Language | None, laterals: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        maps = self.colours(image)
        x = self.conv1(maps[3])
        if self.language:
            assert language is not None
            language = self.text(language)
        for number, layer in enumerate([*self.ups, *self.decoders]):
            if number < len(self.language):
                x = self.language[number](x, language)
            x = layer(x, maps[2 - number]) if number < len(self.ups) else layer(x)  # maps[3] is where decoding began
            if self.lateral:
                x = self.lateral[number](x, laterals[number])
        return resized(self.conv2(x), image), []


class WithoutSkips(Stream):
    """Decodes only the last features of a frozen encoder."""

    def __init__(self, setup: Setup) -> None:
        super().__init__()
        assert setup.trunk is not None
        w, stages = setup.config.width, setup.stages
        self.colours = Colours(setup)
        layers: list[nn.Module] = [nn.Conv2d(setup.trunk.channels[3], 16 * w, 3, padding=1, bias=False), nn.ReLU(True)]
        inside = 16 * w
        for outside in (8 * w, 2 * w, w, w // 2):
            layers += [nn.UpsamplingBilinear2d(scale_factor=2), *stages.stage(inside, outside), *stages.stage(outside, outside)]
            inside = outside
        self.layers = nn.Sequential(*layers, nn.UpsamplingBilinear2d(scale_factor=2), nn.Conv2d(inside, setup.outside, 1))

    def forward(self, image: Tensor, language: Language | None, laterals: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        return resized(self.layers(self.colours(image)[3]), image), []


STREAMS: dict[str, Callable[[Setup], Stream]] = {
    "resnet": ResNet,
    "resnet_lat": ResNetLat,
    "resnet_lang": ResNetLang,
    "unet": UNet,
    "unet_lat": lambda setup: UNet(setup, lateral=True),
    "lingunet": lambda setup: UNet(setup, setup.config.lang_fusion_type),
    "lingunet_lat": lambda setup: UNet(setup, setup.config.lang_fusion_type, lateral=True),
    "film_lingunet_lat": lambda setup: UNet(setup, "film", lateral=True),
    "woskip": WithoutSkips,
}

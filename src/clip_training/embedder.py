"""Images and texts as unit vectors of one space, by any model that can be loaded here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from harness.torch.digest import digest_of

from .config import ImageEncoderConfig, ModelConfig, TextEncoderConfig
from .model import Clip, normalised
from .model_files import load_clip
from .pairs import as_tensor, read_image

AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}
BATCH = 64
"""Images or texts at once, where nothing else is asked for."""
TEMPERATURE = ("logit_scale", "logit_bias")
"""Weights that no embedding depends on."""
Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Embedder:
    """A model that embeds. It is in evaluation mode and on `device`.

    Args:
        clip: the model.
        device: where it computes.
        weights: where its weights come from: a file, a tag of open_clip, or `random`.
        precision: one of harness.torch.config.PRECISIONS.
    """

    clip: Clip
    device: torch.device
    weights: str = "random"
    precision: str = "fp32"

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What embeddings have in common that can be compared: the model's name, its weights, and how images are prepared for it."""
        state = {name: value for name, value in self.clip.model.state_dict().items() if name not in TEMPERATURE}
        parts = (part for name in sorted(state) for part in (name.encode(), bytes_of(state[name])))
        clip = self.clip
        prepared = f"{clip.size} {clip.resample.name} {clip.mean.tolist()} {clip.std.tolist()}"
        return {"model": clip.name, "digest": digest_of([clip.name.encode(), prepared.encode(), *parts]), "width": clip.width}

    @cached_property
    def statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation that images are normalised by."""
        mean, std = (values.view(3, 1, 1).to(self.device) for values in (self.clip.mean, self.clip.std))
        return mean, std

    def autocast(self) -> AbstractContextManager[Any]:
        half = AUTOCAST.get(self.precision)
        return torch.autocast(self.device.type, half) if half else nullcontext()

    def encode_images(self, images: Tensor) -> Tensor:
        """(B, D) float32 unit embeddings of prepared images (B, 3, S, S), which are uint8 or normalised."""
        with self.autocast():
            features = self.clip.model.encode_image(normalised(images.to(self.device), *self.statistics))
        return functional.normalize(features.float(), dim=-1)  # in half precision, the norm would only be 1 to three digits

    def encode_tokens(self, tokens: Tensor) -> Tensor:
        """(B, D) float32 unit embeddings of tokens (B, context length)."""
        with self.autocast():
            features = self.clip.model.encode_text(tokens.to(self.device))
        return functional.normalize(features.float(), dim=-1)

    def images(self, images: Sequence[Image.Image | Path | str]) -> Vectors:
        """(N, D) unit embeddings of pictures or image files.

        Raises:
            UnusableError: for a file that cannot be read, naming it.
        """
        return self.embedded(images, lambda part: self.encode_images(torch.stack([self.prepared(image) for image in part])))

    def texts(self, texts: Sequence[str]) -> Vectors:
        """(N, D) unit embeddings of texts; those longer than the model's context are truncated."""
        return self.embedded(texts, lambda part: self.encode_tokens(torch.stack([self.clip.tokenize(text) for text in part])))

    def embedded(self, items: Sequence[Any], encode: Callable[[Sequence[Any]], Tensor]) -> Vectors:
        """What `encode` makes of all items, batch by batch."""
        if not len(items):
            return np.empty((0, self.clip.width), np.float32)
        with torch.inference_mode():
            return np.concatenate([encode(part).cpu().numpy() for part in batches(items, BATCH)])

    def prepared(self, image: Image.Image | Path | str) -> Tensor:
        picture = image.convert("RGB") if isinstance(image, Image.Image) else read_image(Path(image))
        return as_tensor(self.clip.transform(picture))


def open_model(
    init_from: Path | str | None = None,
    name: str = ModelConfig.name,
    pretrained: str = "",
    precision: str = "fp32",
    encoders: tuple[ImageEncoderConfig, TextEncoderConfig] | None = None,
) -> Embedder:
    """A model that embeds, on the GPU if there is one.

        open_model("weights.pt").texts(["a red ring"])

    Args:
        init_from: a file or folder of weights.
        name: the model, unless the file states it; see `config.ModelConfig`.
        pretrained: weights, if there is no `init_from`; for a file of prompts, those that they were learned on.
        precision: of the activations: fp32, bf16 or fp16.
        encoders: the encoders in a CustomCLIPWrapper's file, which does not name them.

    Raises:
        HarnessError: for an unknown model, or unusable weights.
    """
    clip = load_clip(ModelConfig(name, pretrained), Path(init_from) if init_from else None, encoders=encoders)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    clip.model.to(device).eval()
    return Embedder(clip, device, str(init_from or pretrained or "random"), precision)


def bytes_of(value: Tensor) -> bytes:
    """The values of a tensor, whatever its type, as float32."""
    plain: bytes = value.detach().cpu().float().contiguous().numpy().tobytes()
    return plain


def batches(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """Consecutive pieces of at most `size` items."""
    return (items[start : start + size] for start in range(0, len(items), size))

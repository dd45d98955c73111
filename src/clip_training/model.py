"""Models by name: open_clip's, our small ones, or a JSON file in open_clip's format."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import open_clip
import torch
from open_clip.model import resize_pos_embed
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from torch import Tensor, nn

from harness.checkpoint import find_weights
from harness.errors import CheckpointError, ParameterError
from harness.params import nearest
from harness.torch.weights import check_fit, load_into

from .checkpoint import Description, fitted, load
from .config import ModelConfig
from .hugging_face import check_config
from .known_models import activated, identified, registered, without_hints
from .losses import STARTS

log = logging.getLogger(__name__)


@dataclass
class Clip:
    """A model with what is needed to prepare its inputs."""

    name: str
    model: nn.Module
    tokenize: Callable[[str], Tensor]
    """Turns one text into (context length,) tokens."""
    transform: Callable[[Image.Image], Image.Image]
    """Scales and crops an image for evaluation."""
    resample: Image.Resampling
    size: int
    """Side of the images in pixels."""
    width: int
    """Dimension of the embeddings."""
    mean: Tensor  # (3,)
    std: Tensor  # (3,)


def make_clip(settings: ModelConfig, init_from: Path | None = None, loss: str = "clip") -> Clip:
    """Build a model and load its weights; `init_from` takes precedence over `model.pretrained`.

    OpenAI's weights select the `-quickgelu` variant of the model, and those of Hugging Face the variant that their config.json
    states. A file's positional embedding is interpolated to the model's image size.

    Args:
        settings: name and weights.
        init_from: a file of weights.
        loss: the loss that the model is trained with; `siglip` adds a `logit_bias`, as do weights that have one.

    Raises:
        ParameterError: for an unknown name or tag.
        CheckpointError: for unusable weights.
    """
    name = registered(settings.name)
    source = source_of(settings, init_from)
    tag = settings.pretrained if settings.pretrained and source is None else None
    tags = open_clip.list_pretrained_tags_by_model(name)
    if tag and tag not in tags:
        raise ParameterError(
            [f"model.pretrained={tag}: neither a file nor a tag of {name}{nearest(tag, tags)}; its tags: {', '.join(tags) or 'none'}"]
        )
    state, description = load(source) if source is not None else ({}, None)
    quick = description.quick if description else bool(tag and open_clip.get_pretrained_cfg(name, tag).get("quick_gelu")) or None
    name = activated(name, quick)
    start = STARTS["siglip"] if loss == "siglip" or "logit_bias" in state else {}
    with without_hints():
        model = open_clip.create_model(name, pretrained=tag, output_dict=True, weights_only=True, **start | own_start(name))
    if description is not None:
        fill(model, state, description)
        check_activation(description, name)
    tokenizer, width = open_clip.get_tokenizer(name), open_clip.get_model_config(name)["embed_dim"]
    return assembled(name, model, lambda text: tokenizer([text])[0], PreprocessCfg(**model.visual.preprocess_cfg), width)


def assembled(name: str, model: nn.Module, tokenize: Callable[[str], Tensor], preprocess: PreprocessCfg, width: int) -> Clip:
    """Combine a model with what prepares texts and images for it."""
    steps = image_transform_v2(preprocess, is_train=False).transforms

    def transform(image: Image.Image) -> Image.Image:
        for step in steps[: next(i for i, step in enumerate(steps) if type(step).__name__ == "MaybeToTensor")]:
            image = step(image)
        return image

    return Clip(
        name,
        model,
        lru_cache(maxsize=100_000)(tokenize),
        transform,
        Image.Resampling[preprocess.interpolation.upper() if preprocess.interpolation != "random" else "BICUBIC"],
        preprocess.size if isinstance(preprocess.size, int) else preprocess.size[0],
        width,
        torch.tensor(preprocess.mean),
        torch.tensor(preprocess.std),
    )


def fill(model: nn.Module, state: Mapping[str, Tensor], description: Description) -> None:
    """Load the weights; a positional embedding for another image size is interpolated (CLIP's 336-pixel model starts from 224 pixels)."""
    bias = getattr(model, "logit_bias", None)
    converted = fitted(state if bias is None else {"logit_bias": bias.detach(), **state}, model)
    resize_pos_embed(converted, model)
    try:
        check_fit(model.state_dict(), converted, description.path)
    except CheckpointError as error:
        raise CheckpointError(f"{error}; {description}; {identified(state, description)}") from error
    load_into(model, converted, description.path)


def source_of(settings: ModelConfig, init_from: Path | None) -> Path | None:
    """The file of weights that is asked for, if it is not a tag: `init_from`, or the file or folder that `model.pretrained` names.

    Raises:
        CheckpointError: for a folder without weights.
    """
    if init_from or not settings.pretrained:
        return find_weights(init_from) if init_from and init_from.is_dir() else init_from
    path = Path(settings.pretrained)
    return find_weights(path) if path.is_dir() else path if path.is_file() else None


def check_activation(description: Description, name: str) -> None:
    """Check what the shapes of a CLIPModel's weights do not show against its config.json, or log what is assumed without one.

    Raises:
        CheckpointError: as `check_config`.
    """
    if description.kind != "hugging_face":
        return
    config = open_clip.get_model_config(name)
    if description.towers:
        check_config(description.towers, config, name, description.path)
    else:
        act = "OpenAI's activation (quick_gelu)" if config.get("quick_gelu") else "GELU, because no model with quick_gelu has this name"
        what = f"{act}, and the heads of {name}"
        log.warning("%s: no config.json of a CLIPModel lies beside it; assumed are %s", description.path, what)


def own_start(name: str) -> dict[str, float]:
    """The initial temperature and bias in the model's own configuration."""
    config = open_clip.get_model_config(name) or {}
    return {key: config[key] for key in ("init_logit_scale", "init_logit_bias") if key in config}


def normalised(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Normalise images (B, 3, S, S) if they are uint8; floating-point images are already normalised.

    `mean` and `std` are (3, 1, 1), on the images' device.
    """
    return images.float() if images.is_floating_point() else (images.float() / 255 - mean) / std

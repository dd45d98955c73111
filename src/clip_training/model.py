"""Models by name: open_clip's, our small ones, or a JSON file in open_clip's format."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import open_clip
import torch
from open_clip.model import resize_pos_embed
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from torch import Tensor, nn

from harness.errors import CheckpointError, ParameterError
from harness.params import nearest
from harness.torch.models import FOLDER, plain, problem_of_model
from harness.torch.weights import load_into

from .checkpoint import Description, fitted, load
from .config import ModelConfig
from .losses import STARTS


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

    OpenAI's weights select the `-quickgelu` variant of the model. A file's positional embedding is interpolated to the model's image size.

    Args:
        settings: name and weights.
        init_from: a file of weights.
        loss: the loss that the model is trained with; `siglip` adds a `logit_bias`, as do weights that have one.

    Raises:
        ParameterError: for an unknown name or tag.
        CheckpointError: for unusable weights.
    """
    name = registered(settings.name)
    source = init_from or (Path(settings.pretrained) if Path(settings.pretrained).is_file() else None)
    tag = settings.pretrained if settings.pretrained and source is None else None
    tags = open_clip.list_pretrained_tags_by_model(name)
    if tag and tag not in tags:
        raise ParameterError(
            [f"model.pretrained={tag}: neither a file nor a tag of {name}{nearest(tag, tags)}; its tags: {', '.join(tags) or 'none'}"]
        )
    state, description = load(source) if source is not None else ({}, None)
    if description.kind.startswith("openai") if description else tag and open_clip.get_pretrained_cfg(name, tag).get("quick_gelu"):
        name = quick(name)
    start = STARTS["siglip"] if loss == "siglip" or "logit_bias" in state else {}
    with without_hints():
        model = open_clip.create_model(name, pretrained=tag, output_dict=True, weights_only=True, **start | own_start(name))
    if description is not None:
        fill(model, state, description)
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
    state = fitted(state if bias is None else {"logit_bias": bias.detach(), **state}, model)
    resize_pos_embed(state, model)
    try:
        load_into(model, state, description.path)
    except CheckpointError as error:
        raise CheckpointError(f"{error}; {description}") from error


def own_start(name: str) -> dict[str, float]:
    """The initial temperature and bias in the model's own configuration."""
    config = open_clip.get_model_config(name) or {}
    return {key: config[key] for key in ("init_logit_scale", "init_logit_bias") if key in config}


def quick(name: str) -> str:
    """The variant of a model with OpenAI's activation, x * sigmoid(1.702 x), if there is one."""
    variant = f"{name}-quickgelu"
    return variant if variant in open_clip.list_models() else name


def normalised(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Normalise images (B, 3, S, S) if they are uint8; floating-point images are already normalised.

    `mean` and `std` are (3, 1, 1), on the images' device.
    """
    return images.float() if images.is_floating_point() else (images.float() / 255 - mean) / std


@contextmanager
def without_hints() -> Iterator[None]:
    """Keep open_clip from logging that the weights are random: it does not know that others are loaded next."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def registered(name: str) -> str:
    """The name by which open_clip knows a model, after registering our small models or the JSON file with it.

    The paper's names (RN50, ViT-B/32, ViT-L/14-336px or ViT-L/14@336px) mean open_clip's models with GELU, the activation of GPT-2 that
    the paper refers to. OpenAI's own program uses an approximation of GELU, so OpenAI's weights need `NAME-quickgelu`.

    Raises:
        ParameterError: for an unknown name or a missing file.
    """
    open_clip.add_model_config(FOLDER)
    if name.endswith(".json"):
        if not Path(name).is_file():
            raise ParameterError([f"model.name={name}: there is no such file"])
        open_clip.add_model_config(Path(name))
        return Path(name).stem
    if plain(name) not in open_clip.list_models():
        raise ParameterError([f"model.name={name}: {problem_of_model(name) or 'names no model'}"])
    return plain(name)

"""Models by name: open_clip's, our small ones beside this file, or a JSON file in open_clip's form."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import open_clip
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from torch import Tensor, nn

from harness.errors import ParameterError
from harness.params import nearest
from training.weights import load_into, read_weights

from .config import ModelConfig

OWN = Path(__file__).parent / "models"


@dataclass
class Clip:
    """A model with what belongs to it."""

    name: str
    model: nn.Module
    tokenize: Callable[[str], Tensor]
    """One text to (context length,) tokens."""
    transform: Callable[[Image.Image], Image.Image]
    """Scale and crop as for evaluation."""
    resample: Image.Resampling
    size: int
    """Side of the images in pixels."""
    width: int
    """Dimensions of the embeddings."""
    mean: Tensor  # (3,)
    std: Tensor  # (3,)


def make_clip(settings: ModelConfig, init_from: Path | None = None) -> Clip:
    """Build a model and fill it with the weights asked for; `init_from` wins over `model.pretrained`.

    Raises:
        ParameterError: for a name or a tag that there is not.
        CheckpointError: for weights that cannot be read or do not fit.
    """
    name = registered(settings.name)
    source = init_from or (Path(settings.pretrained) if Path(settings.pretrained).is_file() else None)
    tag = settings.pretrained if settings.pretrained and source is None else None
    tags = open_clip.list_pretrained_tags_by_model(name)
    if tag and tag not in tags:
        raise ParameterError(
            [f"model.pretrained={tag}: neither a file nor a tag of {name}{nearest(tag, tags)}: {', '.join(tags) or 'none'}"]
        )
    with without_hints():
        model = open_clip.create_model(name, pretrained=tag, output_dict=True, weights_only=True)
    if source is not None:
        load_into(model, read_weights(source), source)
    preprocess = PreprocessCfg(**model.visual.preprocess_cfg)
    steps = image_transform_v2(preprocess, is_train=False).transforms
    tokenizer = open_clip.get_tokenizer(name)

    @lru_cache(maxsize=100_000)
    def tokenize(text: str) -> Tensor:
        return tokenizer([text])[0]

    def transform(image: Image.Image) -> Image.Image:
        for step in steps[: next(i for i, step in enumerate(steps) if type(step).__name__ == "MaybeToTensor")]:
            image = step(image)
        return image

    return Clip(
        name,
        model,
        tokenize,
        transform,
        Image.Resampling[preprocess.interpolation.upper() if preprocess.interpolation != "random" else "BICUBIC"],
        preprocess.size if isinstance(preprocess.size, int) else preprocess.size[0],
        open_clip.get_model_config(name)["embed_dim"],
        torch.tensor(preprocess.mean),
        torch.tensor(preprocess.std),
    )


def normalised(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """(B, 3, S, S) as a model takes it: uint8 scaled and normalised, floating point left as it is, because it has been before.

    `mean` and `std` are (3, 1, 1), on the images' device.
    """
    return images.float() if images.is_floating_point() else (images.float() / 255 - mean) / std


@contextmanager
def without_hints() -> Iterator[None]:
    """Keep open_clip from logging that weights are random: it does not know of those that are loaded next."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def registered(name: str) -> str:
    """The name under which open_clip knows the model that a person means."""
    open_clip.add_model_config(OWN)
    if name.endswith(".json"):
        if not Path(name).is_file():
            raise ParameterError([f"model.name={name}: there is no such file"])
        open_clip.add_model_config(Path(name))
        return Path(name).stem
    known = open_clip.list_models()
    if name.replace("/", "-") not in known:
        raise ParameterError([f"model.name={name}: open_clip has no such model{nearest(name, known)}, nor has {OWN.name}/ beside it"])
    return name.replace("/", "-")

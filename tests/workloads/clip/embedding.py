"""Short runs of embed and search for tests, and the same embeddings by open_clip alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from support.training import job_in, taken
from torch.nn import functional

from clip_training.config import EmbedConfig, ModelConfig, SearchConfig
from clip_training.embed import embed
from clip_training.model import make_clip
from clip_training.search import search
from harness.report import Recorder
from harness.settings import merge


def write_weights(path: Path, model: Path, seed: int = 0) -> Path:
    """Random weights of a model in a file of their own."""
    torch.manual_seed(seed)
    torch.save(make_clip(ModelConfig(name=str(model))).model.state_dict(), path)
    return path


def embedded(folder: Path | None, run: Path, model: Path, report: Recorder | None = None, **options: Any) -> Path:
    """Embed, and return the table. `options` are settings with `__` for the dot, and `init_from`."""
    return embed(job_of(EmbedConfig, folder, run, model, report, options))


def searched(folder: Path | None, run: Path, model: Path, report: Recorder | None = None, **options: Any) -> list[dict[str, Any]]:
    """Search, and return the results; see `embedded`."""
    return search(job_of(SearchConfig, folder, run, model, report, options))


def job_of(schema: type, folder: Path | None, run: Path, model: Path, report: Recorder | None, options: dict[str, Any]) -> Any:
    paths = taken(options)
    stated = {"model.name": str(model), "embed.workers": 0, **{key.replace("__", "."): value for key, value in options.items()}}
    return job_in(run, merge(schema, None, stated.items()), folder, report, **paths)


def plain_images(weights: Path, files: Sequence[Path]) -> NDArray[np.float32]:
    """By open_clip's own model and preprocessing."""
    model = open_clip.create_model("test-tiny", pretrained=str(weights)).eval()
    transform = image_transform_v2(PreprocessCfg(**model.visual.preprocess_cfg), is_train=False)
    with torch.inference_mode():
        return functional.normalize(model.encode_image(torch.stack([transform(Image.open(file)) for file in files])), dim=1).numpy()


def plain_texts(weights: Path, texts: Sequence[str]) -> NDArray[np.float32]:
    model = open_clip.create_model("test-tiny", pretrained=str(weights)).eval()
    with torch.inference_mode():
        return functional.normalize(model.encode_text(open_clip.get_tokenizer("test-tiny")(list(texts))), dim=1).numpy()

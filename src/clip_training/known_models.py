"""The models that open_clip knows, ours included: by name, and by the shapes of weights."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import open_clip
import torch
from torch import Tensor

from harness.errors import CheckpointError, ParameterError
from harness.torch.models import FOLDER, plain, problem_of_model
from harness.torch.weights import check_fit

from .architecture import blocks, configuration
from .checkpoint import Description, fitted

QUICK = "-quickgelu"
"""Ends the names of variants with OpenAI's activation, x * sigmoid(1.702 x)."""


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
        ParameterError: for an unknown name, or a file that is missing or describes no model with square images.
    """
    open_clip.add_model_config(FOLDER)
    if name.endswith(".json"):
        if problem := problem_of_description(Path(name)):
            raise ParameterError([f"model.name={name}: {problem}"])
        open_clip.add_model_config(Path(name))
        return Path(name).stem
    if plain(name) not in open_clip.list_models():
        raise ParameterError([f"model.name={name}: {problem_of_model(name) or 'names no model'}"])
    return plain(name)


def problem_of_description(path: Path) -> str | None:
    """What is wrong with a JSON file that describes a model; open_clip would ignore the file, or fail while building the model."""
    if not path.is_file():
        return "there is no such file"
    try:
        stated = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        return f"cannot be read as JSON: {error}"
    if not isinstance(stated, dict) or (missing := sorted({"embed_dim", "vision_cfg", "text_cfg"} - stated.keys())):
        return f"does not describe a model of open_clip: it has no {' and no '.join(missing) if isinstance(stated, dict) else 'entries'}"
    size = stated["vision_cfg"].get("image_size", 224)
    if isinstance(size, list) and len(set(size)) > 1:
        return f"its images of {' x '.join(map(str, size))} pixels are no squares, to which pairs are cropped; image_size must be a number"
    return None


def activated(name: str, quick: bool | None) -> str:
    """The variant of a model with OpenAI's activation or with GELU, if there is one; None means the model as named."""
    variant = name if quick is None else f"{name.removesuffix(QUICK)}{QUICK}" if quick else name.removesuffix(QUICK)
    return variant if variant in open_clip.list_models() else name


def identified(state: Mapping[str, Tensor], description: Description) -> str:
    """What to set for weights that are not those of the model that was asked for."""
    if found := names_of(state, description):
        return f"set model.name={found[0]}"
    own = configuration_of(state, description)
    return "no open_clip model has these shapes" + (f": set model.name to a JSON file that holds {own}" if own else "")


def configuration_of(state: Mapping[str, Tensor], description: Description) -> str:
    """The model of these weights in open_clip's JSON format; empty if they are not those of two plain transformers."""
    heads = {key.replace("config", "heads"): stated["num_attention_heads"] for key, stated in description.towers.items()}
    found = configuration(state, quick_gelu=bool(description.quick), **heads)
    return json.dumps(found) if found else ""


def names_of(state: Mapping[str, Tensor], description: Description) -> list[str]:
    """open_clip's models that the weights fit, the likeliest first.

    Weights do not show a model's activation; where the file does not either, they are taken to use GELU.
    """
    registered("RN50")  # adds our own models to open_clip's
    suited = [name for name in open_clip.list_models() if alike(open_clip.get_model_config(name), state) and fits(name, state, description)]
    quick = bool(description.quick)
    return sorted(suited, key=lambda name: (name != description.model, name.endswith(QUICK) != quick, len(name), name))


def alike(config: Mapping[str, Any], state: Mapping[str, Tensor]) -> bool:
    """Whether the weights may be this model's, judged by its configuration alone, without building it."""
    vision, text = config["vision_cfg"], config["text_cfg"]
    if "timm_model_name" in vision or "hf_model_name" in text:
        return False
    projection = state.get("text_projection", state.get("text.text_projection"))
    if projection is None or projection.ndim != 2 or projection.shape[1] != config["embed_dim"]:
        return False
    if isinstance(vision["layers"], list):
        return all(blocks(state, f"visual.layer{stage}.") == count for stage, count in enumerate(vision["layers"], 1))
    return bool(blocks(state, "visual.transformer.resblocks.") == vision["layers"])


def fits(name: str, state: Mapping[str, Tensor], description: Description) -> bool:
    try:
        fit(name, state, description)
    except CheckpointError:
        return False
    return True


def fit(name: str, state: Mapping[str, Tensor], description: Description) -> None:
    """Check that the weights fit this model, with or without a `logit_bias`.

    Raises:
        CheckpointError: naming the differences.
    """
    model = on_meta(name)
    found, wanted = (
        {key: value for key, value in each.items() if key != "logit_bias"} for each in (fitted(state, model), model.state_dict())
    )
    try:
        check_fit(wanted, found, description.path)
    except CheckpointError as error:
        raise CheckpointError(f"{error}; {description}") from error


def on_meta(name: str) -> torch.nn.Module:
    """A model on torch's meta device, without memory for its weights."""
    with without_hints(), torch.device("meta"):
        model: torch.nn.Module = open_clip.create_model(name, load_weights=False, pretrained_hf=False, device="meta")
    return model

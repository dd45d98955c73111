"""Any file of weights as a `Clip`: a plain model's, one with prompts, one of two encoders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.errors import CheckpointError
from harness.torch.weights import load_into, read_file

from .checkpoint import KEY, TYPES, load
from .config import ImageEncoderConfig, ModelConfig, TextEncoderConfig
from .encoders import from_wrapper, restored
from .model import Clip, make_clip, registered
from .prompts import add_prompts, fingerprint


def load_clip(
    settings: ModelConfig,
    init_from: Path | None = None,
    loss: str = "clip",
    encoders: tuple[ImageEncoderConfig, TextEncoderConfig] | None = None,
) -> Clip:
    """The model that a file of weights says it is of; where it says nothing, a plain one of the name in `settings`.

    Args:
        settings: name and weights; of prompts alone, `pretrained` is what they were learned on.
        init_from: a file of weights.
        loss: see `make_clip`.
        encoders: those of a CustomCLIPWrapper's file, which does not name them.

    Raises:
        ParameterError: for a name or a tag that there is not.
        CheckpointError: for weights that cannot be read or do not fit.
    """
    source = init_from or (Path(settings.pretrained) if Path(settings.pretrained).is_file() else None)
    said = said_in(source) if source else {}
    if source and said.get("kind") == "prompts":
        return prompted(settings, source, said, settings.pretrained if init_from else "", loss)
    if source and said.get("kind") == "encoders":
        return restored(said, load(source)[0], source)
    if source and encoders and encoders[1].encoder:
        state, description = load(source)
        if description.kind == "custom_clip_wrapper":
            return from_wrapper(*encoders, state, source)[0]
    return make_clip(settings, init_from, loss)


def said_in(path: Path) -> Mapping[str, Any]:
    """What a file of ours says of itself, or nothing."""
    loaded = read_file(path, TYPES)
    said = loaded.get(KEY) if isinstance(loaded, Mapping) else None
    return said if isinstance(said, Mapping) else {}


def prompted(settings: ModelConfig, path: Path, said: Mapping[str, Any], base: str, loss: str) -> Clip:
    """A model with its prompts, from a file of both, or from one of prompts and the weights below them.

    Raises:
        CheckpointError: when the weights below are not those that the prompts were learned on.
    """
    name = settings.name if registered(settings.name) == said["model"] else said["model"]  # a JSON file is known by its path only
    whole = said.get("whole", True)
    clip = make_clip(replace(settings, name=name, pretrained="" if whole else base or said["pretrained"]), None, loss)
    if not whole and fingerprint(clip.model.state_dict()) != said["base"]:
        weights = base or said["pretrained"] or "random"
        raise CheckpointError(f"{path}: these prompts were learned on other weights than {weights}; model.pretrained says which to take")
    add_prompts(clip, tokens=said["tokens"], deep=said["deep"], dropout=said["dropout"])
    if whole:
        state, _ = load(path)
    else:
        found = read_file(path, TYPES)
        assert isinstance(found, Mapping)  # `said_in`
        state = {**clip.model.state_dict(), **found["state_dict"]}
    load_into(clip.model, state, path)
    return clip

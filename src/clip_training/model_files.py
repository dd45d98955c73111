"""Loading any file of weights as a `Clip`: a plain model, a model with prompts, or two encoders."""

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
from .known_models import registered
from .model import Clip, make_clip, source_of
from .prompts import add_prompts, fingerprint


def load_clip(
    settings: ModelConfig,
    init_from: Path | None = None,
    loss: str = "clip",
    encoders: tuple[ImageEncoderConfig, TextEncoderConfig] | None = None,
) -> Clip:
    """The model that a file of weights states; if the file states none, a plain model of the name in `settings`.

    Args:
        settings: name and weights; for a file of prompts alone, `pretrained` is the weights that they were learned on.
        init_from: a file of weights.
        loss: see `make_clip`.
        encoders: the encoders in a CustomCLIPWrapper's file, which does not name them.

    Raises:
        ParameterError: for an unknown name or tag.
        CheckpointError: for unusable weights.
    """
    source = source_of(settings, init_from)
    metadata = metadata_in(source) if source else {}
    if source and metadata.get("kind") == "prompts":
        return prompted(settings, source, metadata, settings.pretrained if init_from else "", loss)
    if source and metadata.get("kind") == "encoders":
        return restored(metadata, load(source)[0], source)
    if source and encoders and encoders[1].encoder:
        state, description = load(source)
        if description.kind == "custom_clip_wrapper":
            return from_wrapper(*encoders, state, source)[0]
    return make_clip(settings, init_from, loss)


def metadata_in(path: Path) -> Mapping[str, Any]:
    """What a file of ours states about itself; empty for other files."""
    loaded = read_file(path, TYPES)
    metadata = loaded.get(KEY) if isinstance(loaded, Mapping) else None
    return metadata if isinstance(metadata, Mapping) else {}


def prompted(settings: ModelConfig, path: Path, metadata: Mapping[str, Any], base: str, loss: str) -> Clip:
    """A model with its prompts, from a file that holds both, or from a file of prompts and the weights that they belong to.

    Raises:
        CheckpointError: when the weights are not those that the prompts were learned on.
    """
    name = settings.name if registered(settings.name) == metadata["model"] else metadata["model"]  # a JSON file is found by its path only
    whole = metadata.get("whole", True)
    clip = make_clip(replace(settings, name=name, pretrained="" if whole else base or metadata["pretrained"]), None, loss)
    if not whole and fingerprint(clip.model.state_dict()) != metadata["base"]:
        weights = base or metadata["pretrained"] or "random"
        raise CheckpointError(f"{path}: these prompts were learned on other weights than {weights}; set model.pretrained to those weights")
    add_prompts(clip, tokens=metadata["tokens"], deep=metadata["deep"], dropout=metadata["dropout"])
    if whole:
        state, _ = load(path)
    else:
        found = read_file(path, TYPES)
        assert isinstance(found, Mapping)  # `metadata_in`
        state = {**clip.model.state_dict(), **found["state_dict"]}
    load_into(clip.model, state, path)
    return clip

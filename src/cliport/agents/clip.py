"""CLIP's ResNet and text transformer (Radford et al. 2021), frozen."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Any

import open_clip
import torch
from torch import Tensor, nn

from harness.errors import CheckpointError, ParameterError
from harness.settings import nearest
from harness.torch.models import FOLDER
from harness.torch.weights import LIGHTNING, listed, load_into, read_file, unwrapped

from .frozen import Frozen, calibrate, seeded
from .original_checkpoint import strip_clip

UNUSED = ("visual.attnpool.", "logit_scale", "input_resolution", "context_length", "vocab_size", "attn_mask")
"""Entries that a CLIP file may have and that are not needed here."""


class Clip(Frozen):
    """A CLIP model with a ResNet as its image encoder.

    Args:
        name: a name of open_clip, or `tiny-resnet`.
        weights: a file, a tag of open_clip, or `random`.
        say: receives a line if a tag could not be downloaded.
        copy: a state dict of CLIP to use as the weights; `weights` then only names its origin.

    Raises:
        ParameterError: for an unknown name or tag.
        CheckpointError: for a file that does not match.
    """

    def __init__(self, name: str, weights: str, say: Callable[[str], object], copy: Mapping[str, Tensor] | None = None) -> None:
        super().__init__()
        open_clip.add_model_config(FOLDER)
        file = Path(weights) if weights and Path(weights).is_file() else None
        tags = open_clip.list_pretrained_tags_by_model(name)
        check(name, weights if copy is None else "random", file, tags)
        model, found = build(name, weights, say) if weights in tags and copy is None else (None, "random")
        self.model: nn.Module = seeded(lambda: create(name, None)) if model is None else model
        self.tokenize = open_clip.get_tokenizer(name)
        self.model.visual.attnpool = None
        state = clip_in(file) if copy is None and file is not None else copy
        if state is not None:
            load_state(self.model, state, Path(weights))
            found = weights
        elif found == "random":
            calibrate(self.model.visual, self.stages())
        self.random = found == "random"
        said = "RANDOM weights: its features carry no knowledge of images and texts" if self.random else f"the weights of {found}"
        self.origin = f"CLIP {name} has {said}"
        width = self.model.visual.conv3.out_channels
        self.channels = tuple(width * times for times in (4, 8, 16, 32))
        self.word, self.sentence = self.model.text_projection.shape
        self.visual = self.model.visual
        self.freeze()

    def modules(self) -> Mapping[str, nn.Module]:
        return {"clip": self.model}

    def stages(self) -> Sequence[nn.Module]:
        visual = self.model.visual
        return nn.Sequential(Stem(visual), visual.layer1), visual.layer2, visual.layer3, visual.layer4

    @torch.no_grad()
    def encode_text(self, text: str) -> tuple[Tensor, Tensor]:
        model = self.model
        tokens = self.tokenize([text]).to(model.positional_embedding.device)
        words = model.ln_final(model.transformer(model.token_embedding(tokens) + model.positional_embedding, attn_mask=model.attn_mask))
        end = int(tokens.argmax())  # the end-of-text token has the largest number
        return words[0, end] @ model.text_projection, words[0, : end + 1]


class Stem(nn.Module):
    """CLIP's stem as a module without parameters of its own, so that none is registered twice."""

    def __init__(self, visual: nn.Module) -> None:
        super().__init__()
        self.stem = visual.stem  # a method, not a module

    def forward(self, x: Tensor) -> Tensor:
        return self.stem(x)


def check(name: str, weights: str, file: Path | None, tags: Sequence[str]) -> None:
    """Raise ParameterError for a model that is not a ResNet of open_clip, or weights that do not exist."""
    resnets = [known for known in open_clip.list_models() if isinstance(layers_of(known), list)]
    problems = []
    if name not in resnets:
        problems.append(f"model.clip={name}: open_clip has no such ResNet{nearest(name, resnets)}: {', '.join(resnets)}")
    elif file is None and weights != "random" and weights not in tags and not (weights == "openai" and not tags):
        known = ["random", *tags]
        problems.append(f"model.clip_weights={weights}: neither a file nor one of {', '.join(known)}{nearest(weights, known)}")
    if problems:
        raise ParameterError(problems)


def layers_of(name: str) -> Any:
    return open_clip.get_model_config(name).get("vision_cfg", {}).get("layers")


@contextmanager
def quiet() -> Any:
    """Suppress open_clip's log lines about weights, which this module reports itself."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def create(name: str, tag: str | None) -> nn.Module:
    with quiet():
        model: nn.Module = open_clip.create_model(name, pretrained=tag, weights_only=True)
    return model


def build(name: str, tag: str, say: Callable[[str], object]) -> tuple[nn.Module | None, str]:
    """A model with a tag's weights, and their name; None and `random` if they cannot be downloaded."""
    os.environ.setdefault("HF_HUB_DOWNLOAD_TIMEOUT", "10")
    os.environ.setdefault("HF_HUB_ETAG_TIMEOUT", "10")
    try:
        return create(name, tag), f"open_clip's {tag}"
    except (OSError, RuntimeError, HTTPException) as error:  # no network, a wrong checksum, a broken transfer
        reason = str(error).strip().partition("\n")[0]
        say(f"CLIP's weights '{tag}' cannot be downloaded: {type(error).__name__} {reason}; use a file: model.clip_weights=PATH")
        return None, "random"


def clip_in(file: Path) -> Mapping[str, Tensor]:
    """CLIP's weights in a file of any format, including OpenAI's, or in a checkpoint of the original CLIPort, which has a copy.

    Raises:
        CheckpointError: for a file that cannot be read.
    """
    state = unwrapped(read_file(file, LIGHTNING), file)
    return strip_clip(state) or state


def load_state(model: nn.Module, state: Mapping[str, Tensor], file: Path) -> None:
    """Fill a CLIP with the weights that a file has.

    Raises:
        CheckpointError: for weights that do not fit.
    """
    state = {key: value.float() for key, value in state.items() if not key.startswith(UNUSED)}
    kept = {key for key in model.state_dict() if not key.startswith(UNUSED)}
    if not kept & state.keys():
        raise CheckpointError(f"{file} contains no CLIP, but {listed(state)}")
    load_into(model, state | {key: value for key, value in model.state_dict().items() if key not in kept}, file)

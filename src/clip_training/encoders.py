"""A CLIP of two separately trained encoders: an image encoder of timm, torchvision or open_clip, and a text encoder of transformers."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.errors import CheckpointError, ParameterError
from harness.torch.weights import load_into

from .config import ImageEncoderConfig, TextEncoderConfig
from .image_encoders import features_of, image_encoder
from .model import Clip, assembled


class ImageTower(nn.Module):
    """Features of images, projected."""

    def __init__(self, trunk: nn.Module, features: int, width: int) -> None:
        super().__init__()
        self.trunk, self.projection = trunk, nn.Linear(features, width)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, S, S) to (B, D)."""
        return self.projection(self.trunk(images))

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        self.trunk.set_grad_checkpointing(enable)


class TextTower(nn.Module):
    """One projected vector per text.

    Args:
        transformer: a model of transformers.
        width: D.
        average: use the mean of the words' last hidden states; otherwise the transformer's pooled output, or its first hidden state.
    """

    def __init__(self, transformer: nn.Module, width: int, average: bool) -> None:
        super().__init__()
        if average and getattr(transformer, "pooler", None) is not None:
            transformer.pooler = None  # it would get no gradient, which DDP treats as an error
        self.transformer, self.average = transformer, average
        self.projection = nn.Linear(transformer.config.hidden_size, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, 2, L), tokens and their attention mask, to (B, D)."""
        words, mask = tokens.unbind(1)
        out = self.transformer(input_ids=words, attention_mask=mask)
        if self.average:
            pooled = masked_mean(out.last_hidden_state, mask)
        else:
            pooled = out.last_hidden_state[:, 0] if getattr(out, "pooler_output", None) is None else out.pooler_output
        return self.projection(pooled)


def masked_mean(hidden: Tensor, mask: Tensor) -> Tensor:
    """Mean of `hidden` (B, L, D) over the positions where `mask` (B, L) is 1."""
    weights = mask.to(hidden.dtype).unsqueeze(-1)
    return (hidden * weights).sum(1) / weights.sum(1).clamp(min=1)


class TwoEncoders(nn.Module):
    """A model with the interface of open_clip's."""

    def __init__(self, visual: ImageTower, text: TextTower) -> None:
        super().__init__()
        self.visual, self.text = visual, text
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def encode_image(self, images: Tensor, normalize: bool = False) -> Tensor:
        return unit(self.visual(images)) if normalize else self.visual(images)

    def encode_text(self, tokens: Tensor, normalize: bool = False) -> Tensor:
        return unit(self.text(tokens)) if normalize else self.text(tokens)

    def forward(self, images: Tensor, tokens: Tensor) -> dict[str, Tensor]:
        return {
            "image_features": self.encode_image(images, normalize=True),
            "text_features": self.encode_text(tokens, normalize=True),
            "logit_scale": self.logit_scale.exp(),
        }


def unit(rows: Tensor) -> Tensor:
    return functional.normalize(rows, dim=-1)


def make_encoders(image: ImageEncoderConfig, text: TextEncoderConfig, width: int) -> tuple[Clip, dict[str, Any]]:
    """A CLIP of two encoders with new projections, and the metadata for a file of its weights, which is enough to rebuild it.

    Raises:
        ParameterError: for an unknown encoder, or one whose weights cannot be loaded.
        CheckpointError: for a file of weights that does not fit.
    """
    if not text.encoder:
        raise ParameterError(["text.encoder is required: a folder with config, weights and tokenizer, or a name on huggingface.co"])
    trunk, preprocess = image_encoder(image)
    transformer, tokenizer = text_encoder(text)
    features = features_of(trunk, preprocess, image)
    model = TwoEncoders(ImageTower(trunk, features, width), TextTower(transformer, width, text.avg_word_embs))
    name = f"{image.encoder} + {Path(text.encoder).name}"
    metadata = {
        "kind": "encoders",
        "model": name,
        "image": asdict(image),
        "text": asdict(text),
        "width": width,
        "files": files_of(transformer.config, tokenizer),
    }

    def tokenize(words: str) -> Tensor:
        found = tokenizer(words, padding="max_length", truncation=True, max_length=text.context, return_tensors="pt")
        return torch.cat([found["input_ids"], found["attention_mask"]])

    return assembled(name, model, tokenize, preprocess, width), metadata


def restored(metadata: Mapping[str, Any], state: Mapping[str, Tensor], path: Path) -> Clip:
    """Rebuild a CLIP from its file, which is all that is needed.

    Raises:
        CheckpointError: when the weights do not fit what the metadata state.
    """
    files: Mapping[str, Tensor] = metadata["files"]
    strange = [name for name in files if Path(name).name != name]
    if strange:
        raise CheckpointError(f"{path}: holds a file with the unsafe name {strange[0]!r}")
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            Path(folder, name).write_bytes(content.numpy().tobytes())
        image = ImageEncoderConfig(**{**metadata["image"], "pretrained": ""})
        text = TextEncoderConfig(**{**metadata["text"], "encoder": folder, "pretrained": False})
        clip, _ = make_encoders(image, text, metadata["width"])
    clip.name = metadata["model"]
    load_into(clip.model, state, path)
    return clip


def from_wrapper(
    image: ImageEncoderConfig, text: TextEncoderConfig, state: Mapping[str, Tensor], path: Path
) -> tuple[Clip, dict[str, Any]]:
    """The CLIP in a CustomCLIPWrapper's file, whose image encoder ends in the projection, and whose text encoder has no projection.

    Raises:
        ParameterError: for unknown encoders.
        CheckpointError: when the weights are those of other encoders.
    """
    found = {name.removeprefix("visual."): value for name, value in state.items() if name.startswith("visual.")}
    bare_image = ImageEncoderConfig(image.encoder, "", image.size)
    bare_text = TextEncoderConfig(text.encoder, False, text.avg_word_embs, text.context)
    trunk, _ = image_encoder(bare_image)
    head = {name.rpartition(".")[2]: value for name, value in found.items() if name not in trunk.state_dict()}
    if set(head) != {"weight", "bias"}:
        raise CheckpointError(f"{path}: its image encoder is not image.encoder={image.encoder} followed by a linear layer")
    clip, metadata = make_encoders(bare_image, bare_text, len(head["weight"]))
    model = clip.model
    kept = model.text.transformer.state_dict()
    words = {name.removeprefix("transformer."): value for name, value in state.items() if name.startswith("transformer.")}
    whole = {
        **{f"visual.trunk.{name}": value for name, value in found.items() if name in trunk.state_dict()},
        **{f"visual.projection.{name}": value for name, value in head.items()},
        **{f"text.transformer.{name}": value for name, value in words.items() if name in kept or not name.startswith("pooler.")},
        "text.projection.weight": torch.eye(len(head["weight"])),
        "text.projection.bias": torch.zeros(len(head["weight"])),
        "logit_scale": state["logit_scale"],
    }
    whole |= {f"text.transformer.{name}": value for name, value in kept.items() if name.endswith("position_ids") and name not in words}
    load_into(model, whole, path)
    return clip, metadata


def text_encoder(settings: TextEncoderConfig) -> tuple[Any, Any]:
    """A transformer and its tokenizer.

    Raises:
        ParameterError: when they cannot be loaded.
    """
    from transformers import AutoConfig, AutoModel, AutoTokenizer, logging

    logging.disable_progress_bar()
    try:
        tokenizer = AutoTokenizer.from_pretrained(settings.encoder)
        if settings.pretrained:
            model = AutoModel.from_pretrained(settings.encoder)
        else:
            model = AutoModel.from_config(AutoConfig.from_pretrained(settings.encoder))
    except (OSError, ValueError, KeyError) as error:
        what = f"text.encoder={settings.encoder}: neither a folder with config.json, weights and a tokenizer, nor a model on huggingface.co"
        raise ParameterError([f"{what}: {str(error).splitlines()[0]}"]) from error
    tokenizer.padding_side = "right"
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return model.get_encoder() if model.config.is_encoder_decoder else model.float(), tokenizer


def files_of(config: Any, tokenizer: Any) -> dict[str, Tensor]:
    """The files that a transformer and its tokenizer are built from, by name, as bytes."""
    with tempfile.TemporaryDirectory() as folder:
        config.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return {
            path.name: torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.uint8)
            for path in sorted(Path(folder).iterdir())
            if path.stat().st_size
        }

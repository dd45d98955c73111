"""Visual prompts (Jia et al. 2022, arXiv:2203.12119): learned tokens added to those of a frozen vision transformer."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from open_clip.timm_model import TimmModel
from open_clip.transformer import VisionTransformer
from timm.models.vision_transformer import VisionTransformer as TimmVisionTransformer
from torch import Tensor, nn

from harness.errors import ParameterError

from .checkpoint import KEY
from .contrastive_module import ContrastiveModule
from .model import Clip

PLACE = "visual.prompts."
CLASS_TOKENS = ("visual.class_embedding", "visual.trunk.cls_token")


class Prompts(nn.Module):
    """Tokens inserted after a transformer's class token before the first block, and removed after the last.

    Shallow prompts are inserted once and pass through all blocks. Deep prompts are replaced by new ones before each block but the last.

    Args:
        blocks: the transformer's blocks, which take tokens (B, L, D).
        width: D.
        count: prompts in a block.
        deep: whether each block has prompts of its own.
        dropout: probability of zeroing an entry of a prompt during training.
        prefix: the transformer's own tokens before those of the image patches.
    """

    def __init__(self, blocks: Sequence[nn.Module], width: int, count: int, deep: bool, dropout: float, prefix: int) -> None:
        super().__init__()
        self.tokens = nn.Parameter(torch.empty(max(1, len(blocks) - 1) if deep else 1, count, width))
        for tokens in self.tokens:
            nn.init.xavier_uniform_(tokens)
        self.dropout, self.deep, self.prefix = nn.Dropout(dropout), deep, prefix
        for number, block in enumerate(blocks[: len(self.tokens)]):
            block.register_forward_pre_hook(partial(self.put_in, number))
        blocks[-1].register_forward_hook(self.take_out)

    def put_in(self, number: int, _: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        x, *others = inputs
        tokens = self.dropout(self.tokens[number].to(x.dtype).expand(len(x), -1, -1))
        rest = x[:, self.prefix + (tokens.shape[1] if number else 0) :]
        return torch.cat([x[:, : self.prefix], tokens, rest], dim=1), *others

    def take_out(self, _: nn.Module, __: tuple[Any, ...], output: Tensor) -> Tensor:
        return torch.cat([output[:, : self.prefix], output[:, self.prefix + self.tokens.shape[1] :]], dim=1)


def add_prompts(clip: Clip, *, tokens: int, deep: bool, dropout: float) -> Prompts:
    """Add prompts to a model's image tower, as part of its state dict, and freeze everything but them and the class token.

    Raises:
        ParameterError: when the tower is no vision transformer of open_clip's or timm's plain form.
    """
    visual = clip.model.visual
    if isinstance(visual, VisionTransformer):
        blocks, prefix, width = visual.transformer.resblocks, 1, visual.transformer.width
    elif isinstance(visual, TimmModel) and isinstance(visual.trunk, TimmVisionTransformer):
        blocks, prefix, width = visual.trunk.blocks, visual.trunk.num_prefix_tokens, visual.trunk.embed_dim
    else:
        kind = type(visual.trunk if isinstance(visual, TimmModel) else visual).__name__
        raise ParameterError([f"model.name={clip.name}: prompts need a vision transformer as the image tower; this one is a {kind}"])
    prompts = Prompts(blocks, width, tokens, deep, dropout, prefix)
    visual.prompts = prompts
    for name, parameter in clip.model.named_parameters():
        parameter.requires_grad_(is_learned(name))
    return prompts


def is_learned(name: str) -> bool:
    """Whether prompt tuning changes this parameter or buffer."""
    return name.startswith(PLACE) or name in CLASS_TOKENS


def learned(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The part of a state dict that prompt tuning changes."""
    return {name: value for name, value in state.items() if is_learned(name)}


def prompts_of(clip: Clip) -> Prompts | None:
    """The model's prompts, if it has any."""
    found = getattr(clip.model.visual, "prompts", None)
    return found if isinstance(found, Prompts) else None


def metadata_of(clip: Clip, prompts: Prompts, pretrained: str) -> dict[str, Any]:
    """What a file of prompts states about itself: enough to rebuild them, and to recognise the model that they belong to."""
    _, count, _ = prompts.tokens.shape
    base = fingerprint(clip.model.state_dict())
    shape = {"tokens": count, "deep": prompts.deep, "dropout": prompts.dropout.p}
    return {"kind": "prompts", "model": clip.name, "pretrained": pretrained, "base": base, **shape}


def fingerprint(state: Mapping[str, Tensor]) -> str:
    """SHA-256 of everything that prompt tuning leaves unchanged."""
    digest = hashlib.sha256()
    for name in sorted(state):
        if not is_learned(name):
            digest.update(name.encode())
            digest.update(state[name].detach().cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()


class PromptTuning(ContrastiveModule):
    """Trains prompts. Everything frozen also stays in evaluation mode, so that its dropout draws nothing.

    Args:
        clip: a model with prompts.
        metadata: what a checkpoint states about the prompts.
        arguments: passed on to ContrastiveModule, as are `options`.
    """

    def __init__(self, clip: Clip, metadata: dict[str, Any], *arguments: Any, **options: Any) -> None:
        super().__init__(clip, *arguments, **options)
        self.metadata = metadata
        self.train()
        warnings.filterwarnings("ignore", ".*module.s. in eval mode at the start of training.*")  # on purpose

    def train(self, mode: bool = True) -> PromptTuning:
        super().train(mode)
        self.model.eval()
        self.model.visual.prompts.train(mode)
        return self

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint[KEY] = self.metadata

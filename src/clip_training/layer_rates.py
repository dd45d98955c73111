"""Learning rates by tower and by block: the deeper a block lies below the output, the less it changes (timm's layer decay, after BEiT)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from open_clip.modified_resnet import ModifiedResNet
from open_clip.transformer import VisionTransformer
from timm.optim import param_groups_layer_decay
from torch import nn

from harness.errors import ParameterError

from .config import RatesConfig
from .efficiency import towers

Matcher = Mapping[str, Any]
"""Patterns of parameter names by group, in the form of timm's `group_matcher`; what no pattern matches is the last layer."""
LAST = (99999,)
"""By timm's convention, what belongs to the last of the numbered blocks."""
VIT: Matcher = {
    "stem": r"^(?:conv1|class_embedding|positional_embedding|ln_pre)",
    "blocks": [(r"^transformer\.resblocks\.(\d+)", None), (r"^ln_post", LAST)],
}
RESNET: Matcher = {"stem": r"^(?:conv|bn)\d", "blocks": r"^layer(\d+)\.(\d+)"}
TEXT: Matcher = {
    "stem": r"^(?:token_embedding|positional_embedding|cls_emb)",
    "blocks": [(r"^transformer\.resblocks\.(\d+)", None), (r"^ln_final", LAST)],
}
HUGGING_FACE: Matcher = {
    "stem": r"^transformer\.(?:embeddings?|embed_tokens|shared|wte|wpe)\b",
    "blocks": r"^transformer\.(?:\w+\.)*?(?:layers?|block|h)\.(\d+)\.",
}


@dataclass
class Layers:
    """A tower as `param_groups_layer_decay` looks at one."""

    parameters: Mapping[str, nn.Parameter]
    matcher: Matcher

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        return iter(self.parameters.items())

    def group_matcher(self, coarse: bool) -> Matcher:
        return self.matcher


def rates_by_parameter(model: nn.Module, rates: RatesConfig) -> dict[nn.Parameter, float]:
    """The factor of the learning rate of each trained parameter of the two towers; those of the loss are not among them and have 1.

    A tower's projection has the tower's own factor, its last block `layer_decay` times that, and so on down to the embeddings.

    Raises:
        ParameterError: when the blocks of a tower are not known.
    """
    visual, text = towers(model)
    of_text = {name: p for name, p in text.named_parameters() if text is not model or not name.startswith(("visual.", "logit_"))}
    found: dict[nn.Parameter, float] = {}
    for what, tower, parameters, factor in (
        ("image", visual, dict(visual.named_parameters()), rates.image),
        ("text", text, of_text, rates.text),
    ):
        if rates.layer_decay == 1:
            found |= dict.fromkeys(parameters.values(), factor)
            continue
        layers = Layers({name.removeprefix("trunk."): p for name, p in parameters.items()}, matcher_of(what, tower))
        groups = param_groups_layer_decay(layers, layer_decay=rates.layer_decay)
        found |= {p: factor * group["lr_scale"] for group in groups for p in group["params"]}
    return found


def matcher_of(what: str, tower: nn.Module) -> Matcher:
    trunk = getattr(tower, "trunk", tower)
    if what == "text":
        return TEXT if hasattr(tower, "token_embedding") else HUGGING_FACE
    if isinstance(trunk, VisionTransformer):
        return VIT
    if isinstance(trunk, ModifiedResNet):
        return RESNET
    if isinstance(inner := getattr(trunk, "trunk", trunk), nn.Module) and hasattr(inner, "group_matcher"):
        matcher: Matcher = inner.group_matcher(coarse=False)
        return matcher
    raise ParameterError([f"rates.layer_decay: the blocks of a {type(trunk).__name__} are not known; set it to 1.0"])

"""Builds the frozen encoders that a design names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from torch import Tensor

from .frozen import Frozen, Weights
from .original_checkpoint import copies_in

Copies = Mapping[str, Mapping[str, Tensor]]
"""State dicts of `clip`, `bert` and `resnet` that are already in memory: a checkpoint of the original contains them."""


def make_trunk(
    trunk: str, untrained: bool, clip: str, weights: Weights, say: Callable[[str], object], copies: Copies | None = None
) -> Frozen | None:
    """The frozen encoders that a design names; None if it names none. Weights in `copies` take precedence over `weights`.

    Raises:
        ParameterError: for a model or weights that do not exist.
        CheckpointError: for files that cannot be read.
    """
    if not trunk:
        return None
    made: Frozen
    if trunk == "clip":
        from .clip import Clip

        made = Clip(clip, weights.clip, say, (copies or {}).get("clip"))
    else:
        from .resnet_bert import ResNetBert

        taken = dict(copies or {})
        if weights.bert_weights and "bert" not in taken:
            taken["bert"] = copies_in(Path(weights.bert_weights))["bert"]
        resnet = "" if untrained else weights.resnet
        made = ResNetBert(resnet, weights.bert, images=trunk == "rn50_bert", untrained=untrained, copies=taken)
    say(made.origin)
    return made

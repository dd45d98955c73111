"""Builds the frozen encoders that a design names."""

from __future__ import annotations

from collections.abc import Callable

from .frozen import Frozen, Weights


def make_trunk(trunk: str, untrained: bool, clip: str, weights: Weights, say: Callable[[str], object]) -> Frozen | None:
    """The frozen encoders that a design names; None if it names none.

    Raises:
        ParameterError: for a model or weights that do not exist.
        CheckpointError: for files that cannot be read.
    """
    if not trunk:
        return None
    made: Frozen
    if trunk == "clip":
        from .clip import Clip

        made = Clip(clip, weights.clip, say)
    else:
        from .resnet_bert import ResNetBert

        made = ResNetBert("" if untrained else weights.resnet, weights.bert, images=trunk == "rn50_bert", untrained=untrained)
    say(made.origin)
    return made

"""The agents under the original's names, and the parts of each; importable without PyTorch."""

from __future__ import annotations

from dataclasses import dataclass

from harness.errors import ParameterError
from harness.settings import nearest

FUSIONS = ("add", "mult", "mult_word", "film", "max", "concat", "conv", "deep_conv", "word_attn", "sent_attn", "multi_headed_word_attn")
"""How an instruction is fused with image features."""

STREAM_FUSIONS = ("add", "mult", "max", "concat", "conv", "deep_conv")
"""How the maps of two streams are fused: those of FUSIONS that need no instruction."""


@dataclass(frozen=True)
class Design:
    """The parts of an agent.

    Streams: `resnet` is the Transporter's; `resnet_lat` passes its decoder's maps on to the other stream, which is `_lat` too; `unet`
    and `lingunet` decode the features of a frozen trunk, `lingunet` with the instruction; `woskip` has no skip connections.
    """

    streams: tuple[str, ...]
    trunk: str = ""
    """Frozen encoders of images and texts: `clip`, `rn50_bert` (ImageNet's ResNet-50 and DistilBERT) or `bert` (texts only)."""
    untrained: bool = False
    """The trunk's weights are random by design."""
    goal: bool = False
    """Conditioned on a goal image."""


DESIGNS = {
    "two_stream_clip_lingunet_lat_transporter": Design(("resnet_lat", "lingunet_lat"), "clip"),
    "two_stream_clip_unet_lat_transporter": Design(("resnet_lat", "unet_lat"), "clip"),
    "two_stream_clip_lingunet_transporter": Design(("resnet", "lingunet"), "clip"),
    "two_stream_clip_unet_transporter": Design(("resnet", "unet"), "clip"),
    "two_stream_clip_woskip_transporter": Design(("resnet", "woskip"), "clip"),
    "two_stream_clip_film_lingunet_lat_transporter": Design(("resnet_lat", "film_lingunet_lat"), "clip"),
    "two_stream_full_rn50_bert_lingunet_lat_transporter": Design(("resnet_lat", "lingunet_lat"), "rn50_bert"),
    "two_stream_full_rn50_bert_unet_transporter": Design(("resnet", "unet"), "rn50_bert"),
    "two_stream_full_rn50_bert_lingunet_transporter": Design(("resnet", "lingunet"), "rn50_bert"),
    "two_stream_full_untrained_rn50_bert_lingunet_transporter": Design(("resnet", "lingunet"), "rn50_bert", untrained=True),
    "transporter": Design(("resnet",)),
    "clip_unet_transporter": Design(("unet",), "clip"),
    "clip_lingunet_transporter": Design(("lingunet",), "clip"),
    "transporter_lang": Design(("resnet_lang",), "bert"),
    "image_goal_transporter": Design(("resnet",), goal=True),
}
DESIGNS["cliport"] = DESIGNS["two_stream_clip_lingunet_lat_transporter"]


def names() -> list[str]:
    """Every agent's name, `cliport` first."""
    return sorted(DESIGNS, key=lambda name: (name != "cliport", name))


def design(name: str) -> Design:
    """The parts of the agent called `name`.

    Raises:
        ParameterError: for an unknown name, with the nearest one and all valid ones.
    """
    if name not in DESIGNS:
        raise ParameterError([f"agent={name}: there is no such agent{nearest(name, names())}: {', '.join(names())}"])
    return DESIGNS[name]

"""The architecture of weights, inferred from the names and shapes in a state dict of open_clip."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

HEAD = 64
"""Width of an attention head in OpenAI's and nearly all other models; the shapes of weights do not show it."""


def architecture(state: Mapping[str, Tensor]) -> str:
    """Both towers and the joint embedding in words."""
    try:
        return "; ".join(filter(None, (visual_tower(state), text_tower(state), joint_embedding(state))))
    except (LookupError, ValueError, TypeError):  # CLIP's names with shapes that are not CLIP's
        return groups(state)


def visual_tower(state: Mapping[str, Tensor]) -> str:
    if "visual.class_embedding" in state and "visual.conv1.weight" in state:
        width, _, patch, _ = state["visual.conv1.weight"].shape
        depth = blocks(state, "visual.transformer.resblocks.")
        return f"vision transformer, {depth} blocks, width {width}{heads(width)}, patches of {patch} in {side(state, patch)} pixels"
    if "visual.attnpool.positional_embedding" in state:
        pixels = round((len(state["visual.attnpool.positional_embedding"]) - 1) ** 0.5) * 32
        layers = ", ".join(str(blocks(state, f"visual.layer{stage}.")) for stage in range(1, 5))
        return f"ResNet of {layers} blocks, width {len(state['visual.layer1.0.conv1.weight'])}, {pixels} pixels"
    return f"an image encoder with {groups(state, 'visual.')}"


def text_tower(state: Mapping[str, Tensor]) -> str:
    prefix = "text." if "text.positional_embedding" in state else ""
    if f"{prefix}positional_embedding" in state and f"{prefix}token_embedding.weight" in state:
        (context, width), words = state[f"{prefix}positional_embedding"].shape, len(state[f"{prefix}token_embedding.weight"])
        depth = blocks(state, f"{prefix}transformer.resblocks.")
        return f"text transformer, {depth} blocks, width {width}{heads(width)}, {context} of {words} tokens"
    return f"a text encoder with {groups(state, 'text.' if any(key.startswith('text.') for key in state) else 'transformer.')}"


def joint_embedding(state: Mapping[str, Tensor]) -> str:
    projection = state.get("text_projection", state.get("text.text_projection"))
    return "" if projection is None or projection.ndim != 2 else f"embeddings of {projection.shape[1]}"


def heads(width: int) -> str:
    return "" if width % HEAD else f" (probably {width // HEAD} heads)"


def side(state: Mapping[str, Tensor], patch: int) -> int:
    """Side of a vision transformer's square images in pixels."""
    return int(round((len(state["visual.positional_embedding"]) - 1) ** 0.5) * patch)


def configuration(state: Mapping[str, Tensor], *, quick_gelu: bool, vision_heads: int = 0, text_heads: int = 0) -> dict[str, Any] | None:
    """The model of these weights in open_clip's JSON format; None if it is not a vision transformer with a text transformer.

    Args:
        state: weights with open_clip's names.
        quick_gelu: whether the activation is OpenAI's, x * sigmoid(1.702 x).
        vision_heads: of each block; 0 means heads of the usual width.
        text_heads: likewise.
    """
    if not {"visual.class_embedding", "visual.conv1.weight", "visual.positional_embedding", "text_projection"} <= state.keys():
        return None
    (width, _, patch, _), (context, words) = state["visual.conv1.weight"].shape, state["positional_embedding"].shape
    vision = {
        "image_size": side(state, patch),
        "layers": blocks(state, "visual.transformer.resblocks."),
        "width": width,
        "head_width": width // vision_heads if vision_heads else HEAD,
        "patch_size": patch,
        "mlp_ratio": ratio(state, "visual.transformer.", width),
    }
    text = {
        "context_length": context,
        "vocab_size": len(state["token_embedding.weight"]),
        "width": words,
        "heads": text_heads or max(1, words // HEAD),
        "layers": blocks(state, "transformer.resblocks."),
        "mlp_ratio": ratio(state, "transformer.", words),
    }
    return {"embed_dim": state["text_projection"].shape[1], "quick_gelu": quick_gelu, "vision_cfg": vision, "text_cfg": text}


def ratio(state: Mapping[str, Tensor], prefix: str, width: int) -> float:
    """Width of the hidden layer between attentions as a multiple of the tower's."""
    return len(state[f"{prefix}resblocks.0.mlp.c_fc.bias"]) / width


def blocks(state: Mapping[str, Tensor], prefix: str) -> int:
    return len({key.removeprefix(prefix).partition(".")[0] for key in state if key.startswith(prefix)})


def groups(state: Mapping[Any, Tensor], prefix: str = "", limit: int = 8) -> str:
    """Tensors grouped by the first part of their names after `prefix`: each group's size, and the shape of its first tensor."""
    found: dict[str, list[str]] = {}
    for key in map(str, state):
        if key.startswith(prefix):
            found.setdefault(key.removeprefix(prefix).partition(".")[0], []).append(key)
    by_name = {str(key): value for key, value in state.items()}
    parts = [f"{prefix}{name}: {len(keys)} tensors, {keys[0]} {tuple(by_name[keys[0]].shape)}" for name, keys in found.items()]
    return ", ".join(parts[:limit]) + (f" and {len(parts) - limit} more groups" if len(parts) > limit else "")

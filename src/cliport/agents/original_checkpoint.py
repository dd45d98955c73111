"""Checkpoints of the original: reading them safely, and renaming their parameters to this package's names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from torch import Tensor

from harness.errors import CheckpointError
from harness.torch.weights import LIGHTNING, read_checkpoint

Replacement = str | Callable[[re.Match[str]], str]

NETWORKS: list[tuple[str, Replacement]] = [
    (r"^(attention|attn)\.attn_stream(_one)?\.", "attention.net.one."),
    (r"^(attention|attn)\.attn_stream_two\.", "attention.net.two."),
    (r"^(attention|attn)\.fusion\.", "attention.net.fusion."),
    (r"^(transport|trans)\.(key|query|goal)_(stream_one|resnet)\.", r"transport.\2.one."),
    (r"^(transport|trans)\.(key|query)_stream_two\.", r"transport.\2.two."),
    (r"^(transport|trans)\.fusion_(key|query)\.", r"transport.\2.fusion."),
]
PARTS: list[tuple[str, Replacement]] = [
    (r"\.up(\d)\.conv\.double_conv\.", lambda found: f".ups.{int(found[1]) - 1}."),
    (r"\.(?:dec|decoder)(\d)\.", lambda found: f".decoders.{int(found[1]) - 1}."),
    (r"\.lat_fusion(\d)\.", lambda found: f".lateral.{int(found[1]) - 1}."),
    (r"\.lang_(?:proj|gamma)(\d)\.", lambda found: f".language.{int(found[1]) - 1}.project."),
    (r"\.lang_beta(\d)\.", lambda found: f".language.{int(found[1]) - 1}.shift."),
    (r"\.lang_fuser(\d)\.conv\.", lambda found: f".language.{int(found[1]) - 1}.combine.conv."),
    (r"\.text_fc\.", ".text.fc."),
    (r"\.conv2\.0\.(weight|bias)$", r".conv2.\1"),
]


def read_original(path: Path) -> dict[str, Tensor]:
    """The parameters in a checkpoint, under their original names.

    Raises:
        CheckpointError: for a file with types other than Lightning's, or without parameters.
    """
    loaded = read_checkpoint(path, LIGHTNING)
    state = loaded.get("state_dict", loaded) if isinstance(loaded, Mapping) else None
    if not isinstance(state, Mapping) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise CheckpointError(f"{path} contains no state dict: expected a mapping from names to tensors")
    return dict(state)


def is_original(state: Mapping[str, Tensor]) -> bool:
    return any(re.match(pattern, key) for key in state for pattern, _ in NETWORKS)


def strip_clip(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The first copy of CLIP in a checkpoint of the original, under CLIP's own names; empty if there is none."""
    first = next((key.partition("clip_rn50.")[0] + "clip_rn50." for key in state if "clip_rn50." in key), None)
    return {} if first is None else {key.removeprefix(first): value for key, value in state.items() if key.startswith(first)}


def renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The parameters of a checkpoint of the original under this package's names.

    The original stores a copy of the frozen encoder per network. Their weights are the same and left out; their running means and
    variances are kept, because they changed during training, in each copy differently. The running statistics of the up blocks are
    left out: the original's evaluation does not use them.
    """
    found = {}
    for key, value in state.items():
        name = key
        for pattern, replacement in NETWORKS:
            name = re.sub(pattern, replacement, name)
        statistic = name.endswith(("running_mean", "running_var"))
        inside = name.partition(".two." if ".two." in name else ".one.")[2]
        stream = name[: len(name) - len(inside)]
        encoder = encoder_name(inside, ".two." in name)
        if encoder is not None:
            if statistic and encoder:
                found[f"{stream}colours.statistics.{encoder.replace('.', '-')}"] = value
            continue
        if ".double_conv." in name and (statistic or name.endswith("num_batches_tracked")):
            continue
        for pattern, replacement in PARTS:
            name = re.sub(pattern, replacement, name)
        found[name] = value
    return up_blocks(found)


def encoder_name(inside: str, second: bool) -> str | None:
    """The name in the frozen image encoder of a stream's parameter; empty for the text encoder's, None for parameters of neither."""
    if inside.startswith("clip_rn50."):
        return inside.removeprefix("clip_rn50.visual.") if ".visual." in inside else ""
    if inside.startswith("text_encoder."):
        return ""
    if inside.startswith("stem."):
        return inside.replace("stem.0.", "conv1.").replace("stem.1.", "bn1.")
    return inside if second and re.match(r"layer[1-4]\.", inside) else None


def up_blocks(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The convolutions and normalizations of up blocks under names instead of numbers.

    A bias before a normalization has no effect and is left out.
    """
    normalised = any(re.search(r"\.ups\.\d\.4\.", key) for key in state)
    parts = {"0": "conv1", "1": "norm1", "3": "conv2", "4": "norm2"} if normalised else {"0": "conv1", "2": "conv2"}
    found = {}
    for key, value in state.items():
        match = re.search(r"\.ups\.\d\.(\d)\.", key)
        if match is None:
            found[key] = value
        elif match[1] in parts and not (normalised and parts[match[1]].startswith("conv") and key.endswith(".bias")):
            found[f"{key[: match.start(1)]}{parts[match[1]]}{key[match.end(1) :]}"] = value
    return found


def described(state: Mapping[str, Tensor]) -> str:
    """The contents of a state dict in words: its networks, and the number of parameters of each."""
    counts = Counter(".".join(key.split(".")[:2]) for key in state)
    shown = ", ".join(f"{name}.* ({count})" for name, count in sorted(counts.items())[:8])
    return shown + (f" and {len(counts) - 8} more" if len(counts) > 8 else "")

"""Checkpoints of the original: translating their parameters to this package's names, and finding their copies of the frozen encoders."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from harness.errors import CheckpointError
from harness.torch.weights import LIGHTNING, listed, read_checkpoint

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
    (r"^up(\d)\.conv\.double_conv\.", lambda found: f"ups.{int(found[1]) - 1}."),
    (r"^(?:dec|decoder)(\d)\.", lambda found: f"decoders.{int(found[1]) - 1}."),
    (r"^lat_fusion(\d)\.", lambda found: f"lateral.{int(found[1]) - 1}."),
    (r"^lang_(?:proj|gamma)(\d)\.", lambda found: f"language.{int(found[1]) - 1}.project."),
    (r"^lang_beta(\d)\.", lambda found: f"language.{int(found[1]) - 1}.shift."),
    (r"^lang_fuser(\d)\.conv\.", lambda found: f"language.{int(found[1]) - 1}.combine.conv."),
    (r"^text_fc\.", "text.fc."),
    (r"^conv2\.0\.(weight|bias)$", r"conv2.\1"),
]
CLIP_DECODER: tuple[str, Replacement] = (r"^layer(\d)\.", lambda found: f"decoders.{int(found[1]) - 1}.")
"""In a stream with a copy of CLIP, `layer1` to `layer3` belong to the decoder; CLIP's own stages are below `clip_rn50.visual.`."""
UP_BLOCK = {"0": "conv1", "1": "norm1", "3": "conv2", "4": "norm2"}
UP_BLOCK_WITHOUT_NORM = {"0": "conv1", "2": "conv2"}
STATISTICS, COUNTER = ("running_mean", "running_var"), "num_batches_tracked"


@dataclass
class Translation:
    """A checkpoint of the original in this package's terms."""

    parameters: dict[str, Tensor] = field(default_factory=dict)
    """By this package's names, including each stream's running statistics of its frozen encoder."""
    encoders: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    """The weights of the frozen `clip`, `bert` and `resnet` by their own names."""
    names: dict[str, str] = field(default_factory=dict)
    """The original's name of each parameter."""
    copies: dict[str, list[str]] = field(default_factory=dict)
    """The streams that contain a copy of each encoder."""

    def keep_encoder(self, kind: str, stream: str, weights: dict[str, Tensor]) -> None:
        """Keep the first copy of an encoder.

        Raises:
            CheckpointError: if a copy has other weights than the first, so that the encoder was not frozen.
        """
        first = self.encoders.setdefault(kind, weights)
        self.copies.setdefault(kind, []).append(stream)
        fixed = {key for key in first.keys() | weights.keys() if not key.endswith((*STATISTICS, COUNTER))}
        others = {key for key in fixed if key not in first or key not in weights or not torch.equal(first[key], weights[key])}
        if others:
            raise CheckpointError(f"{stream} and {self.copies[kind][0]} have different copies of {kind}, which is frozen: {listed(others)}")


def is_original(state: Mapping[str, Tensor]) -> bool:
    return any(re.match(pattern, key) for key in state for pattern, _ in NETWORKS)


def copies_in(path: Path) -> dict[str, dict[str, Tensor]]:
    """The frozen encoders in a checkpoint of the original.

    Raises:
        CheckpointError: for a file without parameters.
    """
    return translated(unprefixed(state_in(read_checkpoint(path, LIGHTNING), path)), path).encoders


def state_in(loaded: object, path: Path) -> dict[str, Tensor]:
    """The parameters by name in the contents of a checkpoint.

    Raises:
        CheckpointError: if there are none.
    """
    state = loaded.get("state_dict") if isinstance(loaded, Mapping) else None
    if not isinstance(state, Mapping) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise CheckpointError(f"{path} is not a checkpoint of an agent: it has no state_dict that maps names to parameters")
    return dict(state)


def unprefixed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Parameters without the prefix `agent.`, which the full state of our training puts before every name."""
    return {key.removeprefix("agent."): value for key, value in state.items()}


def strip_clip(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The first copy of CLIP in a checkpoint of the original, under CLIP's own names; empty if there is none."""
    first = next((key.partition("clip_rn50.")[0] + "clip_rn50." for key in state if "clip_rn50." in key), None)
    return {} if first is None else {key.removeprefix(first): value for key, value in state.items() if key.startswith(first)}


def translated(state: Mapping[str, Tensor], path: Path) -> Translation:
    """A state dict of the original in this package's terms; unknown parameters keep their names.

    Raises:
        CheckpointError: if copies of a frozen encoder differ.
    """
    found, streams = Translation(), by_stream(state)
    for stream, parameters in streams.items():
        try:
            translate_stream(stream, parameters, found)
        except CheckpointError as error:
            raise CheckpointError(f"{path}: {error}") from error
    return found


def by_stream(state: Mapping[str, Tensor]) -> dict[str, dict[str, tuple[str, Tensor]]]:
    """The parameters of each stream (or fusion) of this package, by their names within it: the original's full name, and the value."""
    streams: dict[str, dict[str, tuple[str, Tensor]]] = {}
    for key, value in state.items():
        for pattern, replacement in NETWORKS:
            prefix = re.match(pattern, key)
            if prefix:
                stream = re.sub(pattern, replacement, prefix[0])
                streams.setdefault(stream, {})[key[prefix.end() :]] = key, value
                break
        else:
            streams.setdefault("", {})[key] = key, value
    return streams


def translate_stream(stream: str, parameters: Mapping[str, tuple[str, Tensor]], found: Translation) -> None:
    """Add a stream's parameters to a translation."""
    encoders: dict[str, dict[str, Tensor]] = {}
    has_clip = any(name.startswith("clip_rn50.") for name in parameters)
    has_resnet = any(name.startswith("stem.") for name in parameters)
    own: dict[str, tuple[str, Tensor]] = {}
    for name, (key, value) in parameters.items():
        kind, inside = encoder_name(name, has_resnet)
        if kind:
            encoders.setdefault(kind, {})[inside] = value
            if inside.endswith(STATISTICS):
                statistic = inside.removeprefix("visual.").replace(".", "-")
                own[f"colours.statistics.{statistic}"] = key, value
        else:
            own[own_name(name, has_clip)] = key, value
    for kind, weights in encoders.items():
        found.keep_encoder(kind, stream.rstrip("."), weights)
    for name, (key, value) in up_blocks(own).items():
        found.parameters[stream + name], found.names[stream + name] = value, key


def own_name(name: str, has_clip: bool) -> str:
    """This package's name of a parameter that belongs to the stream itself."""
    for pattern, replacement in [*PARTS, *([CLIP_DECODER] if has_clip else [])]:
        name = re.sub(pattern, replacement, name)
    return name


def encoder_name(name: str, has_resnet: bool) -> tuple[str, str]:
    """The frozen encoder that a stream's parameter belongs to, and its name there; both empty for the stream's own parameters."""
    if name.startswith("clip_rn50."):
        return "clip", name.removeprefix("clip_rn50.")
    if name.startswith("text_encoder."):
        return "bert", name.removeprefix("text_encoder.")
    if has_resnet and name.startswith("stem."):
        return "resnet", name.replace("stem.0.", "conv1.").replace("stem.1.", "bn1.")
    return ("resnet", name) if has_resnet and re.match(r"layer[1-4]\.", name) else ("", "")


def up_blocks(own: Mapping[str, tuple[str, Tensor]]) -> dict[str, tuple[str, Tensor]]:
    """A stream's parameters with up blocks by name instead of number, and without counters of batches.

    The original has biases before normalizations. They only shift the mean, so they are subtracted from the running mean.
    """
    normalized = any(re.match(r"ups\.\d\.4\.", name) for name in own)
    parts, found = UP_BLOCK if normalized else UP_BLOCK_WITHOUT_NORM, {}
    for name, (key, value) in own.items():
        match = re.match(r"(ups\.\d\.)(\d)\.(.+)", name)
        if name.endswith(COUNTER):
            continue
        if match is None or match[2] not in parts:
            found[name] = key, value
        elif not normalized or match[3] != "bias" or parts[match[2]].startswith("norm"):
            moved = own.get(f"{match[1]}{int(match[2]) - 1}.bias") if match[3] == "running_mean" else None
            found[f"{match[1]}{parts[match[2]]}.{match[3]}"] = key, value if moved is None else value - moved[1]
    return found


def described(state: Mapping[str, Tensor]) -> str:
    """The contents of a state dict in words: its networks, and the number of parameters of each."""
    counts = Counter(".".join(key.split(".")[:2]) for key in state)
    shown = ", ".join(f"{name}.* ({count})" for name, count in sorted(counts.items())[:8])
    return shown + (f" and {len(counts) - 8} more" if len(counts) > 8 else "")

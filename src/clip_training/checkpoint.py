"""CLIP weights from any file that holds them, with open_clip's parameter names, and a description of the file.

The files are OpenAI's (TorchScript archives, of which only the tensors are read, and state dicts), open_clip's, this project's Lightning
checkpoints, train-CLIP's CLIPWrapper and CustomCLIPWrapper, and safetensors. No code in a file is run. Other files are described in the
error.
"""

from __future__ import annotations

import argparse
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from harness.errors import CheckpointError
from harness.files import replaced
from harness.torch.torchscript import is_torchscript
from harness.torch.weights import LIGHTNING, read_file

KEY = "clip_training"
"""The key under which a file of ours states its metadata."""


TYPES = [
    *LIGHTNING,
    argparse.Namespace,
    (OrderedDict, "pytorch_lightning.utilities.parsing.AttributeDict"),
    (OrderedDict, "lightning.pytorch.utilities.parsing.AttributeDict"),
    (OrderedDict, "lightning_fabric.utilities.data.AttributeDict"),
]
"""Includes the types that hold hyper-parameters; Lightning's own dictionary is read as an ordinary one."""


@dataclass(frozen=True)
class Description:
    """What kind of file of weights it is, and what it holds."""

    path: Path
    kind: str
    """A key of KINDS."""
    model: str = ""
    """The model's name, if the file states it."""
    architecture: str = ""
    """The architecture in words, inferred from the shapes."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """What else the file holds, with the number of entries."""
    hyper_parameters: Mapping[str, Any] = field(default_factory=dict)
    """As stated in the file."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """What a file of ours states about itself, as given to `save`."""
    teacher: Mapping[str, Tensor] = field(default_factory=dict)
    """Weights of self-distillation's moving average, with the names of the state dict."""

    def __str__(self) -> str:
        left = "; ".join(f"{what} ({count})" for what, count in self.left_out.items())
        parts = [f"{self.path} is {KINDS[self.kind]}", self.architecture, f"left out: {left}" if left else ""]
        return ": ".join(part for part in parts if part)


KINDS = {
    "plain": "a state dict of open_clip",
    "open_clip": "a checkpoint of open_clip's training program",
    "openai": "OpenAI's",
    "openai_archive": "OpenAI's TorchScript archive",
    "lightning": "a checkpoint of this project",
    "ours": "weights of this project",
    "clip_wrapper": "a checkpoint of train-CLIP's CLIPWrapper",
    "custom_clip_wrapper": "a checkpoint of train-CLIP's CustomCLIPWrapper: an image encoder and a Hugging Face text encoder",
}
OPENAI = ("input_resolution", "context_length", "vocab_size")
"""Numbers next to the parameters in OpenAI's files."""
UNUSED = ("positional_embedding", "token_embedding.weight", "ln_final.weight", "ln_final.bias", "text_projection")
"""What a CustomCLIPWrapper still holds of the CLIP whose towers it replaced."""


def load(path: Path) -> tuple[dict[str, Tensor], Description]:
    """The weights in a file with open_clip's names, and a description of the file.

    The weights of a CustomCLIPWrapper, whose towers open_clip does not have, are named `visual.*` (the image encoder), `transformer.*`
    (the Hugging Face encoder) and `logit_scale`.

    Raises:
        CheckpointError: for a file that cannot be read, that holds types other than tensors and plain containers, or that holds no CLIP;
            the message lists what it holds instead.
    """
    loaded = read_file(path, TYPES)
    names = wrapped(loaded)
    if names is None:
        raise CheckpointError(f"{path} holds no named weights; it holds {described(loaded)}")
    around: Mapping[Any, Any] = loaded if names is not loaded and isinstance(loaded, Mapping) else {}
    state = {key.replace("_orig_mod.", ""): value for key, value in unprefixed(names, "module.").items()}  # left by torch.compile
    kind, state, left_out, teacher = sorted_out(state, around, is_torchscript(path))
    if not is_clip(state):
        raise CheckpointError(f"{path} holds no CLIP that can be loaded; it holds {described(loaded)}")
    metadata = dict(around.get(KEY) or {})
    description = Description(
        path,
        kind,
        model=str((around.get("identity") or metadata).get("model") or ""),
        architecture=architecture(state),
        left_out=left_out,
        hyper_parameters=plain(around.get("hyper_parameters", {})),
        metadata=metadata,
        teacher=teacher,
    )
    return state, description


def wrapped(loaded: object) -> Mapping[str, Tensor] | None:
    """The file's named tensors: the file itself, or its `state_dict`."""
    for found in (loaded, loaded.get("state_dict") if isinstance(loaded, Mapping) else None):
        if isinstance(found, Mapping) and found and all(isinstance(value, Tensor) for value in found.values()):
            return found
    return None


def unprefixed(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The state dict without `prefix`, if all names have it."""
    everywhere = all(key.startswith(prefix) for key in state)
    return {key.removeprefix(prefix) if everywhere else key: value for key, value in state.items()}


def sorted_out(
    state: dict[str, Tensor], around: Mapping[Any, Any], archive: bool
) -> tuple[str, dict[str, Tensor], dict[str, int], dict[str, Tensor]]:
    """The kind of file, the model's weights, what is left out, and the teacher's weights."""
    left_out: dict[str, int] = {}

    def take_out(what: str, chosen: Callable[[str], bool]) -> dict[str, Tensor]:
        found = {key: state.pop(key) for key in list(state) if chosen(key)}
        if found:
            left_out[what] = len(found)
        return found

    teacher: dict[str, Tensor] = {}
    kind = "ours" if KEY in around else "open_clip" if around else "plain"
    if any(key.startswith("model.") for key in state):  # of a LightningModule
        kind = "lightning" if "identity" in around else "clip_wrapper"
        outside = take_out("parts of the training loop", lambda key: not key.startswith(("model.", "teacher.")))
        teacher = {key.removeprefix("teacher."): state.pop(key) for key in list(state) if key.startswith("teacher.")}
        state = {key.removeprefix("model."): value for key, value in state.items()}
        if kind == "clip_wrapper" and (teacher or "sink_temp" in outside):
            kind = "custom_clip_wrapper"
            take_out("unused parts of the CLIP whose towers were replaced", UNUSED.__contains__)
            teacher = {key: value for key, value in teacher.items() if key in state}
            left_out |= {"the teacher, a moving average of the model": len(teacher)} if teacher else {}
    if archive or any(key in state for key in OPENAI):
        kind = "openai_archive" if archive else "openai"
        take_out("numbers that are not weights", lambda key: key in OPENAI or key.rpartition(".")[2] == "attn_mask")
    return kind, state, left_out, teacher


def is_clip(state: Mapping[str, Tensor]) -> bool:
    return "logit_scale" in state and all(any(key.startswith(tower) for key in state) for tower in ("visual.", ("transformer.", "text.")))


def architecture(state: Mapping[str, Tensor]) -> str:
    """Both towers in words, inferred from names and shapes."""
    try:
        return f"{visual_tower(state)}; {text_tower(state)}"
    except (LookupError, ValueError, TypeError):  # CLIP's names with shapes that are not CLIP's
        return groups(state)


def visual_tower(state: Mapping[str, Tensor]) -> str:
    if "visual.class_embedding" in state and "visual.conv1.weight" in state:
        width, _, patch, _ = state["visual.conv1.weight"].shape
        side = round((len(state["visual.positional_embedding"]) - 1) ** 0.5) * patch
        depth = blocks(state, "visual.transformer.resblocks.")
        return f"vision transformer, {depth} blocks, width {width}, patches of {patch} in {side} pixels"
    if "visual.attnpool.positional_embedding" in state:
        side = round((len(state["visual.attnpool.positional_embedding"]) - 1) ** 0.5) * 32
        layers = ", ".join(str(blocks(state, f"visual.layer{stage}.")) for stage in range(1, 5))
        return f"ResNet of {layers} blocks, width {len(state['visual.layer1.0.conv1.weight'])}, {side} pixels"
    return f"an image encoder with {groups(state, 'visual.')}"


def text_tower(state: Mapping[str, Tensor]) -> str:
    prefix = "text." if "text.positional_embedding" in state else ""
    if f"{prefix}positional_embedding" in state and f"{prefix}token_embedding.weight" in state:
        (context, width), words = state[f"{prefix}positional_embedding"].shape, len(state[f"{prefix}token_embedding.weight"])
        depth = blocks(state, f"{prefix}transformer.resblocks.")
        return f"text transformer, {depth} blocks, width {width}, {context} of {words} tokens"
    return f"a text encoder with {groups(state, 'text.' if any(key.startswith('text.') for key in state) else 'transformer.')}"


def blocks(state: Mapping[str, Tensor], prefix: str) -> int:
    return len({key.removeprefix(prefix).partition(".")[0] for key in state if key.startswith(prefix)})


def described(loaded: object) -> str:
    """What a file holds: tensors in groups of names, and other entries with their types."""
    if not isinstance(loaded, Mapping):
        return f"a {type(loaded).__name__}"
    names = wrapped(loaded) or {}
    others = [f"{key!r} ({type(value).__name__})" for key, value in loaded.items() if names is not loaded and key != "state_dict"]
    inner = [
        f"{key!r} with {groups(value)}"
        for key, value in loaded.items()
        if key != "state_dict" and isinstance(value, Mapping) and wrapped(value) is value
    ]
    parts = [groups(names)] if names else []
    return "; ".join([*parts, *inner, *([f"entries {', '.join(others[:12])}"] if others else [])]) or "nothing"


def groups(state: Mapping[Any, Tensor], prefix: str = "", limit: int = 8) -> str:
    """Tensors grouped by the first part of their names after `prefix`: each group's size, and the shape of its first tensor."""
    found: dict[str, list[str]] = {}
    for key in map(str, state):
        if key.startswith(prefix):
            found.setdefault(key.removeprefix(prefix).partition(".")[0], []).append(key)
    by_name = {str(key): value for key, value in state.items()}
    parts = [f"{prefix}{name}: {len(keys)} tensors, {keys[0]} {tuple(by_name[keys[0]].shape)}" for name, keys in found.items()]
    return ", ".join(parts[:limit]) + (f" and {len(parts) - limit} more groups" if len(parts) > limit else "")


def plain(values: Any) -> dict[str, Any]:
    """Hyper-parameters as a dictionary, whatever type Lightning stored them in."""
    return dict(vars(values) if isinstance(values, argparse.Namespace) else values if isinstance(values, Mapping) else {})


def fitted(state: Mapping[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """The weights with this model's names: open_clip puts `text.` before those of some text towers."""
    from open_clip.model import convert_to_custom_text_state_dict

    converted = "positional_embedding" in state and not hasattr(model, "positional_embedding")
    return convert_to_custom_text_state_dict(dict(state)) if converted else dict(state)


def save(path: Path, state: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
    """Write weights with metadata of plain types, which `load` returns. The file appears whole or not at all."""
    with replaced(path) as beside:
        torch.save({"state_dict": dict(state), KEY: dict(metadata)}, beside)


def description_of(path: Path) -> str:
    """A description of a file of weights.

    Raises:
        CheckpointError: as `load`.
    """
    return str(load(path)[1])

"""CLIP weights from any file that holds them, with open_clip's parameter names, and a description of the file.

The files are OpenAI's (TorchScript archives, of which only the tensors are read, and state dicts), open_clip's, this project's Lightning
checkpoints, train-CLIP's CLIPWrapper and CustomCLIPWrapper, a CLIPModel of Hugging Face's transformers, and safetensors; a state dict may
be one entry of a training program's file. No code in a file is run. Other files are described in the error.
"""

from __future__ import annotations

import argparse
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from harness.errors import CheckpointError
from harness.torch.saving import save_whole
from harness.torch.torchscript import is_torchscript
from harness.torch.weights import LIGHTNING, is_state_dict, only, read_file, state_dicts

from .architecture import architecture, groups
from .hugging_face import ACTIVATIONS, config_beside, from_clip_model, is_clip_model

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
    entry: str = ""
    """The entry of the file that holds the weights; empty if the whole file is a state dict."""
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
    towers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What the config.json beside a CLIPModel of Hugging Face states about each tower; see `hugging_face.config_beside`."""

    @property
    def quick(self) -> bool | None:
        """Whether the model uses OpenAI's activation; None if the file does not show it. transformers uses it unless told otherwise."""
        if self.kind == "hugging_face":
            return ACTIVATIONS.get(self.towers["vision_config"]["hidden_act"]) if self.towers else True
        return True if self.kind.startswith("openai") else None

    def __str__(self) -> str:
        left = "; ".join(f"{what} ({count})" for what, count in self.left_out.items())
        entry = f" in the entry {self.entry!r}" if self.entry not in ("", "state_dict") else ""
        parts = [f"{self.path} is {KINDS[self.kind]}{entry}", self.architecture, f"left out: {left}" if left else ""]
        return ": ".join(part for part in parts if part)


KINDS = {
    "plain": "a state dict of open_clip",
    "open_clip": "a checkpoint of open_clip's training program",
    "openai": "OpenAI's",
    "openai_archive": "OpenAI's TorchScript archive",
    "lightning": "a checkpoint of this project",
    "ours": "weights of this project",
    "clip_wrapper": "a checkpoint of train-CLIP's CLIPWrapper",
    "hugging_face": "a CLIPModel of Hugging Face",
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
    entry, names = chosen(loaded, path)
    around: Mapping[Any, Any] = loaded if entry and isinstance(loaded, Mapping) else {}
    state = {key.replace("_orig_mod.", ""): value for key, value in unprefixed(names, "module.").items()}  # left by torch.compile
    kind, state, left_out, teacher = sorted_out(state, around, is_torchscript(path))
    towers: Mapping[str, Mapping[str, Any]] = {}
    if kind == "hugging_face":
        state, towers = from_clip_model(state, path), config_beside(path)
    if not is_clip(state):
        raise CheckpointError(f"{path} holds no CLIP that can be loaded; it holds {described(loaded)}")
    metadata = dict(around.get(KEY) or {})
    description = Description(
        path,
        kind,
        entry=entry,
        model=str((around.get("identity") or metadata).get("model") or ""),
        architecture=architecture(state),
        left_out=left_out,
        hyper_parameters=plain(around.get("hyper_parameters", {})),
        metadata=metadata,
        teacher=teacher,
        towers=towers,
    )
    return state, description


def chosen(loaded: object, path: Path) -> tuple[str, Mapping[str, Tensor]]:
    """The state dict of a CLIP in the content of a file, and the name of its entry, which is empty for the whole content.

    Raises:
        CheckpointError: when there is no state dict, or several hold a CLIP.
    """
    found = state_dicts(loaded)
    clips = {entry: state for entry, state in found.items() if any(key.rpartition(".")[2] == "logit_scale" for key in map(str, state))}
    if not clips and "state_dict" not in found and "" not in found:
        raise CheckpointError(f"{path} holds no named weights of a CLIP; it holds {described(loaded)}")
    entry = only(clips, path) if clips else "" if "" in found else "state_dict"
    return entry, found[entry]


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
    kind = "ours" if KEY in around else "open_clip" if "state_dict" in around else "plain"
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
    if is_clip_model(state):
        kind = "hugging_face"
        take_out("numbers that are not weights", lambda key: key.endswith(".position_ids"))  # written by transformers until 2023
    if archive or any(key in state for key in OPENAI):
        kind = "openai_archive" if archive else "openai"
        take_out("numbers that are not weights", lambda key: key in OPENAI or key.rpartition(".")[2] == "attn_mask")
    return kind, state, left_out, teacher


def is_clip(state: Mapping[str, Tensor]) -> bool:
    return "logit_scale" in state and all(any(key.startswith(tower) for key in state) for tower in ("visual.", ("transformer.", "text.")))


def described(loaded: object) -> str:
    """What a file holds: tensors in groups of names, and other entries with their types."""
    if not isinstance(loaded, Mapping):
        return f"a {type(loaded).__name__}"
    if is_state_dict(loaded):
        return groups(loaded)
    found = state_dicts(loaded)
    parts = [f"{entry!r} with {groups(state)}" for entry, state in found.items()]
    others = [f"{key!r} ({type(value).__name__})" for key, value in loaded.items() if str(key) not in found]
    return "; ".join([*parts, *([f"entries {', '.join(others[:12])}"] if others else [])]) or "nothing"


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
    save_whole({"state_dict": dict(state), KEY: dict(metadata)}, path)


def description_of(path: Path) -> str:
    """A description of a file of weights.

    Raises:
        CheckpointError: as `load`.
    """
    return str(load(path)[1])

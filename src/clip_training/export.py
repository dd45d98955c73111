"""Export the weights from any file that holds a CLIP to a plain state dict that open_clip loads.

python -m clip_training.export init_from=RN50.pt
"""

from __future__ import annotations

if __name__ == "__main__":  # before PyTorch is imported, so that a wrong command line fails at once
    from harness.entry import enter

    enter("clip", "export", __doc__)

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import open_clip
import torch
from torch import Tensor

from harness import Job
from harness.errors import CheckpointError, ParameterError
from harness.files import replaced
from harness.torch.weights import check_fit, check_numbers

from .checkpoint import Description, blocks, fitted, load
from .config import ExportConfig
from .model import registered, without_hints


def export(job: Job) -> Path:
    """Write the weights in `init_from` to the run's folder, report what they were and how open_clip loads them, and return the file.

    Args:
        job: its settings are an ExportConfig, and its `init_from` is the file to export.

    Raises:
        ParameterError: without a file, or for an unknown model.
        CheckpointError: for a file without a CLIP, with non-finite weights, or with a CLIP that open_clip has no model for.
    """
    settings: ExportConfig = job.settings
    if job.init_from is None:
        raise ParameterError(["init_from is required: the file to export, or a run's folder or task"])
    state, description = load(job.init_from)
    check_numbers(state, job.init_from)
    job.report.text(str(description))
    name, argument = chosen(settings.name, state, description)
    path = job.output_dir / f"weights.{settings.format}"
    job.output_dir.mkdir(parents=True, exist_ok=True)
    write(path, fitted(state, on_meta(name)))
    job.report.artifact("weights", path)
    added = f"open_clip.add_model_config({argument!r}); " if argument != name else ""
    job.report.text(f"{len(state)} tensors are in {path}. To load: {added}open_clip.create_model({name!r}, pretrained={str(path)!r})")
    return path


def chosen(wanted: str, state: Mapping[str, Tensor], description: Description) -> tuple[str, str]:
    """The model of the weights: its name in open_clip, and the argument that makes open_clip know it, which is a JSON file or that name.

    Raises:
        ParameterError: for an unknown model.
        CheckpointError: when the weights do not fit that model, or any model.
    """
    if wanted:
        name = registered(wanted)
        fit(name, state, description)
        return name, wanted if wanted.endswith(".json") else name
    names = names_of(state, description)
    if not names:
        raise CheckpointError(
            f"{description}; no open_clip model has these shapes: set name=NAME, or name=FILE.json for a model of your own"
        )
    return names[0], names[0]


def names_of(state: Mapping[str, Tensor], description: Description) -> list[str]:
    """open_clip's models that the weights fit, the likeliest first.

    Weights do not show a model's activation: OpenAI's files are taken to use the approximated GELU of `-quickgelu`, all others not.
    """
    registered("RN50")  # adds our own models to open_clip's
    suited = [name for name in open_clip.list_models() if alike(open_clip.get_model_config(name), state) and fits(name, state, description)]
    quick = description.kind.startswith("openai")
    return sorted(suited, key=lambda name: (name != description.model, name.endswith("-quickgelu") != quick, len(name), name))


def alike(config: Mapping[str, Any], state: Mapping[str, Tensor]) -> bool:
    """Whether the weights may be this model's, judged by its configuration alone, without building it."""
    vision, text = config["vision_cfg"], config["text_cfg"]
    if "timm_model_name" in vision or "hf_model_name" in text:
        return False
    projection = state.get("text_projection", state.get("text.text_projection"))
    if projection is None or projection.ndim != 2 or projection.shape[1] != config["embed_dim"]:
        return False
    if isinstance(vision["layers"], list):
        return all(blocks(state, f"visual.layer{stage}.") == count for stage, count in enumerate(vision["layers"], 1))
    return bool(blocks(state, "visual.transformer.resblocks.") == vision["layers"])


def fits(name: str, state: Mapping[str, Tensor], description: Description) -> bool:
    try:
        fit(name, state, description)
    except CheckpointError:
        return False
    return True


def fit(name: str, state: Mapping[str, Tensor], description: Description) -> None:
    """Check that the weights fit this model, with or without a `logit_bias`.

    Raises:
        CheckpointError: naming the differences.
    """
    model = on_meta(name)
    found, wanted = (
        {key: value for key, value in each.items() if key != "logit_bias"} for each in (fitted(state, model), model.state_dict())
    )
    try:
        check_fit(wanted, found, description.path)
    except CheckpointError as error:
        raise CheckpointError(f"{error}; {description}") from error


def on_meta(name: str) -> torch.nn.Module:
    """A model on torch's meta device, without memory for its weights."""
    with without_hints(), torch.device("meta"):
        model: torch.nn.Module = open_clip.create_model(name, load_weights=False, pretrained_hf=False, device="meta")
    return model


def write(path: Path, state: Mapping[str, Tensor]) -> None:
    """Write a state dict in the format of the file's suffix. The file appears whole or not at all."""
    plain = {key: value.contiguous().clone() for key, value in state.items()}  # safetensors refuses tensors that share memory
    with replaced(path) as beside:
        if path.suffix == ".safetensors":
            from safetensors.torch import save_file

            save_file(plain, beside)
        else:
            torch.save(plain, beside)

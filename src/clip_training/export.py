"""Export the weights from any file that holds a CLIP to a file that open_clip loads, or a folder that transformers loads.

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
from torch import Tensor

from harness import Job
from harness.errors import CheckpointError, ParameterError
from harness.files import write_json
from harness.torch.saving import save_safetensors, save_whole
from harness.torch.weights import check_numbers
from harness.writable import check_output

from .checkpoint import Description, fitted, load
from .config import ExportConfig
from .hugging_face import check_config, config_of, to_clip_model
from .known_models import configuration_of, fit, names_of, on_meta, registered
from .model_files import metadata_in

TWO = "two separately trained encoders, each with a projection and a bias, and the text encoder's own tokenizer"
WITHOUT_FORM = {
    "prompts": "visual prompts, which are put in between the tokens of an image tower's blocks",
    "encoders": TWO,
    "custom_clip_wrapper": TWO,
}
"""Kinds of files that cannot be exported, and what they hold."""


def export(job: Job) -> Path:
    """Write the weights in `init_from` to the run's folder, report what they were and how to load them, and return the file or folder.

    Args:
        job: its settings are an ExportConfig, and its `init_from` is the file to export.

    Raises:
        ParameterError: without a file, for an unknown model, or when the run's folder cannot be written.
        CheckpointError: for a file without a CLIP, with non-finite weights, or with a CLIP that open_clip has no model for, or that a
            CLIPModel of Hugging Face cannot express.
    """
    settings: ExportConfig = job.settings
    if job.init_from is None:
        raise ParameterError(["init_from is required: the file to export, or a run's folder or task"])
    target = job.output_dir / ("huggingface" if settings.format == "huggingface" else "")
    check_output(str(job.output_dir), target)
    try:
        state, description = load(job.init_from)
    except CheckpointError:
        check_plain(metadata_in(job.init_from), job.init_from)  # prompts alone are no CLIP
        raise
    check_plain({"kind": description.kind, **description.metadata}, job.init_from)
    check_numbers(state, job.init_from)
    job.report.text(str(description))
    name, argument = chosen(settings.name, state, description)
    if description.towers:
        check_config(description.towers, open_clip.get_model_config(name), name, description.path)
    if settings.format == "huggingface":
        path = write_clip_model(target, fitted(state, on_meta(name)), name)
        how = f"transformers.CLIPModel.from_pretrained({str(path)!r}), which is {name}"
    else:
        path = target / f"weights.{settings.format}"
        target.mkdir(parents=True, exist_ok=True)
        write(path, fitted(state, on_meta(name)))
        added = f"open_clip.add_model_config({argument!r}); " if argument != name else ""
        how = f"{added}open_clip.create_model({name!r}, pretrained={str(path)!r})"
    job.report.artifact("weights", path)
    job.report.text(f"{len(state)} tensors are in {path}. To load: {how}")
    return path


def check_plain(metadata: Mapping[str, Any], path: Path) -> None:
    """Check that a file holds a model that other programs have, by what it states about itself.

    Raises:
        CheckpointError: for a model with prompts, or of two separate encoders.
    """
    if form := WITHOUT_FORM.get(str(metadata.get("kind"))):
        what = f"{form}; neither open_clip nor Hugging Face's CLIPModel can express that"
        raise CheckpointError(f"{path} holds {what}. This project's commands take the file as it is, by init_from")


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
        own = configuration_of(state, description)
        raise CheckpointError(
            f"{description}; no open_clip model has these shapes: set name=NAME, or name=FILE.json for a model of your own"
            + (f", a file that holds {own}" if own else "")
        )
    return names[0], names[0]


def write(path: Path, state: Mapping[str, Tensor]) -> None:
    """Write a state dict in the format of the file's suffix. The file appears whole or not at all."""
    plain = {key: value.contiguous().clone() for key, value in state.items()}  # safetensors refuses tensors that share memory
    (save_safetensors if path.suffix == ".safetensors" else save_whole)(plain, path)


def write_clip_model(folder: Path, state: Mapping[str, Tensor], name: str) -> Path:
    """Write the weights of an open_clip model as transformers' `CLIPModel.from_pretrained` loads them.

    Raises:
        CheckpointError: for a model that a CLIPModel cannot express.
    """
    renamed, config = to_clip_model(state, name), config_of(open_clip.get_model_config(name), name)
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "model.safetensors", {key: value.float() for key, value in renamed.items()})
    write_json(folder / "config.json", config)
    return folder

"""Weights from files that others wrote: read without running anything that is in them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from harness.errors import CheckpointError

from .torchscript import is_torchscript, read_torchscript


class Ignored:
    """Stands in for a type whose instances are of no interest."""


LIGHTNING: list[Any] = [
    (Ignored, "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint"),
    (Ignored, "pytorch_lightning.callbacks.early_stopping.EarlyStopping"),
    (np._core.multiarray.scalar, "numpy.core.multiarray.scalar"),  # type: ignore[attr-defined]
    (np._core.multiarray.scalar, "numpy._core.multiarray.scalar"),  # type: ignore[attr-defined]
    np.dtype,
    np.dtypes.Float64DType,
    np.dtypes.Float32DType,
    np.dtypes.Int64DType,
]
"""What Lightning 1.x leaves in a checkpoint beside tensors and plain containers."""


def read_weights(path: Path) -> dict[str, Tensor]:
    """The state dict in a file: plain, safetensors, wrapped by Lightning or open_clip's training program, or in a TorchScript archive.

    Prefixes that wrappers leave (`module.`, `model.`) are taken off.

    Raises:
        CheckpointError: for what is no state dict, and for a pickle with other types than tensors and plain containers, naming them.
    """
    return unwrapped(read_file(path), path)


def read_file(path: Path, allowed: Sequence[Any] = ()) -> object:
    """Everything in a file of weights of any format; of a TorchScript archive the tensors, whose program is not run.

    Raises:
        CheckpointError: as for `read_checkpoint`.
    """
    if path.suffix == ".safetensors":
        return read_safetensors(path)
    return read_torchscript(path) if is_torchscript(path) else read_checkpoint(path, allowed)


def read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} cannot be read as safetensors: {error}") from error


def read_checkpoint(path: Path, allowed: Sequence[Any] = ()) -> object:
    """Everything in a file that PyTorch wrote: tensors, plain containers, and `allowed` types (as torch.serialization.safe_globals).

    Raises:
        CheckpointError: for a pickle with other types, naming them, and for what is no such file.
    """
    if is_torchscript(path):
        raise CheckpointError(f"{path} is a TorchScript archive, which is a program; convert it to a state dict where you trust it")
    try:
        with torch.serialization.safe_globals(list(allowed)):
            return torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        refused = re.search(r"unsupported (?:global:?|class) (?:GLOBAL )?([\w.]+)", str(error), re.IGNORECASE)
        what = f"holds the type {refused[1]}" if refused else "is not a file of weights"
        raise CheckpointError(f"{path} {what}; only tensors and plain containers are read: save model.state_dict()") from error
    except (RuntimeError, EOFError, OSError) as error:
        raise CheckpointError(f"{path} cannot be read as weights: {type(error).__name__} {error}".strip()) from error


def unwrapped(loaded: object, path: Path) -> dict[str, Tensor]:
    """The plain state dict inside what a file held."""
    state = loaded["state_dict"] if isinstance(loaded, Mapping) and "state_dict" in loaded else loaded
    if not isinstance(state, Mapping) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise CheckpointError(f"{path} holds no state dict: expected parameter names with tensors")
    for prefix in ("module.", "model."):
        if all(key.startswith(prefix) for key in state):
            state = {key.removeprefix(prefix): value for key, value in state.items()}
    return dict(state)


def load_into(model: nn.Module, state: Mapping[str, Tensor], source: Path) -> None:
    """Copy all weights into a model of the same form.

    Raises:
        CheckpointError: naming missing and unknown keys and differing shapes, or weights that are no numbers; the model is left as it was.
    """
    wanted = model.state_dict()
    check_fit(wanted, state, source)
    check_numbers(state, source)
    model.load_state_dict({key: value.reshape(wanted[key].shape) for key, value in state.items()})


def check_fit(wanted: Mapping[str, Tensor], state: Mapping[str, Tensor], source: Path) -> None:
    """Whether a model with the weights `wanted` takes those of `state`; their values do not matter.

    Raises:
        CheckpointError: as `load_into`.
    """
    problems = [f"lacks {listed(wanted.keys() - state.keys())}"] if wanted.keys() - state.keys() else []
    problems += [f"has {listed(state.keys() - wanted.keys())}, which the model lacks"] if state.keys() - wanted.keys() else []
    shapes = [
        f"{key} is {tuple(state[key].shape)}, in the model {tuple(wanted[key].shape)}"
        for key in wanted.keys() & state.keys()
        if wanted[key].numel() != state[key].numel() or (wanted[key].shape != state[key].shape and wanted[key].numel() > 1)
    ]
    problems += [f"shapes differ: {listed(shapes)}"] if shapes else []
    if problems:
        raise CheckpointError(f"{source} does not fit the model: {'; '.join(problems)}")


def check_numbers(state: Mapping[str, Tensor], source: Path) -> None:
    """Whether all weights are numbers: those of a training that diverged are not.

    Raises:
        CheckpointError: naming those that hold NaN or an infinity. A mask of attention holds the latter by design.
    """
    wrong = [key for key, value in state.items() if not key.endswith("attn_mask") and not value.isfinite().all()]
    if wrong:
        raise CheckpointError(f"{source} holds weights that are not finite, so that nothing can be told by them: {listed(wrong)}")


def listed(names: Iterable[str]) -> str:
    """A few names and how many more there are."""
    ordered = sorted(names)
    return ", ".join(ordered[:4]) + (f" and {len(ordered) - 4} more" if len(ordered) > 4 else "")

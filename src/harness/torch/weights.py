"""Reading weights from files of any origin without running any code in them."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, TypeGuard

import numpy as np
import torch
from torch import Tensor, nn

from harness.errors import CheckpointError

from .torchscript import is_torchscript, read_torchscript

log = logging.getLogger(__name__)


class Ignored:
    """A placeholder for types whose instances are not needed."""


SCALAR: Any = np._core.multiarray.scalar  # type: ignore[attr-defined]
"""The type that NumPy's pickles name, which has no public name."""
LIGHTNING: list[Any] = [
    (Ignored, "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint"),
    (Ignored, "pytorch_lightning.callbacks.early_stopping.EarlyStopping"),
    (SCALAR, "numpy.core.multiarray.scalar"),
    (SCALAR, "numpy._core.multiarray.scalar"),
    np.dtype,
    np.dtypes.Float64DType,
    np.dtypes.Float32DType,
    np.dtypes.Int64DType,
]
"""Types other than tensors and plain containers that Lightning 1.x leaves in a checkpoint."""


def read_weights(path: Path) -> dict[str, Tensor]:
    """The state dict in a file: plain, safetensors, the only one among a training program's entries, or in a TorchScript archive.

    The prefixes that wrappers leave (`module.`, `model.`) are removed.

    Raises:
        CheckpointError: for a file without a state dict, and for a pickle with types other than tensors and plain containers, naming
            the type.
    """
    return unwrapped(read_file(path), path)


def read_file(path: Path, allowed: Sequence[Any] = ()) -> object:
    """Everything in a file of weights of any format, or in the parts that an index of Hugging Face names.

    Only the tensors of a TorchScript archive are read; its program is not run.

    Raises:
        CheckpointError: as for `read_checkpoint`.
    """
    if path.name.endswith(".index.json"):
        return read_parts(path)
    if path.suffix == ".safetensors":
        return read_safetensors(path)
    return read_torchscript(path) if is_torchscript(path) else read_checkpoint(path, allowed)


def read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        state: dict[str, Tensor] = load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} cannot be read as safetensors: {error}") from error
    return state


def read_parts(index: Path) -> dict[str, Tensor]:
    """The weights in several files beside an index, a JSON file whose `weight_map` states the file of each weight.

    Raises:
        CheckpointError: for an unusable index, a missing part, and parts that do not hold exactly the weights of the index.
    """
    try:
        places: dict[str, str] = dict(json.loads(index.read_text())["weight_map"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise CheckpointError(f"{index} is not an index of weights: {type(error).__name__} {error}") from error
    files = sorted(set(map(str, places.values())))
    missing = [name for name in files if Path(name).name != name or not (index.parent / name).is_file()]
    if missing:
        raise CheckpointError(f"{index} names {listed(missing)}, which must lie beside it")
    state: dict[str, Tensor] = {}
    for name in files:
        part = read_file(index.parent / name)
        if not is_state_dict(part):
            raise CheckpointError(f"{index.parent / name} holds no state dict: expected parameter names with tensors")
        state |= part
    if differing := state.keys() ^ places.keys():
        raise CheckpointError(f"{index} and the files that it names differ in {listed(differing)}")
    return state


def read_checkpoint(path: Path, allowed: Sequence[Any] = ()) -> object:
    """Everything in a file that PyTorch wrote: tensors, plain containers, and `allowed` types (see torch.serialization.safe_globals).

    Raises:
        CheckpointError: for a pickle with other types, naming the type, and for other files.
    """
    if is_torchscript(path):
        raise CheckpointError(f"{path} is a TorchScript archive, which is a program; if you trust it, convert it to a state dict first")
    try:
        with torch.serialization.safe_globals(list(allowed)):
            return torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        refused = re.search(r"unsupported (?:global:?|class) (?:GLOBAL )?([\w.]+)", str(error), re.IGNORECASE)
        what = f"holds the type {refused[1]}" if refused else "is not a file of weights"
        raise CheckpointError(f"{path} {what}; only tensors and plain containers are accepted: save model.state_dict()") from error
    except (RuntimeError, EOFError, OSError) as error:
        raise CheckpointError(f"{path} cannot be read as weights: {type(error).__name__} {error}".strip()) from error


def is_state_dict(value: object) -> TypeGuard[Mapping[str, Tensor]]:
    return isinstance(value, Mapping) and bool(value) and all(isinstance(each, Tensor) for each in value.values())


def state_dicts(loaded: object) -> dict[str, Mapping[str, Tensor]]:
    """The state dicts in the content of a file by the names of their entries; one that is the whole content has the name ""."""
    if is_state_dict(loaded):
        return {"": loaded}
    return {str(key): value for key, value in loaded.items() if is_state_dict(value)} if isinstance(loaded, Mapping) else {}


def only(found: Mapping[str, Mapping[str, Tensor]], path: Path) -> str:
    """The name of the only entry; one that is not the usual `state_dict` is logged.

    Raises:
        CheckpointError: naming all entries, when there are several.
    """
    if len(found) > 1:
        several = " and ".join(f"{entry!r} ({len(state)} tensors)" for entry, state in found.items())
        raise CheckpointError(f"{path} holds several state dicts: {several}; save the one that you mean to a file of its own")
    entry = next(iter(found))
    if entry not in ("", "state_dict"):
        log.warning("%s: the weights are those of its entry %r", path, entry)
    return entry


def unwrapped(loaded: object, path: Path) -> dict[str, Tensor]:
    """The plain state dict inside the content of a file.

    Raises:
        CheckpointError: when there is none, or several.
    """
    found = state_dicts(loaded)
    if not found:
        raise CheckpointError(f"{path} holds no state dict: expected parameter names with tensors")
    state = found[only(found, path)]
    for prefix in ("module.", "model."):
        if all(key.startswith(prefix) for key in state):
            state = {key.removeprefix(prefix): value for key, value in state.items()}
    return dict(state)


def load_into(model: nn.Module, state: Mapping[str, Tensor], source: Path) -> None:
    """Copy all weights into a model with the same parameters.

    Raises:
        CheckpointError: naming missing keys, unknown keys and differing shapes, or non-finite weights; the model is left unchanged.
    """
    wanted = model.state_dict()
    check_fit(wanted, state, source)
    check_numbers(state, source)
    model.load_state_dict({key: value.reshape(wanted[key].shape) for key, value in state.items()})


def check_fit(wanted: Mapping[str, Tensor], state: Mapping[str, Tensor], source: Path) -> None:
    """Check that a model with the weights `wanted` can load those of `state`, whatever their values.

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
    """Check that all weights are finite, which those of a diverged training are not.

    Raises:
        CheckpointError: naming the weights that hold NaN or infinity. Attention masks hold infinity by design and are not checked.
    """
    wrong = [key for key, value in state.items() if not key.endswith("attn_mask") and not value.isfinite().all()]
    if wrong:
        raise CheckpointError(f"{source} holds non-finite weights, so the model is unusable: {listed(wrong)}")


def listed(names: Iterable[str]) -> str:
    """The first few names, and the number of the others."""
    ordered = sorted(names)
    return ", ".join(ordered[:4]) + (f" and {len(ordered) - 4} more" if len(ordered) > 4 else "")

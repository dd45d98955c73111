"""Checkpoints: written atomically, found again, and never trusted when incomplete.

`step=00000100.ckpt` is the file that the caller wrote, `step=00000100.json` its manifest, which is written last. A checkpoint
without a manifest, or that differs from its manifest, was interrupted while being written, and is skipped.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .errors import CheckpointError
from .files import replaced, sha256, write_json

log = logging.getLogger(__name__)

CHECKPOINTS = "checkpoints"
"""The folder below a run's that holds its checkpoints."""


class Checkpoints:
    """The checkpoints of one run, in a folder.

    Args:
        folder: where they are stored; created by the first save.
        keep: how many of the newest to keep.
        uploaded: called with each saved file and its manifest, to copy it elsewhere.
    """

    def __init__(self, folder: Path, keep: int = 2, uploaded: Callable[[Path, Mapping[str, Any]], None] | None = None) -> None:
        self.folder = folder
        self.keep = keep
        self.uploaded = uploaded

    def save(self, step: int, write: Callable[[Path], object], metrics: Mapping[str, float] | None = None) -> Path:
        """Save a new checkpoint with `write`.

        Args:
            step: the number of optimizer steps done.
            write: called with the path to write to.
            metrics: recorded in the manifest.

        Raises:
            CheckpointError: it cannot be written; older checkpoints remain.
        """
        path = self.folder / f"step={step:08d}.ckpt"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with replaced(path) as beside:
                write(beside)
            manifest = {
                "file": path.name,
                "step": step,
                "bytes": path.stat().st_size,
                "sha256": sha256(path),
                "metrics": dict(metrics or {}),
            }
            write_json(path.with_suffix(".json"), manifest)
        except OSError as error:
            raise CheckpointError(f"checkpoint {path} could not be written: {error}; earlier checkpoints are kept") from error
        whole = [
            each for each in self.newest_first() if each.with_suffix(".json").exists()
        ]  # checkpoints of other programs have none, and are left alone
        for old in whole[self.keep :]:
            old.with_suffix(".json").unlink(missing_ok=True)  # first, so that a kill between the two leaves a file that is skipped
            old.unlink(missing_ok=True)
        if self.uploaded is not None:
            self.uploaded(path, manifest)
        return path

    def newest_first(self) -> list[Path]:
        return sorted(self.folder.glob("step=*.ckpt"), reverse=True)

    def latest(self) -> Path | None:
        """The newest complete checkpoint, or None. A warning names each incomplete one."""
        for path in self.newest_first():
            damage = damage_of(path)
            if damage is None:
                return path
            log.warning("skipping checkpoint %s: %s", path, damage)
        return None


def step_of(path: Path) -> int:
    """The step in a checkpoint's name."""
    return int(path.stem.partition("=")[2])


def damage_of(path: Path) -> str | None:
    """How a checkpoint differs from its manifest, or None."""
    try:
        manifest = json.loads(path.with_suffix(".json").read_text())
        size, digest = manifest["bytes"], manifest["sha256"]
    except FileNotFoundError:
        return "it has no manifest, so it was not written completely"
    except (ValueError, KeyError, TypeError, OSError):
        return "its manifest cannot be read"
    if path.stat().st_size != size:
        return f"it has {path.stat().st_size} bytes, but its manifest says {size}"
    return None if sha256(path) == digest else "its contents do not match the SHA-256 in its manifest"


HUGGING_FACE = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
"""The file of weights in a folder that transformers wrote, or the index of its parts."""
PUBLISHED = ("weights.pt", "best.ckpt", "last.ckpt", *HUGGING_FACE)
"""File names under which runs publish their weights, in order of preference."""


def find_weights(source: Path) -> Path:
    """The weights file that a file or folder stands for: of a run's folder, the weights it published, else its newest checkpoint.

    Raises:
        CheckpointError: as `find`.
    """
    for folder in (source, source / CHECKPOINTS):
        for name in PUBLISHED:
            if (folder / name).is_file():
                return folder / name
    return find(source)


def find(source: Path) -> Path:
    """The checkpoint that a file or folder (a run's, or its `checkpoints/`) stands for.

    Raises:
        CheckpointError: there is none that can be used; it lists what is there.
    """
    if source.is_file():
        ours = source.match("step=*.ckpt") and source.with_suffix(".json").exists()  # a .json file beside any other file is not a manifest
        damage = damage_of(source) if ours else None
        if damage:
            raise CheckpointError(f"checkpoint {source} cannot be used: {damage}")
        return source
    if not source.exists():
        raise CheckpointError(f"{source} does not exist; name a checkpoint file, a run's folder or a task ID")
    for folder in (source, source / CHECKPOINTS):
        if (found := Checkpoints(folder).latest()) is not None:
            return found
    there = ", ".join(sorted(path.name for path in source.iterdir())[:10]) or "nothing"
    raise CheckpointError(f"no complete checkpoint (step=*.ckpt with its .json) in {source}, which contains {there}")

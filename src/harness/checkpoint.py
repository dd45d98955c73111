"""Checkpoints: written atomically, found again, and never trusted when incomplete.

`step=00000100.ckpt` is the file that the caller wrote, `step=00000100.json` its manifest, which is written last. A checkpoint
without a manifest, or that differs from its manifest, was interrupted while being written, and is skipped. The manifest states whose
checkpoint it is: a run's folder belongs to that run, and another one is refused there (`owner`).
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
ANEW = "anew"
"""The value of `resume` that starts over although the run's folder has a checkpoint."""


class Checkpoints:
    """The checkpoints of one run, in a folder.

    Args:
        folder: where they are stored; created by the first save.
        keep: how many of the newest to keep.
        uploaded: called with each saved file and its manifest, to copy it elsewhere.
        run: the run's ID. Checkpoints that state another run are neither found nor removed; without an ID, all are this run's.
    """

    def __init__(
        self, folder: Path, keep: int = 2, uploaded: Callable[[Path, Mapping[str, Any]], None] | None = None, run: str = ""
    ) -> None:
        self.folder = folder
        self.keep = keep
        self.uploaded = uploaded
        self.run = run

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
                "run": self.run,
            }
            write_json(path.with_suffix(".json"), manifest)
        except OSError as error:
            why = error.strerror or error
            raise CheckpointError(f"checkpoint {path} could not be written: {why}; earlier checkpoints are kept") from error
        whole = [
            each for each in self.newest_first() if each <= path and each.with_suffix(".json").exists()
        ]  # later steps do not make this one old; checkpoints of other programs have no manifest; both are left alone
        for old in whole[self.keep :]:
            old.with_suffix(".json").unlink(missing_ok=True)  # first, so that a kill between the two leaves a file that is skipped
            old.unlink(missing_ok=True)
        if self.uploaded is not None:
            self.uploaded(path, manifest)
        return path

    def newest_first(self) -> list[Path]:
        """This run's checkpoints and those that state no run, complete or not."""
        found = sorted(self.folder.glob("step=*.ckpt"), reverse=True)
        return [path for path in found if not self.run or run_of(path) in ("", self.run)]

    def clear(self) -> None:
        """Remove all of them."""
        for path in self.newest_first():
            path.with_suffix(".json").unlink(missing_ok=True)
            path.unlink()

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


def run_of(path: Path) -> str:
    """The ID of the run that a checkpoint's manifest states; empty if it states none, as those of older versions."""
    try:
        return str(json.loads(path.with_suffix(".json").read_text()).get("run", ""))
    except (OSError, ValueError, AttributeError):
        return ""


def owner(folder: Path, run: str, resume: Path | None) -> str:
    """The ID of the run that a run's folder belongs to: that of the checkpoint in it that is resumed, else `run`, a new one.

    Args:
        folder: a run's folder, which need not exist.
        run: the ID of a new run.
        resume: the checkpoint to continue from, if any.

    Raises:
        CheckpointError: the folder holds a checkpoint that is not continued.
    """
    checkpoints = folder / CHECKPOINTS
    if resume is not None and resume.resolve().parent == checkpoints.resolve():
        return run_of(resume) or run
    if (held := Checkpoints(checkpoints).latest()) is not None:
        raise CheckpointError(
            f"{folder} holds the checkpoints of {f'the run {stated}' if (stated := run_of(held)) else 'another run'}, up to {held.name}; "
            f"continue it by resume={folder}, remove its checkpoints by resume={ANEW}, or choose another output_dir"
        )
    return run


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

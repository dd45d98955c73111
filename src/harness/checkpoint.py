"""Checkpoints: written whole, found again, never trusted when torn.

`step=00000100.ckpt` is the file that the caller wrote, `step=00000100.json` its manifest, which is written last. A file without
a manifest, or one that differs from it, was interrupted and is passed over.
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


class Checkpoints:
    """The checkpoints of one run, in a folder.

    Args:
        folder: where they are; made at the first save.
        keep: how many of the newest are kept.
        uploaded: called with each saved file and its manifest, to take it elsewhere.
    """

    def __init__(self, folder: Path, keep: int = 2, uploaded: Callable[[Path, Mapping[str, Any]], None] | None = None) -> None:
        self.folder = folder
        self.keep = keep
        self.uploaded = uploaded

    def save(self, step: int, write: Callable[[Path], object], metrics: Mapping[str, float] | None = None) -> Path:
        """Let `write` fill a new checkpoint file.

        Args:
            step: optimizer steps done.
            write: is given the path to write to.
            metrics: kept in the manifest.

        Raises:
            CheckpointError: when it cannot be written; older checkpoints stay.
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
            raise CheckpointError(f"checkpoint {path} could not be written: {error}; earlier ones are kept") from error
        whole = [each for each in self.newest_first() if each.with_suffix(".json").exists()]  # another program's have none, and stay
        for old in whole[self.keep :]:
            old.with_suffix(".json").unlink(missing_ok=True)  # first, so that a kill between the two leaves a file that is passed over
            old.unlink(missing_ok=True)
        if self.uploaded is not None:
            self.uploaded(path, manifest)
        return path

    def newest_first(self) -> list[Path]:
        return sorted(self.folder.glob("step=*.ckpt"), reverse=True)

    def latest(self) -> Path | None:
        """The newest whole checkpoint, or None; torn ones are named in a warning."""
        for path in self.newest_first():
            damage = damage_of(path)
            if damage is None:
                return path
            log.warning("checkpoint %s is passed over: %s", path, damage)
        return None


def step_of(path: Path) -> int:
    """The step of a checkpoint, by its name."""
    return int(path.stem.partition("=")[2])


def damage_of(path: Path) -> str | None:
    """What is wrong with a checkpoint according to its manifest, or None."""
    try:
        manifest = json.loads(path.with_suffix(".json").read_text())
        size, digest = manifest["bytes"], manifest["sha256"]
    except FileNotFoundError:
        return "it has no manifest, so its writing was interrupted"
    except (ValueError, KeyError, TypeError, OSError):
        return "its manifest cannot be read"
    if path.stat().st_size != size:
        return f"it has {path.stat().st_size} bytes where its manifest says {size}"
    return None if sha256(path) == digest else "its contents differ from its manifest's SHA-256"


PUBLISHED = ("weights.pt", "best.ckpt", "last.ckpt")
"""What runs call the files of weights that others shall take, the first choice first."""


def find_weights(source: Path) -> Path:
    """The file of weights that a person means by a file or a folder: of a run's what it published, else its newest checkpoint.

    Raises:
        CheckpointError: as `find`.
    """
    for folder in (source, source / "checkpoints"):
        for name in PUBLISHED:
            if (folder / name).is_file():
                return folder / name
    return find(source)


def find(source: Path) -> Path:
    """The checkpoint that a person means by a file or a folder (a run's, or its `checkpoints/`).

    Raises:
        CheckpointError: naming what is there and what was wrong with it.
    """
    if source.is_file():
        ours = source.match("step=*.ckpt") and source.with_suffix(".json").exists()  # other files' neighbours are no manifests
        damage = damage_of(source) if ours else None
        if damage:
            raise CheckpointError(f"checkpoint {source} cannot be used: {damage}")
        return source
    if not source.exists():
        raise CheckpointError(f"{source} does not exist; name a checkpoint file, a run's folder or a task ID")
    for folder in (source, source / "checkpoints"):
        if (found := Checkpoints(folder).latest()) is not None:
            return found
    there = ", ".join(sorted(path.name for path in source.iterdir())[:10]) or "nothing"
    raise CheckpointError(f"no whole checkpoint (step=*.ckpt with its .json) in {source}, which holds {there}")

"""The cache of datasets on this machine: filled once by one process, checked, its manifest written last."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from .errors import DataError
from .files import sha256, write_json

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Dataset:
    """A dataset that is on this machine."""

    identity: str
    """What fixes its contents: a ClearML ID, an S3 address with a digest, or a folder."""
    folder: Path


def cache_folder() -> Path:
    """HARNESS_CACHE, by default a folder in the user's cache."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("HARNESS_CACHE") or Path(root) / "clearml-workloads")


def once(folder: Path, download: Callable[[Path], Mapping[str, str]]) -> Path:
    """Fill `folder` if this machine does not have it yet: one process does, the others wait.

    `download` fills the folder it is given, and returns the SHA-256 that each file (relative path) must have.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f"{folder.name}.lock")):
        if (folder / MANIFEST).exists():
            return folder
        beside = folder.with_name(f"{folder.name}.partial")
        shutil.rmtree(beside, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
        beside.mkdir()
        try:
            wanted = download(beside)
            damaged = [name for name, digest in wanted.items() if not (beside / name).is_file() or sha256(beside / name) != digest]
            if damaged:
                raise DataError(
                    f"dataset {folder.name}: {len(damaged)} of {len(wanted)} files arrived damaged or not at all, e.g. {damaged[0]}"
                )
            write_json(beside / MANIFEST, manifest_of(beside, wanted))
            beside.replace(folder)
        except OSError as error:
            raise DataError(f"dataset {folder.name} could not be stored below {folder.parent}: {error}") from error
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    return folder


def manifest_of(folder: Path, digests: Mapping[str, str]) -> dict[str, Any]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        "files": {
            name: {"bytes": path.stat().st_size, "sha256": digests.get(name)}
            for path in files
            for name in [path.relative_to(folder).as_posix()]
        }
    }

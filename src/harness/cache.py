"""The cache of datasets on this machine: filled once by one process, checked, and looked over at each use.

A set is complete when its manifest lies beside its folder, and then usable by whoever can read it. What was changed in it is noticed by
sizes and times (HARNESS_VERIFY=1: by reading everything); the set is then fetched again, and what was changed is kept aside.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from . import manifest
from .errors import DataError
from .manifest import Changes, Manifest, listed

log = logging.getLogger(__name__)

VERIFY = "HARNESS_VERIFY"
"""Environment variable: read every file of a set at each use."""
ATTEMPTS = 2
"""How often a set that arrives damaged is fetched."""
NO_PLACE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT)

Download = Callable[[Path], Mapping[str, str | None]]
"""Fills the folder that it is given, and returns the SHA-256, if known, that each file (relative path) must have."""


@dataclass(frozen=True)
class LocalDataset:
    """A dataset that is on this machine."""

    identity: str
    """What fixes its contents: a ClearML ID, an S3 address with a digest, or a folder."""
    folder: Path


def cache_folder() -> Path:
    """HARNESS_CACHE, by default a folder in the user's cache."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("HARNESS_CACHE") or Path(root) / "clearml-workloads")


def once(folder: Path, download: Download) -> Path:
    """Fill `folder` if this machine does not have it yet, or not as it was: one process does, the others wait.

    Raises:
        DataError: it arrives damaged, cannot be stored, or is not complete where this user may not write.
    """
    fault = None
    try:
        if (fault := fault_of(folder)) is None:
            return folder
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f"{folder.name}.lock")):
            if (fault := fault_of(folder)) is not None:  # others may have waited for the same
                renew(folder, download, fault)
    except OSError as error:
        remedy = "; HARNESS_CACHE names another folder for the cache" if error.errno in NO_PLACE else ""
        what = f"{fault}; the set cannot be stored there" if fault else "it cannot be read"
        raise DataError(f"dataset {folder.name} in the cache {folder.parent}: {what}: {error}{remedy}") from error
    return folder


def fault_of(folder: Path) -> str | None:
    """Why a folder is not a complete set as it was fetched, or None; to find that out, nothing needs to be written.

    Raises:
        OSError: this user may not read all of it.
    """
    try:
        known = manifest.read(folder)
        found = Changes() if known is None else differences(folder, known)
    except FileNotFoundError:
        known = None  # another process puts a new one into its place at this moment
    if known is None:
        return "it is not there as a whole"
    if found.unreadable:
        raise PermissionError(errno.EACCES, f"this user may not read {listed(found.unreadable)}", str(folder))
    if found.altered:
        return f"changed since it was fetched: {listed(found.altered)}"
    if found.added:
        log.warning("%s holds %s, which the dataset does not have; left there", folder, listed(found.added))
    if found.touched:
        with contextlib.suppress(OSError):  # whoever may not write reads them again the next time
            manifest.write(folder, known | manifest.taken(folder, found.touched))
    return None


def differences(folder: Path, known: Manifest) -> Changes:
    return manifest.changes(folder, known, thorough=bool(os.environ.get(VERIFY)))


def renew(folder: Path, download: Download, fault: str) -> None:
    """Fetch into a folder beside, which takes the place of what is there; what was changed there is kept."""
    beside, old = (folder.with_name(f"{folder.name}.{state}") for state in ("partial", "old"))
    for stale in (beside, old):
        shutil.rmtree(stale, ignore_errors=True)
    if known := manifest.read(folder):
        log.warning("dataset %s in the cache %s: %s; the set is fetched again", folder.name, folder.parent, fault)
    try:
        fetched = fetch(beside, folder.name, download)
        if known:
            keep(folder, differences(folder, known))
        manifest.path_of(folder).unlink(missing_ok=True)
        if folder.exists():
            folder.replace(old)
        beside.replace(folder)
        manifest.write(folder, fetched)
    finally:
        for stale in (beside, old):
            shutil.rmtree(stale, ignore_errors=True)


def fetch(beside: Path, name: str, download: Download) -> Manifest:
    """Fill a new folder with what the dataset must hold, and say what that is.

    Raises:
        DataError: it arrives damaged again and again.
    """
    for left in reversed(range(ATTEMPTS)):
        beside.mkdir()
        wanted = download(beside)
        found = manifest.taken(beside)
        damaged = [file for file, digest in wanted.items() if file not in found or digest not in (None, found[file].sha256)]
        if not damaged:
            return found
        if left:
            log.warning("dataset %s: %s arrived damaged or not at all; fetched again", name, listed(damaged))
            shutil.rmtree(beside)
    raise DataError(f"dataset {name}: {len(damaged)} of {len(wanted)} files arrived damaged or not at all, e.g. {damaged[0]}")


def keep(folder: Path, found: Changes) -> None:
    """Move what somebody changed in a folder, or put into it, to a folder beside."""
    aside = folder.with_name(f"{folder.name}.changed-{time.strftime('%Y%m%d-%H%M%S')}")
    for name in [*found.altered, *found.added]:
        if os.path.lexists(folder / name):
            (aside / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).replace(aside / name)
    if aside.exists():
        log.warning("what was changed in %s is kept in %s", folder, aside)

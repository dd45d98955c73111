"""The cache of datasets on this machine: one process fetches a dataset, verifies it, and each use checks it for changes.

A dataset is complete once its manifest exists beside its folder; from then on anyone who can read it can use it. Changed files are
detected by size and time (with HARNESS_VERIFY=1, by contents): the dataset is then fetched again, and the changed files are kept.
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
"""Environment variable: verify the contents of every file at each use."""
ATTEMPTS = 2
"""How many times a dataset that arrives damaged is fetched."""
NO_PLACE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT)

Download = Callable[[Path], Mapping[str, str | None]]
"""Fills the given folder, and returns the SHA-256 that each file (by relative path) must have, or None where it is unknown."""


@dataclass(frozen=True)
class LocalDataset:
    """A dataset that is on this machine."""

    identity: str
    """What determines its contents: a ClearML ID, an S3 address with a digest, or a folder."""
    folder: Path


def cache_folder() -> Path:
    """The folder named by HARNESS_CACHE; by default one in the user's cache."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("HARNESS_CACHE") or Path(root) / "clearml-workloads")


def once(folder: Path, download: Download) -> Path:
    """Fill `folder` unless this machine already has it, unchanged. One process fills it; others wait.

    Raises:
        DataError: the dataset arrives damaged, cannot be stored, or is incomplete in a folder where this user cannot write.
    """
    fault = None
    try:
        if (fault := fault_of(folder)) is None:
            return folder
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f"{folder.name}.lock")):
            if (fault := fault_of(folder)) is not None:  # another process may have filled it while this one waited
                renew(folder, download, fault)
    except OSError as error:
        remedy = "; set HARNESS_CACHE to use another cache folder" if error.errno in NO_PLACE else ""
        what = f"{fault}, and it cannot be stored there" if fault else "it cannot be read"
        raise DataError(f"dataset {folder.name} in the cache {folder.parent}: {what}: {error}{remedy}") from error
    return folder


def fault_of(folder: Path) -> str | None:
    """Why a folder is not the complete dataset that was fetched, or None. Finding out needs no write access.

    Raises:
        OSError: this user cannot read all of it.
    """
    try:
        known = manifest.read(folder)
        found = Changes() if known is None else differences(folder, known)
    except FileNotFoundError:
        known = None  # another process is replacing it right now
    if known is None:
        return "it is incomplete"
    if found.unreadable:
        raise PermissionError(errno.EACCES, f"this user cannot read {listed(found.unreadable)}", str(folder))
    if found.altered:
        return f"changed since it was fetched: {listed(found.altered)}"
    if found.added:
        log.warning("%s contains %s, which is not part of the dataset; it is left there", folder, listed(found.added))
    if found.touched:
        with contextlib.suppress(OSError):  # a user who cannot write reads them again the next time
            manifest.write(folder, known | manifest.taken(folder, found.touched))
    return None


def differences(folder: Path, known: Manifest) -> Changes:
    return manifest.changes(folder, known, thorough=bool(os.environ.get(VERIFY)))


def renew(folder: Path, download: Download, fault: str) -> None:
    """Fetch into a folder beside `folder` and then replace it; files that somebody changed are kept."""
    beside, old = (folder.with_name(f"{folder.name}.{state}") for state in ("partial", "old"))
    for stale in (beside, old):
        shutil.rmtree(stale, ignore_errors=True)
    if known := manifest.read(folder):
        log.warning("dataset %s in the cache %s: %s; fetching it again", folder.name, folder.parent, fault)
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
    """Fill a new folder with the dataset, and return its manifest.

    Raises:
        DataError: files are damaged or missing, also after all attempts.
    """
    for left in reversed(range(ATTEMPTS)):
        beside.mkdir()
        wanted = download(beside)
        found = manifest.taken(beside)
        damaged = [file for file, digest in wanted.items() if file not in found or digest not in (None, found[file].sha256)]
        if not damaged:
            return found
        if left:
            log.warning("dataset %s: %s arrived damaged or not at all; fetching again", name, listed(damaged))
            shutil.rmtree(beside)
    raise DataError(f"dataset {name}: {len(damaged)} of {len(wanted)} files arrived damaged or not at all, e.g. {damaged[0]}")


def keep(folder: Path, found: Changes) -> None:
    """Move files that somebody changed or added to a folder beside this one."""
    aside = folder.with_name(f"{folder.name}.changed-{time.strftime('%Y%m%d-%H%M%S')}")
    for name in [*found.altered, *found.added]:
        if os.path.lexists(folder / name):
            (aside / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).replace(aside / name)
    if aside.exists():
        log.warning("the changed files of %s are kept in %s", folder, aside)

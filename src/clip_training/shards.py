"""WebDataset's tar files with random access: an index of where each member starts replaces reading them in order."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import re
import tarfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from filelock import FileLock

from harness.cache import cache_folder
from harness.errors import DataError
from harness.files import write_json

from .file_trees import FileTree, Member, is_hidden

log = logging.getLogger(__name__)

AT_ONCE = 8
"""Shards indexed at the same time: most of the time is spent waiting for a store."""
NAME = re.compile(r"((?:.*/)?[^./]+)(\.[^/]+)")
"""A sample's key is a member's path up to the first dot of its file name, as webdataset defines it; the rest is the suffix."""
END = bytes(512)
"""The block that ends an archive."""
IndexEntry = tuple[str, str, int, int]
"""A member's key, its suffix in lower case, its first byte and its size."""


def members_of(tree: FileTree, shards: Iterable[PurePosixPath]) -> Iterator[tuple[str, dict[str, Member]]]:
    """The key and the members by suffix of each sample that is not hidden, shard by shard, in order of first appearance.

    Everything after the damage in a damaged shard is lost, which is logged as a warning.
    """
    shards = list(shards)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        indices = list(pool.map(lambda shard: index_of(tree, shard), shards))
    for shard, (entries, damage) in zip(shards, indices, strict=True):
        if damage:
            log.warning("%s/%s is damaged: %s; only the %d members before that are used", tree, shard, damage, len(entries))
        samples: dict[str, dict[str, Member]] = {}
        for key, suffix, start, size in entries:
            if not is_hidden(PurePosixPath(key)):
                samples.setdefault(key, {}).setdefault(suffix, Member(tree, shard, key, suffix, start, size))
        yield from samples.items()


def index_of(tree: FileTree, shard: PurePosixPath) -> tuple[list[IndexEntry], str]:
    """A shard's members, and what is damaged in it. The index is cached until the shard changes."""
    digest = hashlib.sha256(tree.state(shard).encode()).hexdigest()[:32]
    path = cache_folder() / "shards" / f"{digest}.json"
    with contextlib.suppress(OSError, ValueError):
        return kept_index(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            if not path.exists():
                entries, damage = read_index(tree, shard)
                write_json(path, {"shard": f"{tree}/{shard}", "damage": damage, "entries": entries})
            return kept_index(path)
    except OSError:  # a full disk, or a cache that this user may not write to: the index is then made again next time
        return read_index(tree, shard)


def kept_index(path: Path) -> tuple[list[IndexEntry], str]:
    kept = json.loads(path.read_text())
    return [(key, suffix, start, size) for key, suffix, start, size in kept["entries"]], kept["damage"]


def read_index(tree: FileTree, shard: PurePosixPath) -> tuple[list[IndexEntry], str]:
    entries: list[IndexEntry] = []
    try:
        with tree.open(shard) as handle, tarfile.open(fileobj=handle, mode="r:") as archive:
            for member in archive:
                name = NAME.fullmatch(member.name)
                if name and member.isreg() and not member.issparse():
                    entries.append((name[1], name[2].lower(), member.offset_data, member.size))
                archive.members.clear()  # type: ignore[attr-defined]  # tarfile would keep all of them in memory
            handle.seek(archive.offset)  # tarfile mistakes a damaged header for the end of the archive
            damage = "" if handle.read(len(END)) == END else f"neither a header nor the end of the archive at byte {archive.offset}"
    except tarfile.TarError as error:
        return entries, str(error)
    except OSError as error:
        raise DataError(f"{tree}/{shard} cannot be read: {error}") from error
    return entries, damage

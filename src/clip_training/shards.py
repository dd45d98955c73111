"""WebDataset's tar files, read by random access: an index of where the members are takes the place of reading them in order."""

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

from .sources import Member, Source, is_hidden

log = logging.getLogger(__name__)

AT_ONCE = 8
"""Shards indexed side by side: most of that time is spent waiting for a store."""
NAME = re.compile(r"((?:.*/)?[^./]+)(\.[^/]+)")
"""The key of a sample is a member's path up to the first dot of its file name, as webdataset defines it."""
END = bytes(512)
"""A block of an archive after its last member."""
Entry = tuple[str, str, int, int]
"""Key, suffix in lower case, first byte and size of a member."""


def members_of(source: Source, shards: Iterable[PurePosixPath]) -> Iterator[tuple[str, dict[str, Member]]]:
    """Key and members by suffix of each sample that is not hidden, shard by shard, in order of first appearance.

    What stands behind the damage of a damaged shard is lost; a warning says so.
    """
    shards = list(shards)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        indices = list(pool.map(lambda shard: index_of(source, shard), shards))
    for shard, (entries, damage) in zip(shards, indices, strict=True):
        if damage:
            log.warning("%s/%s: %s; the %d members before that are used", source, shard, damage, len(entries))
        samples: dict[str, dict[str, Member]] = {}
        for key, suffix, start, size in entries:
            if not is_hidden(PurePosixPath(key)):
                samples.setdefault(key, {}).setdefault(suffix, Member(source, shard, key, suffix, start, size))
        yield from samples.items()


def index_of(source: Source, shard: PurePosixPath) -> tuple[list[Entry], str]:
    """Members of a shard and what is damaged in it. Kept in the cache, for as long as the shard stays as it is."""
    digest = hashlib.sha256(source.state(shard).encode()).hexdigest()[:32]
    path = cache_folder() / "shards" / f"{digest}.json"
    with contextlib.suppress(OSError, ValueError):
        return kept_index(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            if not path.exists():
                entries, damage = read_index(source, shard)
                write_json(path, {"shard": f"{source}/{shard}", "damage": damage, "entries": entries})
            return kept_index(path)
    except OSError:  # a full disk, or a cache that this user may not write to: it is only made again the next time
        return read_index(source, shard)


def kept_index(path: Path) -> tuple[list[Entry], str]:
    kept = json.loads(path.read_text())
    return [(key, suffix, start, size) for key, suffix, start, size in kept["entries"]], kept["damage"]


def read_index(source: Source, shard: PurePosixPath) -> tuple[list[Entry], str]:
    entries: list[Entry] = []
    try:
        with source.open(shard) as handle, tarfile.open(fileobj=handle, mode="r:") as archive:
            for member in archive:
                name = NAME.fullmatch(member.name)
                if name and member.isreg() and not member.issparse():
                    entries.append((name[1], name[2].lower(), member.offset_data, member.size))
                archive.members.clear()  # it would keep them all
            handle.seek(archive.offset)  # tarfile takes damage in a header for the end
            damage = "" if handle.read(len(END)) == END else f"no header of a member and no end at byte {archive.offset}"
    except tarfile.TarError as error:
        return entries, str(error)
    except OSError as error:
        raise DataError(f"{source}/{shard} cannot be read: {error}") from error
    return entries, damage

"""A short digest of the data that a run learns from: equal for equal names and contents, in whatever folder they are."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

SHOWN = 16
"""Hexadecimal digits: 64 bits, so that two datasets share a digest by chance once in 10^19 times."""


def digest_of(parts: Iterable[bytes]) -> str:
    """The beginning of the SHA-256 of several pieces of data. Their lengths count too, so that moving a boundary changes it."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()[:SHOWN]

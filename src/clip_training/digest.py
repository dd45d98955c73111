"""A digest of image-text pairs: a run can only be resumed with the pairs that it started with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from harness.torch.digest import digest_of

from .file_trees import File
from .pairs import Pair

MOST = 256 * 2**20
"""Bytes of files to read for a digest."""


def digest_of_pairs(pairs: Sequence[Pair]) -> str:
    """A digest of the pairs in their order, which does not depend on where the files are.

    It covers the names of all pairs and the captions in a table. Files on this machine are read up to MOST bytes: a small dataset
    completely, a large one at pairs spread all over it. For objects in a store it covers all sizes and ETags, and fetches nothing.
    """
    return digest_of(described(pairs))


def described(pairs: Sequence[Pair]) -> Iterator[bytes]:
    unread: list[Sequence[File]] = []
    for pair in pairs:
        yield pair.stem.encode(errors="backslashreplace")  # names need not be UTF-8
        if isinstance(pair.captions, tuple):
            yield "\n".join(pair.captions).encode()
        files = [pair.image] if isinstance(pair.captions, tuple) else [pair.image, pair.captions]
        known = [str(getattr(file, "known", "")) for file in files]
        yield " ".join(known).encode()
        unread += [] if all(known) else [files]
    left = MOST
    for place in np.random.default_rng(0).permutation(len(unread)):
        for file in unread[place]:
            content = bytes_of(file)
            left -= len(content)
            yield content
        if left < 0:
            return


def bytes_of(file: File) -> bytes:
    try:
        return file.read_bytes()
    except OSError:  # training skips and counts the pair
        return b""

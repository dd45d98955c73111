"""What tells image-text pairs from others: a run can only go on with those that it began with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from harness.torch.contents import digest_of

from .pairs import Pair
from .sources import File

MOST = 256 * 2**20
"""Bytes of files that are read for it."""


def contents_of(pairs: Sequence[Pair]) -> str:
    """A digest of the pairs in their order, equal wherever the files lie.

    The names of all pairs count, and the captions of a table. Files on this machine are read until MOST bytes were: all of a small set, of
    a large one those of pairs all over it. Of what is in a store all sizes and ETags count, and nothing is fetched.
    """
    return digest_of(described(pairs))


def described(pairs: Sequence[Pair]) -> Iterator[bytes]:
    unread: list[Sequence[File]] = []
    for pair in pairs:
        yield pair.stem.encode()
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
    except OSError:  # the pair is skipped and counted
        return b""

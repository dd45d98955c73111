"""The parts of a dataset, to train on and to hold out, as the names of its folders, tables or shards state them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

Named = TypeVar("Named")

TRAINING = ("train", "training")
HELD_OUT = ("heldout", "val", "valid", "validation", "dev", "test")
"""Words for held-out parts; where a dataset has several, the first of them here is used."""


@dataclass(frozen=True)
class Parts(Generic[Named]):
    """What belongs to which part."""

    training: list[Named]
    heldout: list[Named]
    unused: list[str]
    """Names of what is in neither."""


def word_of(name: str, *, whole: bool = False) -> str:
    """The word for a part in a name, or nothing: train of `cc3m-train-0001.tar`. A name with words for both kinds of part has none.

    Args:
        name: of a folder, a table or a shard.
        whole: whether the name must be that word, with nothing but digits after it.
    """
    plain = re.sub("held[_-]out", "heldout", name.lower())
    words: list[str] = re.findall("[a-z]+", plain)
    found = [word for word in words if word in (*TRAINING, *HELD_OUT)]
    mixed = len({word in TRAINING for word in found}) > 1
    if not found or mixed or (whole and not re.fullmatch(rf"{found[0]}[\d._-]*", plain)):
        return ""
    return found[0]


def preference(word: str) -> int:
    """The place of a word for a part among those to evaluate on, the first one to be preferred; training parts come last."""
    return (*HELD_OUT, *TRAINING).index(word)


def parts_of(named: Mapping[str, Named], *, whole: bool = False) -> Parts[Named] | None:
    """The parts, or None unless there are names for both. See `word_of` for `whole`."""
    words = {name: word_of(name, whole=whole) for name in named}
    held = next((word for word in HELD_OUT if word in words.values()), None)
    training = [name for name, word in words.items() if word in TRAINING]
    heldout = [name for name, word in words.items() if word == held]
    if not (training and heldout):
        return None
    unused = [name for name in named if name not in {*training, *heldout}]
    return Parts([named[name] for name in training], [named[name] for name in heldout], unused)

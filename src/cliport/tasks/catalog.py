"""The tasks' names, as in CLIPort, and the groups that multi-task agents learn from. Imports neither PyBullet nor NumPy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from harness.settings import nearest

from .errors import TaskError

T = TypeVar("T")

MODES = ("train", "val", "test")

DEMO_CONDITIONED = {
    "align-box-corner": "corner:AlignBoxCorner",
    "assembling-kits": "kits:AssemblingKits",
    "assembling-kits-easy": "kits:AssemblingKitsEasy",
    "block-insertion": "insertion:BlockInsertion",
    "block-insertion-easy": "insertion:BlockInsertionEasy",
    "block-insertion-nofixture": "insertion:BlockInsertionNoFixture",
    "block-insertion-sixdof": "insertion:BlockInsertionSixDof",
    "block-insertion-translation": "insertion:BlockInsertionTranslation",
    "manipulating-rope": "rope:ManipulatingRope",
    "packing-boxes": "boxes:PackingBoxes",
    "palletizing-boxes": "pallet:PalletizingBoxes",
    "place-red-in-green": "bowls:PlaceRedInGreen",
    "stack-block-pyramid": "pyramid:StackBlockPyramid",
    "sweeping-piles": "piles:SweepingPiles",
    "towers-of-hanoi": "hanoi:TowersOfHanoi",
}
GOAL_CONDITIONED = {
    "align-rope": "rope:AlignRope",
    "packing-shapes": "packing:PackingShapes",
}
COLOURED = {
    "assembling-kits-seq": "kits:AssemblingKitsSeq",
    "packing-boxes-pairs": "boxes:PackingBoxesPairs",
    "put-block-in-bowl": "bowls:PutBlockInBowl",
    "stack-block-pyramid-seq": "pyramid:StackBlockPyramidSeq",
    "separating-piles": "piles:SeparatingPiles",
    "towers-of-hanoi-seq": "hanoi:TowersOfHanoiSeq",
}
NAMED = {
    "packing-{}-google-objects-seq": "packing:PackingObjectsSeq",
    "packing-{}-google-objects-group": "packing:PackingObjectsGroup",
}


@dataclass(frozen=True)
class Entry:
    """Where a task is written, and which part of the colours or named objects it shows: "seen", "unseen", "full" or "" for none."""

    place: str
    split: str


def entries() -> dict[str, Entry]:
    """All 39 tasks by name, demo-conditioned first."""
    plain = {name: Entry(place, "") for name, place in (DEMO_CONDITIONED | GOAL_CONDITIONED).items()}
    suffixes = {"seen": "-seen-colors", "unseen": "-unseen-colors", "full": "-full"}
    coloured = {name + suffix: Entry(place, split) for name, place in COLOURED.items() for split, suffix in suffixes.items()}
    named = {name.format(split): Entry(place, split) for name, place in NAMED.items() for split in ("seen", "unseen")}
    return plain | coloured | named


def names() -> list[str]:
    """The 39 names."""
    return list(entries())


def entry(name: str) -> Entry:
    """The task called `name`, else a TaskError with the nearest name and the list."""
    return choose(name, entries(), "task")


def groups(mode: str = "train") -> dict[str, list[str]]:
    """The multi-task groups: the tasks of each in train, val or test.

    "Unseen" tasks show seen colours and objects in training, so multi-all and multi-language-conditioned train on them. Group
    multi-attr-T asks whether attributes carry over: it trains on the full palette everywhere but in T, whose seen half alone it
    meets, and is tried on T's unseen half.
    """
    choose(mode, dict.fromkeys(MODES, mode), "mode")
    demo = [name for name in DEMO_CONDITIONED if not name.startswith(("assembling-kits-", "block-insertion-"))]
    families = [*GOAL_CONDITIONED, *(f"{name}-{{}}-colors" for name in COLOURED), *NAMED]
    both = [name.format(split) for name in families for split in (("seen", "unseen") if "{}" in name else ("",))]
    language = [name.format("unseen") for name in families] if mode == "train" else both
    found = {"multi-all": demo + language, "multi-demo-conditioned": demo, "multi-language-conditioned": language}
    for held in families:
        found[f"multi-attr-{held.format('unseen')}"] = attribute_group(held, families) if mode == "train" else [held.format("unseen")]
    return found


def attribute_group(held: str, families: Iterable[str]) -> list[str]:
    """What multi-attr-`held` trains on."""
    found = []
    for family in families:
        if family.endswith("-colors"):
            found.append(family.format("seen") if family == held else family.replace("{}-colors", "full"))
        elif family != held:
            found.append(family.format("seen"))
    return found


def emphasis(group: str) -> str | None:
    """The task that half of a group's training samples come from: the seen half of what multi-attr-T is tried on, where there is one."""
    choose(group, groups(), "group")
    held = group.removeprefix("multi-attr-")
    other = {"packing-unseen-google-objects-seq": "group", "packing-unseen-google-objects-group": "seq"}
    if held in other:
        return f"packing-seen-google-objects-{other[held]}"
    return held.replace("unseen", "seen") if held.endswith("-unseen-colors") else None


def choose(name: str, options: Mapping[str, T], kind: str) -> T:
    """The option called `name`, else a TaskError with the nearest one and all of them."""
    if name in options:
        return options[name]
    raise TaskError(f"there is no {kind} {name!r}{nearest(name, options)}. The {kind}s:\n  " + "\n  ".join(options))

"""The tasks' names and seeds, as in CLIPort, and the groups that multi-task agents are trained on. Imports neither PyBullet nor NumPy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from harness.settings import nearest

from ..errors import TaskError

T = TypeVar("T")

FIRST_SEED = {"train": 0, "val": 1, "test": 10001}
"""The first seed of each mode; the following ones are two apart, so that training and evaluation never share a scene."""
MODES = tuple(FIRST_SEED)

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
COLORED = {
    "assembling-kits-seq": "kits:AssemblingKitsSeq",
    "packing-boxes-pairs": "boxes:PackingBoxesPairs",
    "put-block-in-bowl": "bowls:PutBlockInBowl",
    "stack-block-pyramid-seq": "pyramid:StackBlockPyramidSeq",
    "separating-piles": "piles:SeparatingPiles",
    "towers-of-hanoi-seq": "hanoi:TowersOfHanoiSeq",
}
NAMED_OBJECTS = {
    "packing-{}-google-objects-seq": "packing:PackingObjectsSeq",
    "packing-{}-google-objects-group": "packing:PackingObjectsGroup",
}


@dataclass(frozen=True)
class TaskEntry:
    """A task's implementation, and which part of the colors or named objects it shows: "seen", "unseen", "full" or "" for none."""

    implementation: str
    """"module:Class", below this package."""
    split: str


def entries() -> dict[str, TaskEntry]:
    """All 39 tasks by name, demo-conditioned first."""
    plain = {name: TaskEntry(where, "") for name, where in (DEMO_CONDITIONED | GOAL_CONDITIONED).items()}
    suffixes = {"seen": "-seen-colors", "unseen": "-unseen-colors", "full": "-full"}
    colored = {name + suffix: TaskEntry(where, split) for name, where in COLORED.items() for split, suffix in suffixes.items()}
    named = {name.format(split): TaskEntry(where, split) for name, where in NAMED_OBJECTS.items() for split in ("seen", "unseen")}
    return plain | colored | named


def names() -> list[str]:
    """The 39 names."""
    return list(entries())


def entry(name: str) -> TaskEntry:
    """The task called `name`.

    Raises:
        TaskError: for an unknown name, with the nearest one and the list.
    """
    return choose(name, entries(), "task")


def groups(mode: str = "train") -> dict[str, list[str]]:
    """The multi-task groups, each with its tasks in train, val or test.

    "Unseen" tasks show seen colors and objects during training, so multi-all and multi-language-conditioned train on them. Group
    multi-attr-T tests whether attributes transfer: it trains on the full palette of every task but T, of which it sees only the
    seen half, and is evaluated on T's unseen half.
    """
    choose(mode, dict.fromkeys(MODES, mode), "mode")
    demo = [name for name in DEMO_CONDITIONED if not name.startswith(("assembling-kits-", "block-insertion-"))]
    families = [*GOAL_CONDITIONED, *(f"{name}-{{}}-colors" for name in COLORED), *NAMED_OBJECTS]
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
    """The task that supplies half of a group's training samples: for multi-attr-T the seen half of T; None for other groups."""
    choose(group, groups(), "group")
    held = group.removeprefix("multi-attr-")
    other = {"packing-unseen-google-objects-seq": "group", "packing-unseen-google-objects-group": "seq"}
    if held in other:
        return f"packing-seen-google-objects-{other[held]}"
    return held.replace("unseen", "seen") if held.endswith("-unseen-colors") else None


def choose(name: str, options: Mapping[str, T], kind: str) -> T:
    """The option called `name`.

    Raises:
        TaskError: for an unknown name, with the nearest one and all of them.
    """
    if name in options:
        return options[name]
    raise TaskError(f"there is no {kind} {name!r}{nearest(name, options)}. The {kind}s:\n  " + "\n  ".join(options))

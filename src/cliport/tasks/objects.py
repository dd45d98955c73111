"""The named objects that are packed: CLIPort's 56, of Google's scanned household objects.

Where a folder of the scans is given they are used (`scans`), else stand-ins of the same names (`standins`), which are not scans and have no
textures. Unseen names share words with seen ones ("brown fedora", "black fedora"), so that words can transfer.
"""

from __future__ import annotations

from pathlib import Path

from cliport.sim.shapes import Shape

from .catalog import choose
from .differences import Difference
from .scans import scanned
from .standins import stand_in

SEEN = (
    "alarm clock",
    "android toy",
    "black boot with leopard print",
    "black fedora",
    "black razer mouse",
    "black sandal",
    "black shoe with orange stripes",
    "bull figure",
    "butterfinger chocolate",
    "c clamp",
    "can opener",
    "crayon box",
    "dog statue",
    "frypan",
    "green and white striped towel",
    "grey soccer shoe with cleats",
    "hard drive",
    "honey dipper",
    "magnifying glass",
    "mario figure",
    "nintendo 3ds",
    "nintendo cartridge",
    "office depot box",
    "orca plush toy",
    "pepsi gold caffeine free box",
    "pepsi wild cherry box",
    "porcelain cup",
    "purple tape",
    "red and white flashlight",
    "rhino figure",
    "rocket racoon figure",
    "scissors",
    "silver tape",
    "spatula with purple head",
    "spiderman figure",
    "tablet",
    "toy school bus",
)
UNSEEN = (
    "ball puzzle",
    "black and blue sneakers",
    "black shoe with green stripes",
    "brown fedora",
    "dinosaur figure",
    "hammer",
    "light brown boot with golden laces",
    "lion figure",
    "pepsi max box",
    "pepsi next box",
    "porcelain salad plate",
    "porcelain spoon",
    "red and white striped towel",
    "red cup",
    "screwdriver",
    "toy train",
    "unicorn toy",
    "white razer mouse",
    "yoshi figure",
)
ALL = tuple(sorted(SEEN + UNSEEN))

STAND_INS = Difference(
    "objects",
    "textured scans of household objects",
    "stand-ins under the same names and about as large, put together from coloured solids; not scans",
    "the scans are published, but not part of this project; `assets` is for their folder",
)


def objects(split: str, mode: str) -> tuple[str, ...]:
    """The names that a task of this split shows in this mode: all in "seen" tasks; in "unseen" tasks those of training, then others."""
    return choose(split, {"seen": ALL, "unseen": SEEN if mode == "train" else UNSEEN}, "split")


def named_object(name: str, assets: Path | None = None) -> Shape:
    """The object called `name`, about as large as in life: the scan in the folder `assets`, or a stand-in without one.

    Raises:
        TaskError: for an unknown name.
        AssetError: when the scan cannot be read.
    """
    choose(name, dict.fromkeys(ALL), "object")
    return scanned(name, assets) if assets else stand_in(name)

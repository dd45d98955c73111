"""The instructions. They are part of the benchmark: published agents were trained on exactly these words."""

from __future__ import annotations

from collections.abc import Sequence

ALIGN_BOX_CORNER = "align the brown box with the green corner"
ALIGN_ROPE = "align the rope from {start} to {end}"
ASSEMBLING_KITS = "put all the blocks inside the holes they fit in"
ASSEMBLING_KITS_SEQ = "put the {color} {obj} in the {loc}{obj} hole"
BLOCK_INSERTION = "put the L shape block in the L shape hole"
MANIPULATING_ROPE = "manipulate the rope to complete the square"
PACKING_BOXES = "pack all the boxes inside the brown box"
PACKING_BOXES_PAIRS = "pack all the {colors} blocks into the brown box"
PACKING_ONE = "pack the {thing} in the brown box"
PACKING_GROUP = "pack all the {thing} objects in the brown box"
PALLETIZING_BOXES = "stack all the boxes on the pallet"
PLACE_RED_IN_GREEN = "put the red blocks in a green bowl"
PUT_BLOCK_IN_BOWL = "put the {pick} blocks in a {place} bowl"
SEPARATING_PILES = "push the pile of {block} blocks into the {square} square"
STACK_BLOCK_PYRAMID = (
    "make the bottom row with the green, blue and purple blocks",
    "make the middle row with the yellow and orange blocks",
    "make the top row with the red block",
)
STACK_BLOCK_PYRAMID_SEQ = "put the {pick} block on {place}"
SWEEPING_PILES = "push the pile of blocks into the green square"
TOWERS_OF_HANOI = "solve towers of hanoi"
TOWERS_OF_HANOI_SEQ = "move the {obj} ring to the {loc}"


def listed(words: Sequence[str]) -> str:
    """ "red", "red and blue", "red, blue and green"."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"

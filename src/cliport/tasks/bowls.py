"""Blocks into bowls."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cliport.sim.poses import Pose, multiply, pose
from cliport.sim.shapes import bowl, box

from . import language
from .colors import ALL, COLORS, Color, draw
from .differences import DRAWN_COLORS, Difference
from .goal import Goal, Piece, any_to_any
from .task import Task

if TYPE_CHECKING:
    from cliport.sim.environment import Environment

PLACE = (0.12, 0.12, 0.0)  # meters: what is kept free for a bowl
OFF = 0.027  # meters: from a bowl's target to its middle, as in CLIPort, whose bowl is not in the middle of its frame
BLOCK, MASS = 0.04, 0.01  # meters, kilograms
BOWLS = 3  # at most
DISTRACTORS = 6
KINDS = f"{DISTRACTORS}, each a block or a bowl with even chance, movable"

ROUND_BOWL = Difference("bowl", "a mesh", "as wide and high, and as far off its frame, but round", "the mesh is not part of this project")


class PutBlockInBowl(Task):
    """Put every block of one color into a bowl of another color; several may share a bowl. Other colors are distractors."""

    position_tolerance = 0.05
    max_steps = BOWLS + 1
    steps = "blocks + 1"
    scene: tuple[str, ...] = (
        f"1 to {BOWLS} bowls in a second colour, {bowl().size[0]:g} m wide and {bowl().size[2]:g} m high, fixed",
        f"1 to as many blocks of {BLOCK} m in a first colour, movable, {MASS} kg",
        "two different colours",
    )
    clutter = f"{DISTRACTORS}, each a block or a bowl with even chance, movable; the k-th in the k-th of the 9 others of {', '.join(ALL)}"
    aim = (f"1: each block at any bowl's target, {OFF} m off the bowl's middle, bowls may be shared, any yaw; 1/blocks a block",)
    templates: tuple[str, ...] = (language.PUT_BLOCK_IN_BOWL,)
    differs: tuple[Difference, ...] = (DRAWN_COLORS, ROUND_BOWL)

    def choose_colors(self, rng: np.random.Generator) -> tuple[str, str]:
        """The colors of the blocks and of the bowls."""
        block, basin = draw(rng, self.vocabulary(self.mode)["colours"], 2)
        return block, basin

    def other_colors(self, block: str, basin: str) -> tuple[list[str], list[str]]:
        """The colors of the distractors, in order: blocks and bowls."""
        others = [name for name in ALL if name not in (block, basin)]
        return others, others

    def instruction(self, block: str, basin: str) -> str:
        return language.PUT_BLOCK_IN_BOWL.format(pick=block, place=basin)

    def allowed(self, blocks: int) -> int:
        """How many steps an episode may have."""
        return blocks + 1

    def build(self, env: Environment) -> None:
        rng = env.rng
        pick, place = self.choose_colors(rng)
        targets = [self.put_bowl(env, COLORS[place], "fixed") for _ in range(rng.integers(1, BOWLS + 1))]
        blocks = [Piece(self.put_block(env, COLORS[pick]), 0.0) for _ in range(rng.integers(1, len(targets) + 1))]
        self.goals.append(Goal(blocks, targets, any_to_any(blocks, targets), 1.0, self.instruction(pick, place)))
        self.max_steps = self.allowed(len(blocks))
        of_block, of_bowl = self.other_colors(pick, place)
        for number in range(DISTRACTORS):
            if rng.uniform() > 0.5:
                self.put_block(env, COLORS[of_block[number]])
            else:
                self.put_bowl(env, COLORS[of_bowl[number]], "rigid")

    def put_block(self, env: Environment, color: Color) -> int:
        return self.put(env, box((BLOCK,) * 3, MASS), color)

    def put_bowl(self, env: Environment, color: Color, category: str) -> Pose:
        """Add a bowl at a free place, and return the pose of its frame, which is off its middle."""
        frame, shape = self.free_pose(env, PLACE), bowl()
        env.add(shape, multiply(frame, pose((OFF, 0, shape.size[2] / 2))), category, color)
        return frame


class PlaceRedInGreen(PutBlockInBowl):
    """Put every red block into a green bowl."""

    max_steps = 10
    steps = ""
    scene = (*(line.replace("in a second colour", "in green").replace("in a first colour", "in red") for line in PutBlockInBowl.scene[:2]),)
    clutter = f"{KINDS}; the k-th block in the k-th but red, bowl in the k-th but green, of {', '.join(ALL)}"
    templates = (language.PLACE_RED_IN_GREEN,)
    differs = (ROUND_BOWL,)

    def choose_colors(self, rng: np.random.Generator) -> tuple[str, str]:
        return "red", "green"

    def other_colors(self, block: str, basin: str) -> tuple[list[str], list[str]]:
        return [name for name in ALL if name != block], [name for name in ALL if name != basin]

    def instruction(self, block: str, basin: str) -> str:
        return language.PLACE_RED_IN_GREEN

    def allowed(self, blocks: int) -> int:
        return type(self).max_steps

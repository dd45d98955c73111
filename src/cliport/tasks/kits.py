"""Tasks that put flat pieces onto a kit, which shows their outlines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cliport.sim.poses import Pose, from_euler, multiply, pose
from cliport.sim.shapes import LETTERS, decal, kit_board, letter
from cliport.sim.shapes.kits import BOARD, HEIGHT, LONG, OUTLINE_HEIGHT, ROUND, TURNS, WIDTH

from . import language
from .catalog import MODES, choose
from .colors import COLORS, draw
from .differences import SHUFFLED_COLORS, Difference
from .goal import FULL_TURN, Goal, Piece
from .task import Task

if TYPE_CHECKING:
    from cliport.sim.environment import Environment

NAMES = list(LETTERS)
HOLES = ((-0.09, 0.045), (0.0, 0.045), (0.09, 0.045), (-0.045, -0.045), (0.045, -0.045))
RISE = 0.0014  # meters: from the board's middle to the underside of an outline, which so stands out by 0.9 mm
PLACE = (0.08, 0.08, HEIGHT)  # meters: what is kept free for a piece
PIECE_COLORS = ("purple", "blue", "green", "yellow", "red")
EASY = ("square", "circle")
"""The shapes that assembling-kits-easy shows in val and test only."""

OUTLINES = Difference(
    "shapes",
    "meshes of the 20 figures; a piece is touched as its convex hull",
    "drawings of the 20 figures with the same names, sizes and symmetries; a piece is touched as it looks",
    "the meshes are not part of this project",
)


def shapes(mode: str) -> list[str]:
    """The names of the shapes in this mode: fourteen in training, six others afterwards."""
    choose(mode, dict.fromkeys(MODES, mode), "mode")
    return NAMES[:14] if mode == "train" else NAMES[14:]


def symmetry(shape: str) -> float:
    """The smallest rotation in radians after which a shape looks the same; 0 if it always does."""
    return 0.0 if shape in ROUND else FULL_TURN / TURNS.get(shape, 1)


@dataclass(frozen=True)
class Hole:
    """A place on the kit."""

    shape: str
    target: Pose


class AssemblingKits(Task):
    """Put five pieces onto their outlines; pieces of the same shape are interchangeable."""

    max_steps = 10
    scene: tuple[str, ...] = (
        "one kit, {} x {} x {} m, brown, fixed".format(*BOARD),
        f"{len(HOLES)} dark outlines {OUTLINE_HEIGHT} m thick on it, at {', '.join(map(str, HOLES))} m of its middle, any yaw, fixed",
        f"{len(HOLES)} flat pieces, {WIDTH} m long ({', '.join(LONG)}: {LONG['diamond']}), {HEIGHT} m high, movable, 0.1 kg: one of each "
        f"outline's shape; shapes are drawn with replacement",
        f"the pieces' colours by hole: {', '.join(PIECE_COLORS)}",
    )
    aim: tuple[str, ...] = (f"1: each piece on any outline of its shape, yaw by the shape's symmetry; 1/{len(HOLES)} a piece",)
    templates: tuple[str, ...] = (language.ASSEMBLING_KITS,)
    differs: tuple[Difference, ...] = (OUTLINES,)

    def vocabulary(self, mode: str) -> dict[str, Sequence[str]]:
        return {"shapes": shapes(mode)}

    def choose_shapes(self, rng: np.random.Generator) -> list[str]:
        return [str(name) for name in rng.choice(self.vocabulary(self.mode)["shapes"], len(HOLES))]

    def choose_colors(self, rng: np.random.Generator) -> list[str]:
        return list(PIECE_COLORS)

    def build(self, env: Environment) -> None:
        rng = env.rng
        where = env.pose(self.put(env, kit_board(), category="fixed"))
        holes = [self.hole(env, where, name, at) for name, at in zip(self.choose_shapes(rng), HOLES, strict=True)]
        colors = self.choose_colors(rng)
        pieces = [
            Piece(env.add(letter(hole.shape), self.free_pose(env, PLACE), color=COLORS[color]), symmetry(hole.shape))
            for hole, color in zip(holes, colors, strict=True)
        ]
        self.state_goals(rng, pieces, holes, colors)

    def hole(self, env: Environment, board: Pose, name: str, at: Sequence[float]) -> Hole:
        """Add an outline on the board at a random angle."""
        mark = multiply(board, from_euler((*at, RISE + OUTLINE_HEIGHT / 2), yaw=env.rng.uniform(0, FULL_TURN)))
        env.add(decal(name), mark, "fixed")
        return Hole(name, multiply(mark, pose((0, 0, (OUTLINE_HEIGHT + HEIGHT) / 2))))

    def state_goals(self, rng: np.random.Generator, pieces: list[Piece], holes: list[Hole], colors: list[str]) -> None:
        matches = np.array([[one.shape == other.shape for other in holes] for one in holes])
        self.goals.append(Goal(pieces, [hole.target for hole in holes], matches, 1.0, language.ASSEMBLING_KITS))


class AssemblingKitsEasy(AssemblingKits):
    """Twice the tolerance for angles. Training shows eighteen shapes mixed, val and test five pieces of one of the two others."""

    angle_tolerance = np.radians(30)
    scene = (*AssemblingKits.scene, "val, test: all five pieces of one shape")

    def vocabulary(self, mode: str) -> dict[str, Sequence[str]]:
        return {"shapes": [name for name in NAMES if name not in EASY] if mode == "train" else EASY}

    def choose_shapes(self, rng: np.random.Generator) -> list[str]:
        return super().choose_shapes(rng) if self.mode == "train" else [str(rng.choice(EASY))] * len(HOLES)


class AssemblingKitsSeq(AssemblingKits):
    """One piece at a time, each into the hole that the instruction names."""

    max_steps = len(HOLES)
    scene = (*AssemblingKits.scene[:3], "each piece in another colour")
    aim = (
        f"{len(HOLES)} in random order, 1/{len(HOLES)} each: a piece on its own outline, not on another of its shape",
        "{loc}: empty for the only outline of a shape, else top, bottom, left or right by its place among those, or middle",
    )
    templates = (language.ASSEMBLING_KITS_SEQ,)
    differs = (OUTLINES, SHUFFLED_COLORS)

    def vocabulary(self, mode: str) -> dict[str, Sequence[str]]:
        return {"shapes": NAMES if self.split == "full" else shapes(mode), **Task.vocabulary(self, mode)}

    def choose_colors(self, rng: np.random.Generator) -> list[str]:
        return draw(rng, self.vocabulary(self.mode)["colours"], len(HOLES))

    def state_goals(self, rng: np.random.Generator, pieces: list[Piece], holes: list[Hole], colors: list[str]) -> None:
        for number in rng.permutation(len(pieces)).tolist():
            hole = holes[number]
            others = [other for other in holes if other.shape == hole.shape and other is not hole]
            words = language.ASSEMBLING_KITS_SEQ.format(color=colors[number], obj=hole.shape, loc=side(hole, others))
            self.goals.append(Goal([pieces[number]], [hole.target], np.ones((1, 1), bool), 1 / len(pieces), words))


def side(hole: Hole, others: Sequence[Hole]) -> str:
    """The word that distinguishes a hole from the others of its shape, seen from above with the robot at the top; empty without others.

    A hole is at the top or bottom only if it is further from each of the others along x than along y.
    """
    if not others:
        return ""
    x, y = np.array([hole.target[0] - other.target[0] for other in others])[:, :2].T
    steep = np.abs(x) > np.abs(y)
    words = {"top ": (x < 0) & steep, "bottom ": (x > 0) & steep, "left ": y < 0, "right ": y > 0}
    return next((word for word, holds in words.items() if holds.all()), "middle ")

"""Tasks that put flat pieces onto a kit, which shows their outlines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cliport.sim.poses import Pose, from_euler, multiply, pose
from cliport.sim.shapes import LETTERS, decal, kit_board, letter
from cliport.sim.shapes.kits import ROUND, TURNS

from . import language
from .catalog import MODES, choose
from .colors import COLORS, draw, palette
from .goal import FULL_TURN, Goal, Piece
from .task import Task

if TYPE_CHECKING:
    from cliport.sim.environment import Environment

NAMES = list(LETTERS)
BOARD = (0.28, 0.2, 0.005)  # meters
WIDTH, HEIGHT = 0.06, 0.02  # of a piece, in meters
HOLES = ((-0.09, 0.045), (0.0, 0.045), (0.09, 0.045), (-0.045, -0.045), (0.045, -0.045))


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

    def choose_shapes(self, rng: np.random.Generator) -> list[str]:
        return [str(name) for name in rng.choice(shapes(self.mode), len(HOLES))]

    def choose_colors(self, rng: np.random.Generator) -> list[str]:
        return draw(rng, palette(self.split, self.mode), len(HOLES))

    def build(self, env: Environment) -> None:
        rng = env.rng
        where = env.pose(self.put(env, kit_board(BOARD), category="fixed"))
        holes = [self.hole(env, where, name, at) for name, at in zip(self.choose_shapes(rng), HOLES, strict=True)]
        colors = self.choose_colors(rng)
        pieces = [
            Piece(self.put(env, letter(hole.shape, WIDTH, HEIGHT), COLORS[color]), symmetry(hole.shape))
            for hole, color in zip(holes, colors, strict=True)
        ]
        self.state_goals(rng, pieces, holes, colors)

    def hole(self, env: Environment, board: Pose, name: str, at: Sequence[float]) -> Hole:
        """Paint an outline on the board at a random angle."""
        mark = multiply(board, from_euler((*at, BOARD[2] / 2), yaw=env.rng.uniform(0, FULL_TURN)))
        env.add(decal(name, WIDTH), mark, "fixed")
        return Hole(name, multiply(mark, pose((0, 0, HEIGHT / 2))))

    def state_goals(self, rng: np.random.Generator, pieces: list[Piece], holes: list[Hole], colors: list[str]) -> None:
        matches = np.array([[one.shape == other.shape for other in holes] for one in holes])
        self.goals.append(Goal(pieces, [hole.target for hole in holes], matches, 1.0, language.ASSEMBLING_KITS))


class AssemblingKitsEasy(AssemblingKits):
    """The same with five pieces of one shape, a star or a diamond, and twice the tolerance for angles."""

    angle_tolerance = np.radians(30)

    def choose_shapes(self, rng: np.random.Generator) -> list[str]:
        return [str(rng.choice(["star", "diamond"]))] * len(HOLES)


class AssemblingKitsSeq(AssemblingKits):
    """One piece at a time, each into the hole that the instruction names."""

    max_steps = 7

    def choose_shapes(self, rng: np.random.Generator) -> list[str]:
        """Three shapes for five holes, so that instructions have to distinguish holes of the same shape."""
        chosen = rng.choice(shapes(self.mode), 3, replace=False)
        return [str(chosen[number]) for number in rng.permutation([0, 0, 1, 1, 2])]

    def state_goals(self, rng: np.random.Generator, pieces: list[Piece], holes: list[Hole], colors: list[str]) -> None:
        count = Counter(hole.shape for hole in holes)
        goes_to = dict(enumerate(range(len(holes))))
        for name in count:
            same = [number for number, hole in enumerate(holes) if hole.shape == name]
            goes_to |= dict(zip(same, rng.permutation(same).tolist(), strict=True))
        for number in rng.permutation(len(pieces)).tolist():
            hole = holes[goes_to[number]]
            others = [other for other in holes if other.shape == hole.shape and other is not hole]
            words = language.ASSEMBLING_KITS_SEQ.format(color=colors[number], shape=hole.shape, place=side(hole, others))
            self.goals.append(Goal([pieces[number]], [hole.target], np.ones((1, 1), bool), 1 / len(pieces), words))


def side(hole: Hole, others: Sequence[Hole]) -> str:
    """The word that distinguishes a hole from the other one of its shape, as seen by the front camera; empty if there is no other."""
    if not others:
        return ""
    along_x, along_y = (hole.target[0] - others[0].target[0])[:2]
    if abs(along_y) >= abs(along_x):
        return "right " if along_y > 0 else "left "
    return "bottom " if along_x > 0 else "top "

"""The oracle: a policy that solves the tasks with access to the simulator's state, as demonstrator.

It uses `env.look_down()`, exact heights and bodies from above, so no images have to be rendered for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from cliport.sim.action import Action
from cliport.sim.pixels import pixel_to_position
from cliport.sim.poses import UPRIGHT, Pose, from_euler, inverse, multiply, pose, yaw_of

from .goal import Goal, Piece

if TYPE_CHECKING:
    from cliport.sim.environment import Environment


class Solvable(Protocol):
    """What the oracle needs to know about a task."""

    sixdof: bool

    @property
    def goal(self) -> Goal | None: ...

    def in_place(self, here: Pose, target: Pose, symmetry: float) -> bool: ...


class Oracle:
    """A policy for one task in one environment, with the original's choices: the piece that is farthest from its nearest target, taken
    at a random visible pixel. That pixel is all that is random; it is drawn from `env.rng`.
    """

    def __init__(self, task: Solvable, env: Environment) -> None:
        self.task, self.env = task, env

    def act(self, observation: Any = None) -> Action | None:
        """The next action, or None if nothing is left to do or no piece can be seen. Observations are ignored.

        A spatula pushes from the action's pick to its place.
        """
        goal = self.task.goal
        if goal is None:
            return None
        heights, bodies = self.env.look_down()
        for piece, target in self.moves(goal):
            visible = np.argwhere(bodies == piece.body)
            if len(visible):
                pixel = visible[self.env.rng.integers(len(visible))]
                return self.carry(piece, target, pixel_to_position(pixel, heights), goal.rotations)
        return None

    def moves(self, goal: Goal) -> list[tuple[Piece, Pose]]:
        """Pieces that have to be moved, each with its nearest target, the farthest first; without `goal.replace` these are the misplaced
        pieces and the free targets.
        """
        free = goal.matches if goal.replace else self.unmatched(goal)
        found = []
        for piece, options in zip(goal.pieces, free, strict=True):
            here = self.env.pose(piece.body)[0]
            away = {option: float(np.linalg.norm(goal.targets[option][0] - here)) for option in np.flatnonzero(options).tolist()}
            if away:
                nearest = min(away, key=away.__getitem__)
                found.append((away[nearest], piece, goal.targets[nearest]))
        return [(piece, target) for away, piece, target in sorted(found, key=lambda move: -move[0]) if away > 0]

    def unmatched(self, goal: Goal) -> np.ndarray:
        """`goal.matches` without the pieces that are in place, and without their targets."""
        free = goal.matches.copy()
        for number, piece in enumerate(goal.pieces):
            here = self.env.pose(piece.body)
            for target in np.flatnonzero(free[number]).tolist():
                if self.task.in_place(here, goal.targets[target], piece.symmetry):
                    free[number], free[:, target] = False, False
        return free

    def carry(self, piece: Piece, target: Pose, tip: np.ndarray, rotations: bool = True) -> Action:
        """The action that brings a piece, taken at `tip`, to a target. But in six degrees of freedom, only its yaw is looked at."""
        here, pick = self.env.pose(piece.body), pose(tip)
        if not self.task.sixdof:
            here = from_euler(here[0], yaw=yaw_of(here))
        place = multiply(target, multiply(inverse(here), pick))  # the tip keeps its pose relative to the piece
        return Action(pick, place if rotations else pose(place[0], UPRIGHT))

"""Oracles: policies that read the simulator's state and solve the tasks, as teachers.

They see the table by `env.look_down()`, exact heights and bodies from above, so that no image has to be rendered for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from cliport.sim.action import Action
from cliport.sim.constants import BEHIND, BOUNDS, SHORT
from cliport.sim.pixels import pixel_to_position
from cliport.sim.poses import Pose, apply, from_euler, inverse, multiply, pose, yaw_of

from .goal import Goal, Piece, Zone, remainder

if TYPE_CHECKING:
    from cliport.sim.environment import Environment

CUP = 2
"""Pixels around a pick that should be flat: the suction cup's radius."""
FLAT = 0.003
"""Metres of height difference under the cup that count as flat."""


class Solvable(Protocol):
    """What an oracle has to know of a task."""

    sixdof: bool
    position_tolerance: float

    @property
    def goal(self) -> Goal | None: ...

    def matched(self, goal: Goal) -> dict[int, int]: ...


class Oracle:
    """A policy for one task in one environment. `act` draws from `env.rng` alone."""

    def __init__(self, task: Solvable, env: Environment) -> None:
        self.task, self.env = task, env

    def act(self, observation: Any = None) -> Action | None:
        """The next action, or None when there is nothing to do or nothing can be done. Observations are not looked at."""
        goal = self.task.goal
        return self.move(goal) if goal is not None else None

    def move(self, goal: Goal) -> Action | None:
        raise NotImplementedError


class PickPlace(Oracle):
    """Picks a piece that is not in place, at a pixel where it is seen from above, and puts it at a free target, the lowest first."""

    def move(self, goal: Goal) -> Action | None:
        heights, bodies = self.env.look_down()
        for piece, target in self.moves(goal):
            pixel = self.pixel(heights, bodies == piece.body)
            if pixel is not None:
                return self.carry(piece, target, pixel_to_position(pixel, heights))
        return None

    def moves(self, goal: Goal) -> list[tuple[Piece, Pose]]:
        """Pieces out of place with the nearest free target of each, chosen in random order, sorted by the target's height."""
        placed = self.placed(goal)
        free = goal.matches.copy()
        if not goal.replace:
            free[:, list(placed.values())] = False
        found = []
        for number in self.env.rng.permutation(len(goal.pieces)).tolist():
            options = np.flatnonzero(free[number]).tolist()
            if number in placed or not options:
                continue
            here = self.env.pose(goal.pieces[number].body)[0]
            chosen = min(options, key=lambda option: float(np.linalg.norm(goal.targets[option][0] - here)))
            if not goal.replace:
                free[:, chosen] = False
            found.append((goal.pieces[number], goal.targets[chosen]))
        return sorted(found, key=lambda move: round(float(move[1][0][2]), 3))

    def placed(self, goal: Goal) -> dict[int, int]:
        """Pieces that need not be moved, and their targets."""
        if goal.zone is None:
            return self.task.matched(goal)
        inside = [goal.zone.holds(apply(self.env.pose(piece.body), goal.points[piece.body])).all() for piece in goal.pieces]
        return {number: int(np.flatnonzero(goal.matches[number])[0]) for number, held in enumerate(inside) if held}

    def pixel(self, heights: np.ndarray, mask: np.ndarray) -> tuple[int, int] | None:
        """A random pixel (row, column) of a piece where the cup lies flat; else the one with most of the piece around it."""
        if not mask.any():
            return None
        rows, columns = np.nonzero(mask)
        offsets = np.stack(np.meshgrid(np.arange(-CUP, CUP + 1), np.arange(-CUP, CUP + 1)), -1).reshape(-1, 2)
        around = np.stack([rows, columns], 1)[:, None] + offsets
        inside = ((around >= 0) & (around < mask.shape)).all(-1)
        row, column = np.clip(around, 0, np.array(mask.shape) - 1).transpose(2, 0, 1)
        level = np.abs(heights[row, column] - heights[rows, columns][:, None]) < FLAT
        support = (inside & mask[row, column] & level).sum(1)
        best = np.flatnonzero(support == support.max())
        chosen = best[self.env.rng.integers(len(best))]
        return int(rows[chosen]), int(columns[chosen])

    def carry(self, piece: Piece, target: Pose, tip: np.ndarray) -> Action:
        """The action that moves a piece, held at `tip`, to a target, with the smallest turn that looks right."""
        here = self.env.pose(piece.body)
        pick = pose(tip)
        if self.task.sixdof:
            return Action(pick, multiply(target, multiply(inverse(here), pick)))
        turn = from_euler((0, 0, 0), yaw=remainder(yaw_of(target) - yaw_of(here), piece.symmetry))
        return Action(pick, pose(target[0] + apply(turn, tip - here[0]), turn[1]))


class LayRope(PickPlace):
    """Puts the rope's ends where they belong, which pulls it straight, then the bead that is furthest away."""

    def moves(self, goal: Goal) -> list[tuple[Piece, Pose]]:
        beads = np.array([self.env.pose(piece.body)[0] for piece in goal.pieces])
        line = np.array([target[0] for target in goal.targets])
        if np.linalg.norm(beads - line[::-1], axis=1).sum() < np.linalg.norm(beads - line, axis=1).sum():
            line = line[::-1]
        away = np.linalg.norm((beads - line)[:, :2], axis=1)
        ends = np.isin(np.arange(len(beads)), (0, len(beads) - 1)) & (away > self.task.position_tolerance / 2)
        order = np.argsort(-(away + 10.0 * ends))
        return [(goal.pieces[bead], pose(line[bead])) for bead in order]


class Push(Oracle):
    """Pushes blocks into a zone. Of many straight pushes it takes the one after which, by a simple model, most are inside.

    The model: the blade stops at a line; every block before it in a lane of one block's width is pushed on until the blocks of the lane
    stand in a row. Blocks that stay outside count the less the further away they are.
    """

    blade, block = 0.11, 0.012
    """Metres: the width that the blade surely takes along, and of a lane."""
    reach = 0.02
    """Metres behind the last block at which the blade comes down."""
    headings = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    shifts = np.linspace(-0.08, 0.08, 9)
    stops = np.linspace(-0.05, 0.03, 5)

    def move(self, goal: Goal) -> Action | None:
        if goal.zone is None:
            raise ValueError("a push needs a zone")
        points = np.array([self.env.pose(piece.body)[0] for piece in goal.pieces])[:, :2]
        outside = points[~goal.zone.holds(np.column_stack([points, np.zeros(len(points))]))]
        starts, ends = self.candidates(goal.zone, outside)
        if not len(starts):
            return None
        best = int(self.values(goal.zone, points, starts, ends).argmax())
        heading = float(np.arctan2(*(ends[best] - starts[best])[::-1]))
        along = np.array([np.cos(heading), np.sin(heading)])
        pick, place = starts[best] + BEHIND * along, ends[best] + SHORT * along  # the blade comes down behind and stops short
        return Action(from_euler((*pick, 0.0), yaw=heading), from_euler((*place, 0.0), yaw=heading))

    def candidates(self, zone: Zone, outside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where the blade may start and stop (M, 2): in the workspace, and behind every block outside (N, 2) that is in its way."""
        turns, shifts, stops = (grid.ravel() for grid in np.meshgrid(self.headings + yaw_of(zone.middle), self.shifts, self.stops))
        along, across = directions(turns)
        relative = outside - zone.middle[0][:2]
        ahead, aside = relative @ along.T, relative @ across.T - shifts  # (N, M)
        begins = np.where(np.abs(aside) < self.blade / 2, ahead, np.inf).min(0, initial=np.inf) - self.reach
        useful = np.flatnonzero(stops - begins > 2 * self.reach) if len(outside) else np.array([], int)
        middles = zone.middle[0][:2] + shifts[useful, None] * across[useful]
        starts, ends = (middles + at[useful, None] * along[useful] for at in (begins, stops))
        within = ((np.minimum(starts, ends) > BOUNDS[:2, 0]) & (np.maximum(starts, ends) < BOUNDS[:2, 1])).all(1)
        return starts[within], ends[within]

    def values(self, zone: Zone, points: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """How good things look (M,) after each push."""
        lengths = np.linalg.norm(ends - starts, axis=1)
        along = (ends - starts) / lengths[:, None]
        across = np.stack([-along[:, 1], along[:, 0]], 1)
        relative = points[None] - starts[:, None]
        ahead, aside = np.einsum("mnk,mk->mn", relative, along), np.einsum("mnk,mk->mn", relative, across)
        moved = self.pushed(ahead, aside, lengths)
        after = starts[:, None] + moved[..., None] * along[:, None] + aside[..., None] * across[:, None]
        own = np.abs(apply(inverse(zone.middle), np.concatenate([after, np.zeros((*after.shape[:2], 1))], -1))[..., :2])
        excess = np.linalg.norm(np.maximum(own - np.array(zone.sides) / 2 + self.block / 2, 0), axis=-1)
        return np.asarray(((excess == 0) - excess).mean(1))

    def pushed(self, ahead: np.ndarray, aside: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Where blocks (M, N) end along the direction of a push, from where they are along it and beside it."""
        pushes, blocks = ahead.shape
        reached = (ahead > 0) & (np.abs(aside) < self.blade / 2)
        lanes = np.floor(aside / self.block).astype(int) + 1000
        rows = np.where(reached, lanes, -1 - np.arange(blocks)) + 10_000 * np.arange(pushes)[:, None]
        order = np.lexsort([ahead.ravel(), rows.ravel()])
        row, at = rows.ravel()[order], ahead.ravel()[order]
        first = np.flatnonzero(np.r_[True, row[1:] != row[:-1]])
        number = np.repeat(np.arange(len(first)), np.diff(np.r_[first, len(row)]))
        place = np.arange(len(row)) - first[number]
        least = np.where(reached.ravel()[order], np.repeat(lengths, blocks)[order] + self.block / 2, -np.inf)
        queue = np.maximum.accumulate(np.maximum(at, least) - place * self.block + 100.0 * number) - 100.0 * number + place * self.block
        moved = np.empty(pushes * blocks)
        moved[order] = queue
        return moved.reshape(pushes, blocks)


def directions(turns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors (M, 2) along headings (M,) in radians, and to their left."""
    along = np.stack([np.cos(turns), np.sin(turns)], 1)
    return along, np.stack([-along[:, 1], along[:, 0]], 1)

"""Oracles: policies that solve the tasks with access to the simulator's state, as demonstrators.

They use `env.look_down()`, exact heights and bodies from above, so no images have to be rendered for them.
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
"""Radius of the suction cup in pixels; the surface should be flat within it."""
FLAT = 0.003
"""Largest height difference under the cup that counts as flat, in meters."""


class Solvable(Protocol):
    """What an oracle needs to know about a task."""

    sixdof: bool
    position_tolerance: float

    @property
    def goal(self) -> Goal | None: ...

    def matched(self, goal: Goal) -> dict[int, int]: ...


class Oracle:
    """A policy for one task in one environment. `act` draws only from `env.rng`."""

    def __init__(self, task: Solvable, env: Environment) -> None:
        self.task, self.env = task, env

    def act(self, observation: Any = None) -> Action | None:
        """The next action, or None if nothing is left to do or nothing can be done. Observations are ignored."""
        goal = self.task.goal
        return self.move(goal) if goal is not None else None

    def move(self, goal: Goal) -> Action | None:
        raise NotImplementedError


class PickPlace(Oracle):
    """Picks a misplaced piece at a pixel where it is visible from above, and puts it at a free target, the lowest first."""

    def move(self, goal: Goal) -> Action | None:
        heights, bodies = self.env.look_down()
        for piece, target in self.moves(goal):
            pixel = self.pixel(heights, bodies == piece.body)
            if pixel is not None:
                return self.carry(piece, target, pixel_to_position(pixel, heights))
        return None

    def moves(self, goal: Goal) -> list[tuple[Piece, Pose]]:
        """Misplaced pieces, each with its nearest free target, assigned in random order and sorted by the target's height."""
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
        # Bottom up, as stacks are built; rounded, so that targets at the same height keep their random order.
        return sorted(found, key=lambda move: round(float(move[1][0][2]), 3))

    def placed(self, goal: Goal) -> dict[int, int]:
        """Pieces that are in place, and their targets, by number."""
        if goal.zone is None:
            return self.task.matched(goal)
        inside = [goal.zone.holds(apply(self.env.pose(piece.body), goal.points[piece.body])).all() for piece in goal.pieces]
        return {number: int(np.flatnonzero(goal.matches[number])[0]) for number, held in enumerate(inside) if held}

    def pixel(self, heights: np.ndarray, mask: np.ndarray) -> tuple[int, int] | None:
        """A random pixel (row, column) of a piece among those with the most support: flat surface of the piece under the cup."""
        if not mask.any():
            return None
        rows, columns = np.nonzero(mask)
        offsets = np.stack(np.meshgrid(np.arange(-CUP, CUP + 1), np.arange(-CUP, CUP + 1)), -1).reshape(-1, 2)
        around = np.stack([rows, columns], 1)[:, None] + offsets  # (N, 25, 2): the cup's pixels around each pixel of the piece
        inside = ((around >= 0) & (around < mask.shape)).all(-1)
        row, column = np.clip(around, 0, np.array(mask.shape) - 1).transpose(2, 0, 1)
        level = np.abs(heights[row, column] - heights[rows, columns][:, None]) < FLAT
        support = (inside & mask[row, column] & level).sum(1)
        best = np.flatnonzero(support == support.max())
        chosen = best[self.env.rng.integers(len(best))]
        return int(rows[chosen]), int(columns[chosen])

    def carry(self, piece: Piece, target: Pose, tip: np.ndarray) -> Action:
        """The action that moves a piece, held at `tip`, to a target, with the smallest rotation that its symmetry allows."""
        here = self.env.pose(piece.body)
        pick = pose(tip)
        if self.task.sixdof:
            return Action(pick, multiply(target, multiply(inverse(here), pick)))  # the tip keeps its pose relative to the piece
        turn = from_euler((0, 0, 0), yaw=remainder(yaw_of(target) - yaw_of(here), piece.symmetry))
        return Action(pick, pose(target[0] + apply(turn, tip - here[0]), turn[1]))


class LayRope(PickPlace):
    """Puts the rope's ends in place, which pulls it straight, then the bead that is furthest from its target."""

    def moves(self, goal: Goal) -> list[tuple[Piece, Pose]]:
        beads = np.array([self.env.pose(piece.body)[0] for piece in goal.pieces])
        line = np.array([target[0] for target in goal.targets])
        # Either end may be at either corner: take the direction in which the rope is closer already, or the arm would turn it around.
        if np.linalg.norm(beads - line[::-1], axis=1).sum() < np.linalg.norm(beads - line, axis=1).sum():
            line = line[::-1]
        away = np.linalg.norm((beads - line)[:, :2], axis=1)
        ends = np.isin(np.arange(len(beads)), (0, len(beads) - 1)) & (away > self.task.position_tolerance / 2)
        order = np.argsort(-(away + 10.0 * ends))  # 10 m: misplaced ends come before all other beads
        return [(goal.pieces[bead], pose(line[bead])) for bead in order]


class Push(Oracle):
    """Pushes blocks into a zone: of many straight pushes, the one after which a simple model predicts the most blocks inside.

    The model divides the blade's path into lanes of one block's width. The blade pushes the blocks of a lane ahead of it until they
    stand in a queue without gaps. Blocks that remain outside count less the further away they are.
    """

    blade, block = 0.11, 0.012
    """Width in meters that the blade reliably pushes, and width of a lane."""
    reach = 0.02
    """Distance in meters behind the last block at which the blade comes down."""
    headings = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    shifts = np.linspace(-0.08, 0.08, 9)
    stops = np.linspace(-0.05, 0.03, 5)

    def move(self, goal: Goal) -> Action | None:
        if goal.zone is None:
            raise ValueError("Push needs a goal with a zone")
        points = np.array([self.env.pose(piece.body)[0] for piece in goal.pieces])[:, :2]
        outside = points[~goal.zone.holds(np.column_stack([points, np.zeros(len(points))]))]
        starts, ends = self.candidates(goal.zone, outside)
        if not len(starts):
            return None
        best = int(self.values(goal.zone, points, starts, ends).argmax())
        heading = float(np.arctan2(*(ends[best] - starts[best])[::-1]))
        along = np.array([np.cos(heading), np.sin(heading)])
        pick, place = starts[best] + BEHIND * along, ends[best] + SHORT * along  # the primitive starts BEHIND and stops SHORT
        return Action(from_euler((*pick, 0.0), yaw=heading), from_euler((*place, 0.0), yaw=heading))

    def candidates(self, zone: Zone, outside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Starts and stops (M, 2) of the blade: in the workspace, starting behind all blocks outside the zone (N, 2) on its path."""
        turns, shifts, stops = (grid.ravel() for grid in np.meshgrid(self.headings + yaw_of(zone.middle), self.shifts, self.stops))
        along, across = directions(turns)
        relative = outside - zone.middle[0][:2]
        ahead, aside = relative @ along.T, relative @ across.T - shifts  # (N, M): along each push, and beside its line
        begins = np.where(np.abs(aside) < self.blade / 2, ahead, np.inf).min(0, initial=np.inf) - self.reach
        # A push with no block on its path begins at infinity, and one that begins near its stop moves nothing: neither is useful.
        useful = np.flatnonzero(stops - begins > 2 * self.reach) if len(outside) else np.array([], int)
        middles = zone.middle[0][:2] + shifts[useful, None] * across[useful]
        starts, ends = (middles + at[useful, None] * along[useful] for at in (begins, stops))
        within = ((np.minimum(starts, ends) > BOUNDS[:2, 0]) & (np.maximum(starts, ends) < BOUNDS[:2, 1])).all(1)
        return starts[within], ends[within]

    def values(self, zone: Zone, points: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """The score (M,) after each push: the share of blocks inside, less the mean distance in meters by which blocks are outside."""
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
        """Positions (M, N) of N blocks along each of M pushes afterwards, given their positions along and beside it before.

        In a lane, sorted from the blade on, block i ends at the maximum over j <= i of max(before[j], blade if reached) + (i - j) * width:
        it stays where it is unless the queue behind it reaches that far. One running maximum computes all lanes of all pushes at once.
        """
        pushes, blocks = ahead.shape
        reached = (ahead > 0) & (np.abs(aside) < self.blade / 2)
        lanes = np.floor(aside / self.block).astype(int) + 1000
        # A block that the blade does not reach is alone in a lane with a negative number; 10,000 numbers per push keep pushes apart.
        rows = np.where(reached, lanes, -1 - np.arange(blocks)) + 10_000 * np.arange(pushes)[:, None]
        order = np.lexsort([ahead.ravel(), rows.ravel()])  # by lane, then from the blade on
        row, at = rows.ravel()[order], ahead.ravel()[order]
        first = np.flatnonzero(np.r_[True, row[1:] != row[:-1]])
        number = np.repeat(np.arange(len(first)), np.diff(np.r_[first, len(row)]))
        place = np.arange(len(row)) - first[number]  # position in the lane's queue
        # The blade stops at the push's length: the middle of a block that it reaches ends half a block beyond that, or further.
        least = np.where(reached.ravel()[order], np.repeat(lengths, blocks)[order] + self.block / 2, -np.inf)
        # Taking `place` widths off turns the formula into a plain running maximum; 100 m per lane keep it from crossing into the next.
        queue = np.maximum.accumulate(np.maximum(at, least) - place * self.block + 100.0 * number) - 100.0 * number + place * self.block
        moved = np.empty(pushes * blocks)
        moved[order] = queue
        return moved.reshape(pushes, blocks)


def directions(turns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors (M, 2) in the direction of headings (M,) in radians, and to their left."""
    along = np.stack([np.cos(turns), np.sin(turns)], 1)
    return along, np.stack([-along[:, 1], along[:, 0]], 1)

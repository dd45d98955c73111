"""What an agent answers: where to pick and where to place, in the frame of one's own robot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from ..sim.constants import PIXEL
from ..sim.observation import HeightMap
from ..sim.poses import Pose, from_euler
from .camera import PinholeCamera
from .workspace import Workspace

if TYPE_CHECKING:
    from ..agents.agent import Decision

NEAR = 0.01
"""Metres in the agent's workspace, three cells of its map: probability within this distance of a pixel is trust in that pixel."""


@dataclass(frozen=True)
class Target:
    """Where the tool should go. Upright means that it points straight down: the quaternion (0, 0, 0, 1) is not turned."""

    pixel: tuple[int, int]
    """Row and column of the height map."""
    position: np.ndarray
    """float64 (3,): metres in the frame of the camera poses; z is the height map's."""
    yaw: float
    """Radians about z. What is picked is turned by the yaw of the place, less that of the pick, which is 0."""
    confidence: float
    """The agent's probability, in [0, 1], that the right place is within three cells, with any rotation."""

    @property
    def pose(self) -> Pose:
        """Position, and quaternion x, y, z, w."""
        return from_euler(self.position, yaw=self.yaw)


@dataclass(frozen=True)
class Answer:
    """An agent's answer to an instruction."""

    instruction: str
    pick: Target
    place: Target
    map: HeightMap
    """What the agent saw; its mask is -1 where no camera sees."""
    decision: Decision
    """The agent's probabilities: `pick_map` and `place_map`."""
    workspace: Workspace

    @property
    def seen(self) -> float:
        """Share of the workspace's cells that a camera sees."""
        return float((self.map.mask[self.workspace.inside] >= 0).mean())

    @property
    def doubts(self) -> list[str]:
        """Why a robot should not act on the answer unasked."""
        found = []
        for name, target in (("pick", self.pick), ("place", self.place)):
            if not self.workspace.inside[target.pixel]:
                found.append(f"the {name} is outside the bounds")
            elif self.map.mask[target.pixel] < 0:
                found.append(f"no camera sees the {name}, so its height is the table's")
        return found

    def picture(self) -> Image.Image:
        """The scene with an arrow from pick to place, and the agent's probabilities of both over it."""
        from ..agents.overlay import picture_of

        return picture_of(self.map, self.instruction, self.decision)

    def plain(self, cameras: Sequence[PinholeCamera] = ()) -> dict[str, Any]:
        """In JSON's types; `image_pixels` is column and row of the target in each camera's image, None where it is not in it."""

        def told(target: Target) -> dict[str, Any]:
            position, quaternion = target.pose
            return {
                "pixel": list(target.pixel),
                "position": position.tolist(),
                "quaternion": quaternion.tolist(),
                "yaw": target.yaw,
                "confidence": target.confidence,
                "image_pixels": [list(found) if (found := camera.pixel_of(position)) else None for camera in cameras],
            }

        return {
            "instruction": self.instruction,
            "pick": told(self.pick),
            "place": told(self.place),
            "seen": self.seen,
            "doubts": self.doubts,
        }


def answer_of(decision: Decision, view: HeightMap, instruction: str, workspace: Workspace) -> Answer:
    """A decision in the frame of the workspace."""
    trust = trust_in(decision.pick_map, decision.pick, view), trust_in(decision.place_map.sum(0), decision.place, view)
    pick = Target(decision.pick, workspace.position(decision.pick, view.height), 0.0, trust[0])
    place = Target(decision.place, workspace.position(decision.place, view.height), decision.angle, trust[1])
    return Answer(instruction, pick, place, view, decision, workspace)


def trust_in(probabilities: np.ndarray, pixel: tuple[int, int], view: HeightMap) -> float:
    """The probability (H, W) within NEAR of a pixel of the height map, of which each of its cells is the mean of several."""
    scale = view.height.shape[0] // probabilities.shape[0]
    rows, columns = np.indices(probabilities.shape)
    away = np.hypot(rows - pixel[0] // scale, columns - pixel[1] // scale) * scale * PIXEL
    return float(min(1.0, probabilities[away <= NEAR].sum(dtype=np.float64)))

"""The simulator as a task and an agent see it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import numpy as np

from . import overhead, rendering
from .action import Action
from .cameras import CAMERAS, PRESENTATION, Camera
from .constants import FRAME_RATE
from .grippers import Suction
from .observation import Observation
from .poses import Pose
from .primitives import Outcome, Visit, pick_place, push
from .robot import ASSETS, Robot
from .shapes import Shape
from .studio import studio
from .world import World

SETTLE = 1500
"""Steps that a scene, or an action's consequences, have to come to rest."""
TOOLS = ("suction", "spatula")


class Task(Protocol):
    """What the environment asks of a task."""

    name: str
    ee: str
    """ "suction" or "spatula"."""
    lift: float | None
    """Metres above the table at which the gripper drags things across; None to carry them high above everything."""

    def reset(self, env: Environment) -> None:
        """Build the scene with `env.add...`, drawing from `env.rng` alone. The environment waits for rest afterwards."""

    def reward(self) -> tuple[float, dict[str, Any]]:
        """Reward earned since the last call, and facts about it."""

    def done(self) -> bool: ...

    def language(self) -> str:
        """The instruction of the current step."""


class Environment:
    """One simulated table. Several may live in one process, in one thread; a scene is a function of task and seed alone.

    Args:
        assets: folder with the robot's files, instead of the packaged ones.
        disp: open PyBullet's window.
        hz: simulation steps per simulated second.
        record: called with frames uint8 (480, 640, 3) of the presentation camera while the robot acts, 20 per simulated second.
        renderer: "auto" (EGL where it works, else TinyRenderer), "egl" or "tiny". What it became is in `info["renderer"]`.

    Raises:
        DisplayError: for disp=True where there is no display.
        RendererError: for a renderer that does not exist or does not work here.
        AssetError: when a file of the robot is missing.
    """

    client: int
    """PyBullet's client: every call takes physicsClientId=env.client."""
    rng: np.random.Generator
    """The episode's generator, made of its seed: the only source of chance for task and oracle."""
    seed: int
    ee: str
    """ "suction" or "spatula", as the task has it."""
    info: dict[str, Any]
    """renderer, task, seed, lang_goal; after a step also grasped, timed_out, steps (of the simulation), ik (solves), and the reward's."""

    def __init__(
        self,
        assets: Path | str | None = None,
        disp: bool = False,
        hz: int = 240,
        record: Callable[[np.ndarray], None] | None = None,
        renderer: str = "auto",
    ) -> None:
        self.renderer = rendering.choose(renderer)
        self.assets = Path(assets) if assets else ASSETS
        self.record = record
        self.recording = False
        self.world = World(disp, hz, self.stepped)
        self.client = self.world.client
        self.info = {"renderer": self.renderer}
        self.seed, self.ee = 0, "suction"

    @property
    def objects(self) -> dict[str, list[int]]:
        """Body numbers: "rigid" and "deformable" ones (beads) can be grasped and are waited for; "fixed" ones do not move."""
        return self.world.objects

    def reset(self, task: Task, seed: int, observe: bool = True) -> Observation:
        """A fresh world with the task's scene, at rest. With observe=False nothing is rendered and the observation is empty."""
        if task.ee not in TOOLS:
            raise ValueError(f"{task.name}.ee: {task.ee!r} is none of {', '.join(TOOLS)}")
        self.task, self.seed, self.ee = task, seed, task.ee
        self.rng = np.random.default_rng(seed)
        self.world.clear(coarse=self.ee == "spatula")
        self.robot = Robot(self.world, self.ee, self.assets)
        self.suction = Suction(self.robot)
        task.reset(self)
        settled = self.settle()
        self.info = {"renderer": self.renderer, "task": task.name, "seed": seed, "lang_goal": task.language(), "settled": settled}
        return self.observe() if observe else Observation()

    def step(self, action: Action | None, observe: bool = True) -> tuple[Observation, float, bool, dict[str, Any]]:
        """Do an action (None: nothing), wait for rest, and return (observation, task.reward(), task.done(), info)."""
        steps, solves = self.world.steps, self.robot.solves
        outcome = self.act(action) if action else Outcome()
        settled = self.settle()
        reward, facts = self.task.reward()
        self.info = {
            **{key: self.info[key] for key in ("renderer", "task", "seed")},
            **facts,
            "lang_goal": self.task.language(),
            "grasped": outcome.grasped,
            "timed_out": outcome.timed_out,
            "settled": settled,
            "steps": self.world.steps - steps,
            "ik": self.robot.solves - solves,
        }
        return self.observe() if observe else Observation(), reward, self.task.done(), self.info

    def act(self, action: Action) -> Outcome:
        """Let the robot do its task's primitive."""
        self.recording = self.record is not None
        try:
            if self.ee == "spatula":
                return push(self.robot, action)
            return pick_place(self.robot, self.suction, action, self.task.lift)
        finally:
            self.recording = False

    # What is seen

    def observe(self) -> Observation:
        """Render the three cameras now."""
        self.arrange()
        images = [studio(self.renderer).photograph(camera) for camera in CAMERAS]
        return Observation(*(tuple(part) for part in zip(*images, strict=True)))

    def photograph(self, camera: Camera = PRESENTATION) -> np.ndarray:
        """A picture uint8 (H, W, 3) from any camera."""
        self.arrange()
        return studio(self.renderer).photograph(camera, masked=False)[0]

    def arrange(self) -> None:
        """Bring the studio's copies of all that is seen to where things are."""
        links, robot = self.robot.links(), self.robot.body
        bodies = {body: self.pose(body) for body in {look.body for look in self.world.scene.looks} - {robot}}
        poses = [links[look.link] if look.body == robot else bodies[look.body] for look in self.world.scene.looks]
        studio(self.renderer).arrange(self.world.scene, poses)

    def stepped(self) -> None:
        if self.recording and self.record and self.world.steps % max(1, round(self.world.hz / FRAME_RATE)) == 0:
            self.record(self.photograph())

    def look_down(self) -> tuple[np.ndarray, np.ndarray]:
        """Heights (float32, metres) and body numbers (int32) of shape IMAGE_SHAPE, exactly and without a renderer, by rays.

        For oracles: the result does not depend on the machine. What is only seen (zones, marks, lines) is not in it.
        """
        touchable = [body for body, shape in self.world.shapes.items() if shape.solids]
        return overhead.look_down(self.client, self.world.table, touchable)

    def occupied(self) -> np.ndarray:
        """bool IMAGE_SHAPE: the pixels within the convex outline of any added body, zones and marks included."""
        return overhead.occupied((shape, self.pose(body)) for body, shape in self.world.shapes.items())

    def random_pose(self, size: Sequence[float], margin: float = 0.0) -> Pose | None:
        """A pose for a thing of extents `size`: on a free place with any yaw, z = size[2] / 2; None where there is no room.

        Free means that the circle around its rectangle, widened by `margin`, meets no added body and stays inside the workspace.
        """
        return overhead.random_pose(self.rng, self.occupied(), size, margin)

    # What is there

    def add(
        self, shape: Shape, pose: Pose, category: str = "rigid", color: Sequence[float] | None = None, mass: float | None = None
    ) -> int:
        """Put a shape on the table; returns its body number.

        Args:
            category: "rigid", "fixed" (it does not move) or "deformable".
            color: RGB in [0, 1] for the meshes that have no colour of their own, instead of the shape's.
            mass: kilograms, instead of the shape's.
        """
        return self.world.add(shape, pose, category, color, mass)

    def add_rope(self, points: np.ndarray, radius: float = 0.005, color: Sequence[float] = (0.8, 0.8, 0.8)) -> list[int]:
        """A rope of beads at points (N, 3); returns the beads' body numbers in order.

        Beads are graspable spheres of category "deformable", each tied to the next half way between them. It bends until neighbours
        touch: at 2.8 * radius between points by a right angle at every bead, at 2 * radius not at all.
        """
        return self.world.add_rope(points, radius, color)

    def remove(self, body: int) -> None:
        self.world.remove(body)

    def pose(self, body: int) -> Pose:
        return self.world.pose(body)

    def set_pose(self, body: int, pose: Pose) -> None:
        """Put a body somewhere, at rest."""
        self.world.place(body, pose)

    def size(self, body: int) -> tuple[float, float, float]:
        """The extents of the body's shape in its own frame."""
        return self.world.shapes[body].size

    def set_color(self, body: int, color: Sequence[float]) -> None:
        """Paint all of a body in RGB of [0, 1]."""
        self.world.paint(body, color)

    def reaches(self, pose: Pose) -> bool:
        """Whether the suction gripper can come to a pose from above. Upright it can all over the workspace, tilted not at its border."""
        return self.robot.reaches(Visit(pose).stations)

    def settle(self, limit: int = SETTLE) -> bool:
        """Simulate until nothing moves, `limit` steps at most; whether it came to rest."""
        return self.world.settle(limit)

    def close(self) -> None:
        self.world.close()

    def __enter__(self) -> Environment:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

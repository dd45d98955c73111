"""The simulator's interface for tasks, agents and oracles."""

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
from .primitives import Outcome, pick_place, push
from .robot import ASSETS, Robot
from .shapes import Shape
from .studio import studio
from .world import World

SETTLE = 9600
"""Largest number of steps, 20 s, for a scene or the effects of an action to come to rest: what rolls for ever must not stop a run."""
TOOLS = ("suction", "spatula")


class Task(Protocol):
    """What the environment needs from a task."""

    name: str
    ee: str
    """ "suction" or "spatula"."""
    lift: float | None
    """Height in meters at which the gripper drags objects across the table; None to carry them high above everything."""

    def reset(self, env: Environment) -> None:
        """Build the scene with `env.add...`, drawing only from `env.rng`. Afterwards the environment waits for rest."""

    def reward(self) -> tuple[float, dict[str, Any]]:
        """Reward earned since the last call, and entries for `info`."""

    def scored(self, env: Environment) -> None:
        """Called after an action has been scored, before the images are taken."""

    def done(self) -> bool: ...

    def language(self) -> str:
        """The instruction of the current step."""


class Environment:
    """A simulated table. One thread may have several; a scene depends only on task and seed.

    Args:
        assets: folder with the robot's files; default: the packaged ones.
        disp: open PyBullet's window.
        hz: simulation steps per simulated second.
        record: receives frames uint8 (480, 640, 3) of the presentation camera while the robot moves, FRAME_RATE per simulated second.
        renderer: "auto" (EGL if it works, otherwise TinyRenderer), "egl" or "tiny"; `info["renderer"]` is the one in use.

    Raises:
        DisplayError: for disp=True without a display.
        RendererError: for a renderer that does not exist or does not work on this machine.
        AssetError: when a file of the robot is missing.
    """

    client: int
    """PyBullet's client: every call takes physicsClientId=env.client."""
    rng: np.random.Generator
    """The episode's random generator, seeded with its seed: the only source of randomness for task and oracle."""
    seed: int
    ee: str
    """ "suction" or "spatula", as the task requires."""
    info: dict[str, Any]
    """renderer, task, seed, lang_goal; after a step also grasped, timed_out, steps (simulated), ik (solves), and the task's own."""

    def __init__(
        self,
        assets: Path | str | None = None,
        disp: bool = False,
        hz: int = 480,
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
        """Body numbers by category: "rigid" and "deformable" bodies (beads) move and can be grasped, "fixed" ones do not."""
        return self.world.objects

    def reset(self, task: Task, seed: int, observe: bool = True) -> Observation:
        """Build the task's scene in an empty world and wait for rest. With observe=False nothing is rendered."""
        if task.ee not in TOOLS:
            raise ValueError(f"{task.name}.ee: {task.ee!r} is not one of {', '.join(TOOLS)}")
        self.task, self.seed, self.ee = task, seed, task.ee
        self.rng = np.random.default_rng(seed)
        self.world.clear(coarse=self.ee == "spatula")
        self.robot = Robot(self.world, self.ee, self.assets)
        self.suction = Suction(self.robot)
        self.facts: dict[str, Any] = {}
        task.reset(self)
        settled = self.settle()
        self.info = {"renderer": self.renderer, "task": task.name, "seed": seed, "lang_goal": task.language(), "settled": settled}
        return self.observe() if observe else Observation()

    def step(self, action: Action | None, observe: bool = True) -> tuple[Observation, float, bool, dict[str, Any]]:
        """Carry out an action (None: nothing), wait for rest, and return (observation, task.reward(), task.done(), info).

        An action that times out ends the episode without a reward: nothing is waited for and nothing is scored.
        """
        steps, solves = self.world.steps, self.robot.solves
        outcome = self.act(action) if action else Outcome()
        reward, done, settled, facts = 0.0, True, False, self.facts
        if not outcome.timed_out:
            settled = self.settle()
            if action:
                reward, facts = self.task.reward()
                self.task.scored(self)
            done = self.task.done()
        self.facts = facts
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
        return self.observe() if observe else Observation(), reward, done, self.info

    def act(self, action: Action) -> Outcome:
        """Carry out an action with the primitive of the task's tool. One that is not finite is out of reach."""
        if not np.isfinite(np.concatenate([*action.pick, *action.place])).all():
            return Outcome(timed_out=True)
        self.recording = self.record is not None
        try:
            if self.ee == "spatula":
                return push(self.robot, action)
            return pick_place(self.robot, self.suction, action, self.task.lift)
        finally:
            self.recording = False

    # Images

    def observe(self) -> Observation:
        """Images of the three cameras."""
        self.arrange()
        images = [studio(self.renderer).photograph(camera) for camera in CAMERAS]
        return Observation(*(tuple(part) for part in zip(*images, strict=True)))

    def photograph(self, camera: Camera = PRESENTATION) -> np.ndarray:
        """An image uint8 (H, W, 3) from any camera."""
        self.arrange()
        return studio(self.renderer).photograph(camera, masked=False)[0]

    def arrange(self) -> None:
        """Move the studio's copies of all visible bodies to their current poses."""
        links, robot = self.robot.links(), self.robot.body
        bodies = {body: self.pose(body) for body in {look.body for look in self.world.scene.looks} - {robot}}
        poses = [links[look.link] if look.body == robot else bodies[look.body] for look in self.world.scene.looks]
        studio(self.renderer).arrange(self.world.scene, poses)

    def stepped(self) -> None:
        if self.recording and self.record and self.world.steps % max(1, round(self.world.hz / FRAME_RATE)) == 0:
            self.record(self.photograph())

    def look_down(self) -> tuple[np.ndarray, np.ndarray]:
        """Heights (float32, meters) and body numbers (int32) of shape IMAGE_SHAPE, exact and without a renderer, by rays.

        For oracles: the result does not depend on the machine. Marks without collision shape (zones, lines) are not included.
        """
        touchable = [body for body, shape in self.world.shapes.items() if shape.solids]
        return overhead.look_down(self.client, self.world.table, touchable)

    def occupied(self) -> np.ndarray:
        """bool IMAGE_SHAPE: pixels that any added body covers, zones, marks and fixed bodies included."""
        return self.world.occupied()

    def random_pose(self, size: Sequence[float]) -> Pose | None:
        """A random pose for an object of extents `size`: at a free place, any yaw, z = size[2] / 2; None if there is no room.

        A place is free if no body covers a pixel of the square around it that has the object's diagonal as its side, and that square is
        inside the workspace. There is no further margin: the object may touch what is beside a corner of the square.
        """
        return overhead.random_pose(self.rng, self.occupied(), size)

    # Bodies

    def add(
        self, shape: Shape, pose: Pose, category: str = "rigid", color: Sequence[float] | None = None, mass: float | None = None
    ) -> int:
        """Add a shape and return its body number.

        Args:
            category: "rigid", "fixed" (does not move) or "deformable".
            color: RGB in [0, 1] for meshes without a color of their own; default: the shape's.
            mass: kilograms; default: the shape's.
        """
        return self.world.add(shape, pose, category, color, mass)

    def add_rope(self, points: np.ndarray, half: float, colors: Sequence[Sequence[float]]) -> list[int]:
        """Add a rope of beads at points (N, 3) and return the beads' body numbers in order.

        Beads are graspable boxes of category "deformable" with sides of 2 * half, seen as spheres half as wide again. Each one's middle is
        tied to the point of the one before where it is now. A rope bends until the beads touch: up to a right angle at every bead if
        points are 2.8 * half apart, not at all if they are 2 * half apart.
        """
        return self.world.add_rope(points, half, colors)

    def remove(self, body: int) -> None:
        self.world.remove(body)

    def pose(self, body: int) -> Pose:
        return self.world.pose(body)

    def poses(self) -> dict[int, tuple[Pose, tuple[float, float, float]]]:
        """Pose and extents of every body that was added, by its number."""
        return {body: (self.pose(body), self.size(body)) for body in sorted(self.world.shapes)}

    def set_pose(self, body: int, pose: Pose) -> None:
        """Move a body, and stop it."""
        self.world.set_pose(body, pose)

    def size(self, body: int) -> tuple[float, float, float]:
        """The extents of a body's shape in its own frame."""
        return self.world.shapes[body].size

    def set_color(self, body: int, color: Sequence[float]) -> None:
        """Paint a whole body in RGB in [0, 1]."""
        self.world.paint(body, color)

    def reaches(self, pose: Pose) -> bool:
        """Whether the gripper can reach a pose: upright it can everywhere in the workspace, tilted not near the border."""
        return self.robot.reaches([pose])

    def simulate(self, steps: int) -> None:
        """Simulate this many steps, whatever moves."""
        for _ in range(steps):
            self.world.step()

    def settle(self, limit: int = SETTLE) -> bool:
        """Simulate until nothing moves, for at most `limit` steps; returns whether everything is at rest."""
        return self.world.settle(limit)

    def close(self) -> None:
        self.world.close()

    def __enter__(self) -> Environment:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

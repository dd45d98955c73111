"""The physical world: a PyBullet client with a table and the bodies on it.

Time is counted in steps only, so nothing depends on the machine's speed.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise

import numpy as np
import pybullet

from ..errors import DisplayError
from . import overhead
from .constants import BOUNDS, IMAGE_SHAPE
from .poses import Pose, pose
from .shapes import Mesh, Shape, Solid, bead, box_mesh, merged
from .studio import Look, Scene, mesh_file, written

GRAVITY = -9.8
CATEGORIES = ("rigid", "fixed", "deformable")
MARGIN = 0.001
"""PyBullet thickens convex hulls by this much, so they are made thinner first, in meters."""
AT_REST = 0.005
"""Speed in meters per second below which a body rests."""
LOOK_EVERY = 8
"""Steps between two checks of the speeds."""
MOST_PRIMITIVES = 15
"""PyBullet accepts 16 parts per shape; one is reserved for all hulls together."""
FINE, COARSE = 50, 20
"""Iterations of the solver. A pile of fifty blocks takes half the time with the coarse one."""
ROUND, ROLLING = ("sphere", "cylinder"), 0.0005
ROPE_FORCE = 100.0  # newtons
EDGE = 0.01
"""How much wider than the workspace its mark is, in meters, so that border pixels show the mark."""
FLOOR, WORKSPACE = (0.78, 0.78, 0.76), (0.22, 0.22, 0.23)


class World:
    """A client with gravity and a table whose top is z = 0.

    Args:
        stepped: called after every simulation step.
    """

    def __init__(self, disp: bool, hz: int, stepped: Callable[[], None]) -> None:
        self.client = connect(disp)
        self.disp, self.hz, self.stepped = disp, hz, stepped
        self.steps = 0
        self.scene = Scene()
        self.objects: dict[str, list[int]] = {}
        self.shapes: dict[int, Shape] = {}
        self.footprints: dict[int, tuple[bytes, np.ndarray]] = {}
        """The pixels that a body covered at the pose with these bytes."""

    def clear(self, coarse: bool = False) -> None:
        """Remove everything but the table. `coarse` is for many loose objects that need not be stacked."""
        pybullet.resetSimulation(physicsClientId=self.client)
        pybullet.setGravity(0, 0, GRAVITY, physicsClientId=self.client)
        pybullet.setPhysicsEngineParameter(
            fixedTimeStep=1 / self.hz,
            enableFileCaching=0,
            deterministicOverlappingPairs=1,
            numSolverIterations=COARSE if coarse else FINE,
            physicsClientId=self.client,
        )
        self.steps = 0
        self.scene.replaced([])
        self.objects = {category: [] for category in CATEGORIES}
        self.shapes, self.footprints = {}, {}
        self.table = self.solid_table()

    def solid_table(self) -> int:
        """The floor, with the workspace marked on it."""
        half = [2, 2, 0.05]
        touched = pybullet.createCollisionShape(pybullet.GEOM_BOX, halfExtents=half, physicsClientId=self.client)
        body = pybullet.createMultiBody(0, touched, self.visual(box_mesh((4, 4, 0.1)), FLOOR), [0, 0, -0.05], physicsClientId=self.client)
        pybullet.changeDynamics(body, -1, lateralFriction=1.0, physicsClientId=self.client)
        (x, y, _), (width, depth, _) = BOUNDS.mean(1), np.ptp(BOUNDS, axis=1)
        self.look(body, -1, box_mesh((4, 4, 0.098)), FLOOR)  # rendered 1 mm lower than its collision shape, so that the mark lies on it
        self.look(body, -1, box_mesh((width + EDGE, depth + EDGE, 0.02)).moved((x, y, 0.04)), WORKSPACE)
        return int(body)

    def add(
        self, shape: Shape, place: Pose, category: str = "rigid", color: Sequence[float] | None = None, mass: float | None = None
    ) -> int:
        """Add a shape and return its body number."""
        if category not in CATEGORIES:
            raise ValueError(f"category: {category!r} is not one of {', '.join(CATEGORIES)}")
        paint = tuple(color) if color is not None else shape.color
        weight = 0.0 if category == "fixed" else shape.mass if mass is None else mass
        body = pybullet.createMultiBody(
            weight,
            self.collision(shape),
            self.visual(merged(shape.meshes), paint, shape.scale),
            place[0],
            place[1],
            useMaximalCoordinates=True,  # for bodies without joints, three times as fast
            physicsClientId=self.client,
        )
        pybullet.changeDynamics(  # without an anchor, a stack creeps by a millimeter per second
            body, -1, lateralFriction=shape.friction, frictionAnchor=True, physicsClientId=self.client
        )
        if any(solid.kind in ROUND for solid in shape.solids):  # twice the work, so only for what can roll
            pybullet.changeDynamics(body, -1, rollingFriction=ROLLING, spinningFriction=ROLLING, physicsClientId=self.client)
        for mesh in shape.meshes:
            self.look(body, -1, mesh, paint, shape.scale)
        self.objects[category].append(body)
        self.shapes[body] = shape
        return int(body)

    def collision(self, shape: Shape) -> int:
        """One collision shape for all solids of a shape; -1 if there are none."""
        plain = [solid for solid in shape.solids if solid.kind != "hull"]
        if len(plain) > MOST_PRIMITIVES:
            plain = [solid for solid in plain if solid.kind != "box"]
        hulls = [solid for solid in shape.solids if solid not in plain]
        parts = [primitive(solid) for solid in plain]
        if hulls:
            parts.append((pybullet.GEOM_MESH, 0.0, 0.0, [0, 0, 0], hulls_file(tuple(hulls)), [0, 0, 0], [0, 0, 0, 1]))
        if not parts:
            return -1
        kinds, radii, lengths, halves, files, positions, turns = (list(column) for column in zip(*parts, strict=True))
        return int(
            pybullet.createCollisionShapeArray(
                shapeTypes=kinds,
                radii=radii,
                lengths=lengths,
                halfExtents=halves,
                fileNames=files,
                collisionFramePositions=positions,
                collisionFrameOrientations=turns,
                physicsClientId=self.client,
            )
        )

    def add_rope(self, points: np.ndarray, half: float, colors: Sequence[Sequence[float]]) -> list[int]:
        """Add beads at points (N, 3); each one's middle is tied to a point of the one before."""
        shape = bead(half)
        beads = [self.add(shape, pose(point), "deformable", color) for point, color in zip(points, colors, strict=True)]
        for number, (a, b) in enumerate(pairwise(beads)):
            step = (np.asarray(points[number + 1]) - points[number]).tolist()
            tie = pybullet.createConstraint(
                a, -1, b, -1, pybullet.JOINT_POINT2POINT, [0, 0, 0], step, [0, 0, 0], physicsClientId=self.client
            )
            pybullet.changeConstraint(tie, maxForce=ROPE_FORCE, physicsClientId=self.client)
        return beads

    def occupied(self) -> np.ndarray:
        """bool IMAGE_SHAPE: pixels that any body covers, seen from above."""
        taken = np.zeros(IMAGE_SHAPE, bool)
        for body, shape in self.shapes.items():
            place = self.pose(body)
            where, covered = self.footprints.get(body, (b"", taken))
            if where != (key := np.concatenate(place).tobytes()):  # bodies rest while a scene is built, so most are known
                covered = overhead.footprint(shape, place)
                self.footprints[body] = key, covered
            taken = taken | covered
        return taken

    def remove(self, body: int) -> None:
        pybullet.removeBody(body, physicsClientId=self.client)
        self.scene.replaced([look for look in self.scene.looks if look.body != body])
        self.objects = {category: [other for other in bodies if other != body] for category, bodies in self.objects.items()}
        del self.shapes[body]
        self.footprints.pop(body, None)

    def paint(self, body: int, color: Sequence[float]) -> None:
        """Give all meshes of a body this color."""
        red, green, blue = color
        looks = [replace(look, color=(red, green, blue)) if look.body == body else look for look in self.scene.looks]
        self.scene.replaced(looks)
        if self.disp:
            pybullet.changeVisualShape(body, -1, rgbaColor=[red, green, blue, 1], physicsClientId=self.client)

    def pose(self, body: int) -> Pose:
        position, quaternion = pybullet.getBasePositionAndOrientation(body, physicsClientId=self.client)
        return np.array(position), np.array(quaternion)

    def set_pose(self, body: int, where: Pose) -> None:
        """Move a body, and stop it."""
        pybullet.resetBasePositionAndOrientation(body, where[0], where[1], physicsClientId=self.client)

    def step(self) -> None:
        pybullet.stepSimulation(physicsClientId=self.client)
        self.steps += 1
        self.stepped()

    def settle(self, limit: int) -> bool:
        """Step until all bodies rest, at most `limit` times; returns whether they do."""
        calm = 0
        for count in range(limit):
            if count % LOOK_EVERY == 0:
                calm = calm + 1 if self.at_rest() else 0
                if calm == 2:  # at the top of a bounce a body is at rest for one check only
                    return True
            self.step()
        return self.at_rest()

    def at_rest(self) -> bool:
        """Whether nothing moves from its place. Spinning counts as resting."""
        for body in (*self.objects["rigid"], *self.objects["deformable"]):
            linear, _ = pybullet.getBaseVelocity(body, physicsClientId=self.client)
            if not np.linalg.norm(linear) < AT_REST:  # `not <` instead of `>=`, so that NaN does not rest
                return False
        return True

    def close(self) -> None:
        client, self.client = self.client, -1  # PyBullet may give its number to another world
        if client >= 0 and pybullet.isConnected(client):
            pybullet.disconnect(physicsClientId=client)

    def look(self, body: int, link: int, mesh: Mesh, color: Sequence[float], scale: float = 1.0) -> None:
        red, green, blue = mesh.color or color
        texture = mesh.texture.file if mesh.texture else None
        self.scene.looks.append(Look(body, link, mesh_file(mesh), (red, green, blue), scale, texture))

    def visual(self, mesh: Mesh, color: Sequence[float], scale: float = 1.0) -> int:
        """The visual shape for the window; -1 without one."""
        if not self.disp:
            return -1
        paint = [*(mesh.color or color), 1]
        return int(
            pybullet.createVisualShape(
                pybullet.GEOM_MESH, fileName=mesh_file(mesh), meshScale=[scale] * 3, rgbaColor=paint, physicsClientId=self.client
            )
        )


def connect(disp: bool) -> int:
    """A client, with a window if `disp`.

    Raises:
        DisplayError: if there is no display.
    """
    if not disp:
        return int(pybullet.connect(pybullet.DIRECT))
    if sys.platform.startswith("linux") and not has_display():  # PyBullet would exit the process
        display = os.environ.get("DISPLAY")
        reason = f"display {display} does not respond" if display else "there is no display (DISPLAY is not set)"
        raise DisplayError(f"disp=True opens a window, but {reason}: use disp=False")
    client = int(pybullet.connect(pybullet.GUI))
    if client < 0:
        raise DisplayError("disp=True opens a window, but this process already has one: use disp=False for the others")
    pybullet.configureDebugVisualizer(pybullet.COV_ENABLE_GUI, 0, physicsClientId=client)
    pybullet.resetDebugVisualizerCamera(1.2, 90, -35, [0.4, 0, 0.1], physicsClientId=client)
    return client


def has_display() -> bool:
    """Whether an X server responds at DISPLAY."""
    try:
        x11 = ctypes.CDLL("libX11.so.6")
    except OSError:
        return False
    x11.XOpenDisplay.restype = ctypes.c_void_p
    opened = x11.XOpenDisplay(None)
    if opened:
        x11.XCloseDisplay(ctypes.c_void_p(opened))
    return bool(opened)


def primitive(solid: Solid) -> tuple[int, float, float, list[float], str, list[float], list[float]]:
    """Kind, radius, length, half extents, file, position and quaternion for PyBullet."""
    kind = {"box": pybullet.GEOM_BOX, "cylinder": pybullet.GEOM_CYLINDER, "sphere": pybullet.GEOM_SPHERE}[solid.kind]
    width, _, height = solid.size
    return kind, width / 2, height, [extent / 2 for extent in solid.size], "", list(solid.position), list(solid.quaternion)


@lru_cache(maxsize=4096)
def hulls_file(solids: tuple[Solid, ...]) -> str:
    """A Wavefront file of which PyBullet reads each object as a convex hull."""
    lines, before = [], 0
    for number, solid in enumerate(solids):
        mesh = solid.mesh()
        thinned = inset(mesh, MARGIN)
        lines += [f"o part{number}", *(f"v {x:.9g} {y:.9g} {z:.9g}" for x, y, z in thinned)]
        lines += [f"f {a} {b} {c}" for a, b, c in mesh.triangles + before + 1]
        before += len(thinned)
    return written("\n".join(lines) + "\n", ".hulls.obj")


def inset(mesh: Mesh, depth: float) -> np.ndarray:
    """The vertices of a convex mesh with flat facets after moving every facet inwards by `depth`.

    A corner moves so that its distance to each of its facets grows by `depth`: a small linear system in its normals.
    """
    keys = np.round(mesh.vertices, 9)
    _, which = np.unique(keys, axis=0, return_inverse=True)
    moved = mesh.vertices.copy()
    for corner in range(which.max() + 1):
        here = which.ravel() == corner
        normals = np.unique(np.round(mesh.normals[here], 6), axis=0)
        moved[here] -= np.linalg.lstsq(normals, np.full(len(normals), depth), rcond=None)[0]
    return moved

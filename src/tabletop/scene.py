"""Scenes: objects are drawn at random, dropped onto the table, left to settle, and photographed.

A scene depends only on its seed: all draws come from one generator, the physics runs in a new world with a fixed time step, and waiting
is counted in steps, never in seconds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pybullet

from .camera import Camera, Photograph
from .clutter import TINT, draw_pieces
from .config import BASIC
from .errors import SceneError
from .shapes import COLOURS, SHAPES, SIZES, Shape

STEP = 1 / 240  # seconds of simulated time
MAX_STEPS = 1440
REST_STEPS = 12  # consecutive steps below both speeds count as rest
REST_LINEAR, REST_ANGULAR = 0.004, 0.06  # meters and radians per second
ATTEMPTS = 400  # scenes drawn before giving up
TABLE = 0.45  # meters: half of the table's depth
HELDOUT_COMBINATIONS = 1 / 6  # of all combinations of objects
REACH = 0.17  # meters from the table's center within which objects are placed; times `aspect` to the sides
LYING = 0.15  # probability that a tall object is put down on its side, if objects may be rotated
TALL = ("cylinder", "cone", "pyramid", "bottle", "cup")
UPRIGHT = 0.9  # cosine of the tilt up to which an object stands
MIN_SHARE = 0.0035  # smallest visible area of an object, as a share of the squared height of the image


@dataclass(frozen=True)
class Kind:
    """Color, shape and size of an object, without a pose."""

    colour: str
    shape: str
    size: str

    @property
    def form(self) -> Shape:
        return SHAPES[self.shape]

    @property
    def unit(self) -> float:
        return SIZES[self.size]

    @property
    def extent(self) -> float:
        """Diameter in meters of the smallest ball around the object that has its center."""
        return float(2 * np.linalg.norm(self.form.mesh.vertices, axis=1).max() * self.unit)


@dataclass(frozen=True)
class Thing:
    """A settled object. `number` is its value in the mask; the position is in meters, z up, with the table top at z = 0."""

    number: int
    kind: Kind
    position: tuple[float, float, float]
    orientation: tuple[float, float, float, float]
    """Quaternion x, y, z, w."""

    @property
    def uprightness(self) -> float:
        """Cosine of the tilt: 1 upright, 0 on its side, -1 upside down."""
        x, y, _, _ = self.orientation
        return 1 - 2 * (x * x + y * y)

    @property
    def upright(self) -> bool:
        return self.uprightness > UPRIGHT

    @property
    def bottom(self) -> float:
        """Height in meters of its lowest point above the table."""
        x, y, z, w = self.orientation
        heights = self.kind.form.mesh.vertices @ [2 * (x * z - y * w), 2 * (y * z + x * w), self.uprightness]
        return float(self.position[2] + heights.min() * self.kind.unit)


@dataclass(frozen=True)
class Scene:
    """A settled arrangement of objects with its photograph."""

    things: tuple[Thing, ...]
    camera: Camera
    photograph: Photograph


def is_heldout(kinds: Sequence[Kind]) -> bool:
    """Whether a scene with these objects belongs to the held-out part.

    The hash of the multiset of (color, shape) pairs decides. So a held-out combination never occurs in training, in any dataset of any
    seed or size, but each color, shape and pair does.
    """
    text = "+".join(sorted(f"{kind.colour} {kind.shape}" for kind in kinds))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") < HELDOUT_COMBINATIONS * 2**64


def make_scene(
    client: int,
    seed: Sequence[int],
    *,
    heldout: bool,
    objects: tuple[int, int],
    camera: tuple[int, int],
    aspect: float = 1.0,
    shapes: Sequence[str] = BASIC,
    varied: bool = False,
    hard: bool = False,
) -> Scene:
    """The scene of `seed`.

    Args:
        client: PyBullet's client, whose world is replaced.
        seed: seed of all draws.
        heldout: whether the combination of objects has to be a held-out one.
        objects: bounds of the number of objects.
        camera: the image's height in pixels, and its supersampling.
        aspect: the image's width divided by its height.
        shapes: shapes to choose from.
        varied: whether objects are rotated about the vertical, tall ones may lie on their sides, and the camera's pose varies widely.
        hard: whether the table has a pattern, objects vary in color, and clutter lies among them and hides parts of them.

    Raises:
        SceneError: after a bounded number of attempts, which means that the settings leave no room.
    """
    reach = np.array([REACH * aspect, REACH])
    for attempt in range(ATTEMPTS):
        rng = np.random.default_rng([*seed, attempt])  # a rejected scene is drawn again with everything new
        kinds = draw_kinds(rng, objects, shapes)
        if is_heldout(kinds) != heldout:
            continue
        lying = [varied and kind.shape in TALL and rng.uniform() < LYING for kind in kinds]
        places = draw_places(rng, kinds, reach, lying)
        if places is None:
            continue
        table = empty_world(client, float(max(TABLE, reach[0] + REACH)))
        yaws = rng.uniform(-np.pi, np.pi, len(kinds)) if varied else np.zeros(len(kinds))
        colours = [draw_colour(rng, kind, hard) for kind in kinds]
        bodies = [drop(client, *thing) for thing in zip(kinds, places, yaws, lying, colours, strict=True)]
        taken = [(float(x), float(y), radius(kind, lies)) for (x, y, _), kind, lies in zip(places, kinds, lying, strict=True)]
        clutter = [piece.add(client) for piece in draw_pieces(rng, taken, reach)] if hard else []
        if not settle(client, [*bodies, *clutter]):
            continue
        things = tuple(settled(client, number, kind, body) for number, (kind, body) in enumerate(zip(kinds, bodies, strict=True), 1))
        if any((np.abs(thing.position[:2]) > 1.2 * reach).any() for thing in things):
            continue
        pybullet.removeBody(table, physicsClientId=client)  # the camera renders its top itself
        view = Camera.draw(rng, *camera, aspect, varied, hard)
        numbers = dict.fromkeys(clutter, 0) | {body: thing.number for body, thing in zip(bodies, things, strict=True)}
        photograph = view.photograph(client, numbers)
        pixels = np.bincount(photograph.mask.ravel(), minlength=len(things) + 1)[1:]
        if pixels.min() >= MIN_SHARE * camera[0] ** 2:
            return Scene(things, view, photograph)
    raise SceneError(f"none of {ATTEMPTS} scenes with {objects[0]} to {objects[1]} objects settled with all visible; use fewer objects")


def draw_kinds(rng: np.random.Generator, objects: tuple[int, int], shapes: Sequence[str] = BASIC) -> list[Kind]:
    """Between `objects[0]` and `objects[1]` kinds, drawn independently."""
    count = int(rng.integers(objects[0], objects[1] + 1))
    names = [list(COLOURS), list(shapes), list(SIZES)]
    return [Kind(*(options[rng.integers(len(options))] for options in names)) for _ in range(count)]


def draw_places(rng: np.random.Generator, kinds: Sequence[Kind], reach: np.ndarray, lying: Sequence[bool]) -> list[np.ndarray] | None:
    """Where each object is released: on the table away from the others, or sometimes above one that can carry it.

    `reach` (2,) bounds x and y in meters, on both sides of the table's center. What is `lying` neither carries nor is carried.
    """
    places: list[np.ndarray] = []
    carriers = {number for number, lies in enumerate(lying) if lies}
    radii = [radius(kind, lies) for kind, lies in zip(kinds, lying, strict=True)]
    for kind, own, lies in zip(kinds, radii, lying, strict=True):
        carrier = None if lies else draw_carrier(rng, kind, kinds[: len(places)], carriers)
        if carrier is not None:
            carriers |= {carrier, len(places)}
            below = kinds[carrier]
            height = below.form.height * below.unit + kind.form.height * kind.unit / 2
            places.append(places[carrier] * [1, 1, 0] + [0, 0, height + 0.004])
            continue
        for _ in range(50):
            rise = kind.form.radius if lies else kind.form.height / 2
            place = np.array([*rng.uniform(-reach, reach), rise * kind.unit + 0.003])
            apart = [own + other + 0.012 for other in radii[: len(places)]]
            if all(np.hypot(*(place - other)[:2]) > gap for other, gap in zip(places, apart, strict=True)):
                places.append(place)
                break
        else:
            return None
    return places


def radius(kind: Kind, lies: bool) -> float:
    """Half of the largest horizontal extent in meters, standing or lying on its side."""
    return kind.unit * (max(kind.form.radius, kind.form.height / 2) if lies else kind.form.radius)


def draw_colour(rng: np.random.Generator, kind: Kind, varies: bool) -> tuple[float, float, float]:
    """An object's RGB in [0, 1], which may vary around that of its name."""
    named = COLOURS[kind.colour]
    return tuple((named + rng.uniform(-TINT, TINT, 3)).clip(0, 1).tolist()) if varies else named


def draw_carrier(rng: np.random.Generator, kind: Kind, others: Sequence[Kind], taken: set[int]) -> int | None:
    """The number of an earlier object that carries this one; None for the table."""
    if rng.uniform() > 0.35 or kind.shape in ("plate", "bowl"):
        return None
    fits = [
        number
        for number, other in enumerate(others)
        if number not in taken
        and ((other.form.flat_top and (kind.shape != "ball" or other.shape == "plate")) or (other.form.hollow and kind.size == "small"))
        and kind.form.radius * kind.unit < 1.3 * other.form.radius * other.unit
    ]
    return int(rng.choice(fits)) if fits else None


def empty_world(client: int, width: float = TABLE) -> int:
    """Create a new world with a table and return the table's body. `width` is half of its width."""
    pybullet.resetSimulation(physicsClientId=client)
    pybullet.setPhysicsEngineParameter(fixedTimeStep=STEP, deterministicOverlappingPairs=1, physicsClientId=client)
    pybullet.setGravity(0, 0, -9.81, physicsClientId=client)
    half = [width, TABLE, 0.02]
    shape = pybullet.createCollisionShape(pybullet.GEOM_BOX, halfExtents=half, physicsClientId=client)
    table = pybullet.createMultiBody(0, shape, -1, [0, 0, -half[2]], physicsClientId=client)
    pybullet.changeDynamics(table, -1, lateralFriction=0.9, rollingFriction=0.003, physicsClientId=client)
    return int(table)


def drop(client: int, kind: Kind, place: np.ndarray, yaw: float, lying: bool, colour: tuple[float, float, float]) -> int:
    """Add an object just above its place, rotated by `yaw` radians, and before that tilted by a right angle about x if it is lying."""
    tilt = np.pi / 2 if lying else 0.0
    turn = pybullet.getQuaternionFromEuler([tilt, 0, yaw])
    shape = kind.form.collision(client, kind.unit)
    look = kind.form.visual(client, kind.unit, colour)
    body = int(pybullet.createMultiBody(0.1, shape, look, place.tolist(), turn, physicsClientId=client))
    pybullet.changeDynamics(
        body,
        -1,
        lateralFriction=0.8,
        rollingFriction=0.003,
        spinningFriction=0.003,
        angularDamping=0.3,
        linearDamping=0.1,
        physicsClientId=client,
    )
    return body


def settle(client: int, bodies: Sequence[int]) -> bool:
    """Simulate until everything has been at rest for a while; False if that takes longer than MAX_STEPS."""
    calm = 0
    for _ in range(MAX_STEPS):
        pybullet.stepSimulation(physicsClientId=client)
        speeds = [pybullet.getBaseVelocity(body, physicsClientId=client) for body in bodies]
        moving = any(np.dot(v, v) > REST_LINEAR**2 or np.dot(w, w) > REST_ANGULAR**2 for v, w in speeds)
        calm = 0 if moving else calm + 1
        if calm == REST_STEPS:
            return True
    return False


def settled(client: int, number: int, kind: Kind, body: int) -> Thing:
    position, orientation = pybullet.getBasePositionAndOrientation(body, physicsClientId=client)
    return Thing(number, kind, position, orientation)

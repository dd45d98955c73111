"""Scenes: what stands on the table is drawn, dropped, left to settle, and photographed.

A scene is a function of its seed alone: every draw comes from one generator, physics runs in a fresh world with a fixed time step,
and waiting is counted in steps, never in seconds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pybullet

from .camera import Camera, Photograph
from .config import BASIC
from .shapes import COLOURS, SHAPES, SIZES, Shape

STEP = 1 / 240  # seconds of simulated time
MAX_STEPS = 1440
REST_STEPS = 12  # consecutive steps below both speeds count as rest
REST_LINEAR, REST_ANGULAR = 0.004, 0.06  # metres and radians per second
ATTEMPTS = 400
TABLE = 0.45  # metres, half of the table's depth
HELDOUT_COMBINATIONS = 1 / 6  # of all combinations of objects
REACH = 0.17  # metres from the table's middle within which objects are put; to the sides as much more as the picture is wider
MIN_SHARE = 0.0035  # of the square of the picture's height that every object must show


class SceneError(RuntimeError):
    """No settled scene in which everything is visible was found in a bounded number of attempts."""


@dataclass(frozen=True)
class Kind:
    """What an object is, before it is anywhere."""

    colour: str
    shape: str
    size: str

    @property
    def form(self) -> Shape:
        return SHAPES[self.shape]

    @property
    def unit(self) -> float:
        return SIZES[self.size]


@dataclass(frozen=True)
class Thing:
    """A settled object. `number` is its value in the mask; positions are metres, z upwards, the table's top at z = 0."""

    number: int
    kind: Kind
    position: tuple[float, float, float]
    orientation: tuple[float, float, float, float]
    """Quaternion x, y, z, w."""


@dataclass(frozen=True)
class Scene:
    """A settled arrangement with its photograph and exact instance mask."""

    things: tuple[Thing, ...]
    camera: Camera
    photograph: Photograph


def is_heldout(kinds: Sequence[Kind]) -> bool:
    """Whether a scene with these objects belongs to the held-out part.

    The multiset of (colour, shape) pairs decides, by its hash: no combination in the held-out part ever occurs in training, in no
    data set of any seed or size, while each colour, shape and pair does.
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
) -> Scene:
    """The scene of `seed`.

    Args:
        client: PyBullet's client, whose world is replaced.
        seed: from which everything is drawn.
        heldout: whether its combination of objects is one of the held-out ones.
        objects: bounds of their number.
        camera: the picture's height in pixels, and its supersampling.
        aspect: the picture's width over its height.
        shapes: what may stand on the table.
        varied: whether objects are turned about the vertical before they are let go, and the camera stands elsewhere each time.

    Raises:
        SceneError: after a bounded number of attempts, which means settings that leave no room.
    """
    reach = np.array([REACH * aspect, REACH])
    for attempt in range(ATTEMPTS):
        rng = np.random.default_rng([*seed, attempt])
        kinds = draw_kinds(rng, objects, shapes)
        if is_heldout(kinds) != heldout:
            continue
        places = draw_places(rng, kinds, reach)
        if places is None:
            continue
        table = empty_world(client, float(max(TABLE, reach[0] + REACH)))
        yaws = rng.uniform(-np.pi, np.pi, len(kinds)) if varied else np.zeros(len(kinds))
        bodies = [drop(client, kind, place, yaw) for kind, place, yaw in zip(kinds, places, yaws, strict=True)]
        if not settle(client, bodies):
            continue
        things = tuple(settled(client, number, kind, body) for number, (kind, body) in enumerate(zip(kinds, bodies, strict=True), 1))
        if any((np.abs(thing.position[:2]) > 1.2 * reach).any() for thing in things):
            continue
        pybullet.removeBody(table, physicsClientId=client)  # the camera paints its top by itself
        view = Camera.draw(rng, *camera, aspect, varied)
        photograph = view.photograph(client, {body: thing.number for body, thing in zip(bodies, things, strict=True)})
        pixels = np.bincount(photograph.mask.ravel(), minlength=len(things) + 1)[1:]
        if pixels.min() >= MIN_SHARE * camera[0] ** 2:
            return Scene(things, view, photograph)
    raise SceneError(f"no settled scene of {objects[0]} to {objects[1]} visible objects in {ATTEMPTS} attempts: ask for fewer objects")


def draw_kinds(rng: np.random.Generator, objects: tuple[int, int], shapes: Sequence[str] = BASIC) -> list[Kind]:
    """Between `objects[0]` and `objects[1]` kinds, drawn independently."""
    count = int(rng.integers(objects[0], objects[1] + 1))
    names = [list(COLOURS), list(shapes), list(SIZES)]
    return [Kind(*(options[rng.integers(len(options))] for options in names)) for _ in range(count)]


def draw_places(rng: np.random.Generator, kinds: Sequence[Kind], reach: np.ndarray) -> list[np.ndarray] | None:
    """Where each object is let go: on the table apart from the others, or, now and then, above one that can carry it.

    `reach` (2,) bounds x and y, in metres on both sides of the table's middle.
    """
    places: list[np.ndarray] = []
    carriers: set[int] = set()
    for kind in kinds:
        carrier = draw_carrier(rng, kind, kinds[: len(places)], carriers)
        if carrier is not None:
            carriers |= {carrier, len(places)}
            below = kinds[carrier]
            height = below.form.height * below.unit + kind.form.height * kind.unit / 2
            places.append(places[carrier] * [1, 1, 0] + [0, 0, height + 0.004])
            continue
        for _ in range(50):
            place = np.array([*rng.uniform(-reach, reach), kind.form.height * kind.unit / 2 + 0.003])
            apart = [kind.form.radius * kind.unit + other.form.radius * other.unit + 0.012 for other in kinds[: len(places)]]
            if all(np.hypot(*(place - other)[:2]) > gap for other, gap in zip(places, apart, strict=True)):
                places.append(place)
                break
        else:
            return None
    return places


def draw_carrier(rng: np.random.Generator, kind: Kind, others: Sequence[Kind], taken: set[int]) -> int | None:
    """The number of an earlier object to put this one on or into, or None for the table."""
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
    """A fresh world with a table, whose body is returned. `width` is half of its width."""
    pybullet.resetSimulation(physicsClientId=client)
    pybullet.setPhysicsEngineParameter(fixedTimeStep=STEP, deterministicOverlappingPairs=1, physicsClientId=client)
    pybullet.setGravity(0, 0, -9.81, physicsClientId=client)
    half = [width, TABLE, 0.02]
    shape = pybullet.createCollisionShape(pybullet.GEOM_BOX, halfExtents=half, physicsClientId=client)
    table = pybullet.createMultiBody(0, shape, -1, [0, 0, -half[2]], physicsClientId=client)
    pybullet.changeDynamics(table, -1, lateralFriction=0.9, rollingFriction=0.003, physicsClientId=client)
    return int(table)


def drop(client: int, kind: Kind, place: np.ndarray, yaw: float) -> int:
    """Put an object into the world with a little room below it, turned by `yaw` radians."""
    shape = kind.form.collision(client, kind.unit)
    look = kind.form.visual(client, kind.unit, COLOURS[kind.colour])
    body = int(pybullet.createMultiBody(0.1, shape, look, place.tolist(), [0, 0, np.sin(yaw / 2), np.cos(yaw / 2)], physicsClientId=client))
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
    """Step until everything has been at rest for a while; False when that takes longer than MAX_STEPS."""
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
